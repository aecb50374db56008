"""The one data structure networks work on: atoms, directed pairs, and the structure each atom belongs to.

Pairs are (i, j, S): i the centre, j the neighbour, and r_ij = R_j - R_i + S·h with cell vectors in the rows
of h. The list is full (both directions) and sorted by centre. A batch of structures is itself a graph.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor


@dataclass(frozen=True)
class AtomicGraph:
    """Atoms and their pairs within the cutoff, of one or several structures. Lengths in Å, charges in e."""

    numbers: Tensor  # (atoms,) int64, atomic numbers
    positions: Tensor  # (atoms, 3) float64
    structures: Tensor  # (atoms,) int64, index of the structure of each atom, ascending
    centers: Tensor  # (pairs,) int64, i, ascending
    neighbors: Tensor  # (pairs,) int64, j
    shifts: Tensor  # (pairs, 3) float64, S: whole numbers of cell vectors
    cells: Tensor  # (structures, 3, 3) float64, rows are the cell vectors; zero where not periodic
    pbc: Tensor  # (structures, 3) bool
    charges: Tensor  # (structures,) float64, total charges

    @property
    def n_atoms(self) -> int:
        return self.numbers.shape[0]

    @property
    def n_pairs(self) -> int:
        return self.centers.shape[0]

    @property
    def n_structures(self) -> int:
        return self.cells.shape[0]

    @property
    def counts(self) -> Tensor:
        """Number of atoms of each structure, (structures,) int64."""
        return torch.bincount(self.structures, minlength=self.n_structures)

    def vectors(self) -> Tensor:
        """r_ij = R_j - R_i + S·h, (pairs, 3) float64, differentiable with respect to positions and cells."""
        difference = self.positions.index_select(0, self.neighbors) - self.positions.index_select(0, self.centers)
        if not bool(self.pbc.any()):
            return difference
        if self.n_structures == 1:
            return difference + self.shifts @ self.cells[0]
        cells = self.cells[self.structures[self.centers]]  # (pairs, 3, 3)
        return difference + torch.einsum("pi,pij->pj", self.shifts, cells)

    def sum_atoms(self, values: Tensor) -> Tensor:
        """Sums of `values` (atoms, ...) over the atoms of each structure, (structures, ...)."""
        return values.new_zeros((self.n_structures, *values.shape[1:])).index_add(0, self.structures, values)

    def within(self, cutoff: float) -> "AtomicGraph":
        """The graph without the pairs at or beyond `cutoff` Å (those a Verlet skin keeps in reserve)."""
        with torch.no_grad():
            keep = (self.vectors().square().sum(-1) < cutoff * cutoff).nonzero().squeeze(-1)
        if keep.shape[0] == self.n_pairs:
            return self
        return replace(
            self,
            centers=self.centers[keep],
            neighbors=self.neighbors[keep],
            shifts=self.shifts[keep],
        )

    def moved(self, positions: Tensor, cells: Tensor) -> "AtomicGraph":
        """The graph with other positions (atoms, 3) and cells (structures, 3, 3) in Å; all else is the same object.

        As `dataclasses.replace`, at a tenth of its time, for every step of a simulation.
        """
        graph = object.__new__(AtomicGraph)
        graph.__dict__.update(self.__dict__, positions=positions, cells=cells)
        return graph

    def to(self, device: torch.device | str) -> "AtomicGraph":
        """The same graph on another device."""
        return AtomicGraph(**{name: value.to(device) for name, value in vars(self).items()})

    @classmethod
    def from_arrays(
        cls,
        numbers: np.ndarray,
        positions: np.ndarray,
        centers: np.ndarray,
        neighbors: np.ndarray,
        shifts: np.ndarray,
        cell: np.ndarray | None = None,
        pbc: Sequence[bool] = (False, False, False),
        charge: float = 0.0,
    ) -> "AtomicGraph":
        """A graph of one structure from NumPy arrays.

        numbers: atomic numbers, (atoms,)
        positions: in Å, (atoms, 3)
        centers, neighbors: indices i and j of each directed pair, (pairs,)
        shifts: lattice vectors between them in whole numbers, (pairs, 3)
        cell: rows are cell vectors in Å, (3, 3)
        pbc: which of them are periodic
        charge: total charge in e
        """
        cell = np.zeros((3, 3)) if cell is None else cell
        return cls(
            numbers=torch.as_tensor(numbers, dtype=torch.int64),
            positions=torch.as_tensor(positions, dtype=torch.float64),
            structures=torch.zeros(len(numbers), dtype=torch.int64),
            centers=torch.as_tensor(centers, dtype=torch.int64),
            neighbors=torch.as_tensor(neighbors, dtype=torch.int64),
            shifts=torch.as_tensor(shifts, dtype=torch.float64).reshape(-1, 3),
            cells=torch.as_tensor(cell, dtype=torch.float64).reshape(1, 3, 3),
            pbc=torch.as_tensor(np.asarray(pbc, dtype=bool)).reshape(1, 3),
            charges=torch.tensor([charge], dtype=torch.float64),
        )


def batch(graphs: Sequence[AtomicGraph]) -> AtomicGraph:
    """One graph that holds all `graphs` side by side, in order; no pair joins two of them."""
    if len(graphs) == 1:
        return graphs[0]
    atoms = np.cumsum([0] + [g.n_atoms for g in graphs[:-1]])
    structures = np.cumsum([0] + [g.n_structures for g in graphs[:-1]])
    shifted = {
        "structures": torch.cat([g.structures + int(s) for g, s in zip(graphs, structures, strict=True)]),
        "centers": torch.cat([g.centers + int(a) for g, a in zip(graphs, atoms, strict=True)]),
        "neighbors": torch.cat([g.neighbors + int(a) for g, a in zip(graphs, atoms, strict=True)]),
    }
    alike = ("numbers", "positions", "shifts", "cells", "pbc", "charges")
    return AtomicGraph(**shifted, **{name: torch.cat([getattr(g, name) for g in graphs]) for name in alike})


def connected_parts(atoms: int, centers: np.ndarray, neighbors: np.ndarray) -> tuple[int, NDArray[np.int32]]:
    """How many parts no chain of pairs joins, and the part of each atom, (atoms,).

    atoms: how many there are
    centers, neighbors: indices of the atoms of each pair in both directions, sorted by centre, (pairs,)
    """
    degrees = np.bincount(centers, minlength=atoms)
    busiest, ends = int(degrees.argmax()), np.cumsum(degrees)
    alone = np.ones(atoms, dtype=bool)
    alone[neighbors[ends[busiest] - degrees[busiest] : ends[busiest]]] = False
    alone[busiest] = False
    if not alone.any():  # an atom that has all others as neighbours: most small molecules, in a tenth of the time
        return 1, np.zeros(atoms, dtype=np.int32)
    starts = np.concatenate([[0], ends])
    joined = csr_array((np.ones(len(centers), dtype=np.int8), neighbors, starts), shape=(atoms, atoms))
    count, labels = connected_components(joined, directed=False)
    return int(count), labels
