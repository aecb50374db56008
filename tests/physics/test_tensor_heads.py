"""Tensors of any order from atom features: symmetry to the last bit, rotations, origins, and what they can express."""

import itertools

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import molecule as g2
from ase.calculators.calculator import PropertyNotImplementedError
from scipy.stats import ortho_group

from painn_ase import PaiNNCalculator
from painn_ase.errors import InputError
from painn_ase.heads.tensor import TensorReadout, symmetric
from painn_ase.neighbors import graph_of
from painn_ase.representations import AtomFeatures

from helpers.random_models import random_model
from helpers.systems import molecule, triclinic

HEADS = {"quadrupole": {"rank": 4}, "hyperpolarizability": {"rank": 4}}
WITH_TENSORS = {name: {"rank": 4, "tensors": True} for name in HEADS}
MODELS = {"bessel-cosine": HEADS, "ictp": WITH_TENSORS, "tensornet": WITH_TENSORS}


@pytest.fixture(params=sorted(MODELS))
def calculator(request):
    return PaiNNCalculator(random_model(request.param, heads=MODELS[request.param]), dtype="float64")


def turned(tensor: np.ndarray, q: np.ndarray) -> np.ndarray:
    for axis in range(tensor.ndim):
        tensor = np.moveaxis(np.tensordot(q, tensor, ([1], [axis])), 0, axis)
    return tensor


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("architecture", sorted(MODELS))
def test_permutation_symmetry_holds_to_the_last_bit(architecture, dtype):
    calculator = PaiNNCalculator(random_model(architecture, heads=MODELS[architecture]), dtype=dtype)
    atoms = molecule()
    atoms.rattle(0.1, seed=0)
    beta = calculator.get_property("hyperpolarizability", atoms)
    theta = calculator.get_property("quadrupole", atoms)
    assert np.abs(beta).max() > 1e-4
    assert np.abs(theta).max() > 1e-4
    for order in itertools.permutations(range(3)):
        np.testing.assert_array_equal(beta, beta.transpose(order))
    np.testing.assert_array_equal(theta, theta.T)
    assert abs(np.trace(theta)) < 1e-14 * np.abs(theta).max()


@pytest.mark.parametrize("handedness", [1, -1], ids=["rotation", "reflection"])
def test_tensors_turn_with_the_molecule(calculator, handedness):
    q = ortho_group.rvs(3, random_state=7)
    q *= handedness * np.linalg.det(q)
    atoms = molecule()
    image = atoms.copy()
    image.positions = atoms.positions @ q.T
    for name in HEADS:
        expected = turned(calculator.get_property(name, atoms), q)
        np.testing.assert_allclose(calculator.get_property(name, image), expected, atol=1e-11, err_msg=name)


def test_translations_change_nothing(calculator):
    atoms = molecule()
    expected = {name: calculator.get_property(name, atoms) for name in HEADS}
    atoms.positions += [100.0, -60.0, 80.0]
    for name, value in expected.items():
        np.testing.assert_allclose(calculator.get_property(name, atoms), value, atol=1e-10, err_msg=name)


def test_hyperpolarizabilities_of_distant_molecules_add_up(calculator):
    one, two = molecule(), molecule()
    two.rotate(50, "z")
    two.positions += [0.0, 40.0, 0.0]
    parts = [calculator.get_property("hyperpolarizability", a) for a in (one, two)]
    np.testing.assert_allclose(calculator.get_property("hyperpolarizability", one + two), sum(parts), atol=1e-11)


def test_a_molecule_with_inversion_centre_has_no_hyperpolarizability(calculator):
    atoms = g2("C2H6")  # staggered ethane: D3d
    assert np.abs(calculator.get_property("hyperpolarizability", atoms)).max() < 1e-12
    assert np.abs(calculator.get_property("quadrupole", atoms)).max() > 1e-4


def test_planar_molecules_have_components_out_of_their_plane(calculator):
    """β_xxz of water, x perpendicular to its plane: no product of vectors in the plane has it, δ and t do."""
    beta = calculator.get_property("hyperpolarizability", g2("H2O"))  # the molecule lies in yz
    scale = np.abs(beta).max()
    assert abs(beta[0, 0, 2]) > 1e-2 * scale
    assert abs(beta[2, 2, 2]) > 1e-2 * scale
    np.testing.assert_allclose(beta[1, 1, 1], 0, atol=1e-13 * scale)  # C2 about z
    np.testing.assert_allclose(beta[0, 1, 2], 0, atol=1e-13 * scale)


def test_quadrupole_of_two_ions_in_reach_is_that_of_their_charges():
    """½ Σ q (3 r r - r² 1) of charges that the head's network finds: what no sum of local tensors can give."""
    model = random_model(heads={"quadrupole": {}, "dipole": {"atomic_dipoles": False}})
    dipole, theta = model.heads["dipole"], model.heads["quadrupole"]
    for parameter in (*theta.parameters(), *dipole.parameters()):
        parameter.data.zero_()
    for head in (dipole, theta):
        head.references.zero_()
        head.references[8], head.references[6] = -0.4, 0.4
    atoms = g2("CO")
    atoms.set_distance(0, 1, 3.5)  # within the cutoff: fragments that do not touch are neutral each
    calculator = PaiNNCalculator(model, dtype="float64")
    q, r = calculator.get_property("charges", atoms), atoms.positions - atoms.get_center_of_mass()
    np.testing.assert_allclose(np.sort(q), [-0.4, 0.4])
    expected = sum(0.5 * c * (3 * np.outer(x, x) - x @ x * np.eye(3)) for c, x in zip(q, r, strict=True))
    np.testing.assert_allclose(calculator.get_property("quadrupole", atoms), expected, rtol=1e-4)  # tables of masses


def test_a_cell_has_a_hyperpolarizability_but_no_quadrupole(calculator):
    atoms = triclinic()
    one = calculator.get_property("hyperpolarizability", atoms)
    two = calculator.get_property("hyperpolarizability", atoms.repeat((2, 1, 1)))
    np.testing.assert_allclose(two, 2 * one, rtol=1e-10, atol=1e-12)
    with pytest.raises(PropertyNotImplementedError, match="quadrupole of a periodic structure"):
        calculator.get_property("quadrupole", atoms)


@pytest.mark.parametrize("groups", [(), ((0, 1),), ((1, 2),), ((0, 1, 2),), ((0, 1), (2, 3)), ((0, 1, 2, 3),)])
@pytest.mark.parametrize("tensors", [False, True])
def test_any_symmetry_of_any_order_can_be_chosen(groups, tensors):
    """The chosen permutations are exact symmetries, others are not, and the tensor turns as one of its order."""
    order = max(2, max((index for group in groups for index in group), default=0) + 1)
    torch.manual_seed(0)
    readout = TensorReadout(8, order, 3, groups, "silu", 1e-8, tensors).double()
    s, v = torch.randn(5, 8, dtype=torch.float64), torch.randn(5, 3, 8, dtype=torch.float64)
    t = torch.randn(5, 3, 3, 8, dtype=torch.float64)
    t = t + t.transpose(1, 2)
    found = symmetric(readout(AtomFeatures(s, v, t)), groups, order).detach()
    q = torch.from_numpy(ortho_group.rvs(3, random_state=1))
    image = AtomFeatures(s, torch.einsum("ij,ajf->aif", q, v), torch.einsum("ij,ajkf,lk->ailf", q, t, q))
    expected = np.stack([turned(one.numpy(), q.numpy()) for one in found])
    np.testing.assert_allclose(symmetric(readout(image), groups, order).detach(), expected, atol=1e-11)
    for a, b in itertools.combinations(range(order), 2):
        swapped = found.transpose(1 + a, 1 + b)
        if any({a, b} <= set(group) for group in groups):
            assert torch.equal(found, swapped)
        else:
            assert (found - swapped).abs().max() > 1e-6


def test_impossible_orders_are_refused():
    for order, rank in ((0, 4), (5, 4), (2, 0)):
        with pytest.raises(InputError, match="order 1 to 4"):
            TensorReadout(8, order, rank, (), "silu", 1e-8, False)


def test_tensors_of_a_lonely_atom_vanish_with_a_finite_gradient():
    """No direction, no tensor: what the norms' ε is for."""
    model = random_model(heads=HEADS)
    graph = graph_of(Atoms("O"), 4.0)
    results = model(graph, graph.vectors())
    assert results["hyperpolarizability"].abs().max() < 1e-14
    gradients = torch.autograd.grad(results["hyperpolarizability"].sum(), list(model.parameters()), allow_unused=True)
    assert all(torch.isfinite(g).all() for g in gradients if g is not None)


@pytest.mark.parametrize("architecture", sorted(MODELS))
def test_born_charges_of_a_crystal_are_derivatives_of_its_cell_dipole(architecture):
    """Against finite differences, and the acoustic sum rule; a head of charges times positions is refused."""
    atoms = triclinic()
    calculator = PaiNNCalculator(random_model(architecture, heads={"cell_dipole": {}}), dtype="float64", skin=0.0)
    born = calculator.get_property("born_effective_charges", atoms)
    assert np.abs(born).max() > 1e-4
    np.testing.assert_allclose(born.sum(0), 0, atol=1e-12)
    for i, b in ((0, 0), (2, 1)):
        ends = []
        for step in (1e-4, -1e-4):
            moved = atoms.copy()
            moved.positions[i, b] += step
            ends.append(calculator.get_property("dipole", moved))
        # central differences of 1e-4 Å: truncation of 1e-8 of the third derivatives
        np.testing.assert_allclose(born[i, :, b], (ends[0] - ends[1]) / 2e-4, atol=1e-6)
    molecular = PaiNNCalculator(random_model(heads={"dipole": {}}), dtype="float64")
    with pytest.raises(PropertyNotImplementedError, match="periodic"):
        molecular.get_property("born_effective_charges", atoms)


def test_cell_dipoles_turn_add_up_and_forget_whole_cell_vectors():
    calculator = PaiNNCalculator(random_model(heads={"cell_dipole": {}}), dtype="float64")
    atoms = triclinic()
    one = calculator.get_property("dipole", atoms)
    np.testing.assert_allclose(calculator.get_property("dipole", atoms.repeat((1, 2, 1))), 2 * one, atol=1e-12)
    q = -ortho_group.rvs(3, random_state=2)
    image = atoms.copy()
    image.set_cell(atoms.cell.array @ q.T, scale_atoms=True)
    np.testing.assert_allclose(calculator.get_property("dipole", image), q @ one, atol=1e-12)
    image = atoms.copy()
    image.positions[1] += 3 * image.cell[0]
    np.testing.assert_allclose(calculator.get_property("dipole", image), one, atol=1e-12)
