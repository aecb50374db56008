"""ICTP: message passing with irreducible Cartesian tensors and many-body products.

V. Zaverkin et al., NeurIPS 2024, arXiv:2405.14253 ("the paper" below), written from the equations.
"""

import itertools
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from painn_ase.errors import InputError
from painn_ase.graph import AtomicGraph, batch
from painn_ase.nn.packed import (
    RankLinear,
    by_rank,
    harmonics,
    span,
    unpack,
)
from painn_ase.nn.product_basis import ProductBasis
from painn_ase.nn.two_body import Neighborhoods, RadialNetwork, TwoBody
from painn_ase.representations.base import N_ELEMENTS, AtomFeatures, Representation, check_sizes

_RMS = 0.5  # of the components of A, at the start of training


class Layer(nn.Module):
    """One round: A from the neighbours, B from products of A, h' = W B + W' (s_z ∘ h) (the paper's update).

    The weights of the second term depend on the species by a factor s_z per channel and rank.
    """

    def __init__(self, two_body: TwoBody, products: ProductBasis, features: int, types: int) -> None:
        super().__init__()
        self.two_body, self.products = two_body, products
        self.kept = min(two_body.ranks, products.output)
        self.mix = RankLinear(products.output, features, features)
        self.species = nn.Parameter(torch.randn(self.kept + 1, types, features))
        self.skip = RankLinear(self.kept, features, features)

    def forward(self, h: Tensor, species: Tensor, near: Neighborhoods) -> Tensor:
        new = self.mix(self.products(self.two_body(h, near), species))
        scales = torch.matmul(species, self.species)  # (ranks, atoms, F)
        old = self.skip(torch.cat([h[span(rank)] * scales[rank] for rank in range(self.kept + 1)]))
        extra = new.shape[0] - old.shape[0]
        return new + (torch.cat([old, old.new_zeros(extra, *old.shape[1:])]) if extra else old)


class ICTP(Representation):
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

    The scalars that heads read are those of the last round plus a linear map of those of every round before: a head
    with a linear term (the energy head's `linear`) then has the paper's readout, linear in all but the last round.
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
        hidden_rank = max(0, max_rank - 1) if hidden_rank is None else hidden_rank
        output_rank = min(2, max_rank) if output_rank is None else output_rank
        super().__init__(
            {
                "features": features,
                "interactions": interactions,
                "cutoff": cutoff,
                "radial": dict(radial or {"kind": "bessel", "count": 8}),
                "cutoff_function": dict(cutoff_function or {"kind": "polynomial", "p": 5}),
                "max_rank": max_rank,
                "hidden_rank": hidden_rank,
                "output_rank": output_rank,
                "correlation": correlation,
                "coupled": coupled,
                "types": types,
                "radial_layers": list(radial_layers),
                "embeddings": embeddings,
            }
        )
        _check(self.config)
        self.interactions = interactions
        self.max_rank, self.harmonics_rank = output_rank, max_rank  # the first is what heads may ask for
        self.embedding = nn.Embedding(embeddings, features)
        self.species_embedding = nn.Embedding(embeddings, types)
        nn.init.normal_(self.species_embedding.weight, std=types**-0.5)
        ranks = [0, *[hidden_rank] * (interactions - 1), output_rank]  # of the features between the rounds
        self.layers = nn.ModuleList(self._layer(*pair) for pair in itertools.pairwise(ranks))
        self.readouts = nn.ModuleList(RankLinear(0, features, features) for _ in range(interactions - 1))

    def _layer(self, before: int, after: int) -> Layer:
        """One round, from features up to rank `before` to features up to rank `after`."""
        options, features = self.config, self.features
        # sin(πd/rc)/d starts from π/rc: times rc/π, all lengths are alike
        gain = self.cutoff / math.pi if options["radial"]["kind"] == "bessel" else 1.0
        filters = RadialNetwork((self.radial.count, *options["radial_layers"], (before + 1) * features), gain)
        two_body = TwoBody(features, before, options["max_rank"], filters)
        products = ProductBasis(
            features, options["max_rank"], after, options["correlation"], options["types"], options["coupled"]
        )
        return Layer(two_body, products, features, options["types"])

    def forward(self, graph: AtomicGraph, vectors: Tensor) -> AtomFeatures:
        near, species, h = self._inputs(graph, vectors)
        linear = []
        for t, layer in enumerate(self.layers):
            h = layer(h, species, near)
            if t < len(self.readouts):
                linear.append(self.readouts[t](h[:1]))
        return AtomFeatures(
            scalars=(h[:1] + sum(linear)).squeeze(0),
            vectors=h[span(1)].transpose(0, 1) if self.max_rank >= 1 else None,
            tensors=unpack(h[span(2)], 2).permute(2, 0, 1, 3) if self.max_rank >= 2 else None,
        )

    @torch.no_grad()
    def adapt(self, graphs: Sequence[AtomicGraph]) -> None:
        """Sets the factors c of A, in place of the paper's 1/N of neighbours: A starts with components of RMS `_RMS`.

        Measured on 32 of the structures. Otherwise products of three factors, and training, die out or explode.
        """
        graph = batch(graphs[:: -(-len(graphs) // 32)])
        near, species, h = self._inputs(graph, graph.vectors())
        layers: Any = self.layers
        for layer in layers:
            scales = layer.two_body.scales
            parts = by_rank(layer.two_body(h, near), self.harmonics_rank)
            for rank, part in enumerate(parts):
                size = part.square().mean().sqrt()
                if size > 0:
                    scales[rank] *= _RMS / size
            h = layer(h, species, near)

    def _inputs(self, graph: AtomicGraph, vectors: Tensor) -> tuple[Neighborhoods, Tensor, Tensor]:
        """Neighbourhoods, species' numbers (atoms, types), and the first features h (1, atoms, F), of rank 0."""
        species = self.species_embedding(graph.numbers)
        return self._neighborhoods(graph, vectors), species, self.embedding(graph.numbers)[None]

    def _neighborhoods(self, graph: AtomicGraph, vectors: Tensor) -> Neighborhoods:
        """Radial and angular functions of all pairs, in the precision of the weights."""
        distances = vectors.square().sum(-1).sqrt()  # (pairs,), in the precision of the geometry
        dtype = self.embedding.weight.dtype
        units = (vectors / distances[:, None]).to(dtype)
        distances = distances.to(dtype)
        radial = self.radial(distances) * self.cutoff_function(distances)[:, None]  # (pairs, n)
        angular = torch.cat(harmonics(units, self.harmonics_rank), -1)  # (pairs, (max_rank+1)²)
        return Neighborhoods.of(graph, angular, radial)


def _check(options: dict[str, Any]) -> None:
    highest = options["max_rank"]
    limits = {
        "types": (1, 120), "max_rank": (0, 3), "hidden_rank": (0, highest), "output_rank": (0, min(2, highest)),
        "correlation": (1, 3),
    }  # fmt: skip
    check_sizes("ICTP", options, limits)
    if not all(isinstance(n, int) and 1 <= n <= 4096 for n in options["radial_layers"]):
        raise InputError(f"ICTP radial_layers: expected sizes from 1 to 4096; got {options['radial_layers']}")
