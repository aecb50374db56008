"""The atomic basis A: sums over neighbours of their tensors times spherical harmonics of their directions.

R. Drautz 2019, PRB 99, 014104, where neighbours are elements; I. Batatia et al. 2022, arXiv:2206.07697, the A-features.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from painn_ase.nn.packed import PathLinear, RankLinear, even_paths, span
from painn_ase.nn.spherical import clebsch_gordan
from painn_ase.nn.two_body import Neighborhoods, RadialNetwork


class NeighborSum(nn.Module):
    """A_i,l3 = c_l3 Σ_η W_η [Σ_j R_η,ij Y_l1(r̂_ij) ⊗ (W_l2 h_j,l2)]_l3 over the paths η = (l1, l2) → l3.

    Only products with l1+l2+l3 even, so that every feature has parity (-1)^l. The factors R are given, one per pair,
    path and channel, in the order of `paths`. Sums come before the products, which are then of atoms, not of pairs.
    """

    scales: Tensor  # c, (max_rank+1,)

    def __init__(self, features: int, ranks: int, max_rank: int) -> None:
        super().__init__()
        self.ranks, self.max_rank = ranks, max_rank  # of h, and of the harmonics and A
        self.up = RankLinear(ranks, features, features)
        self.paths = [
            (l1, l2, l3) for l3 in range(max_rank + 1) for l2, l1 in even_paths(ranks, max_rank, l3)
        ]  # fmt: skip
        counts = [sum(path[2] == l3 for path in self.paths) for l3 in range(max_rank + 1)]
        self.mix = nn.ModuleList(PathLinear(n, features, features) for n in counts)
        self.register_buffer("scales", torch.full((max_rank + 1,), 0.25))

    def forward(self, h: Tensor, near: Neighborhoods, factors: Tensor) -> Tensor:
        """A, ((max_rank+1)², atoms, F), of h ((ranks+1)², atoms, F) and R (atoms, K, paths, F)."""
        (atoms, slots), features = near.neighbors.shape, h.shape[-1]
        g = self.up(h).transpose(0, 1).reshape(atoms, -1)
        g_j = g.index_select(0, near.neighbors.flatten()).reshape(atoms, slots, -1, features)
        products: list[list[Tensor]] = [[] for _ in self.mix]
        for (l1, l2, l3), r in zip(self.paths, factors.unbind(2), strict=True):
            weighted = (r[:, :, None] * g_j[:, :, span(l2)]).flatten(2)  # (atoms, K, (2l2+1) F)
            sums = near.harmonics[:, span(l1)] @ weighted  # (atoms, 2l1+1, (2l2+1) F)
            outer = sums.reshape(atoms, -1, features).transpose(0, 1).flatten(1)  # ((2l1+1) (2l2+1), atoms F)
            c = clebsch_gordan(l1, l2, l3).flatten(1).to(h)
            products[l3].append((c @ outer).reshape(-1, atoms, features))
        mixed = zip(self.scales, self.mix, products, strict=True)
        return torch.cat([c * mix(torch.stack(terms)) for c, mix, terms in mixed])


class AtomicBasis(nn.Module):
    """A with learned radial functions R_kη(d_ij), one per channel and path.

    `radial` are the sizes of their network up to its last layer, `gain` the factor for the length of its inputs.
    """

    def __init__(
        self,
        features: int,
        ranks: int,
        max_rank: int,
        radial: Sequence[int],
        gain: float,
    ) -> None:
        super().__init__()
        self.sums = NeighborSum(features, ranks, max_rank)
        self.radial = RadialNetwork((*radial, len(self.sums.paths) * features), gain)

    def forward(self, h: Tensor, near: Neighborhoods) -> Tensor:
        return self.sums(h, near, self.radial(near.radial).unflatten(-1, (-1, h.shape[-1])))
