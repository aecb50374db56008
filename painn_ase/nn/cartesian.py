"""Irreducible Cartesian tensors: symmetric, traceless tensors of rank 0 to 3, and their products.

V. Zaverkin et al., NeurIPS 2024, arXiv:2405.14253. A tensor of rank l has its l component axes of length three last,
(..., 3, ..., 3), and 2l+1 independent components. `painn_ase.nn.packed` stores only those, for speed.
"""

import math
from itertools import permutations

import torch
from torch import Tensor

from painn_ase.errors import InputError

MAX_RANK = 3

# c of the even product (l1, l2) -> l3: fixed by T_l1(n) ⊗ T_l2(n) = T_l3(n) for the harmonics of any direction n.
# Products with a scalar have c = 1; (l2, l1) is as (l1, l2).
CONSTANTS = {
    (1, 1, 0): 1.0, (1, 1, 2): 3 / 2, (2, 1, 1): 1.0, (2, 1, 3): 5 / 3, (2, 2, 0): 2 / 3, (2, 2, 2): 2.0,
    (3, 1, 2): 1.0, (3, 2, 1): 2 / 3, (3, 2, 3): 5 / 2, (3, 3, 0): 2 / 5, (3, 3, 2): 3 / 2,
}  # fmt: skip


def constant(l1: int, l2: int, l3: int) -> float:
    """The factor c of the even product of ranks l1 and l2 to rank l3."""
    return 1.0 if 0 in (l1, l2) else CONSTANTS[max(l1, l2), min(l1, l2), l3]


def harmonics(units: Tensor, max_rank: int) -> list[Tensor]:
    """Cartesian harmonics T_0 … T_max_rank of unit vectors n, (..., 3): tensors (...), (..., 3), (..., 3, 3), …

    T_l = C_l stf(n ⊗ … ⊗ n) with C_l = (2l-1)!!/l!, that is 1, n, 3/2 (nn - 1/3), 5/2 (nnn - 1/5 {n 1}). Then
    T_l·n = T_{l-1}, T_l contracted l times with n is 1, and ‖T_l‖² = C_l.
    """
    powers = [torch.ones_like(units[..., 0])]
    for rank in range(1, max_rank + 1):
        powers.append(powers[-1].unsqueeze(-1) * units.reshape(*units.shape[:-1], *([1] * (rank - 1)), 3))
    return [prefactor(rank) * stf(power, rank) for rank, power in enumerate(powers)]


def prefactor(rank: int) -> float:
    """C_l = (2l-1)!!/l!, the squared norm of T_l."""
    return math.prod(range(1, 2 * rank, 2)) / math.factorial(rank)


def stf(tensor: Tensor, rank: int) -> Tensor:
    """The symmetric traceless part of tensors whose last `rank` (0 to 3) axes are components.

    S = mean over permutations; S_ij - δ_ij S_kk/3;  S_ijk - (δ_ij S_llk + δ_ik S_llj + δ_jk S_lli)/5.
    """
    if not 0 <= rank <= MAX_RANK:
        raise InputError(f"Cartesian tensors: expected a rank from 0 to {MAX_RANK}; got {rank}")
    s = symmetrized(tensor, (tuple(range(rank)),), rank)
    delta = torch.eye(3, dtype=tensor.dtype, device=tensor.device)
    if rank == 2:
        return s - delta * torch.einsum("...kk->...", s)[..., None, None] / 3
    if rank == 3:
        trace = torch.einsum("...llk->...k", s) / 5  # (..., 3)
        first = delta[:, :, None] * trace[..., None, None, :]  # δ_ij t_k
        return s - first - first.transpose(-1, -2) - first.transpose(-1, -3)
    return s


def symmetrized(tensor: Tensor, groups: tuple[tuple[int, ...], ...], rank: int) -> Tensor:
    """The mean over all permutations of the component axes within each of `groups`, of the last `rank` axes."""
    lead = tensor.ndim - rank
    for group in groups:
        terms = []
        for order in permutations(group):
            axes = list(range(lead + rank))
            for place, source in zip(group, order, strict=True):
                axes[lead + place] = lead + source
            terms.append(tensor.permute(axes))
        tensor = sum(terms[1:], terms[0]) / len(terms)
    return tensor


def product(a: Tensor, b: Tensor, l1: int, l2: int, l3: int) -> Tensor:
    """The irreducible product of rank l3 of tensors of ranks l1 and l2; |l1 - l2| <= l3 <= l1 + l2.

    Even (l1+l2-l3 even): c stf of A contracted with B over k = (l1+l2-l3)/2 index pairs; keeps the parity (-1)^l.
    Odd: k = (l1+l2-l3-1)/2 pairs, then ε_iab with one free index of each, stf, c = 1: changes sign under
    reflections where the even one does not (a pseudotensor), as in 1,1→1 = a × b. Leading axes broadcast.
    """
    if not abs(l1 - l2) <= l3 <= l1 + l2 or max(l1, l2, l3) > MAX_RANK or min(l1, l2, l3) < 0:
        raise InputError(
            f"Cartesian product: expected ranks up to {MAX_RANK} with |l1 - l2| <= l3 <= l1 + l2; "
            f"got {l1}, {l2} -> {l3}"
        )
    odd = (l1 + l2 - l3) % 2
    contracted = (l1 + l2 - l3 - odd) // 2
    shared = "uvw"[:contracted]
    left, right = "abc"[: l1 - contracted], "ijk"[: l2 - contracted]
    if odd:
        epsilon = levi_civita(a.dtype, a.device)
        equation = f"x{left[0]}{right[0]},...{left}{shared},...{shared}{right}->...x{left[1:]}{right[1:]}"
        return stf(torch.einsum(equation, epsilon, a, b), l3)
    result = torch.einsum(f"...{left}{shared},...{shared}{right}->...{left}{right}", a, b)
    return constant(l1, l2, l3) * stf(result, l3)


def levi_civita(dtype: torch.dtype, device: torch.device | str = "cpu") -> Tensor:
    """ε_ijk, (3, 3, 3): +1 for even, -1 for odd permutations of xyz, else 0."""
    i = torch.arange(3, device=device)
    x, y, z = i[:, None, None], i[None, :, None], i[None, None, :]
    return ((y - x) * (z - y) * (z - x) / 2).to(dtype)
