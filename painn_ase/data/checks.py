"""Reference data looked at before anything is learned from them: what looks wrong, in a second or so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from ase import Atoms

from painn_ase.data import magnitudes, structures
from painn_ase.data.energetics import energetics
from painn_ase.data.finding import Finding
from painn_ase.data.labels import Label
from painn_ase.data.table import kinds

_FEW = 2  # frames of a kind, below which it says nothing of itself


def check(frames: Sequence[Atoms], labels: Mapping[str, Label], most: int | None = None) -> list[Finding]:
    """What looks wrong in labelled `frames`: units, signs and orders of labels, frames that do not belong together.

    Energies, forces and stress are held against each other between frames that lie near (silent where none do); net
    forces and torques against zero; dipoles, polarizabilities and total energies against simple estimates, within
    factors; geometries and bonds against each other. With `most`, only that many frames are looked at: stretches of
    neighbours from all over the data.
    """
    chosen = _stretches(len(frames), most)
    found = _check([frames[k] for k in chosen], labels)
    return [Finding(f.check, f.text, tuple(int(chosen[k]) for k in f.frames)) for f in found]


def _check(frames: Sequence[Atoms], labels: Mapping[str, Label]) -> list[Finding]:
    table = kinds(frames, labels)
    found = [
        *magnitudes.total_energies(table),
        *magnitudes.dipoles(table),
        *magnitudes.polarizabilities(table),
        *structures.duplicates(frames, table),
        *structures.order_of_atoms(frames),
        *structures.isolated(frames),
    ]
    for kind in table:
        if len(kind) >= _FEW:
            found += [*energetics(kind), *structures.shuffled(kind)]
        checks = (
            magnitudes.balance,
            magnitudes.outliers,
            magnitudes.branches,
            structures.collisions,
            structures.valences,
        )
        found += [finding for each in checks for finding in each(kind)]
    return found


def _stretches(count: int, most: int | None, length: int = 50) -> np.ndarray:
    """Indices of all frames, or of about `most` in stretches of `length`."""
    if most is None or count <= most:
        return np.arange(count)
    starts = np.linspace(0, count - length, max(1, most // length)).astype(int)
    return np.unique((starts[:, None] + np.arange(length)).ravel())
