"""Central differences of labelled frames are the derivatives, in the shapes and signs of the rest of the package."""

from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from ase.calculators.singlepoint import SinglePointCalculator

from painn_ase import PaiNNCalculator
from painn_ase.errors import InputError
from painn_ase.reference import derivatives, displaced_frames

ETHANOL = Path(__file__).parents[2] / "models" / "ethanol" / "data" / "harmonic.extxyz"


@pytest.fixture
def water():
    """Frames labelled by a quadratic energy, linear dipole and linear polarizability, and the coefficients."""
    rng = np.random.default_rng(0)
    atoms = molecule("H2O")
    hessian = rng.normal(size=(9, 9))
    hessian = hessian + hessian.T
    born, slopes = rng.normal(size=(3, 3, 3)), rng.normal(size=(3, 3, 3, 3))  # [i, a, b], [i, a, b, c]
    slopes = slopes + slopes.transpose(0, 2, 1, 3)
    frames = displaced_frames(atoms)
    for frame in frames:
        shift = frame.positions - atoms.positions
        forces = -(hessian @ shift.ravel()).reshape(3, 3)
        dipole = np.einsum("iab,ib->a", born, shift)
        frame.calc = SinglePointCalculator(frame, energy=0.0, forces=forces, dipole=dipole)
        frame.info["polarizability"] = np.einsum("iabc,ic->ab", slopes, shift)
    return frames, hessian, born, slopes


def test_differences_of_linear_labels_are_exact(water):
    frames, hessian, born, slopes = water
    found = derivatives(frames[::-1])  # in any order
    assert np.allclose(found.hessian, hessian, atol=1e-9)
    assert np.allclose(found.born_effective_charges, born, atol=1e-9)
    assert np.allclose(found.polarizability_derivatives * 14.3996454784936, slopes, atol=1e-9)


def test_a_missing_frame_or_label_is_named(water):
    frames = water[0]
    with pytest.raises(InputError, match="atom 0 is not displaced to both sides along x"):
        derivatives(frames[:1] + frames[2:])
    frames[3].info.pop("polarizability")
    with pytest.raises(InputError, match="no polarizability"):
        derivatives(frames)
    with pytest.raises(InputError, match="not displaced; got 0"):
        derivatives(frames[1:])


def test_differences_of_a_models_labels_are_its_exact_derivatives():
    """Conventions agree with `get_response`: the same frames labelled by the bundled model."""
    atoms = ase.io.read(ETHANOL, 0)
    calculator = PaiNNCalculator("ethanol", dtype="float64")
    frames = displaced_frames(atoms, step=0.0005)
    for frame in frames:
        results = {name: calculator.get_property(name, frame) for name in ("energy", "forces", "dipole")}
        frame.info["polarizability"] = calculator.get_property("polarizability", frame) * 14.3996454784936
        frame.calc = SinglePointCalculator(frame, **results)
    found, plain = derivatives(frames), Atoms(atoms.numbers, atoms.positions)
    for name in ("hessian", "born_effective_charges", "polarizability_derivatives"):
        exact = calculator.get_response(plain, [name])[name]
        assert np.abs(getattr(found, name) - exact).max() < 1e-3 * np.abs(exact).max()  # step²/6 · E⁗


def test_the_stored_reference_of_ethanol_obeys_the_sum_rules():
    found = derivatives(ase.io.read(ETHANOL, ":"))
    assert np.linalg.norm(found.atoms.get_forces(), axis=1).max() < 0.003
    # a neutral molecule's dipole and polarizability do not change when it moves as a whole
    assert np.abs(found.born_effective_charges.sum(axis=0)).max() < 2e-3  # e; integration grids move along, not exactly
    assert np.abs(found.polarizability_derivatives.sum(axis=0)).max() * 14.3996 < 0.02  # Å²
    hessian = found.hessian.reshape(9, 3, 9, 3)
    assert np.abs(hessian.sum(axis=2)).max() < 0.1  # eV/Å², of a largest element of 40


def test_the_stored_reference_of_ethanol_is_a_minimum_with_the_known_bands():
    """21 real modes, O-H stretch near 3900 cm⁻¹ (harmonic, PBE0), C-O and C-O-H the strongest of the fingerprint."""
    modes = derivatives(ase.io.read(ETHANOL, ":")).vibrations()
    assert len(modes.frequencies) == 21
    assert modes.frequencies[0] > 200
    assert 3800 < modes.frequencies[-1] < 4000
    assert modes.infrared is not None
    fingerprint = (modes.frequencies > 600) & (modes.frequencies < 2000)
    assert 1000 < modes.frequencies[np.argmax(modes.infrared * fingerprint)] < 1300


def test_dipoles_and_polarizabilities_are_optional_and_isotopes_count(water):
    frames = water[0]
    full = derivatives(frames)
    for frame in frames:
        del frame.info["polarizability"]
    less = derivatives(frames).vibrations()
    assert less.raman is None
    assert np.allclose(less.infrared, full.vibrations().infrared)
    for frame in frames:
        del frame.calc.results["dipole"]
    least = derivatives(frames).vibrations()
    assert least.infrared is None
    assert np.allclose(least.frequencies, full.vibrations().frequencies)
    frames[0].calc.results["dipole"] = np.zeros(3)
    with pytest.raises(InputError, match="no dipole"):
        derivatives(frames)
    deuterated = molecule("H2O")
    deuterated.set_masses([15.999, 2.014, 2.014])
    assert all((f.get_masses() == deuterated.get_masses()).all() for f in displaced_frames(deuterated))
