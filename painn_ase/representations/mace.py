"""MACE: message passing with spherical tensors and many-body products; its first round alone is ACE.

I. Batatia et al., NeurIPS 2022, arXiv:2206.07697 ("the paper" below); R. Drautz 2019, PRB 99, 014104. Steps of a round
are named as in the paper: A-features (`painn_ase.nn.atomic_basis`), B-features and message
(`painn_ase.nn.symmetric_products`), update and readout (`painn_ase.representations.many_body`).
"""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from painn_ase.nn.atomic_basis import AtomicBasis
from painn_ase.nn.fusion import FusedProducts
from painn_ase.nn.spherical import cartesian_tensors, cartesian_vectors, harmonics
from painn_ase.nn.symmetric_products import SymmetricProducts
from painn_ase.representations.base import N_ELEMENTS, AtomFeatures
from painn_ase.representations.many_body import ManyBodyNetwork, default_ranks


class MACE(ManyBodyNetwork):
    """Scalars, vectors and rank-2 tensors after `interactions` rounds of the paper.

    features: F, channels k of every rank
    interactions: T; one round, without messages of messages, is the atomic cluster expansion
    cutoff: in Å
    radial, cutoff_function: their kinds and options, as in a configuration
    max_rank: l of the spherical harmonics and of A, 0 to 3
    hidden_rank: L of the features h which are passed on; one less by default
    output_rank: highest L that heads find: 2, or `max_rank` if lower; 0 saves time when only energies and forces are
        wanted
    correlation: ν, number of factors A in a product, 1 to 3; 3 makes four-body messages
    fusion: a fusion diagram of A in place of the products, as [["A", "A"], "A"]; see `painn_ase.nn.fusion`
    types: how many numbers describe an element in the weights that depend on it
    radial_layers: hidden sizes of R(d)
    embeddings: rows of the table of elements
    """

    def __init__(
        self,
        features: int = 32,
        interactions: int = 2,
        cutoff: float = 5.0,
        radial: dict[str, Any] | None = None,
        cutoff_function: dict[str, Any] | None = None,
        *,
        max_rank: int = 2,
        hidden_rank: int | None = None,
        output_rank: int | None = None,
        correlation: int = 3,
        fusion: list | None = None,
        types: int = 8,
        radial_layers: Sequence[int] = (64, 64),
        embeddings: int = N_ELEMENTS,
    ) -> None:
        super().__init__(
            {
                "features": features,
                "interactions": interactions,
                "cutoff": cutoff,
                "radial": dict(radial or {"kind": "bessel", "count": 8}),
                "cutoff_function": dict(cutoff_function or {"kind": "polynomial", "p": 5}),
                **default_ranks(max_rank, hidden_rank, output_rank),
                "correlation": correlation,
                "fusion": fusion,
                "types": types,
                "radial_layers": list(radial_layers),
                "embeddings": embeddings,
            }
        )

    def harmonics(self, units: Tensor) -> list[Tensor]:
        return harmonics(units, self.harmonics_rank)

    def _parts(self, before: int, after: int) -> tuple[AtomicBasis, SymmetricProducts | FusedProducts]:
        options, features, rank = self.config, self.features, self.harmonics_rank
        sizes = (self.radial.count, *options["radial_layers"])
        basis = AtomicBasis(features, before, rank, sizes, self._gain())
        if options["fusion"] is not None:
            return basis, FusedProducts(features, rank, after, options["fusion"], options["types"])
        return basis, SymmetricProducts(features, rank, after, options["correlation"], options["types"])

    def _features(self, h: Tensor, scalars: Tensor) -> AtomFeatures:
        return AtomFeatures(
            scalars=scalars,
            vectors=cartesian_vectors(h) if self.max_rank >= 1 else None,
            tensors=cartesian_tensors(h) if self.max_rank >= 2 else None,
        )
