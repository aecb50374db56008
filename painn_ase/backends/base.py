"""What evaluates a trained model: one interface for readable and for fast code."""

from collections.abc import Iterable
from typing import Protocol, TypeVar

import numpy as np

from painn_ase.graph import AtomicGraph
from painn_ase.model import Model

Self = TypeVar("Self", bound="Backend")


class Backend(Protocol):
    """Evaluates a model on graphs. The graph may hold one structure or a batch of them.

    It remembers the last graph it was asked about, so it belongs to one calculator; others that use the same weights
    get a `twin`. Twins may be asked from several threads at once, one backend may not.
    """

    name: str
    cutoff: float  # Å
    elements: tuple[int, ...]  # atomic numbers it was trained on
    properties: frozenset[str]  # what it can be asked for

    @property
    def models(self) -> tuple[Model, ...]:
        """The models behind it: one, or the members of an ensemble."""
        ...

    def evaluate(self, graph: AtomicGraph, properties: Iterable[str]) -> dict[str, np.ndarray]:
        """The properties by name, in the shapes of `painn_ase.properties` with a leading structures or atoms axis.

        Pairs beyond the cutoff are allowed (a Verlet skin keeps some in reserve) and have no effect. Asked again
        about the very same graph object, only what is new is computed.
        """
        ...

    def twin(self: Self) -> Self:
        """A backend that shares the weights, and nothing that was remembered of a structure."""
        ...
