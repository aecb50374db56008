"""ICTP: message passing with irreducible Cartesian tensors and many-body products.

V. Zaverkin et al., NeurIPS 2024, arXiv:2405.14253 ("the paper" below), written from the equations.
"""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from painn_ase.nn.packed import harmonics, span, unpack
from painn_ase.nn.product_basis import ProductBasis
from painn_ase.nn.two_body import RadialNetwork, TwoBody
from painn_ase.representations.base import N_ELEMENTS, AtomFeatures
from painn_ase.representations.many_body import ManyBodyNetwork, default_ranks


class ICTP(ManyBodyNetwork):
    """Scalars, vectors and rank-2 tensors after `interactions` rounds of two-body messages and many-body products.

    features: F, channels of every rank
    interactions: T
    cutoff: in Å
    radial, cutoff_function: their kinds and options, as in a configuration
    max_rank: rank of the harmonics and of A, 0 to 3
    hidden_rank: rank of the features h which are passed on; one less by default, as in the published runs
    output_rank: highest rank that heads find: 2, or `max_rank` if lower; 0 saves time when only energies and forces are
        wanted
    correlation: number of factors A in a product, 1 to 3; 3 makes four-body messages
    coupled: whether products mix channels
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
        coupled: bool = False,
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
                "coupled": coupled,
                "types": types,
                "radial_layers": list(radial_layers),
                "embeddings": embeddings,
            }
        )

    def harmonics(self, units: Tensor) -> list[Tensor]:
        return harmonics(units, self.harmonics_rank)

    def _parts(self, before: int, after: int) -> tuple[TwoBody, ProductBasis]:
        options, features, rank = self.config, self.features, self.harmonics_rank
        sizes = (self.radial.count, *options["radial_layers"], (before + 1) * features)
        two_body = TwoBody(features, before, rank, RadialNetwork(sizes, self._gain()))
        products = ProductBasis(features, rank, after, options["correlation"], options["types"], options["coupled"])
        return two_body, products

    def _features(self, h: Tensor, scalars: Tensor) -> AtomFeatures:
        return AtomFeatures(
            scalars=scalars,
            vectors=h[span(1)].transpose(0, 1) if self.max_rank >= 1 else None,
            tensors=unpack(h[span(2)], 2).permute(2, 0, 1, 3) if self.max_rank >= 2 else None,
        )
