"""Many copies of one system in one evaluation: the beads of ring polymers, trajectories in lock-step.

A small molecule leaves most of a network evaluation to overhead; M copies in one call cost far less than M calls.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Protocol

import numpy as np
from ase import Atoms
from ase.stress import full_3x3_to_voigt_6_stress

from painn_ase.capabilities import batching
from painn_ase.errors import SimulationError
from painn_ase.isotopes import about_own_centre, centre_shares
from painn_ase.neighbors import ReplicasBuilder
from painn_ase.properties import PROPERTIES, SPREAD

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


class SerialEvaluator:
    """Asks any ASE calculator for one copy after the other."""

    def __init__(self, atoms: Atoms) -> None:
        self._atoms = atoms.copy()
        self._calc = atoms.calc
        self.memory: Mapping[str, np.ndarray] = {}

    def __call__(
        self, positions: np.ndarray, names: Collection[str], cells: np.ndarray | None = None
    ) -> dict[str, np.ndarray]:
        found: dict[str, list[Any]] = {name: [] for name in (*names, "energy")}
        for k, one in enumerate(positions):
            self._atoms.positions = one
            if cells is not None:
                self._atoms.cell = cells[k]
            for name, values in found.items():
                values.append(np.array(self._calc.get_property(name, self._atoms), dtype=float))
        return {name: np.stack(values) for name, values in found.items()}


class BatchedEvaluator:
    """Asks the backend of a `PaiNNCalculator` for one graph that holds all copies.

    Each copy has a `VerletList` of its own, and whether its pairs are found anew depends on that copy alone: its
    numbers are the same in any batch. `memory` is that of an earlier evaluator whose numbers are to be continued.
    Raises `SimulationError` when an atom has moved out of the reach of all others, where a network knows nothing.
    """

    def __init__(self, atoms: Atoms, memory: Mapping[str, np.ndarray] | None = None) -> None:
        calc = atoms.calc
        self._backend = calc.backend
        self._numbers = atoms.numbers.copy()
        self._cutoff, skin = calc.neighbor_list.cutoff, calc.neighbor_list.skin
        small = len(atoms) <= FEW_ATOMS and not atoms.pbc.any()
        skin = max(skin, WIDE_SKIN) if small else skin
        self._charge, self._shares = calc.centred_charge(atoms), centre_shares(atoms)
        self._builder = ReplicasBuilder(atoms, calc.neighbor_list, skin, calc.charge_of(atoms))
        self._alone: np.ndarray | None = None  # atoms without neighbours at the beginning
        self._coverage = None if calc.coverage is None else calc.coverage.twin()
        if self._coverage is not None:
            self._coverage.new_structure(atoms, calc.charge_of(atoms))
        self._evaluations = 0
        if memory:
            self._builder.recall(memory)
            self._check_reach()

    @property
    def memory(self) -> Mapping[str, np.ndarray]:
        return self._builder.memory

    def __call__(
        self, positions: np.ndarray, names: Collection[str], cells: np.ndarray | None = None
    ) -> dict[str, np.ndarray]:
        copies, atoms = positions.shape[:2]
        graph = self._builder.build(positions, cells)
        self._check_reach()
        values = self._backend.evaluate(graph, {"energy", *names})
        if self._coverage is not None:
            self._look(
                graph.positions.numpy().reshape(copies, atoms, 3),
                values["forces"] if "forces" in values else np.zeros((0, 3)),
            )
        if self._charge:
            values = about_own_centre(values, positions, self._charge, self._shares)
        for name, value in values.items():
            spread = name.endswith(SPREAD)
            known = PROPERTIES[name.removesuffix(SPREAD)]
            if known.per == "atom":
                values[name] = value.reshape(copies, atoms, *value.shape[1:])
            elif name == "stress" and not spread:
                values[name] = full_3x3_to_voigt_6_stress(value)
        return values

    def _look(self, positions: np.ndarray, forces: np.ndarray) -> None:
        """Compares with the training data: all forces, and now and then the geometry of one copy, which take turns."""
        assert self._coverage is not None
        if self._evaluations % self._coverage.EVERY == 0:
            k = self._evaluations // self._coverage.EVERY % len(positions)
            self._coverage.new_geometry(self._numbers, self._builder.pairs[k], positions[k], self._builder.cells[k])
        self._evaluations += 1
        self._coverage.new_forces(forces)

    def _check_reach(self) -> None:
        """Raises `SimulationError` if an atom of a copy with new pairs has lost all its neighbours."""
        builder = self._builder
        for k in builder.renewed:
            pairs = builder.pairs[k]
            vectors = pairs.vectors(builder.reference[k], builder.cells[k])
            near = np.einsum("pi,pi->p", vectors, vectors) < self._cutoff**2
            alone = np.bincount(pairs.centers[near], minlength=len(self._numbers)) == 0
            if self._alone is None:
                self._alone = alone
            lost = np.flatnonzero(alone & ~self._alone)
            if lost.size:
                raise SimulationError(
                    f"copy {k}: atom {lost[0]} is more than {self._cutoff:g} Å (the model's cutoff) from every other "
                    "atom; the system has fallen apart, and the model knows nothing about its pieces. Lower the "
                    "temperature, or train on such structures"
                )


def evaluator(atoms: Atoms, memory: Mapping[str, np.ndarray] | None = None) -> Evaluator:
    """All copies in one evaluation where the calculator's backend allows it, else one by one."""
    return BatchedEvaluator(atoms, memory) if batching(atoms.calc) else SerialEvaluator(atoms)
