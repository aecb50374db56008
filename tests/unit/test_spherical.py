"""Spherical harmonics against SciPy's, Clebsch-Gordan products against explicit Cartesian tensors."""

import itertools

import numpy as np
import pytest
import torch
from scipy.special import sph_harm_y

from painn_ase.nn import cartesian, packed, spherical

from helpers.bases import directions, from_packed

PATHS = [p for p in itertools.product(range(4), repeat=3) if abs(p[0] - p[1]) <= p[2] <= p[0] + p[1]]
ORDER = [1, 2, 0]  # of x, y, z in the components of rank 1


def product(a: torch.Tensor, b: torch.Tensor, l1: int, l2: int, l3: int) -> torch.Tensor:
    return torch.einsum("cab,a,b->c", spherical.clebsch_gordan(l1, l2, l3), a, b)


@pytest.mark.parametrize("rank", range(4))
def test_harmonics_are_those_of_scipy(rank):
    n = directions()
    polar, azimuth = torch.arccos(n[:, 2]), torch.arctan2(n[:, 1], n[:, 0])
    for m in range(-rank, rank + 1):
        y = sph_harm_y(rank, abs(m), polar, azimuth)  # with the Condon-Shortley phase
        expected = np.real(y) if m == 0 else 2**0.5 * (-1) ** m * (np.real(y) if m > 0 else np.imag(y))
        found = spherical.harmonics(n, rank)[rank][:, rank + m]
        np.testing.assert_allclose(found, (4 * np.pi) ** 0.5 * expected, rtol=0, atol=1e-14)


def test_products_of_vectors_are_their_dot_cross_and_traceless_products():
    a, b = torch.from_numpy(np.random.default_rng(1).normal(size=(2, 3)))
    s, t = a[ORDER], b[ORDER]
    torch.testing.assert_close(product(s, t, 1, 1, 0)[0], -(a @ b) / 3**0.5)
    cross = spherical.cartesian_vectors(torch.cat([torch.zeros(1), product(s, t, 1, 1, 1)])[:, None, None])
    torch.testing.assert_close(cross.squeeze(), torch.linalg.cross(a, b) / 2**0.5)
    tensor = spherical.cartesian_tensors(torch.cat([torch.zeros(4), product(s, t, 1, 1, 2)])[:, None, None])
    outer = (torch.outer(a, b) + torch.outer(b, a)) / 2
    torch.testing.assert_close(tensor.squeeze(), outer - torch.eye(3, dtype=torch.float64) * outer.trace() / 3)


@pytest.mark.parametrize("path", PATHS, ids="{0[0]},{0[1]}to{0[2]}".format)
def test_products_are_those_of_cartesian_tensors(path):
    """With one change of basis per rank, up to the factor that makes both unitary; odd ones (pseudotensors) too."""
    l1, l2, l3 = path
    x, y, z = (packed.basis(rank) for rank in path)
    tensors = cartesian.product(x[:, None], y, l1, l2, l3).reshape(2 * l1 + 1, 2 * l2 + 1, -1)
    other = torch.einsum("abx,cx->cab", tensors, z.reshape(2 * l3 + 1, -1))
    p, q, r = (from_packed(rank) for rank in path)
    other = torch.einsum("Cc,Aa,Bb,cab->CAB", r, p, q, other)
    own = spherical.clebsch_gordan(*path)
    torch.testing.assert_close(own.square().sum((1, 2)), torch.ones(2 * l3 + 1, dtype=torch.float64))
    other = other / (other.square().sum() / (2 * l3 + 1)).sqrt() * torch.sign((own * other).sum())
    torch.testing.assert_close(own, other, rtol=0, atol=1e-13)


@pytest.mark.parametrize(("l1", "l2"), [(1, 1), (2, 1), (2, 2)])
def test_all_products_of_two_ranks_are_a_change_of_basis(l1, l2):
    """Σ_l3 CᵀC = 1: nothing of l1 ⊗ l2 is lost, nothing counted twice."""
    c = torch.cat([spherical.clebsch_gordan(l1, l2, rank).flatten(1) for rank in range(abs(l1 - l2), l1 + l2 + 1)])
    torch.testing.assert_close(c @ c.T, torch.eye(len(c), dtype=torch.float64), rtol=0, atol=1e-14)


def test_features_of_a_direction_become_its_vector_and_its_tensor():
    n = directions(5)
    h = torch.cat(spherical.harmonics(n, 2), -1).T[:, :, None]
    torch.testing.assert_close(spherical.cartesian_vectors(h).squeeze(-1), 3**0.5 * n)
    tensor = n[:, :, None] * n[:, None] - torch.eye(3, dtype=torch.float64) / 3
    torch.testing.assert_close(spherical.cartesian_tensors(h).squeeze(-1), 7.5**0.5 * tensor)
