"""The closest pairs of atoms in many copies of one system."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from ase import Atoms

from painn_ase.neighbors import neighbor_list
from painn_ase.simulate.run.guards import too_close

_RESERVE = 0.6  # Å that atoms may move before close pairs are listed anew


class ClosePairs:
    """The pairs of atoms closer than `limit` Å in many copies of one system, with a list of candidates for each.

    A list holds the pairs within limit + 2 `_RESERVE` and is good until an atom of the copy has moved by `_RESERVE`, or
    the cell has changed. All candidates of all copies are measured at once: a Python loop over 64 beads would cost as
    much as their network.
    """

    def __init__(self, limit: float, atoms: Atoms) -> None:
        self._limit, self._atoms = limit, atoms
        self._cell = np.full((3, 3), np.nan)
        self._reference = np.empty((0, len(atoms), 3))
        self._lists: list[tuple[np.ndarray, ...]] = []  # of each copy: centers, neighbors, offsets
        self._all: tuple[np.ndarray, ...] = ()  # the same of all copies, atoms counted through, and the copies

    def __call__(self, positions: np.ndarray) -> Iterator[tuple[int, str]]:
        """Of the closest pair of each copy that has one, from `positions` (copies, atoms, 3)."""
        self._update(positions)
        centers, neighbors, offsets, copies = self._all
        x = positions.reshape(-1, 3)
        vectors = x[neighbors] - x[centers] + offsets
        squares = np.einsum("pi,pi->p", vectors, vectors)
        close = np.flatnonzero(squares < self._limit**2)
        for k in np.unique(copies[close]) if close.size else ():
            mine = close[copies[close] == k]
            worst = mine[squares[mine].argmin()]
            atoms = positions.shape[1]
            i, j = centers[worst] - k * atoms, neighbors[worst] - k * atoms
            yield int(k), too_close(i, j, np.sqrt(squares[worst]), self._limit)

    def _update(self, positions: np.ndarray) -> None:
        cell = self._atoms.cell.array
        if not np.array_equal(cell, self._cell):
            self._cell = cell.copy()
            self._reference = np.full(positions.shape, np.inf)
            self._lists = [()] * len(positions)
        moved = positions - self._reference
        far = np.flatnonzero(~(np.einsum("cai,cai->ca", moved, moved).max(axis=1) <= _RESERVE**2))
        for k in far:
            pairs = neighbor_list("matscipy")(positions[k], cell, self._atoms.pbc, self._limit + 2 * _RESERVE)
            once = pairs.centers <= pairs.neighbors
            offsets = pairs.shifts[once] @ cell
            self._lists[k] = pairs.centers[once], pairs.neighbors[once], offsets
            self._reference[k] = positions[k]
        if far.size:
            counts = [len(centers) for centers, _, _ in self._lists]
            copies = np.repeat(np.arange(len(counts)), counts)
            centers, neighbors, offsets = (np.concatenate(parts) for parts in zip(*self._lists, strict=True))
            first = copies * positions.shape[1]
            self._all = centers + first, neighbors + first, offsets, copies
