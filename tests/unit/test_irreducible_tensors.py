"""Cartesian harmonics and products of irreducible tensors, against their definition; the packed form against both."""

import itertools

import numpy as np
import pytest
import torch
from scipy.stats import ortho_group

from painn_ase.errors import InputError
from painn_ase.nn import cartesian, packed
from painn_ase.nn.product_basis import ProductBasis, square_paths

PATHS = [
    (l1, l2, l3) for l1, l2, l3 in itertools.product(range(4), repeat=3) if abs(l1 - l2) <= l3 <= l1 + l2
]  # fmt: skip
EVEN = [p for p in PATHS if sum(p) % 2 == 0]
ODD = [p for p in PATHS if sum(p) % 2 == 1]


def name(path) -> str:
    return "{},{}to{}".format(*path)


def directions(n: int = 6) -> np.ndarray:
    vectors = np.random.default_rng(0).normal(size=(n, 3))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def projector(rank: int) -> np.ndarray:
    """Onto symmetric traceless tensors, (3^l, 3^l): the space that transpositions keep and traces annihilate."""
    size = 3**rank
    conditions = [np.zeros((1, size))]
    for axes in itertools.combinations(range(rank), 2):
        order = list(range(rank))
        order[axes[0]], order[axes[1]] = order[axes[1]], order[axes[0]]
        unit = np.eye(size).reshape([3] * rank + [size])
        conditions.append(np.eye(size) - unit.transpose([*order, rank]).reshape(size, size))
        conditions.append(np.trace(unit, axis1=axes[0], axis2=axes[1]).reshape(-1, size))
    _, values, rows = np.linalg.svd(np.concatenate(conditions))
    space = rows[np.count_nonzero(values > 1e-10) :]
    assert len(space) == 2 * rank + 1
    return space.T @ space


def own_harmonics(n: np.ndarray, rank: int) -> np.ndarray:
    """The symmetric traceless part of n ⊗ … ⊗ n, scaled to one when contracted with n again l times."""
    power = np.ones(1)
    for _ in range(rank):
        power = np.multiply.outer(power, n).ravel()
    tensor = projector(rank) @ power
    return (tensor / (tensor @ power)).reshape([3] * rank)


def random_tensor(rank: int, seed: int) -> torch.Tensor:
    raw = torch.from_numpy(np.random.default_rng(seed).normal(size=[3] * rank))
    return cartesian.stf(raw, rank)


def turned(tensor: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
    for axis in range(tensor.ndim):
        tensor = torch.tensordot(q, tensor, ([1], [axis])).movedim(0, axis)
    return tensor


@pytest.mark.parametrize("rank", range(4))
def test_harmonics_are_the_traceless_powers_of_a_direction(rank):
    n = directions()
    found = cartesian.harmonics(torch.from_numpy(n), 3)
    expected = np.stack([own_harmonics(row, rank) for row in n])
    np.testing.assert_allclose(found[rank], expected, atol=1e-14)
    norms = found[rank].reshape(len(n), -1).square().sum(1)
    np.testing.assert_allclose(norms, [1.0, 1.0, 1.5, 2.5][rank], rtol=1e-13)
    if rank:  # T_l · n = T_{l-1}
        lower = torch.einsum("n...k,nk->n...", found[rank], torch.from_numpy(n))
        np.testing.assert_allclose(lower, found[rank - 1], atol=1e-14)


@pytest.mark.parametrize("path", EVEN, ids=name)
def test_constants_follow_from_harmonics_of_one_direction(path):
    """c is what makes T_l1(n) ⊗ T_l2(n) = T_l3(n): derived here with tensors and projectors of the test's own."""
    l1, l2, l3 = path
    contracted = (l1 + l2 - l3) // 2
    constants = []
    for n in directions():
        a, b, target = (own_harmonics(n, rank) for rank in path)
        raw = np.tensordot(a, b, contracted)
        raw = (projector(l3) @ raw.ravel()).reshape([3] * l3)
        c = (raw * target).sum() / (raw * raw).sum()
        np.testing.assert_allclose(c * raw, target, atol=1e-13)  # proportional, not merely of the same length
        constants.append(c)
    np.testing.assert_allclose(constants, cartesian.constant(*path), rtol=1e-12)


@pytest.mark.parametrize("path", PATHS, ids=name)
def test_products_are_irreducible_and_turn_with_their_factors(path):
    l1, l2, l3 = path
    a, b = random_tensor(l1, 1), random_tensor(l2, 2)
    result = cartesian.product(a, b, l1, l2, l3)
    np.testing.assert_allclose(projector(l3) @ result.numpy().ravel(), result.numpy().ravel(), atol=1e-13)
    assert result.abs().max() > 1e-3
    for handedness in (1, -1):
        q = ortho_group.rvs(3, random_state=3)
        q = torch.from_numpy(q * handedness * np.linalg.det(q))
        sign = handedness if path in ODD else 1  # odd products of tensors are pseudotensors
        found = cartesian.product(turned(a, q), turned(b, q), l1, l2, l3)
        np.testing.assert_allclose(found, sign * turned(result, q), atol=1e-13)


@pytest.mark.parametrize("path", ODD, ids=name)
def test_odd_products_of_one_direction_vanish(path):
    l1, l2, l3 = path
    t = cartesian.harmonics(torch.from_numpy(directions()), 3)
    np.testing.assert_allclose(cartesian.product(t[l1], t[l2], l1, l2, l3), 0, atol=1e-14)


def test_the_odd_product_of_vectors_is_their_cross_product():
    a, b = torch.from_numpy(directions(8)).split(4)
    np.testing.assert_allclose(cartesian.product(a, b, 1, 1, 1), torch.linalg.cross(a, b), atol=1e-15)


@pytest.mark.parametrize("path", [p for p in EVEN if max(p) < 3], ids=name)
def test_there_is_one_product_per_triple_of_ranks(path):
    """Bilinear maps that commute with rotations and reflections: the product spans their space of one dimension."""
    conditions = []
    for seed in range(3):
        q = torch.from_numpy(ortho_group.rvs(3, random_state=seed))
        d = []
        for rank in path:
            basis = packed.basis(rank)
            images = torch.stack([turned(tensor, q) for tensor in basis]) if rank else basis
            d.append((basis.reshape(2 * rank + 1, -1) @ images.reshape(2 * rank + 1, -1).T).numpy())
        whole = np.kron(d[2], np.kron(d[0], d[1]))
        conditions.append(whole - np.eye(len(whole)))
    _, values, rows = np.linalg.svd(np.concatenate(conditions))
    assert np.count_nonzero(values < 1e-10) == 1
    c = packed.coupling(*path).numpy().ravel()
    assert abs(rows[-1] @ c) == pytest.approx(np.linalg.norm(c), rel=1e-10)


@pytest.mark.parametrize("rank", range(4))
def test_packed_components_are_coordinates_of_irreducible_tensors(rank):
    basis = packed.basis(rank).reshape(2 * rank + 1, -1).numpy()
    np.testing.assert_allclose(basis @ basis.T, np.eye(2 * rank + 1), atol=1e-14)
    np.testing.assert_allclose(basis.T @ basis, projector(rank), atol=1e-14)
    components = torch.from_numpy(np.random.default_rng(0).normal(size=(2 * rank + 1, 5, 2)))
    tensors = packed.unpack(components, rank)
    assert tensors.shape == (*[3] * rank, 5, 2)
    np.testing.assert_allclose(packed.pack(tensors, rank), components, atol=1e-14)


def test_packed_harmonics_are_the_cartesian_ones():
    n = torch.from_numpy(directions())
    for rank, (own, cart) in enumerate(zip(packed.harmonics(n, 3), cartesian.harmonics(n, 3), strict=True)):
        np.testing.assert_allclose(own.square().sum(-1), 2 * rank + 1, rtol=1e-13)
        unpacked = packed.unpack(own.T, rank).movedim(-1, 0)
        scale = ((2 * rank + 1) / cartesian.prefactor(rank)) ** 0.5
        np.testing.assert_allclose(unpacked, scale * cart, atol=1e-13)


def normed_product(a: torch.Tensor, b: torch.Tensor, l1: int, l2: int, l3: int) -> torch.Tensor:
    """The Cartesian product with the factor of its packed form: unit variance for random inputs."""
    everything = [cartesian.product(x, y, l1, l2, l3) for x in packed.basis(l1) for y in packed.basis(l2)]
    scale = (torch.stack(everything).square().sum() / (2 * l3 + 1)).sqrt()
    return cartesian.product(a, b, l1, l2, l3) / scale


@pytest.mark.parametrize("coupled", [False, True], ids=["uncoupled", "coupled"])
@pytest.mark.parametrize("ranks", [2, 3])
def test_product_basis_is_the_sum_of_its_cartesian_products(coupled, ranks):
    """Every term alone, its weight one and the others zero, is one nested Cartesian product."""
    layer = ProductBasis(1, ranks, min(ranks, 2), 3, 1, coupled).double()
    tensors = [random_tensor(rank, rank) for rank in range(ranks + 1)]
    a = torch.cat([packed.pack(t.unsqueeze(-1), rank) for rank, t in enumerate(tensors)])[:, None]  # (S, 1, 1)
    squares = [
        [normed_product(tensors[l1], tensors[l2], l1, l2, rank) for l1, l2 in square_paths(ranks, rank)]
        for rank in range(ranks + 1)
    ]  # fmt: skip
    for rank in range(layer.output + 1):
        expected = [tensors[rank]]
        for l1, l2 in packed.even_paths(ranks, ranks, rank):
            expected += [normed_product(x, tensors[l2], l1, l2, rank) for x in [tensors[l1], *squares[l1]]]
        assert len(expected) == layer.terms[rank]
        weights = layer.mix[rank].weight if coupled else layer.weight[sum(layer.terms[:rank]) :]
        for k, tensor in enumerate(expected):
            with torch.no_grad():
                for parameter in layer.parameters():
                    parameter.zero_()
                weights[k] = 1.0
            found = packed.unpack(layer(a, torch.ones(1, 1, dtype=torch.float64))[packed.span(rank)], rank)
            np.testing.assert_allclose(found.detach().squeeze(), tensor, atol=1e-12)


def test_number_of_distinct_two_factor_products():
    """(4, 3, 5, 3) for ranks up to 3, as the paper counts them; (4, 6, 7, 6) before A ⊗ B = B ⊗ A is used."""
    every = [packed.even_paths(3, 3, rank) for rank in range(4)]
    assert [len(paths) for paths in every] == [4, 6, 7, 6]
    assert [sum(l1 >= l2 for l1, l2 in paths) for paths in every] == [4, 3, 5, 3]


@pytest.mark.parametrize("ranks", [(1, 1, 3), (2, 0, 1), (4, 0, 4), (1, -1, 0)])
def test_impossible_products_are_refused(ranks):
    with pytest.raises(InputError, match="l1 - l2"):
        cartesian.product(torch.ones(3), torch.ones(3), *ranks)
