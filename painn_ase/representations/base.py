"""What every network that describes atoms provides: features per atom, of a stated tensor rank."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from painn_ase.errors import InputError
from painn_ase.graph import AtomicGraph
from painn_ase.nn.radial import build_cutoff, build_radial

N_ELEMENTS = 100  # rows of per-element tables; row Z belongs to atomic number Z


@dataclass(frozen=True)
class AtomFeatures:
    """Features of every atom; vectors and tensors rotate with the structure, scalars do not change."""

    scalars: Tensor  # (atoms, F)
    vectors: Tensor | None = None  # (atoms, 3, F)
    tensors: Tensor | None = None  # (atoms, 3, 3, F), symmetric and traceless: rank 2
    repulsion: Tensor | None = None  # (atoms,) eV in float64: a fixed pair potential that the energy head adds


def check_sizes(network: str, options: dict[str, Any], limits: dict[str, tuple[int, int]]) -> None:
    """Raises `InputError` for an option that is not a whole number within its limits."""
    for name, (low, high) in limits.items():
        value = options[name]
        if not isinstance(value, int) or not low <= value <= high:
            raise InputError(f"{network} {name}: expected a whole number from {low} to {high}; got {value!r}")


class Representation(nn.Module, ABC):
    """Maps a graph to atom features. Subclasses are final.

    `config` holds all of a subclass's constructor keywords, JSON-able. Among them are `features` (F), `interactions`,
    `cutoff` (Å), `embeddings`, and `radial` and `cutoff_function`, which are built here.
    """

    max_rank: int  # the features have every tensor rank from 0 to this one

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        network = type(self).__name__
        check_sizes(network, config, {"features": (1, 4096), "interactions": (1, 64), "embeddings": (1, 120)})
        if not 0 < config["cutoff"] <= 100:
            raise InputError(f"{network} cutoff: expected 0 < cutoff <= 100 Å; got {config['cutoff']}")
        self.config = config
        self.features: int = config["features"]
        self.cutoff: float = config["cutoff"]
        # in the precision of the weights, so that the network is the same function after any later cast
        self.radial = build_radial(config["radial"], self.cutoff).to(torch.get_default_dtype())
        self.cutoff_function = build_cutoff(config["cutoff_function"], self.cutoff)

    @abstractmethod
    def forward(self, graph: AtomicGraph, vectors: Tensor) -> AtomFeatures:
        """Features of the atoms of `graph`, whose pair vectors r_ij are `vectors`, (pairs, 3) in Å."""

    def adapt(self, graphs: Sequence[AtomicGraph]) -> None:
        """Sets constants that depend on what there is to describe, before training on `graphs`; by default none."""
