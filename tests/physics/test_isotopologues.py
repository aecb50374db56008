"""Isotopologues of ions: dipoles are measured from a centre of mass that is at rest while they vibrate."""

import numpy as np
import pytest
from ase.build import molecule
from ase.constraints import FixAtoms

from painn_ase import PaiNNCalculator, relax, vibrations
from painn_ase.simulate.replicas.batch import BatchedEvaluator, SerialEvaluator
from painn_ase.units import DEBYE

from helpers.random_models import random_model

# water learned from neutral molecules, and says so; what a frame of reference does to an ion is a law of any model
pytestmark = pytest.mark.filterwarnings("ignore::painn_ase.coverage.CoverageWarning")

KM_PER_MOL = 42.2561  # per (D/Å)²/amu
DEUTERIUM = 2.014


def water(charge, isotope, **calculator):
    atoms = molecule("H2O")
    atoms.calc = PaiNNCalculator(**({"model": "water", "dtype": "float64", "charge": charge} | calculator))
    if isotope:
        masses = atoms.get_masses()
        masses[1] = DEUTERIUM
        atoms.set_masses(masses)
    return atoms


def at_rest(atoms, charge):
    """The dipole in a frame at rest, from the model's own, which is about the centre of the elements' masses."""
    plain = molecule("H2O")
    plain.positions = atoms.positions
    standard = plain.get_masses()
    plain.calc = PaiNNCalculator("water", dtype="float64", charge=charge)
    return plain.get_dipole_moment() + charge * standard @ plain.positions / standard.sum()


@pytest.fixture(scope="module")
def relaxed():
    atoms = water(1, False)
    relax(atoms, fmax=1e-5, optimizer="BFGS")
    return atoms.positions


@pytest.mark.parametrize("charge", [-1, 0, 1, 2])
@pytest.mark.parametrize("isotope", [False, True])
@pytest.mark.parametrize("fixed", [False, True])
def test_infrared_strengths_are_those_of_the_dipole_in_a_frame_at_rest(relaxed, charge, isotope, fixed):
    atoms = water(charge, isotope)
    atoms.positions = relaxed
    if fixed:
        atoms.set_constraint(FixAtoms([0]))
    found = vibrations(atoms, fmax=0.1)
    for mode, strength in enumerate(found.infrared):
        moves = np.zeros((3, 3))
        moves[found.free] = found.modes.displacements[mode]
        ends = []
        for step in (1e-4, -1e-4):
            moved = atoms.copy()
            moved.positions = atoms.positions + step * moves
            ends.append(at_rest(moved, charge))
        slope = (ends[0] - ends[1]) / 2e-4 / DEBYE
        assert strength == pytest.approx(KM_PER_MOL * slope @ slope, rel=1e-4, abs=1e-4 * found.infrared.max())


@pytest.mark.parametrize("charge", [0, 1])
def test_the_dipole_refers_to_the_masses_of_the_atoms_alone_and_in_batches(charge):
    atoms = water(charge, True)
    centre = atoms.get_center_of_mass()
    expected = at_rest(atoms, charge) - charge * centre
    np.testing.assert_allclose(atoms.get_dipole_moment(), expected, atol=1e-12)
    x = np.stack([atoms.positions, atoms.positions + 0.01])
    batch, apart = BatchedEvaluator(atoms)(x, ["forces", "dipole"]), SerialEvaluator(atoms)(x, ["dipole"])
    np.testing.assert_allclose(batch["dipole"], apart["dipole"], atol=1e-10)
    np.testing.assert_allclose(batch["dipole"][0], expected, atol=1e-10)


def test_other_masses_make_another_dipole_of_an_ion_without_moving_an_atom():
    atoms = water(1, False, model=random_model())
    before = atoms.get_dipole_moment()
    masses = atoms.get_masses()
    masses[1] = DEUTERIUM
    shift = atoms.get_center_of_mass()
    atoms.set_masses(masses)
    shift = shift - atoms.get_center_of_mass()
    np.testing.assert_allclose(atoms.get_dipole_moment(), before + shift, atol=1e-12)
    charges = atoms.calc.get_property("born_effective_charges", atoms)
    np.testing.assert_allclose(charges.sum(axis=0), 0, atol=1e-10)
