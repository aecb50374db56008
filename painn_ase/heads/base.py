"""What every output network provides: properties from atom features."""

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import Tensor, nn

from painn_ase.graph import AtomicGraph
from painn_ase.representations.base import AtomFeatures


class Head(nn.Module, ABC):
    """Turns atom features into named properties (see `painn_ase.properties`), in eV, Å, e."""

    required_rank: ClassVar[int]  # tensor rank of the features it reads
    provides: tuple[str, ...]  # names of the properties it returns
    config: dict  # constructor keywords, JSON-able

    @abstractmethod
    def forward(self, features: AtomFeatures, graph: AtomicGraph) -> dict[str, Tensor]:
        """Properties by name: (structures, ...) or (atoms, ...) in float64."""
