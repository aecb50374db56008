"""ICTP: message passing with irreducible Cartesian tensors and many-body products.

V. Zaverkin et al., NeurIPS 2024, arXiv:2405.14253 ("the paper" below), written from the equations.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from painn_ase.errors import InputError
from painn_ase.graph import AtomicGraph
from painn_ase.nn.packed import PathLinear, RankLinear, constants, coupling, even_paths, harmonics, span, unpack
from painn_ase.nn.product_basis import ProductBasis
from painn_ase.nn.radial import build_cutoff, build_radial
from painn_ase.representations.base import N_ELEMENTS, AtomFeatures, Representation


class RadialNetwork(nn.Module):
    """R(d): the radial functions times the cutoff function through layers without bias, so that R vanishes with fc.

    Weights are normal with variance 1/inputs (times `gain`, for the inputs' length), and the activation is SiLU
    scaled to keep it.
    """

    def __init__(self, sizes: Sequence[int], gain: float) -> None:
        super().__init__()
        pairs = list(itertools.pairwise(sizes))
        self.weights = nn.ParameterList(torch.randn(inputs, outputs) / inputs**0.5 for inputs, outputs in pairs)
        with torch.no_grad():
            self.weights[0].mul_(gain)

    def forward(self, x: Tensor) -> Tensor:
        *hidden, last = self.weights
        for weight in hidden:
            x = 1.6765 * nn.functional.silu(x @ weight)
        return x @ last


@dataclass(frozen=True)
class Neighborhoods:
    """The pairs of each atom in K slots, K the largest number of neighbours; all is zero in an empty slot.

    Sums over neighbours are then matrix products, which store no product per pair.
    """

    neighbors: Tensor  # (atoms, K) int64, j
    harmonics: Tensor  # (atoms, (max_rank+1)², K): packed T_l(r̂_ij)
    radial: Tensor  # (atoms, K, n): radial functions times the cutoff function


class TwoBody(nn.Module):
    """A_i: the tensors of the neighbours times harmonics of their directions, summed (two-body messages, A-basis).

    g_j = W h_j;  A_i,l3 = 1/√N Σ_(l1,l2) W_(l1,l2),l3 [Σ_j R_l1(d_ij) g_j,l1 ⊗ T_l2(r̂_ij)]_l3. A radial function per
    channel and l1 serves all l2 and l3: the sum over neighbours comes before the products, one matrix product for all
    of them, and mixing the channels afterwards gives each path its own radial function again.
    """

    def __init__(self, features: int, ranks: int, max_rank: int, radial: RadialNetwork, neighbors: float) -> None:
        super().__init__()
        self.ranks, self.max_rank, self.neighbors = ranks, max_rank, neighbors
        self.up = RankLinear(ranks, features, features)
        self.radial = radial
        self.paths = [len(even_paths(ranks, max_rank, l3)) for l3 in range(max_rank + 1)]
        self.mix = nn.ModuleList(PathLinear(n, features, features) for n in self.paths)

    def forward(self, h: Tensor, near: Neighborhoods) -> Tensor:
        (atoms, slots), features = near.neighbors.shape, h.shape[-1]
        g = self.up(h).transpose(0, 1)  # (atoms, (L+1)², F)
        g_j = g.reshape(atoms, -1).index_select(0, near.neighbors.flatten())  # (atoms K, (L+1)² F)
        r = self.radial(near.radial).unflatten(-1, (-1, features))  # (atoms, K, L+1, F)
        if self.ranks:
            r = r.repeat_interleave(_degeneracies(self.ranks, r.device), 2)  # (atoms, K, (L+1)², F)
        sums = near.harmonics @ (r.flatten(2) * g_j.unflatten(0, (atoms, slots)))  # (atoms, T's components, (L+1)² F)
        outer = sums.reshape(atoms, -1, features).transpose(0, 1) / self.neighbors**0.5
        products = two_body_products(self.ranks, self.max_rank).to(outer) @ outer.reshape(outer.shape[0], -1)
        parts = products.split([n * (2 * l3 + 1) for l3, n in enumerate(self.paths)])
        shapes = [(n, 2 * l3 + 1, atoms, features) for l3, n in enumerate(self.paths)]
        return torch.cat([mix(p.reshape(s)) for mix, p, s in zip(self.mix, parts, shapes, strict=True)])


def _degeneracies(ranks: int, device: torch.device) -> Tensor:
    return torch.arange(1, 2 * ranks + 2, 2, device=device)


@constants
def two_body_products(ranks: int, max_rank: int) -> Tensor:
    """T ⊗ g → its products by l3, path (l1, l2) and component: (Σ paths (2l3+1), (max_rank+1)² (ranks+1)²)."""
    rows = []
    for l3 in range(max_rank + 1):
        for l1, l2 in even_paths(ranks, max_rank, l3):
            block = torch.zeros(2 * l3 + 1, (max_rank + 1) ** 2, (ranks + 1) ** 2, dtype=torch.float64)
            block[:, span(l2), span(l1)] = coupling(l1, l2, l3).transpose(1, 2)
            rows.append(block.flatten(1))
    return torch.cat(rows)


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

    `max_rank` (0 to 3) is the rank of the harmonics and of A, `hidden_rank` that of the features h which are passed on
    (one less by default, as in the published runs), `output_rank` the highest rank that heads find (2, or `max_rank` if
    lower; 0 saves time when only energies and forces are wanted). `correlation` (1 to 3) is the number of factors A in
    a product: 3 makes four-body messages. `coupled` products mix channels; `types` numbers describe an element in the
    weights that depend on it. `radial_layers` are the hidden sizes of R(d), `neighbors` is about the mean number of
    neighbours N: sums over them are divided by √N.

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
        neighbors: float = 16.0,
        embeddings: int = N_ELEMENTS,
    ) -> None:
        super().__init__()
        hidden_rank = max(0, max_rank - 1) if hidden_rank is None else hidden_rank
        output_rank = min(2, max_rank) if output_rank is None else output_rank
        self.config = {
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
            "neighbors": neighbors,
            "embeddings": embeddings,
        }
        _check(self.config)
        self.features, self.interactions, self.cutoff = features, interactions, cutoff
        self.max_rank, self.harmonics_rank = output_rank, max_rank  # the first is what heads may ask for
        self.embedding = nn.Embedding(embeddings, features)
        self.species_embedding = nn.Embedding(embeddings, types)
        nn.init.normal_(self.species_embedding.weight, std=types**-0.5)
        self.radial = build_radial(self.config["radial"], cutoff).to(self.embedding.weight.dtype)
        self.cutoff_function = build_cutoff(self.config["cutoff_function"], cutoff)
        # sin(πd/rc)/d starts from π/rc: times rc/π, all lengths are alike
        gain = cutoff / math.pi if self.config["radial"]["kind"] == "bessel" else 1.0
        self.layers = nn.ModuleList()
        for t in range(interactions):
            before, after = hidden_rank if t else 0, hidden_rank if t < interactions - 1 else output_rank
            filters = RadialNetwork((self.radial.count, *radial_layers, (before + 1) * features), gain)
            two_body = TwoBody(features, before, max_rank, filters, neighbors)
            products = ProductBasis(features, max_rank, after, correlation, types, coupled)
            self.layers.append(Layer(two_body, products, features, types))
        self.readouts = nn.ModuleList(RankLinear(0, features, features) for _ in range(interactions - 1))

    def forward(self, graph: AtomicGraph, vectors: Tensor) -> AtomFeatures:
        near = self._neighborhoods(graph, vectors)
        species = self.species_embedding(graph.numbers)  # (atoms, types)
        h = self.embedding(graph.numbers)[None]  # ((rank+1)², atoms, F), of rank 0
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

    def _neighborhoods(self, graph: AtomicGraph, vectors: Tensor) -> Neighborhoods:
        """Radial and angular functions of all pairs, in the precision of the weights."""
        distances = vectors.square().sum(-1).sqrt()  # (pairs,), in the precision of the geometry
        dtype = self.embedding.weight.dtype
        units = (vectors / distances[:, None]).to(dtype)
        distances = distances.to(dtype)
        radial = self.radial(distances) * self.cutoff_function(distances)[:, None]  # (pairs, n)
        slots = _slots(graph)  # (atoms, K)

        def spread(values: Tensor) -> Tensor:
            padded = torch.cat([values, values.new_zeros(1, *values.shape[1:])])
            return padded.index_select(0, slots.flatten()).unflatten(0, slots.shape)

        angular = torch.cat(harmonics(units, self.harmonics_rank), -1)  # (pairs, (max_rank+1)²)
        return Neighborhoods(spread(graph.neighbors), spread(angular).transpose(1, 2), spread(radial))


def _slots(graph: AtomicGraph) -> Tensor:
    """The pairs of each atom, (atoms, K); where it has fewer, n_pairs stands for none. Pairs are sorted by centre."""
    counts = torch.bincount(graph.centers, minlength=graph.n_atoms)
    k = torch.arange(max(1, int(counts.max())), device=counts.device)
    return torch.where(k < counts[:, None], (counts.cumsum(0) - counts)[:, None] + k, graph.n_pairs)


def _check(options: dict[str, Any]) -> None:
    limits = {
        "features": (1, 4096), "interactions": (1, 64), "embeddings": (1, 120), "types": (1, 120),
        "max_rank": (0, 3), "hidden_rank": (0, options["max_rank"]), "output_rank": (0, min(2, options["max_rank"])),
        "correlation": (1, 3),
    }  # fmt: skip
    for name, (low, high) in limits.items():
        value = options[name]
        if not isinstance(value, int) or not low <= value <= high:
            raise InputError(f"ICTP {name}: expected a whole number from {low} to {high}; got {value!r}")
    if not 0 < options["cutoff"] <= 100:
        raise InputError(f"ICTP cutoff: expected 0 < cutoff <= 100 Å; got {options['cutoff']}")
    if not options["neighbors"] > 0:
        raise InputError(f"ICTP neighbors: expected a positive number; got {options['neighbors']}")
    if not all(isinstance(n, int) and 1 <= n <= 4096 for n in options["radial_layers"]):
        raise InputError(f"ICTP radial_layers: expected sizes from 1 to 4096; got {options['radial_layers']}")
