"""Forces and stress are derivatives of the energy; the energy is continuous where pairs come and go."""

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.calculators.fd import calculate_numerical_forces, calculate_numerical_stress

from painn_ase import PaiNNCalculator
from painn_ase.nn.radial import build_cutoff

from helpers.random_models import ARCHITECTURES, random_model
from helpers.systems import NASTY


@pytest.fixture(scope="module", params=sorted(ARCHITECTURES))
def calculator(request):
    # no skin: finite differences must not depend on the history of the list
    return PaiNNCalculator(random_model(request.param), dtype="float64", skin=0.0)


@pytest.mark.parametrize("name", sorted(NASTY))
def test_forces_are_minus_energy_gradient(calculator, name):
    """Along four random directions of all coordinates at once: a force that is wrong anywhere shows in each."""
    atoms = NASTY[name]()
    forces = calculator.get_property("forces", atoms)
    moved, scale, rng = atoms.copy(), max(1.0, np.abs(forces).max()), np.random.default_rng(11)
    for _ in range(4):
        # steps of 2e-5 Å: truncation ~1e-7 where layer norms or |V| bend the most, rounding ~1e-13/2e-5
        step = rng.normal(size=forces.shape)
        step *= 2e-5 / np.linalg.norm(step)
        energies = []
        for sign in (1, -1):
            moved.positions = atoms.positions + sign * step
            energies.append(calculator.get_property("energy", moved))
        work = -(energies[0] - energies[1]) / (2 * 2e-5)
        assert work == pytest.approx(np.vdot(forces, step) / 2e-5, abs=1e-6 * scale)


@pytest.mark.parametrize("name", ["molecule", "triclinic"])
def test_forces_are_the_differences_of_ase(calculator, name):
    """Every component, by ASE's code."""
    atoms = NASTY[name]()
    forces = calculator.get_property("forces", atoms)
    atoms.calc = calculator
    numerical = calculate_numerical_forces(atoms, eps=2e-5)
    np.testing.assert_allclose(forces, numerical, rtol=0, atol=1e-6 * max(1.0, np.abs(forces).max()))


@pytest.mark.parametrize("name", [k for k in sorted(NASTY) if NASTY[k]().pbc.all()])
def test_stress_is_strain_derivative_of_the_energy(calculator, name):
    atoms = NASTY[name]()
    stress = calculator.get_property("stress", atoms)
    reference = atoms.copy()
    reference.calc = calculator
    # ASE divides by atoms.get_volume(), which is positive for left-handed cells too
    numerical = calculate_numerical_stress(reference, eps=1e-5)
    np.testing.assert_allclose(stress, numerical, rtol=0, atol=1e-6 * max(1.0, np.abs(stress).max()))


@pytest.mark.parametrize("name", sorted(NASTY))
def test_atomic_energies_sum_to_the_energy(calculator, name):
    atoms = NASTY[name]()
    energy = calculator.get_property("energy", atoms)
    assert energy == pytest.approx(calculator.get_property("energies", atoms).sum(), abs=1e-12 * len(atoms) + 1e-12)
    assert calculator.get_property("free_energy", atoms) == energy


def test_energy_and_forces_are_continuous_at_the_cutoff(calculator):
    """Across the cutoff everything changes by the slope of the cutoff function, not by a step."""

    def at(distance: float) -> tuple[float, np.ndarray]:
        atoms = Atoms("CO", positions=[[0, 0, 0], [0, 0, distance]])
        return calculator.get_property("energy", atoms), calculator.get_property("forces", atoms)

    cutoff, step = calculator.backend.cutoff, 1e-5
    (inside, f_inside), (outside, f_outside) = at(cutoff - step), at(cutoff + step)
    assert np.abs(f_outside).max() == 0  # beyond the cutoff there is no interaction at all
    # fc ~ (π step / rc)² / 4 = 1.5e-11, and its slope 1e-5, for the cosine: the least smooth of the three
    assert inside == pytest.approx(outside, abs=1e-9)
    np.testing.assert_allclose(f_inside, 0, atol=1e-4)


def test_second_derivative_is_continuous_for_smooth_cutoffs_and_jumps_for_the_cosine():
    """The table of physics: fc'' is π²/2rc² on the inner side for the cosine, zero for the others."""
    for kind, expected in {"cosine": np.pi**2 / (2 * 16.0), "polynomial": 0.0, "mollifier": 0.0}.items():
        fc = build_cutoff({"kind": kind}, 4.0)
        d = torch.tensor([4.0 - 1e-6], dtype=torch.float64, requires_grad=True)
        (first,) = torch.autograd.grad(fc(d).sum(), d, create_graph=True)
        (second,) = torch.autograd.grad(first.sum(), d)
        assert float(second) == pytest.approx(expected, abs=1e-4)
        assert float(first.detach()) == pytest.approx(0, abs=1e-5)


def test_float32_network_stays_close_to_float64():
    model = random_model("bessel-cosine", features=64, interactions=3)
    exact, fast = (PaiNNCalculator(model, dtype=dtype) for dtype in ("float64", "float32"))
    for name in ("molecule", "triclinic", "slab"):
        atoms = NASTY[name]()
        expected, found = (c.get_property("forces", atoms) for c in (exact, fast))
        assert np.abs(found - expected).max() < 1e-5 * np.abs(expected).max()
        # references are summed in float64: a total energy keeps its digits
        difference = fast.get_property("energy", atoms) - exact.get_property("energy", atoms)
        assert abs(difference) < 1e-5 * len(atoms)
