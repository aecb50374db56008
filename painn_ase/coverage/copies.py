"""Whether copies of a system have left what the model's training data covered."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from ase import Atoms

from painn_ase.neighbors import neighbor_list


class CopiesMonitor:
    """Compares copies with the training data: all forces at every step, geometries when they may have left the data.

    A copy is looked at when one of its atoms has moved, about the mean of all, by more than `CoverageMonitor.LATE`
    since the last look at that copy, so that is how late an excursion is found. `found` is what was outside when
    last looked at, by copy.
    """

    def __init__(self, atoms: Atoms) -> None:
        self._atoms = atoms
        self.found: dict[int, str] = {}
        self.looked: np.ndarray | None = None  # positions of the last look at each copy, (copies, atoms, 3) in Å

    def __call__(self, positions: np.ndarray, forces: np.ndarray) -> dict[int, str]:
        """Copy -> what is outside, of `positions` and `forces` (copies, atoms, 3)."""
        monitor = self._atoms.calc.coverage
        if self.looked is None:
            self.looked = np.full(positions.shape, np.nan)
        moved = positions - self.looked
        moved -= moved.mean(axis=1, keepdims=True)  # nothing depends on the place of the whole
        near = np.einsum("cai,cai->ca", moved, moved).max(axis=1) < monitor.LATE**2
        self._look(map(int, np.flatnonzero(~near)), positions)
        found = dict(self.found)
        for coverage in monitor.coverages:
            if coverage.forces(forces.reshape(-1, 3)):
                found |= {k: sentence for k, one in enumerate(forces) if (sentence := coverage.forces(one))}
        return dict(sorted(found.items()))

    def _look(self, chosen: Iterable[int], positions: np.ndarray) -> None:
        assert self.looked is not None
        for k in chosen:
            self.looked[k] = positions[k]
            self.found.pop(k, None)
            sentence = self._geometry(positions[k])
            if sentence:
                self.found[k] = sentence

    def _geometry(self, positions: np.ndarray) -> str | None:
        """What the training data of a model did not cover of a geometry."""
        coverages = self._atoms.calc.coverage.coverages
        cell = self._atoms.cell.array
        pairs = neighbor_list("matscipy")(positions, cell, self._atoms.pbc, max(c.cutoff for c in coverages))
        distances = np.linalg.norm(pairs.vectors(positions, cell), axis=1)
        arrays = self._atoms.numbers, pairs.centers, pairs.neighbors, distances
        return next((sentence for sentence in (c.geometry(*arrays) for c in coverages) if sentence), None)
