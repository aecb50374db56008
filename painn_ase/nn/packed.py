"""Irreducible Cartesian tensors by their independent components: 2l+1 numbers for rank l in place of 3^l.

Features of ranks 0 … L are one tensor ((L+1)², atoms, F): rank l in the rows l² … (l+1)²-1, which are coordinates in an
orthonormal basis of the symmetric traceless tensors of rank l (x, y, z for vectors). So symmetry and tracelessness
hold by construction, and ranks up to 3 take 16 numbers in place of 40. Every product comes from
`painn_ase.nn.cartesian`, evaluated on the basis tensors; the choice of basis changes no network's output, for products
know nothing of it. Components come first, so that a product of all atoms and channels is one matrix product.
"""

from collections.abc import Callable
from functools import cache, wraps
from itertools import combinations_with_replacement

import torch
from torch import Tensor, nn

from painn_ase.nn import cartesian


def span(rank: int) -> slice:
    """Where the components of `rank` are."""
    return slice(rank * rank, (rank + 1) ** 2)


def constants(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Computes a constant once, in float64 on the CPU, whatever mode or default device torch is in at the time."""

    @cache
    @wraps(function)
    def compute(*arguments: int) -> Tensor:
        with torch.inference_mode(False), torch.no_grad(), torch.device("cpu"):
            return function(*arguments)

    return compute


@constants
def basis(rank: int) -> Tensor:
    """Orthonormal symmetric traceless tensors, (2l+1, 3, ..., 3) float64: by Gram-Schmidt from stf(e_a e_b …)."""
    found: list[Tensor] = []
    for axes in combinations_with_replacement(range(3), rank):
        tensor = torch.zeros([3] * rank, dtype=torch.float64)
        tensor[axes] = 1.0
        tensor = cartesian.stf(tensor, rank)
        for other in found:
            tensor = tensor - (tensor * other).sum() * other
        norm = tensor.square().sum().sqrt()
        if norm > 1e-6:  # the others depend on those before: xx + yy + zz = 0
            found.append(tensor / norm)
    return torch.stack(found)


@constants
def coupling(l1: int, l2: int, l3: int) -> Tensor:
    """The product l1, l2 → l3 in packed components, (2l3+1, 2l1+1, 2l2+1) float64.

    Scaled such that random inputs of unit variance give unit variance: its constant is absorbed by the weight that
    every product in a network is followed by.
    """
    products = cartesian.product(basis(l1)[:, None], basis(l2), l1, l2, l3)  # (2l1+1, 2l2+1, 3, ...)
    c = products.reshape(2 * l1 + 1, 2 * l2 + 1, -1) @ basis(l3).reshape(2 * l3 + 1, -1).T
    c = c.permute(2, 0, 1).contiguous()
    return c / (c.square().sum() / (2 * l3 + 1)).sqrt()


def even_paths(ranks1: int, ranks2: int, l3: int) -> list[tuple[int, int]]:
    """All (l1, l2) up to the given ranks whose even product has rank l3."""
    return [
        (l1, l2)
        for l1 in range(ranks1 + 1)
        for l2 in range(ranks2 + 1)
        if abs(l1 - l2) <= l3 <= l1 + l2 and (l1 + l2 - l3) % 2 == 0
    ]


def harmonics(units: Tensor, max_rank: int) -> list[Tensor]:
    """Packed Cartesian harmonics of unit vectors (..., 3): one tensor (..., 2l+1) per rank l, of squared norm 2l+1."""
    found, power = [torch.ones_like(units[..., :1])], units
    for rank in range(1, max_rank + 1):
        if rank > 1:
            power = (power[..., :, None] * units[..., None, :]).flatten(-2)  # n ⊗ … ⊗ n, (..., 3^l)
        scale = ((2 * rank + 1) * cartesian.prefactor(rank)) ** 0.5
        matrix = (basis(rank).reshape(2 * rank + 1, -1) * scale).to(units)
        found.append(power @ matrix.T)
    return found


def pack(tensors: Tensor, rank: int) -> Tensor:
    """Packed components (2l+1, ...) of the symmetric traceless part of tensors (3, ..., 3, ...)."""
    matrix = basis(rank).reshape(2 * rank + 1, -1).to(tensors)
    return (matrix @ tensors.reshape(3**rank, -1)).reshape(-1, *tensors.shape[rank:])


def unpack(components: Tensor, rank: int) -> Tensor:
    """Cartesian tensors (3, ..., 3, ...), symmetric and traceless, of packed components (2l+1, ...)."""
    matrix = basis(rank).reshape(2 * rank + 1, -1).T.to(components)
    return (matrix @ components.flatten(1)).reshape(*[3] * rank, *components.shape[1:])


def by_rank(features: Tensor, max_rank: int) -> tuple[Tensor, ...]:
    """The components of each rank, (2l+1, ...), of packed features ((L+1)², ...)."""
    return features.split([2 * rank + 1 for rank in range(max_rank + 1)])


class RankLinear(nn.Module):
    """Mixes channels within each of the ranks 0 … L, without bias: ((L+1)², atoms, inputs) to ((L+1)², atoms, outputs).

    Weights are normal with variance 1/inputs.
    """

    def __init__(self, max_rank: int, inputs: int, outputs: int) -> None:
        super().__init__()
        self.max_rank = max_rank
        self.weight = nn.Parameter(torch.randn(max_rank + 1, inputs, outputs) / inputs**0.5)

    def forward(self, h: Tensor) -> Tensor:
        parts = zip(by_rank(h, self.max_rank), self.weight.unbind(), strict=True)
        return torch.cat([part @ weight for part, weight in parts])


class PathLinear(nn.Module):
    """Mixes channels and sums over paths: (paths, 2l+1, atoms, F) to (2l+1, atoms, outputs), for one rank."""

    def __init__(self, paths: int, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(paths, inputs, outputs) / (paths * inputs) ** 0.5)

    def forward(self, terms: Tensor) -> Tensor:
        return torch.bmm(terms.flatten(1, 2), self.weight).sum(0).unflatten(0, terms.shape[1:3])
