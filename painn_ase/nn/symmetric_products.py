"""Symmetric products of an atom's tensors A, coupled to irreducible tensors: the basis B of ACE and MACE.

R. Drautz 2019, PRB 99, 014104; I. Batatia et al. 2022, arXiv:2206.07697 ("the paper" below). The generalised
Clebsch-Gordan coefficients 𝒞 of a product of ν factors are nested ones, [[A_l1 ⊗ A_l2]_l12 ⊗ A_l3]_L. All factors are
the same A, so many of these products depend on each other, and some vanish; a basis of what is independent remains.
"""

import math
from itertools import combinations_with_replacement, permutations, product

import torch
from torch import Tensor, nn

from painn_ase.nn.packed import constants
from painn_ase.nn.spherical import clebsch_gordan


@constants
def monomials(size: int, order: int) -> Tensor:
    """Which components A_a A_b … make each distinct product, (products, order) int64, a <= b <= …."""
    return torch.tensor(list(combinations_with_replacement(range(size), order)))


@constants
def _extensions(size: int, order: int) -> Tensor:
    """Each monomial as one of the order before times a component, (products, 2) int64."""
    if order == 2:
        return monomials(size, 2)
    places = {tuple(row): k for k, row in enumerate(monomials(size, order - 1).tolist())}
    return torch.tensor([(places[tuple(row[:-1])], row[-1]) for row in monomials(size, order).tolist()])


def _nested(ranks: tuple[int, ...], rank: int) -> list[Tensor]:
    """All nested products of factors of these ranks, with any ranks in between: each (2L+1, 2l1+1, 2l2+1, …)."""
    *first, last = ranks
    if not first:
        return [torch.eye(2 * rank + 1, dtype=torch.float64)] if last == rank else []
    inner = range(sum(first) + 1) if len(first) > 1 else first
    return [
        torch.tensordot(clebsch_gordan(middle, last, rank), left, ([1], [0])).movedim(1, -1)
        for middle in inner
        if abs(middle - last) <= rank <= middle + last
        for left in _nested(tuple(first), middle)
    ]


@constants
def couplings(max_rank: int, order: int, rank: int) -> Tensor:
    """𝒞^LM_η of products of `order` factors of ranks up to `max_rank`: (η, 2L+1, products) float64, L = `rank`.

    Gram-Schmidt over the nested products, in the order of their ranks, with the scalar product of symmetric tensors:
    what the weights in a model file belong to must not depend on the signs and the order in which the decomposition of
    a matrix returns its vectors. B has about unit variance if the components of A have.
    """
    rows = monomials((max_rank + 1) ** 2, order).tolist()
    places = {tuple(row): k for k, row in enumerate(rows)}
    orders = torch.tensor([len(set(permutations(row))) for row in rows], dtype=torch.float64)  # of the same product
    found: list[Tensor] = []
    for ranks in combinations_with_replacement(range(max_rank + 1), order):
        if (sum(ranks) + rank) % 2:
            continue  # pseudotensors
        components = product(*(range(l * l, (l + 1) ** 2) for l in ranks))
        columns = torch.tensor([places[tuple(sorted(row))] for row in components])
        for tensor in _nested(ranks, rank):
            new = torch.zeros(2 * rank + 1, len(rows), dtype=torch.float64).index_add_(1, columns, tensor.flatten(1))
            for other in found:
                new = new - (new * other / orders).sum() * other
            norm = (new.square() / orders).sum().sqrt()
            if norm > 1e-6:  # else it depends on those before
                found.append(new / norm)
    scale = ((2 * rank + 1) / math.factorial(order)) ** 0.5
    return scale * torch.stack(found) if found else torch.zeros(0, 2 * rank + 1, len(rows), dtype=torch.float64)


@constants
def _all_couplings(max_rank: int, orders: int, rank: int) -> Tensor:
    """𝒞 of products of 1 … `orders` factors side by side: (η, 2L+1, all products)."""
    blocks = [couplings(max_rank, order, rank) for order in range(1, orders + 1)]
    widths = [block.shape[2] for block in blocks]
    rows = []
    for k, block in enumerate(blocks):
        rows.append(nn.functional.pad(block, (sum(widths[:k]), sum(widths[k + 1 :]))))
    return torch.cat(rows)


class SymmetricProducts(nn.Module):
    """m_kLM = Σ_ν Σ_η W^ν_zkLη B^ν_ηkLM with B^ν_ηkLM = Σ_lm 𝒞^LM_ηlm Π_ξ=1..ν A_kl_ξm_ξ (the paper's eqs. 10 and 11).

    A is ((max_rank+1)², atoms, F), m ((output+1)², atoms, F), ν = 1 … correlation (1 to 3). The weights of an atom, one
    per coupling and channel, are W_z = Σ_t e_zt W_t with its species' numbers e_z: as free as a table per element as
    long as there are no more elements than types.
    """

    def __init__(self, features: int, max_rank: int, output: int, correlation: int, types: int) -> None:
        super().__init__()
        self.max_rank, self.output, self.correlation = max_rank, output, correlation
        self.terms = [len(_all_couplings(max_rank, correlation, rank)) for rank in range(output + 1)]
        scales = torch.tensor([n**-0.5 for n in self.terms for _ in range(n)])
        self.weight = nn.Parameter(torch.randn(len(scales), types, features) * scales[:, None, None])

    def forward(self, a: Tensor, species: Tensor) -> Tensor:
        """m of the tensors A and the species' numbers e_z, (atoms, types)."""
        products = self._products(a).flatten(1)  # (products, atoms F)
        weights = torch.matmul(species, self.weight).split(self.terms)  # (η, atoms, F) per rank
        sums = []
        for rank, w in enumerate(weights):
            c = _all_couplings(self.max_rank, self.correlation, rank).to(a)
            b = (c.flatten(0, 1) @ products).reshape(-1, 2 * rank + 1, *a.shape[1:])  # (η, 2L+1, atoms, F)
            sums.append((w[:, None] * b).sum(0))
        return torch.cat(sums)

    def _products(self, a: Tensor) -> Tensor:
        """Π A of 1 … correlation factors, every distinct one once: (products, atoms, F)."""
        found = [a]
        for order in range(2, self.correlation + 1):
            before, component = _extensions(len(a), order).to(a.device).unbind(1)
            found.append(found[-1].index_select(0, before) * a.index_select(0, component))
        return torch.cat(found)
