"""Geometries that a model visits, to be labelled by label.py:

    python models/organic/visit.py runs/organic/visited MODEL [MODEL ...] [--files N]

Of each training molecule another conformer: relaxed with the model, then dynamics at a temperature between 100 and
1000 K. Its minima and motions are those of the model, which MMFF94 does not have. Kept are the minimum, the frame where
the dynamics went wrong, if it did (an atom outside of the training data, a force above STOP), and of the others those
that several models (a committee, which moves the atoms by its mean) disagree most about; of one model, any. Files hold
50 molecules each, and one that exists is not made again: N files take N/38 of `train`, and as many of `further`.
"""

import argparse
import logging
import warnings
from functools import partial
from pathlib import Path

import numpy as np
from ase import Atoms, units
from ase.md.langevin import Langevin
from ase.optimize import FIRE
from files import molecules, write_files
from rdkit import RDLogger

from painn_ase import PaiNNCalculator
from painn_ase.coverage import CoverageWarning
from painn_ase.smiles import from_smiles

STOP = 20.0  # eV/Å
LOOKS, EVERY = 8, 30  # looks at the dynamics, steps of 0.5 fs between them
FRAMES = 3  # of the dynamics that are kept
SEED = 10_000


def visited(smiles: str, number: int, calculator: PaiNNCalculator) -> list[Atoms]:
    """The minimum and at most `FRAMES` of the dynamics."""
    rng = np.random.default_rng([SEED, number])
    moving = from_smiles(smiles, 2, seed=SEED + number)[-1]
    moving.info = {}
    moving.calc = calculator
    FIRE(moving, logfile=None).run(fmax=0.05, steps=80)
    if torn(moving):
        return [kept(moving, smiles, "visit_wrong")]
    temperature = rng.uniform(100, 1000)
    frames, doubts = dynamics(moving, temperature, smiles, rng)
    chosen = np.argsort(doubts, kind="stable")[::-1][:FRAMES]
    return [frames[0], *(frames[1 + k] for k in sorted(chosen))]


def dynamics(
    moving: Atoms, temperature: float, smiles: str, rng: np.random.Generator
) -> tuple[list[Atoms], list[float]]:
    """The first frame and those of dynamics up to where it goes wrong; of the latter, how doubtful each is."""
    frames, doubts, known = [kept(moving, smiles, "visit_minimum")], [], moving.calc.outside is None
    spread = np.sqrt(units.kB * temperature * moving.get_masses())[:, None]
    moving.set_momenta(rng.normal(size=(len(moving), 3)) * spread)
    motion = Langevin(moving, 0.5 * units.fs, temperature_K=temperature, friction=0.02 / units.fs, fixcm=False, rng=rng)
    for _ in range(LOOKS):
        motion.run(EVERY)
        astray = torn(moving) or (known and moving.calc.outside is not None)
        frames.append(kept(moving, smiles, "visit_wrong" if astray else f"visit_md_{temperature:.0f}K"))
        doubts.append(np.inf if astray else doubt(moving, rng))
        if astray:
            break
    return frames, doubts


def torn(moving: Atoms) -> bool:
    return not np.abs(moving.get_forces()).max() < STOP


def doubt(moving: Atoms, rng: np.random.Generator) -> float:
    """The largest spread (eV/Å) of the models' forces on an atom; of a single model a random number."""
    spread = moving.calc.results.get("forces_std")
    return float(rng.uniform() if spread is None else spread.max())


def kept(moving: Atoms, smiles: str, source: str) -> Atoms:
    return Atoms(moving.numbers, moving.positions, info={"smiles": smiles, "source": source})


def flat(groups: list[list[Atoms]], _: int) -> list[Atoms]:
    return [atoms for group in groups for atoms in group]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--files", type=int, help="of each part, at most")
    given = parser.parse_args()
    calculator = PaiNNCalculator(given.models if given.models[1:] else given.models[0])
    for part in ("further", "train"):
        make = partial(visited, calculator=calculator)
        write_files(given.folder, f"visited-{part}", molecules(part), make, flat, given.files)


if __name__ == "__main__":
    RDLogger.DisableLog("rdApp.*")
    logging.getLogger("painn_ase").setLevel(logging.ERROR)
    warnings.simplefilter("ignore", CoverageWarning)  # leaving the data is what it looks for
    main()
