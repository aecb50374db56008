"""Many-body features of an atom: products of its two-body tensors, weighted by its species.

Zaverkin et al., NeurIPS 2024, arXiv:2405.14253, eqs. of the product basis; after MACE (Batatia et al. 2022).
"""

import torch
from torch import Tensor, nn

from painn_ase.nn.packed import PathLinear, by_rank, constants, coupling, even_paths, span


def square_paths(ranks: int, l3: int) -> list[tuple[int, int]]:
    """(l1, l2) of the distinct products of A with itself, both of rank up to `ranks`, to rank l3: they commute."""
    return [(l1, l2) for l1, l2 in even_paths(ranks, ranks, l3) if l1 >= l2]


@constants
def squares(ranks: int) -> Tensor:
    """A ⊗ A → all its distinct products: (Σ paths (2l3+1), S²) with S = (ranks+1)², ordered by l3, path, component."""
    size = (ranks + 1) ** 2
    rows = []
    for l3 in range(ranks + 1):
        for l1, l2 in square_paths(ranks, l3):
            block = torch.zeros(2 * l3 + 1, size, size, dtype=torch.float64)
            block[:, span(l1), span(l2)] = coupling(l1, l2, l3)
            rows.append(block.flatten(1))
    return torch.cat(rows)


@constants
def multiplications(ranks: int, l3: int) -> Tensor:
    """A → the matrices that multiply by A to rank l3: ((2l3+1) M, S), M = Σ of 2l1+1 over the paths (l1, l2) → l3."""
    size = (ranks + 1) ** 2
    columns = []
    for l1, l2 in even_paths(ranks, ranks, l3):
        block = torch.zeros(2 * l3 + 1, 2 * l1 + 1, size, dtype=torch.float64)
        block[:, :, span(l2)] = coupling(l1, l2, l3)
        columns.append(block)
    return torch.cat(columns, 1).flatten(0, 1)


class ProductBasis(nn.Module):
    """B_L = Σ_ν Σ_paths w_z [A ⊗ … ⊗ A]_L for ν = 1 … correlation (1 to 3): up to four-body features.

    A is ((ranks+1)², atoms, F), B ((output+1)², atoms, F). The weights of an atom, one per path and channel, are
    w_z = Σ_t e_zt W_t with its species' numbers e_z: as free as a table per element as long as there are no more
    elements than types. `coupled` lets the weights mix channels as well.
    """

    def __init__(self, features: int, ranks: int, output: int, correlation: int, types: int, coupled: bool) -> None:
        super().__init__()
        self.ranks, self.output, self.correlation, self.coupled = ranks, output, correlation, coupled
        self.paths = [even_paths(ranks, ranks, rank) for rank in range(output + 1)]  # of the last product
        self.squares = [len(square_paths(ranks, rank)) if correlation > 2 else 0 for rank in range(ranks + 1)]
        # terms of each rank of B: A itself, then for each last product its left factors, A and the squares
        products = [sum(1 + self.squares[l1] for l1, _ in paths) if correlation > 1 else 0 for paths in self.paths]
        self.terms = [1 + n for n in products]
        if coupled:
            self.mix = nn.ModuleList(PathLinear(n * types, features, features) for n in self.terms)
        else:
            scales = torch.tensor([n**-0.5 for n in self.terms for _ in range(n)])
            self.weight = nn.Parameter(torch.randn(len(scales), types, features) * scales[:, None, None])

    def forward(self, a: Tensor, species: Tensor) -> Tensor:
        """B of the tensors A and the species' numbers e_z, (atoms, types)."""
        left = self._left_factors(a)
        return torch.cat(self._coupled(a, left, species) if self.coupled else self._uncoupled(a, left, species))

    def _uncoupled(self, a: Tensor, left: list[Tensor], species: Tensor) -> list[Tensor]:
        """Sums are nested, B = w1 A + [(w2 A + Σ w3 [A ⊗ A]) ⊗ A]: no product of three factors is stored per path."""
        weights = torch.matmul(species, self.weight)  # (terms, atoms, F)
        results = []
        for rank, w in enumerate(weights.split(self.terms)):
            b = w[0] * a[span(rank)]  # (2L+1, atoms, F)
            if self.correlation > 1:
                parts = w[1:].split([1 + self.squares[l1] for l1, _ in self.paths[rank]])
                factors = [(v[:, None] * left[l1]).sum(0) for (l1, _), v in zip(self.paths[rank], parts, strict=True)]
                b = b + (self._matrices(a, rank) * torch.cat(factors)).sum(1)
            results.append(b)
        return results

    def _coupled(self, a: Tensor, left: list[Tensor], species: Tensor) -> list[Tensor]:
        results = []
        for rank, paths in enumerate(self.paths):
            terms = [a[None, span(rank)]]  # (1, 2L+1, atoms, F)
            if self.correlation > 1:
                matrices = self._matrices(a, rank).split([2 * l1 + 1 for l1, _ in paths], 1)
                # (1, 2L+1, 2l1+1, atoms, F) times (left factors, 1, 2l1+1, atoms, F)
                pairs = zip(paths, matrices, strict=True)
                terms += [(matrix * left[l1][:, None]).sum(2) for (l1, _), matrix in pairs]
            stacked = torch.cat(terms)  # (terms, 2L+1, atoms, F)
            results.append(self.mix[rank]((stacked[:, None] * species.T[:, None, :, None]).flatten(0, 1)))
        return results

    def _left_factors(self, a: Tensor) -> list[Tensor]:
        """A and its squares by rank, (1 + squares, 2l+1, atoms, F)."""
        left = [part[None] for part in by_rank(a, self.ranks)]
        if self.correlation > 2:
            outer = (a[:, None] * a).flatten(2).flatten(0, 1)  # (S², atoms F)
            sizes = [n * (2 * rank + 1) for rank, n in enumerate(self.squares)]
            found = (squares(self.ranks).to(a) @ outer).split(sizes)
            for rank, square in enumerate(found):
                left[rank] = torch.cat([left[rank], square.reshape(-1, 2 * rank + 1, *a.shape[1:])])
        return left

    def _matrices(self, a: Tensor, rank: int) -> Tensor:
        """What takes the left factors of all paths to B's `rank`: (2L+1, M, atoms, F)."""
        return (multiplications(self.ranks, rank).to(a) @ a.flatten(1)).reshape(2 * rank + 1, -1, *a.shape[1:])
