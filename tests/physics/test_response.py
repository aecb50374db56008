"""Analytic Hessian, Born charges and ∂α/∂r are the derivatives they claim to be, and obey their sum rules."""

from copy import deepcopy

import numpy as np
import pytest
import torch
from ase.calculators.calculator import PropertyNotImplementedError

from painn_ase import PaiNNCalculator
from painn_ase.backends import TorchBackend
from painn_ase.backends.exact import exact_response
from painn_ase.errors import InputError

from helpers.random_models import ARCHITECTURES, random_model
from helpers.systems import NASTY

STEP = 2e-6  # Å: |V| bends within 1e-4 Å (ε = 1e-8), so truncation asks for less; rounding of forces is 1e-14/STEP
MOLECULES = ("molecule", "far_molecule", "hydrogen", "single_atom")


def rattled(name):
    atoms = NASTY[name]()
    # off symmetry, where exact zeros of vector features put a fold of width 1e-4 Å at the very point of expansion
    atoms.rattle(0.05, seed=4)
    return atoms


@pytest.fixture(scope="module", params=sorted(ARCHITECTURES))
def calculator(request):
    return PaiNNCalculator(random_model(request.param), dtype="float64", skin=0.0)


def needs(calculator, *names):
    missing = set(names) - set(calculator.implemented_properties)
    if missing:
        pytest.skip(f"this model has no {', '.join(sorted(missing))}")


def differences(calculator, atoms, name):
    """Central differences of a property with respect to every coordinate, (atoms, 3, ...)."""
    start, rows = atoms.positions.copy(), []
    for k in range(start.size):
        ends = []
        for sign in (1, -1):
            atoms.positions = start.copy()
            atoms.positions.flat[k] += sign * STEP
            # far from the origin a coordinate holds fewer digits than the step needs: divide by what was stepped
            ends.append((atoms.positions.flat[k], calculator.get_property(name, atoms).copy()))
        rows.append((ends[0][1] - ends[1][1]) / (ends[0][0] - ends[1][0]))
    atoms.positions = start
    return np.array(rows).reshape(len(atoms), 3, *rows[0].shape)


def assert_close(analytic, numerical):
    scale = max(1.0, np.abs(numerical).max())
    np.testing.assert_allclose(analytic, numerical, rtol=0, atol=1e-6 * scale)


@pytest.mark.parametrize("name", ["molecule", "left_handed", "crystal_atom"])
def test_hessian_is_the_derivative_of_the_forces(calculator, name):
    assert_hessian(calculator, rattled(name))


@pytest.mark.parametrize("name", sorted(NASTY))
def test_hessian_is_right_under_any_boundary_condition(name):
    model = random_model(features=8)
    assert_hessian(PaiNNCalculator(model, dtype="float64", skin=0.0), rattled(name))


def assert_hessian(calculator, atoms):
    hessian = calculator.get_hessian(atoms)
    numerical = -differences(calculator, atoms, "forces").reshape(hessian.shape)
    assert_close(hessian, numerical)
    np.testing.assert_array_equal(hessian, hessian.T)


@pytest.mark.parametrize("name", MOLECULES)
def test_born_charges_are_the_derivative_of_the_dipole(calculator, name):
    atoms = rattled(name)
    charges = calculator.get_property("born_effective_charges", atoms)
    numerical = differences(calculator, atoms, "dipole")  # [i, b, a]
    assert_close(charges, numerical.transpose(0, 2, 1))


@pytest.mark.parametrize("name", MOLECULES)
def test_raman_tensors_are_the_derivative_of_the_polarizability(calculator, name):
    needs(calculator, "polarizability")
    atoms = rattled(name)
    slopes = calculator.get_polarizability_derivatives(atoms)
    numerical = differences(calculator, atoms, "polarizability")  # [i, c, a, b]
    assert_close(slopes, numerical.transpose(0, 2, 3, 1))


@pytest.mark.parametrize("name", sorted(NASTY))
def test_translation_costs_no_energy(calculator, name):
    """Acoustic sum rule: the blocks of the Hessian sum to zero over the atoms."""
    atoms = NASTY[name]()
    hessian = calculator.get_hessian(atoms)
    rows = hessian.reshape(3 * len(atoms), len(atoms), 3).sum(1)
    np.testing.assert_allclose(rows, 0, atol=1e-10 * max(1.0, np.abs(hessian).max()))


@pytest.mark.parametrize("charge", [0, 1, -2])
def test_born_charges_sum_to_the_total_charge_seen_from_the_centre_of_mass(calculator, charge):
    """μ is measured from the centre of mass, so translation changes nothing: Σ Z* = 0 even for an ion."""
    atoms = NASTY["molecule"]()
    atoms.info["charge"] = charge
    charges = calculator.get_property("born_effective_charges", atoms)
    np.testing.assert_allclose(charges.sum(0), 0, atol=1e-10)


def test_translation_changes_no_polarizability(calculator):
    needs(calculator, "polarizability")
    slopes = calculator.get_polarizability_derivatives(rattled("molecule"))
    np.testing.assert_allclose(slopes.sum(0), 0, atol=1e-10)


def test_rotation_turns_forces_dipole_and_polarizability(calculator):
    """Rotational sum rules: H·(ω×r) = -ω×F, Z*·(ω×r) = ω×μ, and the commutator for α, at any geometry."""
    atoms = rattled("molecule")
    omega = np.array([0.3, -0.5, 0.8])
    turn = np.cross(omega, np.eye(3)).T  # ω× as a matrix
    moves = np.cross(omega, atoms.positions)
    found = calculator.get_response(atoms, derivatives(calculator))
    forces, dipole = (calculator.get_property(p, atoms) for p in ("forces", "dipole"))
    np.testing.assert_allclose((found["hessian"] @ moves.ravel()).reshape(-1, 3), -np.cross(omega, forces), atol=1e-9)
    np.testing.assert_allclose(
        np.einsum("iab,ib->a", found["born_effective_charges"], moves), np.cross(omega, dipole), atol=1e-9
    )
    if "polarizability_derivatives" in found:
        alpha = calculator.get_property("polarizability", atoms)
        np.testing.assert_allclose(
            np.einsum("iabc,ic->ab", found["polarizability_derivatives"], moves), turn @ alpha - alpha @ turn, atol=1e-9
        )


def derivatives(calculator):
    has_alpha = "polarizability" in calculator.implemented_properties
    return ("hessian", "born_effective_charges") + (("polarizability_derivatives",) if has_alpha else ())


def test_derivatives_asked_together_equal_those_asked_alone(calculator):
    atoms = rattled("molecule")
    names = derivatives(calculator)
    together = calculator.get_response(atoms, names)
    for name in names:
        np.testing.assert_allclose(calculator.get_response(atoms, (name,))[name], together[name], atol=1e-12)


def test_a_skin_of_reserve_pairs_changes_no_derivative():
    model, atoms = random_model(), rattled("triclinic")
    sharp, reserve = (PaiNNCalculator(model, dtype="float64", skin=skin) for skin in (0.0, 1.0))
    np.testing.assert_allclose(reserve.get_hessian(atoms), sharp.get_hessian(atoms), atol=1e-10)


def test_a_float32_backend_has_float64_derivatives(calculator):
    """The float32 network, differentiated exactly: equal to the float64 network with the rounded weights."""
    fast = TorchBackend(calculator.backend.model, "cpu", "float32")
    rounded = PaiNNCalculator(deepcopy(fast.model).double(), dtype="float64", skin=0.0)
    atoms = rattled("molecule")
    expected = rounded.get_hessian(atoms)
    found = exact_response(fast, rounded._graph, ("hessian",))["hessian"]
    np.testing.assert_allclose(found, expected, atol=1e-10)
    assert fast.model.dtype == torch.float32  # the network itself was not cast


def test_many_rows_in_several_chunks_agree_with_one_at_a_time():
    calculator = PaiNNCalculator(random_model(), dtype="float64", skin=0.0)
    atoms = rattled("molecule")
    atoms += NASTY["molecule"]()
    atoms.positions[9:] += [3.0, 0.5, 0.2]
    assert_hessian(calculator, atoms)


def test_the_state_of_the_calculator_follows_the_atoms(calculator):
    atoms = rattled("molecule")
    atoms.calc = calculator
    atoms.get_forces()
    before = calculator.get_hessian(atoms)
    atoms.positions[0] += 0.05
    after = calculator.get_hessian(atoms)
    assert np.abs(after - before).max() > 1e-3
    fresh = PaiNNCalculator(calculator.backend.model, dtype="float64", skin=0.0)
    np.testing.assert_allclose(atoms.get_forces(), fresh.get_property("forces", atoms), atol=1e-12)
    np.testing.assert_allclose(fresh.get_hessian(atoms), after, atol=1e-12)


def test_derivatives_of_what_a_periodic_cell_lacks_are_refused_with_a_reason(calculator):
    needs(calculator, "polarizability")
    atoms = NASTY["triclinic"]()
    assert calculator.get_hessian(atoms).shape == (12, 12)
    with pytest.raises(PropertyNotImplementedError, match="only up to lattice vectors"):
        calculator.get_property("born_effective_charges", atoms)
    if "polarizability" in calculator.backend.model.molecular:
        with pytest.raises(PropertyNotImplementedError, match="only up to lattice vectors"):
            calculator.get_polarizability_derivatives(atoms)
    else:  # a property of the cell
        atoms.rattle(0.05, seed=4)
        slopes = calculator.get_polarizability_derivatives(atoms)
        assert_close(slopes, differences(calculator, atoms, "polarizability").transpose(0, 2, 3, 1))


def test_missing_heads_and_unknown_names_are_named():
    calculator = PaiNNCalculator(random_model(heads={"energy": {}}), dtype="float64")
    assert "born_effective_charges" not in calculator.implemented_properties
    with pytest.raises(InputError, match="polarizability_derivatives needs polarizability"):
        calculator.get_polarizability_derivatives(NASTY["molecule"]())
    with pytest.raises(InputError, match="did you mean 'hessian'"):
        calculator.get_response(NASTY["molecule"](), ("hesian",))
