"""The graph of many copies of one system, as beads and trajectories in lock-step need it."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from ase import Atoms

from painn_ase.graph import AtomicGraph
from painn_ase.neighbors.base import Pairs
from painn_ase.neighbors.builder import periodic_part
from painn_ase.neighbors.verlet import VerletList


class ReplicasBuilder:
    """One graph of all copies of `atoms`, with the total charge `charge` in e each.

    Each copy has a `VerletList` like `verlet`, with a skin of `skin` Å, and whether its pairs are found anew depends
    on that copy alone: its numbers are the same in any batch. Everything but positions and cells is the same object
    from graph to graph while no copy's pairs are new.
    """

    def __init__(self, atoms: Atoms, verlet: VerletList, skin: float, charge: float) -> None:
        self._kind = verlet
        self._skin = skin
        self._charge = charge
        self._numbers = atoms.numbers.copy()
        self._cell, self._pbc = atoms.cell.array.copy(), atoms.pbc.copy()
        self.lists: list[VerletList] = []
        self.pairs: list[Pairs] = []
        self.reference = np.empty((0, len(atoms), 3))  # positions ...
        self.cells = np.empty((0, 3, 3))  # ... and cells that each copy's pairs were found for
        self.renewed: list[int] = []  # copies whose pairs the last graph found anew
        self._parts: list[tuple[np.ndarray, ...]] = []  # of each copy: centers and neighbors in the batch
        self._graph: AtomicGraph | None = None

    @property
    def memory(self) -> Mapping[str, np.ndarray]:
        """What `recall` of another builder needs to find all pairs in the same order; empty before the first graph."""
        return {"positions": self.reference.copy(), "cells": self.cells.copy()} if self.lists else {}

    def recall(self, memory: Mapping[str, np.ndarray]) -> None:
        """Takes up the `memory` of an earlier builder: the order of pairs decides the last bit of sums."""
        self._update(memory["positions"].copy(), memory["cells"])

    def build(self, positions: np.ndarray, cells: np.ndarray | None = None) -> AtomicGraph:
        """The graph for `positions` (copies, atoms, 3) and `cells` (copies, 3, 3) in Å, by default that of `atoms`."""
        near = np.array(positions, dtype=np.float64)
        self._update(near, cells)
        assert self._graph is not None
        graph = replace(self._graph, positions=torch.from_numpy(near.reshape(-1, 3)))
        if cells is not None:
            graph = replace(graph, cells=torch.from_numpy(np.where(self._pbc[:, None], cells, 0.0)))
        return graph

    def _update(self, positions: np.ndarray, cells: np.ndarray | None) -> None:
        """Brings the pairs up to date; image jumps are taken off `positions`, which change in place."""
        if not self.lists:
            far = np.arange(len(positions))
            self.lists = [VerletList(self._kind.neighbor_list, self._kind.cutoff, self._skin) for _ in far]
            self.pairs = [Pairs(*(np.empty(0, dtype=int),) * 3)] * len(far)
            self._parts = [()] * len(far)
            self.reference = np.empty(positions.shape)
            self.cells = np.empty((len(far), 3, 3))
        elif cells is None or np.array_equal(cells, self.cells):
            # the rule of VerletList for a cell that did not change, for all copies in one sweep
            moved = positions - self.reference
            moved = np.einsum("cai,cai->ca", moved, moved).max(axis=1)
            far = np.flatnonzero(~(moved <= (self._skin / 2) ** 2))
        else:
            far = np.arange(len(positions))
        self.renewed = []
        for k in map(int, far):
            cell = self._cell if cells is None else cells[k]
            near = self.lists[k].update(positions[k], cell, self._pbc)
            positions[k] = near.positions
            if near.pairs is not self.pairs[k]:
                self.reference[k], self.cells[k], self.pairs[k] = near.positions, cell, near.pairs
                self.renewed.append(k)
        if self.renewed:
            self._assemble()

    def _assemble(self) -> None:
        atoms = len(self._numbers)
        for k in self.renewed:
            self._parts[k] = self.pairs[k].centers + k * atoms, self.pairs[k].neighbors + k * atoms
        centers, neighbors = (torch.from_numpy(np.concatenate(c)) for c in zip(*self._parts, strict=True))
        if self._pbc.any():
            shifts = torch.from_numpy(np.concatenate([pairs.shifts for pairs in self.pairs])).double()
        else:
            shifts = torch.zeros((len(centers), 3), dtype=torch.float64)
        if self._graph is not None:
            self._graph = replace(self._graph, centers=centers, neighbors=neighbors, shifts=shifts)
            return
        copies = len(self.lists)
        self._graph = AtomicGraph(
            numbers=torch.as_tensor(np.tile(self._numbers, copies), dtype=torch.int64),
            positions=torch.from_numpy(self.reference.reshape(-1, 3).copy()),
            structures=torch.arange(copies).repeat_interleave(atoms),
            centers=centers,
            neighbors=neighbors,
            shifts=shifts,
            cells=torch.as_tensor(periodic_part(self._cell, self._pbc)).repeat(copies, 1, 1),
            pbc=torch.as_tensor(self._pbc).repeat(copies, 1),
            charges=torch.full((copies,), self._charge, dtype=torch.float64),
        )
