"""Cormorant: covariant molecular neural networks, whose only nonlinearities are Clebsch-Gordan products.

B. Anderson, T. S. Hy, R. Kondor, NeurIPS 2019, arXiv:1906.04015 ("the paper" below), with real harmonics. Products that
would make pseudotensors (l1+l2+l3 odd) are left out, so that the network is O(3) equivariant; inside of fusion blocks
(Z. Li et al. 2024, arXiv:2211.07482) they are kept.
"""

import itertools
import math
from typing import Any

import torch
from torch import Tensor, nn

from painn_ase.graph import AtomicGraph
from painn_ase.nn.atomic_basis import NeighborSum
from painn_ase.nn.fusion import Diagram, FusionBlock, read_diagram
from painn_ase.nn.layers import linear
from painn_ase.nn.packed import PathLinear, by_rank
from painn_ase.nn.spherical import cartesian_tensors, cartesian_vectors, harmonics
from painn_ase.nn.two_body import Neighborhoods
from painn_ase.representations.base import N_ELEMENTS, AtomFeatures, check_sizes
from painn_ase.representations.many_body import TensorNetwork


def products_of_equals(x: Tensor, y: Tensor, max_rank: int) -> Tensor:
    """(x_l · y_l)/√(2l+1), the Clebsch-Gordan products l, l → 0 but for their signs: (..., max_rank+1, F).

    x, y: components first, ((max_rank+1)², ..., F)
    """
    sums = [part.sum(0) / len(part) ** 0.5 for part in by_rank(x * y, max_rank)]
    return torch.stack(sums, -2)


class Edges(nn.Module):
    """g_ij = fc W [g_ij ⊕ F_i · F_j ⊕ φ(d_ij)]: a factor for each rank of the harmonics and channel (edge activations).

    The paper's η(d) and mask μ(d) are the radial functions φ and the cutoff function fc here.
    """

    def __init__(self, features: int, ranks: int, max_rank: int, radial: int, before: bool) -> None:
        super().__init__()
        self.ranks, outputs = ranks, (max_rank + 1) * features
        self.mix = linear(outputs * before + (ranks + 1) * features + radial, outputs, bias=False)
        self.shape = (max_rank + 1, features)

    def forward(self, f: Tensor, g: Tensor | None, near: Neighborhoods) -> Tensor:
        """g, (atoms, K, max_rank+1, F), of F ((ranks+1)², atoms, F) and the g of the round before."""
        *_, features = f.shape
        f_j = f.index_select(1, near.neighbors.flatten()).reshape(len(f), *near.neighbors.shape, features)
        dots = products_of_equals(f[:, :, None].expand_as(f_j), f_j, self.ranks)  # (atoms, K, ranks+1, F)
        radial, envelope = near.radial[..., :-1], near.radial[..., -1:]
        parts = [radial, dots.flatten(2) * envelope] + ([] if g is None else [g.flatten(2)])
        return self.mix(torch.cat(parts, -1)).unflatten(-1, self.shape)


class Round(nn.Module):
    """F_i <- W [F_i ⊕ F_i ⊗ F_i ⊕ M_i ⊕ fusion(F_i, M_i)], M_i = Σ_j (g_ij Y(r̂_ij)) ⊗ F_j (vertex activations).

    ranks: highest rank of F
    output: highest rank of the new F
    max_rank: highest rank of the harmonics, of M and of the lines of the fusion block
    radial: number of radial functions
    before: whether there is a g of the round before
    fusion: a diagram of F and M, or None
    """

    def __init__(
        self,
        features: int,
        ranks: int,
        output: int,
        max_rank: int,
        radial: int,
        before: bool,
        fusion: list | None,
    ) -> None:
        super().__init__()
        self.ranks, self.max_rank = ranks, max_rank
        self.edges = Edges(features, ranks, max_rank, radial, before)
        self.sums = NeighborSum(features, ranks, max_rank)
        inputs = {"F": ranks, "M": max_rank}
        diagrams: list[Diagram] = [("F", "F")] + ([] if fusion is None else [read_diagram(fusion, inputs)])
        blocks = [FusionBlock(diagram, inputs, max_rank, output, features) for diagram in diagrams]
        self.blocks = nn.ModuleList(blocks)
        counts = [(rank <= ranks) + 1 + sum(block.counts[rank] for block in blocks) for rank in range(output + 1)]
        self.mix = nn.ModuleList(PathLinear(n, features, features) for n in counts)

    def forward(self, f: Tensor, g: Tensor | None, near: Neighborhoods) -> tuple[Tensor, Tensor]:
        g = self.edges(f, g, near)
        which = [l1 for l1, _, _ in self.sums.paths]
        m = self.sums(f, near, g[:, :, which])
        products = [block({"F": f, "M": m}) for block in self.blocks]
        old, messages = by_rank(f, self.ranks), by_rank(m, self.max_rank)
        new = []
        for rank, mix in enumerate(self.mix):
            terms = [*old[rank : rank + 1], messages[rank], *(x for found in products for x in found[rank])]
            new.append(mix(torch.stack(terms)))
        return torch.cat(new), g


class Cormorant(TensorNetwork):
    """Scalars, vectors and rank-2 tensors after `interactions` rounds of Clebsch-Gordan products.

    features: F, channels of every rank
    interactions: T
    cutoff: in Å
    radial, cutoff_function: their kinds and options, as in a configuration
    max_rank: of the harmonics and of the features, 0 to 3
    output_rank: highest rank that heads find: 2, or `max_rank` if lower; 0 saves time when only energies and forces are
        wanted
    fusion: a fusion diagram of F and M that every round adds, as ["M", ["F", "M"]]; see `painn_ase.nn.fusion`
    embeddings: rows of the table of elements

    The scalars that heads read are a linear map of the invariants of all rounds: F of rank 0, and F_l · F_l.
    """

    def __init__(
        self,
        features: int = 16,
        interactions: int = 3,
        cutoff: float = 5.0,
        radial: dict[str, Any] | None = None,
        cutoff_function: dict[str, Any] | None = None,
        *,
        max_rank: int = 2,
        output_rank: int | None = None,
        fusion: list | None = None,
        embeddings: int = N_ELEMENTS,
    ) -> None:
        output_rank = min(2, max_rank) if output_rank is None else output_rank
        super().__init__(
            {
                "features": features,
                "interactions": interactions,
                "cutoff": cutoff,
                "radial": dict(radial or {"kind": "bessel", "count": 8}),
                "cutoff_function": dict(cutoff_function or {"kind": "polynomial", "p": 5}),
                "max_rank": max_rank,
                "output_rank": output_rank,
                "fusion": fusion,
                "embeddings": embeddings,
            }
        )
        check_sizes("Cormorant", self.config, {"max_rank": (0, 3), "output_rank": (0, min(2, max_rank))})
        self.interactions = interactions
        self.max_rank, self.harmonics_rank = output_rank, max_rank
        self.embedding = nn.Embedding(embeddings, features)
        ranks = [0, *[max_rank] * (interactions - 1), output_rank]
        self.rounds = nn.ModuleList(
            Round(features, before, after, max_rank, self.radial.count, t > 0, fusion)
            for t, (before, after) in enumerate(itertools.pairwise(ranks))
        )
        self.readout = linear(sum(2 + rank for rank in ranks[1:]) * features, features)

    def harmonics(self, units: Tensor) -> list[Tensor]:
        return harmonics(units, self.harmonics_rank)

    def _radial_functions(self, distances: Tensor) -> Tensor:
        """φ(d) fc(d), of the size of one, and fc(d) by itself: (pairs, n + 1)."""
        functions = self._gain() * super()._radial_functions(distances)
        return torch.cat([functions, self.cutoff_function(distances)[:, None]], -1)

    def forward(self, graph: AtomicGraph, vectors: Tensor) -> AtomFeatures:
        near = self._neighborhoods(graph, vectors)
        f, g = self.embedding(graph.numbers)[None], None  # (1, atoms, F), of rank 0
        invariants = []
        for layer in self.rounds:
            f, g = layer(f, g, near)
            invariants += [f[0], products_of_equals(f, f, math.isqrt(len(f)) - 1).flatten(1)]
        return AtomFeatures(
            scalars=self.readout(torch.cat(invariants, -1)),
            vectors=cartesian_vectors(f) if self.max_rank >= 1 else None,
            tensors=cartesian_tensors(f) if self.max_rank >= 2 else None,
        )
