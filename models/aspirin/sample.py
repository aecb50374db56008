"""Geometries of aspirin about all its conformers:  python models/aspirin/sample.py FOLDER MODEL

FOLDER gets conformers.extxyz, and train.extxyz, validation.extxyz and test.extxyz, each from trajectories and random
numbers of its own: Langevin dynamics at 300 and 500 K, quantum-harmonic amplitudes at 300 K, which are those of ring
polymers, and for training turned bonds. MODEL (organic-small) moves the atoms. RDKit knows two conformers; the others,
with the acid's OH or the ester turned, follow from scans of all bonds that turn. Needs the extra `smiles`.
"""

import logging
import sys
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.optimize import FIRE

from painn_ase import PaiNNCalculator
from painn_ase.cards.measure import bonds
from painn_ase.errors import SimulationError
from painn_ase.reference import Plan, far_apart, sample, scan_torsions
from painn_ase.smiles import from_smiles
from painn_ase.structures import write_frames

SMILES = "CC(=O)Oc1ccccc1C(=O)O"
HIGHEST = 0.5  # eV above the lowest conformer
PLANS = {
    "train": Plan(md=40, temperatures=(300.0, 500.0), quantum=120, torsions=5),
    "validation": Plan(md=4, temperatures=(300.0, 500.0), quantum=8),
    "test": Plan(md=8, temperatures=(300.0, 500.0), quantum=16),
}


def joined(atoms: Atoms) -> set[tuple[int, int]]:
    """Pairs of bonded atoms."""
    first, second, _ = bonds(atoms)
    return set(zip(first.tolist(), second.tolist(), strict=True))


def relaxed(atoms: Atoms, calculator: PaiNNCalculator) -> Atoms | None:
    """The minimum that a geometry belongs to; None where it has other bonds."""
    moving = Atoms(atoms.numbers, atoms.positions, calculator=calculator)
    try:
        FIRE(moving, logfile=None).run(fmax=0.02, steps=400)
    except SimulationError:  # turned into itself
        return None
    return moving if joined(moving) == joined(from_smiles(SMILES)[0]) else None


def conformers(model: str) -> list[Atoms]:
    """Minima of the model that turned bonds lead to, the lowest first; mirror images are one."""
    calculator = PaiNNCalculator(model)
    found: list[tuple[float, Atoms]] = []
    waiting = from_smiles(SMILES, 4)
    while waiting:
        moving = relaxed(waiting.pop(0), calculator)
        if moving is None:
            continue
        energy, moments = moving.get_potential_energy(), moving.get_moments_of_inertia()
        lowest = min((other for other, _ in found), default=energy)
        known = any(np.allclose(moments, other.get_moments_of_inertia(), rtol=0.01) for _, other in found)
        if not known and energy < lowest + HIGHEST:
            found.append((energy, Atoms(moving.numbers, moving.positions)))
            waiting += far_apart(scan_torsions(found[-1][1], points=3))
    found.sort(key=lambda pair: pair[0])
    near = [(energy, atoms) for energy, atoms in found if energy < found[0][0] + HIGHEST]
    print("conformers, meV above the lowest:", *(round(1000 * (energy - near[0][0])) for energy, _ in near), flush=True)
    return [atoms for _, atoms in near]


def main(folder: Path, model: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    minima = conformers(model)
    write_frames(folder / "conformers.extxyz", minima)
    for seed, (name, plan) in enumerate(PLANS.items(), start=1):
        frames = sample(minima, lambda atoms: PaiNNCalculator(model), plan, seed=seed, name=model)
        order = np.random.default_rng(seed).permutation(len(frames))
        write_frames(folder / f"{name}.extxyz", [frames[k] for k in order])
        print(f"{name}.extxyz: {len(frames)} frames", flush=True)


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    main(Path(sys.argv[1]), sys.argv[2])
