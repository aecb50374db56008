"""Whether copies of a system have left what the model's training data covered."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from ase import Atoms

from painn_ase.neighbors import neighbor_list

_ALIKE = 8  # beads of a ring that one of them speaks for


class Outside:
    """Compares copies with the training data: all forces at every step, and geometries in turns.

    The geometry of a copy is looked at once in `Guard.EVERY` steps, of a bead in `_ALIKE` times as many, since those of
    a ring are alike. `found` is what was outside when last looked at, by copy.
    """

    def __init__(self, atoms: Atoms, beads: int) -> None:
        self._atoms, self._beads = atoms, beads
        self.found: dict[int, str] = {}

    def __call__(self, step: int, positions: np.ndarray, forces: np.ndarray) -> dict[int, str]:
        """Copy -> what is outside, of `positions` and `forces` (copies, atoms, 3) at a step."""
        guard, copies = self._atoms.calc.guard, len(positions)
        interval = guard.EVERY * min(self._beads, _ALIKE)
        turns = (step - np.arange(copies) * interval // copies) % interval  # evenly over the interval
        self._look(map(int, np.flatnonzero(turns == 0)), positions)
        found = dict(self.found)
        for coverage in guard.coverages:
            if coverage.forces(forces.reshape(-1, 3)):
                found |= {k: sentence for k, one in enumerate(forces) if (sentence := coverage.forces(one))}
        return dict(sorted(found.items()))

    def _look(self, chosen: Iterable[int], positions: np.ndarray) -> None:
        for k in chosen:
            self.found.pop(k, None)
            sentence = self._geometry(positions[k])
            if sentence:
                self.found[k] = sentence

    def _geometry(self, positions: np.ndarray) -> str | None:
        """What the training data of a model did not cover of a geometry."""
        coverages = self._atoms.calc.guard.coverages
        cell = self._atoms.cell.array
        pairs = neighbor_list("matscipy")(positions, cell, self._atoms.pbc, max(c.cutoff for c in coverages))
        distances = np.linalg.norm(pairs.vectors(positions, cell), axis=1)
        arrays = self._atoms.numbers, pairs.centers, pairs.neighbors, distances
        return next((sentence for sentence in (c.geometry(*arrays) for c in coverages) if sentence), None)
