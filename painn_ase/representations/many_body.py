"""What networks of irreducible tensors share: neighbourhoods, rounds of many-body messages, the size of A."""

import itertools
import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from painn_ase.errors import InputError
from painn_ase.graph import AtomicGraph, batch
from painn_ase.nn.atomic_basis import NeighborSum
from painn_ase.nn.packed import RankLinear, by_rank, span
from painn_ase.nn.two_body import Neighborhoods, TwoBody
from painn_ase.representations.base import AtomFeatures, Representation, check_sizes

_RMS = 0.5  # of the components of A, at the start of training


class TensorNetwork(Representation):
    """Networks of irreducible tensors, ((L+1)², atoms, F), that are summed over neighbourhoods."""

    harmonics_rank: int

    @abstractmethod
    def harmonics(self, units: Tensor) -> list[Tensor]:
        """Harmonics of unit vectors (pairs, 3), (pairs, 2l+1) of each rank up to `harmonics_rank`."""

    def _neighborhoods(self, graph: AtomicGraph, vectors: Tensor) -> Neighborhoods:
        """Radial functions, times the cutoff function, and harmonics of all pairs, in the precision of the weights."""
        distances = vectors.square().sum(-1).sqrt()  # (pairs,), in the precision of the geometry
        dtype = next(self.parameters()).dtype
        units = (vectors / distances[:, None]).to(dtype)
        angular = torch.cat(self.harmonics(units), -1)  # (pairs, (harmonics_rank+1)²)
        return Neighborhoods.of(graph, angular, self._radial_functions(distances.to(dtype)))

    def _radial_functions(self, distances: Tensor) -> Tensor:
        """φ(d) fc(d), (pairs, n)."""
        return self.radial(distances) * self.cutoff_function(distances)[:, None]

    def _gain(self) -> float:
        """What makes the radial functions about one: sin(πd/rc)/d starts from π/rc."""
        return self.cutoff / math.pi if self.config["radial"]["kind"] == "bessel" else 1.0

    @torch.no_grad()
    def adapt(self, graphs: Sequence[AtomicGraph]) -> None:
        """Sets the factors c of A, in place of the papers' 1/N of neighbours: A starts with components of RMS `_RMS`.

        Measured on 32 of the structures, layer after layer. Otherwise products of three factors, and training, die out
        or explode.
        """

        def rescale(module: nn.Module, _inputs: Any, a: Tensor) -> Tensor:
            scales: Any = module.scales
            parts = by_rank(a, len(scales) - 1)
            factors = [_RMS / size if (size := part.square().mean().sqrt()) > 0 else size + 1 for part in parts]
            scales *= torch.stack(factors)
            return torch.cat([part * factor for part, factor in zip(parts, factors, strict=True)])

        graph = batch(graphs[:: -(-len(graphs) // 32)])
        sums = [module for module in self.modules() if isinstance(module, TwoBody | NeighborSum)]
        hooks = [module.register_forward_hook(rescale) for module in sums]
        try:
            self(graph, graph.vectors())
        finally:
            for hook in hooks:
                hook.remove()


class Layer(nn.Module):
    """One round: A from the neighbours, B from products of A, h' = W B + W' (s_z ∘ h).

    The update of ICTP's paper, and of MACE's. The weights of the second term depend on the species by a factor
    s_z per channel and rank.

    two_body, products: modules that make A of h, and B of A
    before, after: highest ranks of h and h'
    features, types: numbers of channels, and of numbers that describe a species
    """

    def __init__(
        self,
        two_body: nn.Module,
        products: nn.Module,
        before: int,
        after: int,
        features: int,
        types: int,
    ) -> None:
        super().__init__()
        self.two_body, self.products = two_body, products
        self.kept = min(before, after)
        self.mix = RankLinear(after, features, features)
        self.species = nn.Parameter(torch.randn(self.kept + 1, types, features))
        self.skip = RankLinear(self.kept, features, features)

    def forward(self, h: Tensor, species: Tensor, near: Neighborhoods) -> Tensor:
        new = self.mix(self.products(self.two_body(h, near), species))
        scales = torch.matmul(species, self.species)  # (ranks, atoms, F)
        old = self.skip(torch.cat([h[span(rank)] * scales[rank] for rank in range(self.kept + 1)]))
        extra = new.shape[0] - old.shape[0]
        return new + (torch.cat([old, old.new_zeros(extra, *old.shape[1:])]) if extra else old)


class ManyBodyNetwork(TensorNetwork):
    """Rounds of two-body sums A and their products B: the frame of ICTP and MACE, which differ in A, B and the basis.

    The scalars that heads read are those of the last round plus a linear map of those of every round before: a head
    with a linear term (the energy head's `linear`) then has the papers' readout, linear in all but the last round.
    """

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__(config)
        self._check()
        features, interactions, types = self.features, config["interactions"], config["types"]
        self.interactions = interactions
        self.max_rank = config["output_rank"]  # what heads may ask for
        self.harmonics_rank = config["max_rank"]
        self.embedding = nn.Embedding(config["embeddings"], features)
        self.species_embedding = nn.Embedding(config["embeddings"], types)
        nn.init.normal_(self.species_embedding.weight, std=types**-0.5)
        ranks = [0, *[config["hidden_rank"]] * (interactions - 1), config["output_rank"]]  # between the rounds
        self.layers = nn.ModuleList(
            Layer(*self._parts(*pair), *pair, features, types) for pair in itertools.pairwise(ranks)
        )
        self.readouts = nn.ModuleList(RankLinear(0, features, features) for _ in range(interactions - 1))

    @abstractmethod
    def _parts(self, before: int, after: int) -> tuple[nn.Module, nn.Module]:
        """A and B of a round, from features up to rank `before` to features up to rank `after`."""

    @abstractmethod
    def _features(self, h: Tensor, scalars: Tensor) -> AtomFeatures:
        """What heads read of the last features h, ((output_rank+1)², atoms, F), and of the scalars (atoms, F)."""

    def forward(self, graph: AtomicGraph, vectors: Tensor) -> AtomFeatures:
        near = self._neighborhoods(graph, vectors)
        species = self.species_embedding(graph.numbers)  # (atoms, types)
        h = self.embedding(graph.numbers)[None]  # (1, atoms, F), of rank 0
        linear = []
        for t, layer in enumerate(self.layers):
            h = layer(h, species, near)
            if t < len(self.readouts):
                linear.append(self.readouts[t](h[:1]))
        return self._features(h, (h[:1] + sum(linear)).squeeze(0))

    def _check(self) -> None:
        network, highest = type(self).__name__, self.config["max_rank"]
        limits = {
            "types": (1, 120), "max_rank": (0, 3), "hidden_rank": (0, highest), "output_rank": (0, min(2, highest)),
            "correlation": (1, 3),
        }  # fmt: skip
        check_sizes(network, self.config, limits)
        layers = self.config["radial_layers"]
        if not all(isinstance(n, int) and 1 <= n <= 4096 for n in layers):
            raise InputError(f"{network} radial_layers: expected sizes from 1 to 4096; got {layers}")


def default_ranks(max_rank: int, hidden_rank: int | None, output_rank: int | None) -> dict[str, int]:
    """The ranks of a network's configuration: by default the features between rounds have one less than A."""
    return {
        "max_rank": max_rank,
        "hidden_rank": max(0, max_rank - 1) if hidden_rank is None else hidden_rank,
        "output_rank": min(2, max_rank) if output_rank is None else output_rank,
    }
