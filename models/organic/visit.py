"""Geometries that a model visits, to be labelled by label.py: python models/organic/visit.py MODEL runs/organic/visited

Of each training molecule another conformer: relaxed with MODEL, then three frames of its dynamics at a temperature
between 100 and 900 K. These are minima and motions as the model has them, which MMFF94 does not have. A file for every
50 molecules; one that exists is not made again.
"""

import logging
import sys
from pathlib import Path

import numpy as np
from ase import Atoms, units
from ase.io import write
from ase.md.langevin import Langevin
from ase.optimize import FIRE
from rdkit import RDLogger
from sample import EACH, molecules

from painn_ase import PaiNNCalculator
from painn_ase.reference import far_apart
from painn_ase.smiles import from_smiles

STOP = 20.0  # eV/Å
FRAMES, EVERY = 3, 60  # of 0.5 fs
SEED = 10_000


def visited(smiles: str, calculator: PaiNNCalculator, number: int) -> list[Atoms]:
    """The minimum and `FRAMES` of dynamics, fewer where a force exceeds `STOP`."""
    rng = np.random.default_rng([SEED, number])
    moving = from_smiles(smiles, 2, seed=SEED + number)[-1]
    moving.info = {}
    moving.calc = calculator
    FIRE(moving, logfile=None).run(fmax=0.05, steps=80)
    frames = [kept(moving, smiles, "minimum")]
    temperature = rng.uniform(100, 900)
    moving.set_momenta(
        rng.normal(size=(len(moving), 3)) * np.sqrt(units.kB * temperature * moving.get_masses())[:, None]
    )
    motion = Langevin(moving, 0.5 * units.fs, temperature_K=temperature, friction=0.02 / units.fs, fixcm=False, rng=rng)
    for _ in range(FRAMES):
        motion.run(EVERY)
        if not np.abs(moving.get_forces()).max() < STOP:
            break
        frames.append(kept(moving, smiles, f"visit_md_{temperature:.0f}K"))
    return frames


def kept(moving: Atoms, smiles: str, source: str) -> Atoms:
    return Atoms(moving.numbers, moving.positions, info={"smiles": smiles, "source": source})


def main(model: str, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    listed, calculator = molecules("train"), PaiNNCalculator(model)
    for first in range(0, len(listed), EACH):
        path = folder / f"visited-{first // EACH:03d}.extxyz"
        if path.exists():
            continue
        frames: list[Atoms] = []
        for number in range(first, min(first + EACH, len(listed))):
            try:
                frames += visited(listed[number], calculator, number)
            except Exception as error:  # one molecule costs only itself
                print(f"{listed[number]}: {error}", flush=True)
        frames = far_apart(frames)
        write(path.with_suffix(".part"), frames, format="extxyz")
        path.with_suffix(".part").rename(path)
        print(f"{path.name}: {len(frames)} frames", flush=True)


if __name__ == "__main__":
    RDLogger.DisableLog("rdApp.*")
    logging.getLogger("painn_ase").setLevel(logging.ERROR)
    main(sys.argv[1], Path(sys.argv[2]))
