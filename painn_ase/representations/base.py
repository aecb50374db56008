"""What every network that describes atoms provides: features per atom, of a stated tensor rank."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from painn_ase.errors import InputError
from painn_ase.graph import AtomicGraph

N_ELEMENTS = 100  # rows of per-element tables; row Z belongs to atomic number Z


@dataclass(frozen=True)
class AtomFeatures:
    """Features of every atom; vectors and tensors rotate with the structure, scalars do not change."""

    scalars: Tensor  # (atoms, F)
    vectors: Tensor | None = None  # (atoms, 3, F)
    tensors: Tensor | None = None  # (atoms, 3, 3, F), symmetric and traceless: rank 2
    repulsion: Tensor | None = None  # (atoms,) eV in float64: a fixed pair potential that the energy head adds


def check_sizes(network: str, cutoff: float, **sizes: tuple[int, int]) -> None:
    """Raises `InputError` for a cutoff outside (0, 100] Å or a size (value, largest) that is not in 1 … largest."""
    for name, (value, largest) in sizes.items():
        if not isinstance(value, int) or not 1 <= value <= largest:
            raise InputError(f"{network} {name}: expected a whole number from 1 to {largest}; got {value!r}")
    if not 0 < cutoff <= 100:
        raise InputError(f"{network} cutoff: expected 0 < cutoff <= 100 Å; got {cutoff}")


class Representation(nn.Module, ABC):
    """Maps a graph to atom features. Subclasses are final and list their constructor arguments in `config`."""

    max_rank: int  # the features have every tensor rank from 0 to this one
    cutoff: float  # Å
    features: int  # F
    config: dict  # constructor keywords, JSON-able

    @abstractmethod
    def forward(self, graph: AtomicGraph, vectors: Tensor) -> AtomFeatures:
        """Features of the atoms of `graph`, whose pair vectors r_ij are `vectors`, (pairs, 3) in Å."""

    def adapt(self, graphs: Sequence[AtomicGraph]) -> None:
        """Sets constants that depend on what there is to describe, before training on `graphs`; by default none."""
