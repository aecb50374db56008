"""Frames of one file, divided into training, validation and test frames, the same in every run."""

from collections.abc import Sequence
from pathlib import Path

import ase.io
import numpy as np

from painn_ase.data import geometry


def divide(source: Path, counts: Sequence[int], paths: Sequence[Path]) -> None:
    """Writes so many frames each, drawn at random (permutation of seed 0), to these files.

    Published files hold copies. A frame whose geometry is in an earlier part already is left out of the later one,
    whose errors it would flatter; the trainer refuses it.
    """
    frames = ase.io.read(source, ":")
    order = np.random.default_rng(0).permutation(len(frames))
    seen: set[str] = set()
    for path, part in zip(paths, np.split(order, np.cumsum(counts))[: len(paths)], strict=True):
        chosen = [frames[k] for k in part if geometry(frames[k]) not in seen]
        seen |= {geometry(atoms) for atoms in chosen}
        ase.io.write(path, chosen, format="extxyz")
