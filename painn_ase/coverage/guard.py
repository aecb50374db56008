"""The guard of a calculator: warns where the training data of its models end."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from copy import copy
from typing import Any

import numpy as np

from painn_ase.coverage.environments import Array
from painn_ase.coverage.extent import Coverage
from painn_ase.neighbors import Pairs


class CoverageWarning(UserWarning):
    """A structure lies outside of what a model was trained on."""


class Guard:
    """Compares what a calculator evaluates with what its models' training data covered, and warns once.

    `outside` is a sentence about the structure last looked at, or None. Forces are looked at in every evaluation, at a
    microsecond. A geometry costs some fifty and is looked at when its pairs are new: always if the structure jumped
    (the list of pairs before served a single evaluation), else at most once in `EVERY` evaluations, for dynamics.
    """

    EVERY = 50

    def __init__(self, name: str, coverages: Sequence[Coverage]) -> None:
        unique: list[Coverage] = []
        for coverage in coverages:  # members of an ensemble often share their data
            if all(coverage.to_dict() != other.to_dict() for other in unique):
                unique.append(coverage)
        self.coverages = tuple(unique)
        self._name = name
        self._said = [False]  # shared with twins
        self._geometry: str | None = None
        self._force: str | None = None
        self._since_pairs, self._since_look = 0, 0  # evaluations

    @property
    def outside(self) -> str | None:
        return self._geometry or self._force

    @property
    def state(self) -> list[Any]:
        """What the guard knows of the structures it has seen; JSON-able, for `restore`."""
        return [self._geometry, self._force, self._since_pairs, self._since_look]

    def restore(self, state: Sequence[Any]) -> None:
        """Takes up an earlier `state`."""
        self._geometry, self._force, self._since_pairs, self._since_look = state

    def twin(self) -> Guard:
        """A guard with a state of its own that stays silent once this one has warned, and the other way round."""
        twin = copy(self)
        twin._geometry = twin._force = None
        twin._since_pairs = twin._since_look = 0
        return twin

    def new_pairs(self, numbers: np.ndarray, pairs: Pairs, positions: Array, cell: Array) -> None:
        """Takes a geometry whose pairs were just found."""
        jumped, self._since_pairs = self._since_pairs <= 1, 0
        if not jumped and self._since_look < self.EVERY:
            return
        self._since_look = 0
        vectors = pairs.vectors(positions, cell)
        distances = np.sqrt(np.einsum("pi,pi->p", vectors, vectors))
        found = (c.geometry(numbers, pairs.centers, pairs.neighbors, distances) for c in self.coverages)
        self._geometry = next((sentence for sentence in found if sentence), None)
        self._warn(self._geometry)

    def new_forces(self, forces: np.ndarray) -> None:
        """Takes the forces of an evaluation."""
        self._since_pairs += 1
        self._since_look += 1
        self._force = None
        for coverage in self.coverages:
            self._force = self._force or coverage.forces(forces)
        self._warn(self._force)

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
