"""Whether copies of a system have left what the model's training data covered."""

from __future__ import annotations

import numpy as np
from ase import Atoms

from painn_ase.neighbors import graph_of


class CopiesMonitor:
    """Compares copies with the training data: all forces at every step, geometries when they may have left the data.

    A copy is looked at when one of its atoms has moved, about the mean of all, by more than `CoverageMonitor.LATE`
    since the last look at that copy, so that is how late an excursion is found. `found` is what was outside of
    each copy when it was last looked at.
    """

    def __init__(self, atoms: Atoms) -> None:
        self._atoms = atoms
        self.found: dict[int, str | None] = {}
        self.looked: np.ndarray | None = None  # positions of the last look at each copy, (copies, atoms, 3) in Å

    def __call__(self, positions: np.ndarray, forces: np.ndarray) -> dict[int, str]:
        """Copy -> what is outside, of `positions` and `forces` (copies, atoms, 3)."""
        monitor = self._atoms.calc.coverage
        if self.looked is None:
            self.looked = np.full(positions.shape, np.nan)
        moved = positions - self.looked
        moved -= moved.mean(axis=1, keepdims=True)  # nothing depends on the place of the whole
        near = np.einsum("cai,cai->ca", moved, moved).max(axis=1) < monitor.LATE**2
        for k in map(int, np.flatnonzero(~near)):
            self.looked[k] = positions[k]
            self.found[k] = self._geometry(positions[k])
        found = {k: sentence for k, sentence in self.found.items() if sentence}
        for coverage in monitor.coverages:
            if coverage.forces(forces.reshape(-1, 3)):
                found |= {k: sentence for k, one in enumerate(forces) if (sentence := coverage.forces(one))}
        return dict(sorted(found.items()))

    def _geometry(self, positions: np.ndarray) -> str | None:
        """What the training data of a model did not cover of a geometry."""
        coverages, image = self._atoms.calc.coverage.coverages, self._atoms.copy()
        image.positions = positions
        graph = graph_of(image, max(coverage.cutoff for coverage in coverages), charge=0.0)
        return next((sentence for coverage in coverages if (sentence := coverage.graph(graph))), None)
