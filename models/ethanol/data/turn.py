"""Both torsions of ethanol turned by up to 12 or 30 degrees, everything else at rest: 40 frames of each conformer."""

import numpy as np
from ase.io import read, write

from painn_ase import PaiNNCalculator, relax

rng, frames = np.random.default_rng(404), []
for name in ("anti", "gauche"):
    rest = read(f"{name}.xyz")
    rest.calc = PaiNNCalculator("ethanol", dtype="float64")
    relax(rest, fmax=1e-4)
    for k in range(40):
        atoms = rest.copy()
        hydroxyl, methyl = rng.uniform(-1, 1, 2) * (12 if k % 2 else 30)
        atoms.rotate_dihedral(3, 2, 1, 0, hydroxyl, indices=[3])
        atoms.rotate_dihedral(6, 0, 1, 2, methyl, indices=[6, 7, 8])
        atoms.info["source"] = f"turned_{name}"
        frames.append(atoms)
write("turned.extxyz", [frames[k] for k in rng.permutation(len(frames))], format="extxyz")
