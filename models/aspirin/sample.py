"""Geometries of aspirin about all its conformers:  python models/aspirin/sample.py FOLDER MODEL

FOLDER gets conformers.extxyz, and train.extxyz, validation.extxyz and test.extxyz, each from trajectories and random
numbers of its own: Langevin dynamics at 300 and 500 K, quantum-harmonic amplitudes at 300 K, which are those of ring
polymers, and for training turned bonds and zero-point motion with lengths of X-H bonds from the tails of what beads
reach. MODEL (organic-small) moves the atoms. RDKit knows two conformers; the others,
with the acid's OH or the ester turned, follow from half a turn of each bond. Needs the extra `smiles`.
"""

import logging
import sys
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.optimize import FIRE

from painn_ase import PaiNNCalculator
from painn_ase.cards.measure import bonds
from painn_ase.errors import SimulationError
from painn_ase.reference import Plan, far_apart, sample, scan_torsions
from painn_ase.smiles import from_smiles
from painn_ase.structures import write_frames

SMILES = "CC(=O)Oc1ccccc1C(=O)O"
HIGHEST = 0.5  # eV above the lowest conformer
TAILS = 250  # frames
SCALES = 0.75, 1.25  # of lengths of X-H bonds in them
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
        FIRE(moving, logfile=None).run(fmax=0.01, steps=500)
    except SimulationError:  # turned into itself
        return None
    moving.calc = SinglePointCalculator(moving, energy=moving.get_potential_energy())
    return moving if joined(moving) == joined(from_smiles(SMILES)[0]) else None


def same(difference: float, one: Atoms, other: Atoms) -> bool:
    moments = one.get_moments_of_inertia(), other.get_moments_of_inertia()
    return abs(difference) < 0.01 and bool(np.allclose(*moments, rtol=0.03))


def conformers(model: str) -> list[Atoms]:
    """Minima of the model, the lowest first: those of RDKit, and those that half a turn of one bond leads to."""
    calculator = PaiNNCalculator(model)
    begin = from_smiles(SMILES, 4)
    turned = [atoms for one in begin for atoms in far_apart(scan_torsions(one, points=1))]
    minima = [moving for atoms in begin + turned if (moving := relaxed(atoms, calculator)) is not None]
    kept: list[Atoms] = []
    for moving in sorted(minima, key=lambda atoms: atoms.get_potential_energy()):
        energy = moving.get_potential_energy()
        above = [energy - other.get_potential_energy() for other in kept]
        if (
            not any(same(d, moving, other) for d, other in zip(above, kept, strict=True))
            and max(above, default=0.0) < HIGHEST
        ):
            kept.append(moving)
    lowest = kept[0].get_potential_energy()
    print("conformers, meV:", *(round(1000 * (a.get_potential_energy() - lowest)) for a in kept), flush=True)
    return [Atoms(atoms.numbers, atoms.positions) for atoms in kept]


def tails(frames: list[Atoms], rng: np.random.Generator) -> list[Atoms]:
    """Copies of frames with each bond of a hydrogen atom longer or shorter by a factor of its own."""
    scaled = []
    for atoms in frames:
        moved = Atoms(atoms.numbers, atoms.positions, info={"source": f"{atoms.info['source']}_tail"})
        for one, other in joined(atoms):
            if 1 in (numbers := atoms.numbers[[one, other]]):
                end, heavy = (one, other) if numbers[0] == 1 else (other, one)
                along = moved.positions[end] - moved.positions[heavy]
                moved.positions[end] = moved.positions[heavy] + rng.uniform(*SCALES) * along
        scaled.append(moved)
    return far_apart(scaled)


def main(folder: Path, model: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    minima = conformers(model)
    write_frames(folder / "conformers.extxyz", minima)
    for seed, (name, plan) in enumerate(PLANS.items(), start=1):
        frames = sample(minima, lambda atoms: PaiNNCalculator(model), plan, seed=seed, name=model)
        if name == "train":
            quantum = [atoms for atoms in frames if "wigner" in atoms.info["source"]]
            frames += tails(quantum[:: max(1, len(quantum) // TAILS)], np.random.default_rng(0))
        order = np.random.default_rng(seed).permutation(len(frames))
        write_frames(folder / f"{name}.extxyz", [frames[k] for k in order])
        print(f"{name}.extxyz: {len(frames)} frames", flush=True)


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    main(Path(sys.argv[1]), sys.argv[2])
