"""Two conformers of ethanol: which one is lower, and by how much?"""

from painn_ase import PaiNNCalculator, relax
from painn_ase.structures import read_structure
from painn_ase.units import KJ_PER_MOL

calculator = PaiNNCalculator("ethanol", dtype="float64")  # tight convergence wants a float64 network
energies = {}
for name, angle in {"anti": 180.0, "gauche": 62.0}.items():
    atoms = read_structure("ethanol")
    atoms.set_dihedral(0, 1, 2, 3, angle, indices=[3])  # C-C-O-H
    atoms.calc = calculator
    result = relax(atoms, fmax=0.001, optimizer="BFGS")
    energies[name] = result.energy
    print(f"{name:7s} {result}; dihedral {atoms.get_dihedral(0, 1, 2, 3):.0f}°")

print(f"gauche - anti: {(energies['gauche'] - energies['anti']) / KJ_PER_MOL:+.2f} kJ/mol")
