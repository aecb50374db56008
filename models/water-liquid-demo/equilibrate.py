"""The example structure: python equilibrate.py MODEL OUTPUT

64 molecules of random orientation on a lattice at 1 g/cm³, relaxed, then 4 ps of Langevin dynamics at 300 K by MODEL.
"""

import sys

import numpy as np
from ase import Atoms, units
from ase.build import molecule
from ase.io import write
from ase.md.langevin import Langevin
from ase.md.velocitydistribution import thermalize_momenta
from ase.optimize import FIRE

from painn_ase import PaiNNCalculator

EDGE = (64 * 18.015 / 0.60221408) ** (1 / 3)  # Å


def main(model: str, output: str) -> None:
    random = np.random.default_rng(0)
    atoms = Atoms(pbc=True, cell=[EDGE] * 3)
    for place in np.ndindex(4, 4, 4):
        water = molecule("H2O")
        water.rotate(float(random.uniform(0, 360)), random.normal(size=3))
        water.translate(np.array(place) * EDGE / 4)
        atoms += water
    atoms.calc = PaiNNCalculator(model)
    FIRE(atoms, logfile=None).run(fmax=0.5, steps=200)
    thermalize_momenta(atoms, temperature_K=300, rng=np.random.RandomState(0))
    Langevin(atoms, 0.5 * units.fs, temperature_K=300, friction=0.02 / units.fs, fixcm=False, rng=random).run(8000)
    print(f"{atoms.get_potential_energy() / 64:.3f} eV a molecule, {atoms.get_temperature():.0f} K")
    write(output, Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=True), format="extxyz")


if __name__ == "__main__":
    main(*sys.argv[1:])
