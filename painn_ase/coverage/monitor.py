"""The coverage monitor of a calculator: warns where the training data of its models end."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from copy import copy
from typing import Any

import numpy as np
from ase import Atoms

from painn_ase.coverage.environments import Array
from painn_ase.coverage.extent import Coverage
from painn_ase.neighbors import Pairs, excess_multiplicity


class CoverageWarning(UserWarning):
    """A structure lies outside of what a model was trained on."""


class CoverageMonitor:
    """Compares what a calculator evaluates with what its models' training data covered, and warns once.

    `outside` is a sentence about the present structure, or None: the geometry is looked at when it is asked for. For
    the warning it is looked at whenever an atom has moved by more than `LATE` since the last look, so that is how far
    beyond the limit an atom may be before the warning. A look at ethanol costs half a force call of the kernel, some
    3 % of the time of dynamics at 300 K; whether one is due, 3 µs. Forces are looked at in every evaluation, at a
    microsecond, the total charge and the spin when they are new.
    """

    LATE = 0.15  # Å
    EVERY = 50  # evaluations of many copies after which the next one is looked at for the warning

    def __init__(self, name: str, coverages: Sequence[Coverage]) -> None:
        unique: list[Coverage] = []
        for coverage in coverages:  # members of an ensemble often share their data
            if all(coverage.to_dict() != other.to_dict() for other in unique):
                unique.append(coverage)
        self.coverages = tuple(unique)
        self._name = name
        self._said = [False]  # shared with twins
        self._forget()

    def _forget(self) -> None:
        self._stated: tuple[Any, ...] = ()  # charge and spin ...
        self._state: str | None = None  # ... and what was found of them
        self._geometry: str | None = None
        self._force: str | None = None
        # numbers, pairs, positions and cell, which nobody changes: of the present structure ...
        self._present: tuple[np.ndarray, Pairs, Array, Array] | None = None
        self._looked: tuple[np.ndarray, Pairs, Array, Array] | None = None  # ... and of that `_geometry` is about

    @property
    def outside(self) -> str | None:
        if self._state is None and self._looked is not self._present:
            self._look()
            self._warn(self._geometry)
        return self._state or self._geometry or self._force

    @property
    def state(self) -> list[Any]:
        """What the monitor found of the structure it has seen last; JSON-able, for `restore`."""
        return [self._geometry, self._force]

    def restore(self, state: Sequence[Any]) -> None:
        """Takes up an earlier `state`, of the structure that was evaluated last."""
        self._geometry, self._force = state
        self._looked = self._present

    def twin(self) -> CoverageMonitor:
        """A monitor with a state of its own that stays silent once this one has warned, and the other way round."""
        twin = copy(self)
        twin._forget()
        return twin

    def quiet(self) -> None:
        """Warns no more; `outside` goes on to say it."""
        self._said[0] = True

    def new_structure(self, atoms: Atoms, charge: float) -> None:
        """Takes the total charge in e and the multiplicity, if `atoms` state one, of what is evaluated next."""
        radical = (int(atoms.numbers.sum()) - round(charge)) % 2 == 1 and not atoms.pbc.any()
        stated = charge, atoms.info.get("multiplicity"), atoms.info.get("spin"), radical
        if stated == self._stated:
            return
        spin = excess_multiplicity(atoms, charge)
        found = (coverage.state(charge, spin, radical) for coverage in self.coverages)
        self._state, self._stated = next((sentence for sentence in found if sentence), None), stated
        self._warn(self._state)

    def new_geometry(self, numbers: np.ndarray, pairs: Pairs, positions: Array, cell: Array) -> None:
        """Takes the geometry of an evaluation: numbers, pairs, and the positions and cell in Å they belong to."""
        self._present = numbers, pairs, positions, cell
        if self._said[0]:  # nothing to warn of any more; `outside` looks when it is asked
            return
        if self._looked is not None:
            before, cell_before = self._looked[2:]
            if len(before) == len(positions) and cell.tobytes() == cell_before.tobytes():
                moved = positions - before
                if np.vdot(moved, moved) < self.LATE**2:  # then no single one is farther
                    return
                moved -= moved.sum(axis=0) / len(moved)  # nothing depends on the place of the whole
                if np.einsum("ai,ai->a", moved, moved).max() < self.LATE**2:
                    return
        self._look()
        self._warn(self._geometry)

    def new_forces(self, forces: np.ndarray) -> None:
        """Takes the forces of an evaluation."""
        self._force = None
        for coverage in self.coverages:
            self._force = self._force or coverage.forces(forces)
        self._warn(self._force)

    def _look(self) -> None:
        """Compares the present geometry with the data."""
        self._looked, self._geometry = self._present, None
        if self._present is None:
            return
        numbers, pairs, positions, cell = self._present
        vectors = pairs.vectors(positions, cell)
        distances = np.sqrt(np.einsum("pi,pi->p", vectors, vectors))
        found = (c.geometry(numbers, pairs.centers, pairs.neighbors, distances) for c in self.coverages)
        self._geometry = next((sentence for sentence in found if sentence), None)

    def _warn(self, sentence: str | None) -> None:
        if sentence is None or self._said[0]:
            return
        self._said[0] = True
        warnings.warn(
            f"outside of what model {self._name!r} was trained on: {sentence}. Its results are extrapolated from here "
            "on. This is said once per calculator; calculator.outside says it of the present structure",
            CoverageWarning,
            stacklevel=2,
        )
