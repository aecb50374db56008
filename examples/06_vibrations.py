"""Harmonic vibrations of ethanol: frequencies, infrared and Raman strengths, and thermochemistry from ASE."""

from ase.thermochemistry import HarmonicThermo

from painn_ase import PaiNNCalculator, relax
from painn_ase.simulate import vibrations
from painn_ase.structures import read_structure

atoms = read_structure("ethanol")
atoms.calc = PaiNNCalculator("ethanol", dtype="float64")
print(relax(atoms, fmax=0.001, optimizer="BFGS"))

found = vibrations(atoms)  # exact second derivatives, one evaluation instead of 6N + 1
print(found.table())

strongest = int(found.infrared.argmax())
print(f"\nstrongest infrared band: {found.frequencies[strongest]:.0f} cm⁻¹, {found.infrared[strongest]:.0f} km/mol")
for symbol, move in zip(atoms.symbols, found.displacements(strongest), strict=True):
    print(f"  {symbol}  {move[0]:+.2f} {move[1]:+.2f} {move[2]:+.2f}")

# ASE takes over from here: its VibrationsData of the same Hessian
energies = found.data.get_energies()[6:].real  # without translation and rotation
free_energy = HarmonicThermo(energies).get_helmholtz_energy(298.15, verbose=False)
print(f"zero-point energy {found.zero_point_energy:.3f} eV, vibrational free energy at 298 K {free_energy:.3f} eV")

# The derivatives themselves, as arrays
charges = atoms.calc.get_property("born_effective_charges", atoms)  # [i, a, b] = ∂μ_a/∂r_ib, e
print(f"Born charges: tr Z*/3 = {charges.trace(axis1=1, axis2=2).round(2) / 3} e, sum {abs(charges.sum(0)).max():.0e}")
