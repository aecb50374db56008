"""Many copies of one system in one evaluation: the beads of ring polymers, trajectories in lock-step.

A small molecule leaves most of a network evaluation to overhead; M copies in one call cost far less than M calls.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
import torch
from ase import Atoms
from ase.stress import full_3x3_to_voigt_6_stress

from painn_ase.errors import SimulationError
from painn_ase.graph import AtomicGraph
from painn_ase.neighbors import Pairs, VerletList
from painn_ase.properties import PROPERTIES

_SPREAD = "_std"  # what an ensemble of models adds to a property's name

FEW_ATOMS = 64
WIDE_SKIN = 2.0
"""Å, for molecules of up to `FEW_ATOMS`: pairs out of the cutoff cost next to nothing there, finding pairs does."""


class Evaluator(Protocol):
    """Properties of all copies at once, in ASE's units and shapes, each with a leading axis of copies."""

    def __call__(
        self, positions: np.ndarray, names: Collection[str], cells: np.ndarray | None = None
    ) -> dict[str, np.ndarray]:
        """The energies and `names` for `positions` (copies, atoms, 3) in Å.

        `cells` (copies, 3, 3) in Å if they differ from the cell of the structure the evaluator was made for.
        """
        ...

    @property
    def memory(self) -> Mapping[str, np.ndarray]:
        """What a later evaluator must be given to repeat every number to the last bit; may be empty."""
        ...


class OneByOne:
    """Asks any ASE calculator for one copy after the other."""

    def __init__(self, atoms: Atoms) -> None:
        self._atoms = atoms.copy()
        self._calc = atoms.calc
        self.memory: Mapping[str, np.ndarray] = {}

    def __call__(
        self, positions: np.ndarray, names: Collection[str], cells: np.ndarray | None = None
    ) -> dict[str, np.ndarray]:
        found: dict[str, list[Any]] = {name: [] for name in ("energy", *names)}
        for k, one in enumerate(positions):
            self._atoms.positions = one
            if cells is not None:
                self._atoms.cell = cells[k]
            for name in (*names, "energy"):
                if len(found[name]) > k:
                    continue
                value = self._calc.get_property(name, self._atoms)
                found[name].append(np.array(value, dtype=float))
        return {name: np.stack(values) for name, values in found.items()}


class Batched:
    """Asks the backend of a `PaiNNCalculator` for one graph that holds all copies.

    Each copy has a `VerletList` of its own, and whether its pairs are found anew depends on that copy alone: its
    numbers are the same in any batch. `memory` is that of an earlier evaluator whose numbers are to be continued.
    Raises `SimulationError` when an atom has moved out of the reach of all others, where a network knows nothing.
    """

    def __init__(self, atoms: Atoms, memory: Mapping[str, np.ndarray] | None = None) -> None:
        calc = atoms.calc
        self._backend = calc.backend
        self._kind = calc.neighbor_list
        self._numbers = atoms.numbers.copy()
        self._cell, self._pbc = atoms.cell.array.copy(), atoms.pbc.copy()
        small = len(atoms) <= FEW_ATOMS and not self._pbc.any()
        self._skin = max(self._kind.skin, WIDE_SKIN) if small else self._kind.skin
        self._charge = float(atoms.info.get("charge", 0.0) if calc.charge is None else calc.charge)
        self._lists: list[VerletList] = []
        self._pairs: list[Pairs] = []
        self._parts: list[tuple[np.ndarray, ...]] = []  # of each copy: centers and neighbors in the batch
        self._reference = np.empty((0, len(atoms), 3))  # positions ...
        self._cells = np.empty((0, 3, 3))  # ... and cells that each copy's pairs were found for
        self._alone: np.ndarray | None = None  # atoms without neighbours at the beginning
        self._graph: AtomicGraph | None = None
        guard = getattr(calc, "guard", None)
        self._guard = None if guard is None else guard.twin()
        self._evaluations = 0
        if memory:  # the order of pairs decides the last bit of sums
            self._update(memory["positions"].copy(), memory["cells"])

    @property
    def memory(self) -> Mapping[str, np.ndarray]:
        return {"positions": self._reference.copy(), "cells": self._cells.copy()} if self._lists else {}

    def __call__(
        self, positions: np.ndarray, names: Collection[str], cells: np.ndarray | None = None
    ) -> dict[str, np.ndarray]:
        copies, atoms = positions.shape[:2]
        near = np.array(positions, dtype=np.float64)
        self._update(near, cells)
        assert self._graph is not None
        graph = replace(self._graph, positions=torch.from_numpy(near.reshape(-1, 3)))
        if cells is not None:
            graph = replace(graph, cells=torch.from_numpy(np.array(cells, dtype=np.float64)))
        values = self._backend.evaluate(graph, {"energy", *names})
        if self._guard is not None:
            self._look(near, values["forces"] if "forces" in values else np.zeros((0, 3)))
        for name, value in values.items():
            spread = name.endswith(_SPREAD)
            known = PROPERTIES[name.removesuffix(_SPREAD)]
            if known.per == "atom":
                values[name] = value.reshape(copies, atoms, *value.shape[1:])
            elif name == "stress" and not spread:
                values[name] = full_3x3_to_voigt_6_stress(value)
        return values

    def _look(self, positions: np.ndarray, forces: np.ndarray) -> None:
        """Compares with the training data: all forces, and now and then the geometry of one copy, which take turns."""
        assert self._guard is not None
        if self._evaluations % self._guard.EVERY == 0:
            k = self._evaluations // self._guard.EVERY % len(positions)
            self._guard.new_pairs(self._numbers, self._pairs[k], positions[k], self._cells[k])
        self._evaluations += 1
        self._guard.new_forces(forces)

    def _update(self, positions: np.ndarray, cells: np.ndarray | None) -> None:
        """Brings the pairs up to date; image jumps are taken off `positions`, which change in place."""
        if not self._lists:
            far = np.arange(len(positions))
            self._lists = [VerletList(self._kind.neighbor_list, self._kind.cutoff, self._skin) for _ in far]
            self._pairs = [Pairs(*(np.empty(0, dtype=int),) * 3)] * len(far)
            self._parts = [()] * len(far)
            self._reference = np.empty(positions.shape)
            self._cells = np.empty((len(far), 3, 3))
        elif cells is None or np.array_equal(cells, self._cells):
            # the rule of VerletList for a cell that did not change, for all copies in one sweep
            moved = positions - self._reference
            moved = np.einsum("cai,cai->ca", moved, moved).max(axis=1)
            far = np.flatnonzero(~(moved <= (self._skin / 2) ** 2))
        else:
            far = np.arange(len(positions))
        anew = []
        for k in map(int, far):
            cell = self._cell if cells is None else cells[k]
            near = self._lists[k].update(positions[k], cell, self._pbc)
            positions[k] = near.positions
            if near.pairs is not self._pairs[k]:
                self._reference[k], self._cells[k], self._pairs[k] = near.positions, cell, near.pairs
                anew.append(k)
        if anew:
            self._assemble(anew)

    def _assemble(self, anew: list[int]) -> None:
        atoms = len(self._numbers)
        for k in anew:
            pairs = self._pairs[k]
            self._check_reach(k, pairs)
            self._parts[k] = pairs.centers + k * atoms, pairs.neighbors + k * atoms
        centers, neighbors = (torch.from_numpy(np.concatenate(c)) for c in zip(*self._parts, strict=True))
        if self._pbc.any():
            shifts = torch.from_numpy(np.concatenate([pairs.shifts for pairs in self._pairs])).double()
        else:
            shifts = torch.zeros((len(centers), 3), dtype=torch.float64)
        if self._graph is not None:
            self._graph = replace(self._graph, centers=centers, neighbors=neighbors, shifts=shifts)
            return
        copies = len(self._lists)
        self._graph = AtomicGraph(
            numbers=torch.as_tensor(np.tile(self._numbers, copies), dtype=torch.int64),
            positions=torch.from_numpy(self._reference.reshape(-1, 3).copy()),
            structures=torch.arange(copies).repeat_interleave(atoms),
            centers=centers,
            neighbors=neighbors,
            shifts=shifts,
            cells=torch.as_tensor(self._cell).repeat(copies, 1, 1),
            pbc=torch.as_tensor(self._pbc).repeat(copies, 1),
            charges=torch.full((copies,), self._charge, dtype=torch.float64),
        )

    def _check_reach(self, k: int, pairs: Pairs) -> None:
        vectors = pairs.vectors(self._reference[k], self._cells[k])
        near = np.einsum("pi,pi->p", vectors, vectors) < self._kind.cutoff**2
        alone = np.bincount(pairs.centers[near], minlength=len(self._numbers)) == 0
        if self._alone is None:
            self._alone = alone
        lost = np.flatnonzero(alone & ~self._alone)
        if lost.size:
            raise SimulationError(
                f"copy {k}: atom {lost[0]} is more than {self._kind.cutoff:g} Å (the model's cutoff) from every other "
                "atom; the system has fallen apart, and the model knows nothing about its pieces. Lower the "
                "temperature, or train on such structures"
            )


def evaluator(atoms: Atoms, memory: Mapping[str, np.ndarray] | None = None) -> Evaluator:
    """All copies in one evaluation where the calculator's backend allows it, else one by one."""
    return Batched(atoms, memory) if hasattr(atoms.calc, "backend") else OneByOne(atoms)
