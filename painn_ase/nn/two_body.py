"""Two-body tensors of atoms: sums over neighbours of products of their features with harmonics of their directions.

Zaverkin et al., NeurIPS 2024, arXiv:2405.14253: the messages and the A-basis.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from painn_ase.graph import AtomicGraph
from painn_ase.nn.packed import PathLinear, RankLinear, constants, coupling, even_paths, span


class RadialNetwork(nn.Module):
    """R(d): the radial functions times the cutoff function through layers without bias, so that R vanishes with fc.

    Weights are normal with variance 1/inputs, times `gain` for the length of the inputs, then 1.6765² for that of
    SiLU's output.
    """

    def __init__(self, sizes: Sequence[int], gain: float) -> None:
        super().__init__()
        pairs = list(itertools.pairwise(sizes))
        self.weights = nn.ParameterList(torch.randn(inputs, outputs) / inputs**0.5 for inputs, outputs in pairs)
        with torch.no_grad():
            for weight, factor in zip(self.weights, [gain] + [1.6765] * len(pairs), strict=False):
                weight.mul_(factor)

    def forward(self, x: Tensor) -> Tensor:
        *hidden, last = self.weights
        for weight in hidden:
            x = nn.functional.silu(x @ weight)
        return x @ last


@dataclass(frozen=True)
class Neighborhoods:
    """The pairs of each atom in K slots, K the largest number of neighbours; all is zero in an empty slot.

    Sums over neighbours are then matrix products, which store no product per pair.
    """

    neighbors: Tensor  # (atoms, K) int64, j
    harmonics: Tensor  # (atoms, (max_rank+1)², K): packed T_l(r̂_ij)
    radial: Tensor  # (atoms, K, n): radial functions times the cutoff function

    @classmethod
    def of(cls, graph: AtomicGraph, harmonics: Tensor, radial: Tensor) -> "Neighborhoods":
        """From `harmonics` (pairs, (max_rank+1)²) and `radial` (pairs, n), sorted by centre like a graph's pairs."""
        counts = torch.bincount(graph.centers, minlength=graph.n_atoms)
        k = torch.arange(max(1, int(counts.max())), device=counts.device)
        first = (counts.cumsum(0) - counts)[:, None]
        slots = torch.where(k < counts[:, None], first + k, graph.n_pairs)  # (atoms, K)

        def spread(values: Tensor) -> Tensor:
            padded = torch.cat([values, values.new_zeros(1, *values.shape[1:])])
            return padded.index_select(0, slots.flatten()).unflatten(0, slots.shape)

        return cls(spread(graph.neighbors), spread(harmonics).transpose(1, 2), spread(radial))


class TwoBody(nn.Module):
    """A_i: the tensors of the neighbours times harmonics of their directions, summed (two-body messages, A-basis).

    g_j = W h_j;  A_i,l3 = c_l3 Σ_(l1,l2) W_(l1,l2),l3 [Σ_j R_l1(d_ij) g_j,l1 ⊗ T_l2(r̂_ij)]_l3. A radial function per
    channel and l1 serves all l2 and l3: the sum over neighbours comes before the products, one matrix product for all
    of them, and mixing the channels afterwards gives each path its own radial function again.
    """

    scales: Tensor  # c, (max_rank+1,)

    def __init__(self, features: int, ranks: int, max_rank: int, radial: RadialNetwork) -> None:
        super().__init__()
        self.ranks, self.max_rank = ranks, max_rank
        self.up = RankLinear(ranks, features, features)
        self.radial = radial
        self.paths = [len(even_paths(ranks, max_rank, l3)) for l3 in range(max_rank + 1)]
        self.mix = nn.ModuleList(PathLinear(n, features, features) for n in self.paths)
        self.register_buffer("scales", torch.full((max_rank + 1,), 0.25))

    def forward(self, h: Tensor, near: Neighborhoods) -> Tensor:
        (atoms, slots), features = near.neighbors.shape, h.shape[-1]
        g = self.up(h).transpose(0, 1)  # (atoms, (L+1)², F)
        g_j = g.reshape(atoms, -1).index_select(0, near.neighbors.flatten())  # (atoms K, (L+1)² F)
        r = self.radial(near.radial).unflatten(-1, (-1, features))  # (atoms, K, L+1, F)
        if self.ranks:
            r = r.repeat_interleave(_degeneracies(self.ranks, r.device), 2)  # (atoms, K, (L+1)², F)
        sums = near.harmonics @ (r.flatten(2) * g_j.unflatten(0, (atoms, slots)))  # (atoms, T's components, (L+1)² F)
        outer = sums.reshape(atoms, -1, features).transpose(0, 1)
        products = two_body_products(self.ranks, self.max_rank).to(outer) @ outer.reshape(outer.shape[0], -1)
        parts = products.split([n * (2 * l3 + 1) for l3, n in enumerate(self.paths)])
        shapes = [(n, 2 * l3 + 1, atoms, features) for l3, n in enumerate(self.paths)]
        mixed = zip(self.scales, self.mix, parts, shapes, strict=True)
        return torch.cat([c * mix(part.reshape(shape)) for c, mix, part, shape in mixed])


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
