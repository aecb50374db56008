"""Attach a trained network to a molecule and ask it what ASE asks any calculator."""

from ase.build import molecule

from painn_ase import PaiNNCalculator
from painn_ase.units import COULOMB_CONSTANT, DEBYE

atoms = molecule("CH3CH2OH")
atoms.calc = PaiNNCalculator("ethanol")  # a bundled model's name, or the path of a model folder

print(f"energy            {atoms.get_potential_energy():.4f} eV")
print(f"largest force     {abs(atoms.get_forces()).max():.3f} eV/Å")
print(f"dipole            {atoms.get_dipole_moment() / DEBYE} D")

alpha = atoms.calc.get_polarizability(atoms)  # e²Å²/eV, ASE's unit
print(f"polarizability    {alpha.trace() / 3 * COULOMB_CONSTANT:.3f} Å³ (mean)")
