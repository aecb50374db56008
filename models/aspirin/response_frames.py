"""Geometries of aspirin to learn polarizabilities from:  python models/aspirin/response_frames.py FOLDER OUTPUT

FOLDER holds the files of sample.py. Of its training and test frames 300 and 100 are drawn at random, in turns of three
and one, so that however many are labelled, a quarter tests; info["side"] says which.
"""

import sys
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.io import read

from painn_ase.structures import write_frames

SIDES = {"train": 300, "test": 100}


def drawn(folder: Path, side: str, count: int) -> list[Atoms]:
    """Bare geometries of a side, each with its source."""
    frames = read(folder / f"{side}.extxyz", ":")
    chosen = [frames[k] for k in np.random.default_rng(0).permutation(len(frames))[:count]]
    info = ({"side": side, "source": atoms.info["source"]} for atoms in chosen)
    return [Atoms(a.numbers, a.positions, info=facts) for a, facts in zip(chosen, info, strict=True)]


def main(folder: Path, output: Path) -> None:
    train, test = (drawn(folder, *item) for item in SIDES.items())
    turns = len(train) // len(test)
    write_frames(output, [a for k, one in enumerate(test) for a in (*train[turns * k : turns * (k + 1)], one)])


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
