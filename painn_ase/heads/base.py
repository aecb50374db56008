"""What every output network provides: properties from atom features."""

from abc import ABC, abstractmethod
from collections.abc import Callable, ItemsView, Sequence, ValuesView
from math import inf
from typing import TYPE_CHECKING

import torch
from ase.data import atomic_masses
from torch import Tensor, nn

from painn_ase.graph import AtomicGraph
from painn_ase.nn.layers import GatedEquivariantNetwork, halving
from painn_ase.representations.base import N_ELEMENTS, AtomFeatures


class Head(nn.Module, ABC):
    """Turns atom features into named properties (see `painn_ase.properties`), in eV, Å, e.

    `scale` multiplies the network's output and `references` (per element) are added, both in float64: they keep
    their precision when the network is cast to float32, because total energies need eight digits and more.
    """

    required_rank: int  # highest tensor rank of the features it reads
    molecular: bool = False  # built from positions, hence undefined in periodic structures
    provides: tuple[str, ...]  # names of the properties it returns
    config: dict  # constructor keywords, JSON-able
    scale: Tensor  # () float64
    references: Tensor  # (100,) float64
    masses: Tensor  # (100,) float64, of molecular heads: those whose centre they measure from
    cutoff: float = inf  # Å, of the representation whose features it reads, set by `Model`

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("scale", torch.ones((), dtype=torch.float64))
        self.register_buffer("references", torch.zeros(N_ELEMENTS, dtype=torch.float64))
        if self.molecular:
            self.register_buffer("masses", torch.from_numpy(atomic_masses[:N_ELEMENTS].copy()))

    @abstractmethod
    def forward(self, features: AtomFeatures, graph: AtomicGraph) -> dict[str, Tensor]:
        """Properties by name: (structures, ...) or (atoms, ...) in float64."""

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "Head":
        """Moves between devices like any module, but a head's own buffers stay float64."""
        exact = {name: buffer for name, buffer in self._buffers.items() if buffer is not None}
        super()._apply(fn, recurse)
        for name, buffer in exact.items():
            moved = self._buffers[name]
            assert moved is not None
            self._buffers[name] = moved if moved.dtype == buffer.dtype else buffer.to(moved.device)
        return self


class Heads(nn.ModuleDict):
    """Heads by name; `nn.ModuleDict` with the type that it forgets of what it holds."""

    if TYPE_CHECKING:

        def __getitem__(self, key: str) -> Head: ...
        def values(self) -> ValuesView[Head]: ...
        def items(self) -> ItemsView[str, Head]: ...


class GatedHead(Head):
    """A head that reads a scalar and a vector of every atom from gated blocks; `epsilon` is that of |V| in them."""

    required_rank = 1

    def __init__(
        self,
        features: int,
        hidden: Sequence[int] | None = None,
        activation: str = "silu",
        epsilon: float = 1e-8,
    ) -> None:
        super().__init__()
        sizes = halving(features, 1) if hidden is None else (features, *hidden, 1)
        self.config = {"hidden": list(sizes[1:-1]), "activation": activation, "epsilon": epsilon}
        self.network = GatedEquivariantNetwork(sizes, activation, epsilon)
