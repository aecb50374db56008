"""Real spherical harmonics and Clebsch-Gordan products: irreducible tensors of rank l by components m = -l … l.

Features of ranks 0 … L are one tensor ((L+1)², atoms, F), rank l in the rows l² … (l+1)²-1, as in
`painn_ase.nn.packed`. The basis is orthonormal there and here, so the two differ by one orthogonal matrix per rank, and
by a sign per product. Parity is (-1)^l throughout; products that would break it (l1+l2+l3 odd: pseudotensors, as
a × b) are for the inner lines of `painn_ase.nn.fusion` alone.
"""

from itertools import product

import torch
from torch import Tensor

from painn_ase.nn.packed import constants, span

_AXES = (2, 0, 1)  # x, y, z among the components of rank 1, which are y, z, x


@constants
def _real(rank: int) -> Tensor:
    """Takes complex harmonics Y_l^m (with the Condon-Shortley phase) to real ones, (2l+1, 2l+1) complex128, unitary.

    √2 (-1)^m Re Y_l^m for m > 0, Y_l^0, and √2 (-1)^m Im Y_l^|m| for m < 0.
    """
    u = torch.zeros(2 * rank + 1, 2 * rank + 1, dtype=torch.complex128)
    u[rank, rank] = 1.0
    for m in range(1, rank + 1):
        sign = (-1) ** m
        u[rank + m, [rank - m, rank + m]] = torch.tensor([1.0, sign], dtype=u.dtype) / 2**0.5
        u[rank - m, [rank - m, rank + m]] = torch.tensor([1j, -1j * sign], dtype=u.dtype) / 2**0.5
    return u


@constants
def clebsch_gordan(l1: int, l2: int, l3: int) -> Tensor:
    """C of the product l1, l2 → l3 between real components, (2l3+1, 2l1+1, 2l2+1) float64.

    The exact coefficients <l1 m1 l2 m2|l3 m3> are SymPy's, which torch itself needs and brings along. In the real basis
    they are real for even l1+l2+l3 and imaginary for odd ones; the latter are divided by i, so that 1, 1 → 1 is
    a × b/√2. Random factors of unit variance give products of unit variance: Σ_m1,m2 C² = 1 for every m3.
    """
    from sympy.physics.wigner import clebsch_gordan as exact  # half a second to import: on first use

    c = torch.zeros(2 * l3 + 1, 2 * l1 + 1, 2 * l2 + 1, dtype=torch.complex128)
    for m1, m2 in product(range(-l1, l1 + 1), range(-l2, l2 + 1)):
        if abs(m1 + m2) <= l3:
            c[l3 + m1 + m2, l1 + m1, l2 + m2] = float(exact(l1, l2, l3, m1, m2, m1 + m2))
    c = torch.einsum("cw,au,bv,wuv->cab", _real(l3), _real(l1).conj(), _real(l2).conj(), c)
    return (c.imag if (l1 + l2 + l3) % 2 else c.real).contiguous()


@constants
def _step(rank: int) -> Tensor:
    """Y_l-1 ⊗ Y_1 → Y_l as a matrix ((2l-1) 3, 2l+1); <l-1 0 1 0|l 0> = √(l/(2l-1)) gives the factor √((2l+1)/3l)."""
    factor = ((2 * rank + 1) / (3 * rank)) ** 0.5
    return factor * clebsch_gordan(rank - 1, 1, rank).flatten(1).T


def harmonics(units: Tensor, max_rank: int) -> list[Tensor]:
    """√(4π) Y_l of unit vectors (..., 3): one tensor (..., 2l+1) per rank l, of squared norm 2l+1.

    Y_l = √((2l+1)/3l) [Y_l-1 ⊗ Y_1]_l: polynomials of x, y, z, with derivatives of every order.
    """
    found = [torch.ones_like(units[..., :1])]
    first = 3**0.5 * units[..., (1, 2, 0)]
    for rank in range(1, max_rank + 1):
        outer = (found[-1][..., :, None] * first[..., None, :]).flatten(-2)
        found.append(outer @ _step(rank).to(units) if rank > 1 else first)
    return found


def cartesian_vectors(h: Tensor) -> Tensor:
    """x, y, z of the features of rank 1, (atoms, 3, F)."""
    return h[span(1)][_AXES, :].transpose(0, 1)


def cartesian_tensors(h: Tensor) -> Tensor:
    """Symmetric traceless 3x3 matrices of the features of rank 2, (atoms, 3, 3, F), of the same norm.

    Their basis is C of 1, 1 → 2: the five products of two vectors.
    """
    basis = clebsch_gordan(1, 1, 2)[:, _AXES][:, :, _AXES].to(h)
    return torch.einsum("mab,mif->iabf", basis, h[span(2)])
