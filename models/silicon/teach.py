"""Structures near the training frames, labelled by the teachers: what the small network learns from beside them.

    python models/silicon/teach.py runs/mlearn TEACHER [TEACHER ...]

Labels are the mean of the teachers. The bundled model drives the dynamics. Nothing is derived from frames of
validation or test.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from ase import Atoms, units
from ase.build import bulk
from ase.io import read, write
from ase.md.langevin import Langevin

from painn_ase import PaiNNCalculator

CLOSEST, LARGEST = 1.85, 12.0  # Å and eV/Å: beyond is no silicon
SEEDS = range(4)  # of the draws
SMALL = 8  # atoms in the cells of `crystals`
FORCE_300 = 0.55  # eV/Å, RMS component of the frames at 300 K; grows with the root of the temperature


def bare(atoms: Atoms, rng: np.random.Generator, strain: float, rattle: float) -> Atoms:
    """A copy without labels, its cell strained at random by up to `strain` and its atoms moved by `rattle` Å."""
    copy = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=True, info={"group": "taught"})
    e = rng.uniform(-strain, strain, (3, 3))
    copy.set_cell(copy.cell.array @ (np.eye(3) + 0.5 * (e + e.T)), scale_atoms=True)
    copy.rattle(rattle, rng=rng)
    return copy


def crystals(rng: np.random.Generator) -> Iterator[Atoms]:
    """Small cells of the crystal, from hardly displaced to hot: what elastic constants and phonons depend on."""
    for cubic in (True, False):
        for strain, rattle in ((0.005, 0.01), (0.02, 0.03), (0.05, 0.08)):
            for _ in range(10):
                yield bare(bulk("Si", "diamond", a=5.469, cubic=cubic), rng, strain, rattle)


def trajectory(frame: Atoms, driver: PaiNNCalculator, rng: np.random.Generator) -> Iterator[Atoms]:
    """Langevin dynamics from a frame at about its temperature, more of it where it is hot; every 50 fs."""
    rms = np.sqrt(np.mean(frame.arrays["REF_forces"] ** 2))
    temperature = float(np.clip(300 * (rms / FORCE_300) ** 2 * rng.uniform(0.8, 1.2), 300, 2600))
    moving = bare(frame, rng, 0.0, 0.03)
    moving.set_cell(moving.cell * rng.uniform(0.99, 1.01), scale_atoms=True)
    moving.calc = driver
    spread = np.sqrt(moving.get_masses() * units.kB * temperature)
    moving.set_momenta(spread[:, None] * rng.standard_normal((len(moving), 3)))
    motion = Langevin(moving, 2 * units.fs, temperature_K=temperature, friction=0.03 / units.fs, rng=rng, fixcm=False)
    for _ in range(3 if rms < 0.7 else 10):
        motion.run(25)
        if not plausible(moving, moving.get_forces()):
            return
        yield bare(moving, rng, 0.0, 0.0)


def pool(frames: list[Atoms], driver: PaiNNCalculator, rng: np.random.Generator) -> Iterator[Atoms]:
    """Structures to label: displaced copies of every frame, and dynamics from half of those that are no surface."""
    yield from crystals(rng)
    for frame in frames:
        surface = frame.info["group"] == "Surface"
        for rattle in (0.03, 0.08) if surface else (rng.choice([0.03, 0.06, 0.1]),):
            yield bare(frame, rng, 0.0 if surface else 0.02, rattle)
        if not surface and rng.random() < 0.5:
            yield from trajectory(frame, driver, rng)


def plausible(atoms: Atoms, forces: np.ndarray) -> bool:
    """Whether no atoms are closer and no force is larger than silicon allows."""
    distances = atoms.get_all_distances(mic=True) + 9 * np.eye(len(atoms))
    return (len(atoms) <= 2 or distances.min() > CLOSEST) and bool(np.abs(forces).max() < LARGEST)


def labelled(atoms: Atoms, teacher: PaiNNCalculator) -> Atoms:
    """The structure with the teacher's energy, forces and stress."""
    copy = atoms.copy()
    copy.calc = teacher
    atoms.arrays["REF_forces"] = copy.get_forces()
    atoms.info |= {"REF_energy": copy.get_potential_energy(), "REF_stress": copy.get_stress(voigt=False)}
    return atoms


def main(folder: Path, teachers: list[str]) -> None:
    driver, judge = PaiNNCalculator("silicon"), PaiNNCalculator(teachers)
    frames = read(folder / "Si_frames.extxyz", ":")
    drawn = [atoms for seed in SEEDS for atoms in pool(frames, driver, np.random.default_rng(seed))]
    taught = [atoms for atoms in (labelled(a, judge) for a in drawn) if plausible(atoms, atoms.arrays["REF_forces"])]
    small = [atoms for atoms in taught if len(atoms) <= SMALL]
    large = [atoms for atoms in taught if len(atoms) > SMALL]
    for name, members in {"crystals": small, "taught": large}.items():
        write(folder / f"Si_{name}.extxyz", members, format="extxyz")
        print(f"Si_{name}.extxyz: {len(members)} structures")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
