"""Every building block of the networks: what turns with the structure, what does not, and what a reflection changes."""

import numpy as np
import pytest
import torch
from scipy.stats import ortho_group

from painn_ase.nn import equivariant as eq
from painn_ase.nn.layers import GatedEquivariantBlock, linear, mlp
from painn_ase.representations.tensornet import Matrices, anticommutator

ATOMS, FEATURES = 5, 4


@pytest.fixture(params=[1, -1], ids=["rotation", "reflection"])
def q(request):
    q = ortho_group.rvs(3, random_state=3)
    return torch.from_numpy(request.param * np.linalg.det(q) * q)


def scalars(seed):
    return torch.randn(ATOMS, FEATURES, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def vectors(seed):
    return torch.randn(ATOMS, 3, FEATURES, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def tensors(seed):
    generator = torch.Generator().manual_seed(seed)
    return eq.symmetric_traceless(torch.randn(ATOMS, 3, 3, FEATURES, generator=generator, dtype=torch.float64))


def turned(x, q):
    """Scalars stay, vectors become q v, tensors q t qᵀ."""
    return {
        2: lambda: x,
        3: lambda: torch.einsum("ab,nbf->naf", q, x),
        4: lambda: torch.einsum("ab,nbcf,dc->nadf", q, x, q),
    }[x.ndim]()


mixing = linear(FEATURES, 3, bias=False).double()
network = mlp((FEATURES, 7, 2), "silu").double()
gated = GatedEquivariantBlock(FEATURES, 3, "silu", last=False).double()

BLOCKS = {
    "function of scalars": (network, (scalars(0),)),
    "scaled vectors": (eq.scaled, (scalars(0), vectors(1))),
    "scaled tensors": (eq.scaled, (scalars(0), tensors(1))),
    "linear combinations of vectors": (mixing, (vectors(0),)),
    "linear combinations of tensors": (mixing, (tensors(0),)),
    "scalar product of vectors": (eq.scalar_product, (vectors(0), vectors(1))),
    "scalar product of tensors": (eq.scalar_product, (tensors(0), tensors(1))),
    "norm of vectors": (lambda v: eq.safe_norm(v, 1e-8), (vectors(0),)),
    "norm of tensors": (lambda v: eq.safe_norm(v, 1e-8), (tensors(0),)),
    "triple product": (eq.triple_product, (vectors(0), vectors(1), vectors(2))),
    "shortened vectors": (eq.shortened, (vectors(0),)),
    "outer product": (eq.outer_product, (vectors(0), vectors(1))),
    "contraction": (eq.contraction, (tensors(0), vectors(1))),
    "gated block, scalars": (lambda s, v: gated(s, v)[0], (scalars(0), vectors(1))),
    "gated block, vectors": (lambda s, v: gated(s, v)[1], (scalars(0), vectors(1))),
}


@pytest.mark.parametrize("name", BLOCKS)
def test_blocks_turn_with_their_inputs(name, q):
    block, inputs = BLOCKS[name]
    with torch.no_grad():
        expected = turned(block(*inputs), q)
        torch.testing.assert_close(block(*(turned(x, q) for x in inputs)), expected, rtol=1e-12, atol=1e-12)


def test_cross_product_is_a_pseudovector(q):
    """It turns with a rotation and takes the wrong sign under a reflection: networks use it in pairs only."""
    u, v = vectors(0), vectors(1)
    expected = torch.linalg.det(q) * turned(eq.cross_product(u, v), q)
    torch.testing.assert_close(eq.cross_product(turned(u, q), turned(v, q)), expected, rtol=1e-12, atol=1e-12)


def test_triple_product_is_made_of_scalar_products():
    u, v, w = vectors(0), vectors(1), vectors(2)
    expected = eq.scaled(eq.scalar_product(u, w), v) - eq.scaled(eq.scalar_product(u, v), w)
    torch.testing.assert_close(eq.triple_product(u, v, w), expected, rtol=1e-12, atol=1e-12)


def test_outer_products_are_symmetric_and_traceless():
    t = eq.outer_product(vectors(0), vectors(1))
    torch.testing.assert_close(t, t.transpose(1, 2), rtol=0, atol=0)
    assert float(t.diagonal(dim1=1, dim2=2).sum(-1).abs().max()) < 1e-15


def test_shortened_vectors_are_shorter_than_one():
    v = 1e3 * vectors(0)
    assert float(eq.safe_norm(eq.shortened(v), 0.0).max()) < 1
    torch.testing.assert_close(eq.shortened(1e-6 * v), 1e-6 * v, rtol=1e-4, atol=0)


def as_matrices(x: Matrices) -> torch.Tensor:
    """i 1 + [a]ₓ + S, (atoms, F, 3, 3), with [a]ₓ b = a × b."""
    identity = torch.eye(3, dtype=torch.float64)
    cross = torch.linalg.cross(x.a.transpose(1, 2)[:, :, None], identity.expand(ATOMS, FEATURES, 3, 3), dim=-1)
    return x.i[:, :, None, None] * identity + cross.transpose(2, 3) + x.s.permute(0, 3, 1, 2)


def test_anticommutator_by_parts_is_that_of_the_matrices():
    x, y = (Matrices(scalars(k), vectors(k + 1), tensors(k + 2)) for k in (0, 10))
    one, other = as_matrices(x), as_matrices(y)
    torch.testing.assert_close(as_matrices(anticommutator(x, y)), one @ other + other @ one, rtol=1e-12, atol=1e-12)


def test_squares_are_frobenius_norms():
    x = Matrices(scalars(0), vectors(1), tensors(2))
    expected = as_matrices(x).square().sum((-1, -2))
    torch.testing.assert_close(sum(x.squares()), expected, rtol=1e-12, atol=1e-12)


def test_reflection_of_the_vector_is_transposition_of_the_matrix():
    """Why the antisymmetric part holds a polar vector: inverting space turns X = i + [a]ₓ + S into its transpose."""
    x = Matrices(scalars(0), vectors(1), tensors(2))
    inverted = Matrices(x.i, -x.a, x.s)
    torch.testing.assert_close(as_matrices(inverted), as_matrices(x).transpose(-1, -2), rtol=0, atol=0)
