"""The closest pairs of atoms in many copies of one system."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from ase import Atoms

from painn_ase.neighbors import ReplicasBuilder, VerletList, neighbor_list

_SKIN = 1.2  # Å; pairs are listed anew where an atom has moved by half of it


class ClosePairs:
    """The pairs of atoms closer than `limit` Å in many copies of one system.

    All candidates of all copies are measured at once: a Python loop over 64 beads would cost as much as their network.
    """

    def __init__(self, limit: float, atoms: Atoms) -> None:
        self._limit, self._atoms = limit, atoms
        self._builder = ReplicasBuilder(atoms, VerletList(neighbor_list("matscipy"), limit, _SKIN), _SKIN, charge=0.0)

    def __call__(self, positions: np.ndarray) -> Iterator[tuple[int, str]]:
        """Of the closest pair of each copy that has one, from `positions` (copies, atoms, 3)."""
        copies, atoms = positions.shape[:2]
        graph = self._builder.build(positions, np.repeat(self._atoms.cell.array[None], copies, axis=0))
        centers, neighbors = graph.centers.numpy(), graph.neighbors.numpy()
        squares = graph.vectors().square().sum(dim=1).numpy()
        close = np.flatnonzero(squares < self._limit**2)
        for k in np.unique(centers[close] // atoms):
            mine = close[centers[close] // atoms == k]
            worst = mine[squares[mine].argmin()]
            i, j, distance = centers[worst] % atoms, neighbors[worst] % atoms, np.sqrt(squares[worst])
            yield int(k), f"atoms {i} and {j} are {distance:.3g} Å apart, closer than the limit of {self._limit:.4g} Å"
