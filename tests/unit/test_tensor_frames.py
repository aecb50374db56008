"""Local frames: what they are where atoms have none, what is carried between them, and what a mirror does to them."""

from functools import partial

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import molecule as named_molecule
from scipy.stats import ortho_group

from painn_ase import Model, PaiNNCalculator, neighbors
from painn_ase.nn.frames import Ranks, gram_schmidt, mirrored
from painn_ase.representations import TensorFrames
from painn_ase.representations.tensor_frames import NETWORKS

from helpers.random_models import random_model
from helpers.systems import molecule, triclinic

EPSILON = 0.05
graph_of = partial(neighbors.graph_of, cutoff=4.0)


def orthogonal(handedness: int) -> torch.Tensor:
    q = ortho_group.rvs(3, random_state=3)
    return torch.from_numpy(q * handedness * np.linalg.det(q))


def frames_of(atoms: Atoms, **options) -> torch.Tensor:
    """Right-handed frames of the atoms by an untrained network."""
    seen = []
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = TensorFrames(**{"features": 12, "cutoff": 4.0, "epsilon": EPSILON, **options}).double()
    network.frames.register_forward_hook(lambda _module, _inputs, frames: seen.append(frames.detach()))
    graph = graph_of(atoms)
    network(graph, graph.vectors())
    return seen[0]


def lengths(frames: torch.Tensor) -> np.ndarray:
    return frames.norm(dim=-1).numpy()


@pytest.mark.parametrize("size", [1e-4, 1.0, 1e4])
def test_axes_are_orthogonal_and_shorter_than_one(size):
    v, w = size * torch.randn(2, 50, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    products = gram_schmidt(v, w, EPSILON)
    products = products @ products.transpose(1, 2)
    lengths = products.diagonal(dim1=1, dim2=2)
    torch.testing.assert_close(products, torch.diag_embed(lengths), rtol=0, atol=1e-14)
    assert float(lengths.max()) <= 1
    if size == 1e4:
        torch.testing.assert_close(lengths, torch.ones_like(lengths), rtol=0, atol=1e-5)
    if size == 1e-4:
        assert float(lengths.max()) < 1e-5


@pytest.mark.parametrize("handedness", [1, -1])
def test_frames_turn_with_the_structure_and_a_mirror_exchanges_their_hands(handedness):
    q, atoms = orthogonal(handedness), molecule()
    image = atoms.copy()
    image.positions[:] = atoms.positions @ q.numpy().T
    expected = frames_of(atoms) @ q.T
    expected = expected if handedness > 0 else mirrored(expected)
    torch.testing.assert_close(frames_of(image), expected, rtol=0, atol=1e-12)


def test_axes_that_do_not_exist_are_zero_and_arise_continuously():
    """An isolated atom has none, atoms on a line one, atoms in a plane all: the third is the normal."""
    assert lengths(frames_of(Atoms("C"))).max() == 0
    line = lengths(frames_of(Atoms("CNO", [[0, 0, 0], [0, 0, 1.2], [0, 0, 2.5]])))
    assert line[:, 0].min() > 0.1
    assert line[:, 1:].max() < 1e-12
    plane = frames_of(named_molecule("HCOOH"))  # in the plane x, y
    assert float(plane[:, :2, 2].abs().max()) < 1e-12
    assert float(plane[:, 2, :2].abs().max()) < 1e-12
    assert lengths(plane)[:, 2].min() > 1e-4

    bends = [lengths(frames_of(Atoms("CNO", [[0, 0, 0], [0, 0, 1.2], [0, h, 2.5]]))) for h in (1e-6, 1e-3)]
    assert 0 < bends[0][1, 1] < 1e-5
    assert bends[1][1, 1] == pytest.approx(1e3 * bends[0][1, 1], rel=1e-2)  # in proportion to the bend


def test_what_is_carried_keeps_its_meaning():
    """A vector and a tensor known in the frame of j are the same vector and tensor in that of i."""
    generator = torch.Generator().manual_seed(1)
    v, t = torch.randn(3, 2, dtype=torch.float64, generator=generator), torch.randn(3, 3, dtype=torch.float64)
    one, other = orthogonal(1), orthogonal(-1) @ orthogonal(1)
    ranks = Ranks(scalars=1, vectors=2, tensors=1)
    local = [torch.cat([torch.ones(1), (r @ v).flatten(), (r @ t @ r.T).flatten()])[None] for r in (one, other)]
    torch.testing.assert_close(ranks.turned(local[1], (one @ other.T)[None]), local[0], rtol=0, atol=1e-14)


def test_scalars_alone_are_carried_unchanged():
    features = torch.randn(4, 5)
    torch.testing.assert_close(Ranks(5, 0, 0).turned(features, torch.randn(4, 3, 3)), features)


def in_frames(network: str) -> Model:
    return random_model("schnet-in-frames", network=network)


@pytest.mark.parametrize("network", NETWORKS)
def test_energies_need_both_hands(network):
    """In frames of one hand a chiral molecule and its mirror image would have different energies."""
    model, atoms = in_frames(network), molecule()
    atoms.rattle(0.2, seed=1)
    mirror = atoms.copy()
    mirror.positions[:, 0] *= -1
    found = []
    for structure in (atoms, mirror):
        graph = graph_of(structure)
        vectors = graph.vectors()
        network = model.representation
        hands = []
        hook = network.frames.register_forward_hook(lambda _module, _inputs, frames, hands=hands: hands.append(frames))
        both = network(graph, vectors).scalars
        hook.remove()
        found.append((both, network.of_hand(graph, vectors, hands[0]).scalars))
    (both, right), (both_mirrored, right_mirrored) = found
    torch.testing.assert_close(both, both_mirrored, rtol=0, atol=1e-11)
    assert float((right - right_mirrored).detach().abs().max()) > 1e-3


@pytest.mark.parametrize("build", [molecule, triclinic])
def test_painn_in_frames_turns_with_the_structure_too(build):
    """SchNet in frames takes all physics tests; these are the main ones, in short, for PaiNN."""
    calculator, q = PaiNNCalculator(in_frames("painn"), dtype="float64"), orthogonal(-1).numpy()
    atoms = build()
    image = atoms.copy()
    image.set_positions(atoms.positions @ q.T)
    image.set_cell(atoms.cell.array @ q.T)
    forces, alpha = (calculator.get_property(name, atoms) for name in ("forces", "polarizability"))
    scale = max(1.0, np.abs(forces).max(), np.abs(alpha).max())
    np.testing.assert_allclose(calculator.get_property("forces", image), forces @ q.T, atol=1e-11 * scale)
    np.testing.assert_allclose(calculator.get_property("polarizability", image), q @ alpha @ q.T, atol=1e-11 * scale)
    order = np.random.default_rng(0).permutation(len(atoms))
    np.testing.assert_allclose(calculator.get_property("forces", atoms[order]), forces[order], atol=1e-11 * scale)

    energies, step = [], 1e-4
    for sign in (1, -1):
        moved = atoms.copy()
        moved.positions[1, 2] += sign * step
        energies.append(calculator.get_property("energy", moved))
    assert forces[1, 2] == pytest.approx(-(energies[0] - energies[1]) / (2 * step), rel=1e-5, abs=1e-5 * scale)
