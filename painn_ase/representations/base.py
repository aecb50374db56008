"""What every network that describes atoms provides: features per atom, of a stated tensor rank."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from torch import Tensor, nn

from painn_ase.graph import AtomicGraph

N_ELEMENTS = 100  # rows of per-element tables; row Z belongs to atomic number Z


@dataclass(frozen=True)
class AtomFeatures:
    """Features of every atom; vectors and tensors rotate with the structure, scalars do not change."""

    scalars: Tensor  # (atoms, F)
    vectors: Tensor | None = None  # (atoms, 3, F)
    tensors: Tensor | None = None  # (atoms, 3, 3, F), symmetric and traceless: rank 2
    repulsion: Tensor | None = None  # (atoms,) eV in float64: a fixed pair potential that the energy head adds


class Representation(nn.Module, ABC):
    """Maps a graph to atom features. Subclasses are final and list their constructor arguments in `config`."""

    max_rank: int  # the features have every tensor rank from 0 to this one
    cutoff: float  # Å
    features: int  # F
    config: dict  # constructor keywords, JSON-able

    @abstractmethod
    def forward(self, graph: AtomicGraph, vectors: Tensor) -> AtomFeatures:
        """Features of the atoms of `graph`, whose pair vectors r_ij are `vectors`, (pairs, 3) in Å."""
