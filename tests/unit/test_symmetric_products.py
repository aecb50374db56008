"""The basis B of ACE: how many couplings there are, what its invariants sum, and that ICTP's products span the same."""

import itertools
import math

import numpy as np
import pytest
import torch

from painn_ase.nn import cartesian, packed
from painn_ase.nn.product_basis import ProductBasis
from painn_ase.nn.spherical import harmonics
from painn_ase.nn.symmetric_products import SymmetricProducts, couplings

from helpers.bases import directions, from_packed


def multiplicity(max_rank: int, order: int, rank: int) -> int:
    """How often O(3)'s irrep of `rank`, parity (-1)^l, is in symmetric powers of ranks 0 … max_rank, by characters.

    Half the mean over rotations and half over reflections; g ⊗ g ⊗ g, symmetric: (p1³ + 3 p1 p2 + 2 p3)/6, p_k = χ(gᵏ).
    """

    def character(l: int, angle: np.ndarray) -> np.ndarray:
        return sum(np.cos(m * angle) for m in range(-l, l + 1))

    angle = np.linspace(0, 2 * np.pi, 200, endpoint=False)  # exact for trigonometric polynomials of lower degree
    total = 0.0
    for inversion in (1, -1):
        p = {
            k: sum(inversion ** (k * l) * character(l, k * angle) for l in range(max_rank + 1)) for k in (1, 2, 3)
        }  # fmt: skip
        power = {1: p[1], 2: (p[1] ** 2 + p[2]) / 2, 3: (p[1] ** 3 + 3 * p[1] * p[2] + 2 * p[3]) / 6}[order]
        total += (power * inversion**rank * character(rank, angle) * (1 - np.cos(angle))).mean() / 2
    assert total == pytest.approx(round(total), abs=1e-9)
    return round(total)


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("max_rank", [1, 2, 3])
def test_there_are_as_many_couplings_as_the_characters_of_the_group_count(max_rank, order):
    for rank in range(min(2, max_rank) + 1):
        assert len(couplings(max_rank, order, rank)) == multiplicity(max_rank, order, rank)


def every_term(layer: SymmetricProducts | ProductBasis, a: torch.Tensor, rank: int) -> torch.Tensor:
    """Each term of `rank` by itself, (terms, 2L+1, atoms)."""
    rows, before = [], sum(layer.terms[:rank])
    with torch.no_grad():
        for k in range(layer.terms[rank]):
            layer.weight.zero_()
            layer.weight[before + k] = 1.0
            rows.append(layer(a, torch.ones(a.shape[1], 1, dtype=a.dtype))[packed.span(rank)].squeeze(-1))
    return torch.stack(rows)


def change_of_basis(max_rank: int) -> torch.Tensor:
    return torch.block_diag(*(from_packed(rank) for rank in range(max_rank + 1)))


@pytest.mark.parametrize("max_rank", [1, 2, 3])
def test_products_of_ictp_and_of_mace_span_the_same_functions(max_rank):
    """Every term of one is a combination of terms of the other, after one orthogonal matrix per rank.

    A ⊗ A ⊗ A has (5, 5, 6) independent couplings to rank 0, 1, 2 for ranks up to 2; nested products are more.
    """
    output = min(2, max_rank)
    ictp, mace = ProductBasis(1, max_rank, output, 3, 1, False), SymmetricProducts(1, max_rank, output, 3, 1)
    a = torch.from_numpy(np.random.default_rng(0).normal(size=((max_rank + 1) ** 2, 80, 1)))
    q = change_of_basis(max_rank)
    for rank in range(output + 1):
        b = torch.einsum("ab,kbn->kan", from_packed(rank), every_term(ictp.double(), a, rank)).flatten(1)
        own = every_term(mace.double(), torch.einsum("ab,bnf->anf", q, a), rank).flatten(1)
        assert torch.linalg.matrix_rank(own, rtol=1e-8) == len(own) < len(b)
        for one, other in ((b, own), (own, b)):
            weights = torch.linalg.lstsq(other.T, one.T, driver="gelsd").solution
            assert (other.T @ weights - one.T).abs().max() < 1e-10 * one.abs().max()


def neighborhood() -> tuple[torch.Tensor, torch.Tensor]:
    """Directions and radial factors R_l(d) of five neighbours, (5, 3) and (5, l), of a single channel."""
    return directions(5), torch.from_numpy(np.random.default_rng(2).uniform(0.5, 1.5, size=(5, 4)))


def summed(n: torch.Tensor, r: torch.Tensor, max_rank: int) -> torch.Tensor:
    """A_lm = Σ_j R_l(d_j) Y_lm(r̂_j), ((max_rank+1)², 1, 1)."""
    parts = [(r[:, [rank]] * y).sum(0) for rank, y in enumerate(harmonics(n, max_rank))]
    return torch.cat(parts)[:, None, None]


def test_invariants_of_two_factors_are_sums_over_triples_of_atoms():
    """B_l ∝ Σ_jk R_l(d_j) R_l(d_k) P_l(cos θ_jk), by a loop over the triples of the centre and two neighbours j, k.

    As everywhere in ACE, j = k is among them.
    """
    n, r = neighborhood()
    layer = SymmetricProducts(1, 3, 0, 2, 1).double()
    found = every_term(layer, summed(n, r, 3), 0).flatten()[1:]  # the first is A_00
    for rank, b in enumerate(found):
        legendre = np.polynomial.Legendre.basis(rank)
        total = sum(
            r[j, rank] * r[k, rank] * legendre(float(n[j] @ n[k])) for j, k in itertools.product(range(5), repeat=2)
        )
        # C of l, l → 0 is ±1/√(2l+1); Y·Y' = (2l+1) P_l; two orders of the factors
        assert abs(float(b)) == pytest.approx(abs(float(total)) * ((2 * rank + 1) / 2) ** 0.5, rel=1e-12)


def test_invariants_of_three_factors_are_sums_over_quadruples_of_atoms():
    """B ∝ Σ_jkm R R R [T_l1(r̂_j) ⊗ T_l2(r̂_k)]_l3 : T_l3(r̂_m), over the quadruples of the centre and j, k, m, by a loop.

    No product of A has more atoms: `correlation` is at most three.
    """
    n, r = neighborhood()
    t = cartesian.harmonics(n, 2)
    ranks = [p for p in itertools.combinations_with_replacement(range(3), 3) if p[2] <= p[0] + p[1] and not sum(p) % 2]
    expected = []
    for l1, l2, l3 in ranks:
        total = torch.zeros((), dtype=torch.float64)
        for j, k, m in itertools.product(range(5), repeat=3):
            pair = cartesian.product(t[l1][j], t[l2][k], l1, l2, l3)
            total += r[j, l1] * r[k, l2] * r[m, l3] * (pair * t[l3][m]).sum()
        # with the length of the same coupling of three independent tensors of unit variance, in either notation
        form = cartesian.product(packed.basis(l1)[:, None], packed.basis(l2), l1, l2, l3)  # of a basis of l3
        lengths = math.prod(((2 * rank + 1) / cartesian.prefactor(rank)) ** 0.5 for rank in (l1, l2, l3))
        orders = len(set(itertools.permutations((l1, l2, l3))))  # of the symmetric coupling, all of the same length
        expected.append(float(total) * lengths / float(form.norm()) * (orders / 6) ** 0.5)
    found = every_term(SymmetricProducts(1, 2, 0, 3, 1).double(), summed(n, r, 2), 0).flatten()[-len(ranks) :]
    assert len(ranks) == len(couplings(2, 3, 0)) == 5
    np.testing.assert_allclose(found.abs(), np.abs(expected), rtol=1e-12)
