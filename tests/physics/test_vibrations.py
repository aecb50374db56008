"""`vibrations`: equal to ASE's finite-difference codes on the same model, and right where the answer is known."""

import csv
from time import process_time

import ase.io
import numpy as np
import pytest
from ase import Atoms, units
from ase.build import molecule
from ase.calculators.emt import EMT
from ase.constraints import FixAtoms, FixBondLength
from ase.thermochemistry import HarmonicThermo
from ase.vibrations import Infrared
from ase.vibrations.placzek import PlaczekStatic
from ase.vibrations.raman import StaticRamanCalculator

from painn_ase import PaiNNCalculator, relax
from painn_ase.errors import InputError
from painn_ase.simulate import vibrations
from painn_ase.spectra import infrared_intensities, normal_modes, raman_activities, rigid_motions
from painn_ase.structures import read_structure
from painn_ase.units import DEBYE

from helpers.random_models import random_model
from helpers.systems import NASTY

# Å. ASE's usual 0.01 Å would measure its own truncation error: the curvature of a network changes over such lengths.
STEP = 1e-5


@pytest.fixture(scope="module")
def ethanol():
    atoms = read_structure("ethanol")
    atoms.rattle(0.02, seed=0)  # off the mirror plane
    atoms.calc = PaiNNCalculator("ethanol", dtype="float64")
    assert relax(atoms, fmax=2e-4, optimizer="BFGS", steps=1000).converged
    return atoms


class StaticPolarizability:
    """What `StaticRamanCalculator` asks: one polarizability per displaced structure."""

    def calculate(self, atoms):
        self.atoms = atoms

    def __call__(self, atoms):
        return atoms.calc.get_polarizability(atoms)


def test_ethanol_equals_the_finite_differences_of_ase(ethanol, tmp_path, monkeypatch):
    """Frequencies to 0.5 cm⁻¹, infrared and Raman strengths to 1 %."""
    monkeypatch.chdir(tmp_path)
    found = vibrations(ethanol)
    infrared = Infrared(ethanol, delta=STEP, name="ir")
    infrared.run()
    infrared.read()
    reference = infrared.get_frequencies()[6:]
    assert np.abs(reference.imag).max() == 0
    np.testing.assert_allclose(found.frequencies, reference.real, atol=0.5)
    km_per_mol = 42.2561 * infrared.intensities[6:]
    np.testing.assert_allclose(found.infrared, km_per_mol, rtol=0.01, atol=1e-3 * km_per_mol.max())

    StaticRamanCalculator(ethanol, StaticPolarizability, name="raman", delta=STEP).run()
    placzek = PlaczekStatic(ethanol, name="raman", delta=STEP)
    activities = placzek.get_absolute_intensities()[6:]
    np.testing.assert_allclose(found.raman, activities, rtol=0.01, atol=1e-3 * activities.max())


def test_ethanol_takes_less_than_a_second(ethanol):
    vibrations(ethanol)
    start = process_time()  # of a processor, whoever else uses the machine
    vibrations(ethanol)
    seconds = process_time() - start
    print(f"vibrations(ethanol): {seconds:.2f} s")
    assert seconds < 1


def test_ethanol_has_21_real_modes_and_a_zero_point_energy(ethanol):
    found = vibrations(ethanol)
    assert found.frequencies.shape == found.infrared.shape == found.raman.shape == (21,)
    assert found.frequencies.min() > 100
    assert 3500 < found.frequencies[-1] < 4100  # O-H
    assert 2.0 < found.zero_point_energy < 2.4  # eV
    assert (found.infrared >= 0).all()
    assert (found.raman >= 0).all()
    assert ((found.depolarization >= 0) & (found.depolarization <= 0.75 + 1e-9)).all()


def test_ase_gets_the_same_hessian_for_thermochemistry(ethanol):
    found = vibrations(ethanol)
    energies = found.data.get_energies()[6:]
    assert np.abs(energies.imag).max() == 0
    # ASE does not project rotation out; at a minimum that mixes nothing into the vibrations
    np.testing.assert_allclose(found.data.get_frequencies()[6:].real, found.frequencies, atol=0.5)
    zero_point = HarmonicThermo(energies.real).get_ZPE_correction()
    assert zero_point == pytest.approx(found.zero_point_energy, abs=1e-4)


def test_table_and_files_hold_every_mode(ethanol, tmp_path):
    found = vibrations(ethanol)
    assert len(str(found).splitlines()) >= 23
    with found.save(tmp_path / "modes.csv").open(encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert rows[0][1] == "wavenumber / cm⁻¹"
    np.testing.assert_allclose(np.array(rows[1:], float)[:, 2], found.infrared)
    frames = ase.io.read(found.save_modes(tmp_path / "modes.xyz"), ":")
    assert len(frames) == 21
    np.testing.assert_allclose(frames[3].get_forces(), found.displacements(3), atol=1e-7)


# ---- known answers


def test_a_diatomic_on_a_spring():
    """ν̃ = √(k/μ)/2πc; IR 42.2561 km/mol per (D/Å)²/amu; one mode, three translations and two rotations gone."""
    k, masses, axis = 30.0, np.array([1.008, 35.45]), np.array([1.0, 2.0, 2.0]) / 3
    projector = k * np.outer(axis, axis)
    hessian = np.block([[projector, -projector], [-projector, projector]])
    positions = np.array([[0.0, 0, 0], 1.27 * axis]) + 5.0
    modes = normal_modes(hessian, masses, rigid_motions(positions, masses))
    mu = masses.prod() / masses.sum()
    assert len(modes) == 1
    # 521.4708 cm⁻¹ for 1 eV/Å²/amu
    assert modes.wavenumbers[0] == pytest.approx(521.4708 * np.sqrt(k / mu), rel=1e-6)
    charge = 0.2
    born = np.array([charge * np.eye(3), -charge * np.eye(3)])
    strength = (charge / DEBYE) ** 2 / mu
    assert infrared_intensities(modes, born)[0] == pytest.approx(42.2561 * strength, rel=1e-5)


def test_thermal_amplitudes_are_those_of_equipartition():
    """Two masses on a spring k: <x²> = kT/k of their distance, of which each has the other's share of the mass."""
    masses, k = np.array([1.0, 3.0]), 0.5
    hessian = np.zeros((6, 6))
    hessian[np.ix_([0, 3], [0, 3])] = k * np.array([[1, -1], [-1, 1]])
    for sign in (1, -1):  # a saddle is taken for the minimum that it mirrors
        modes = normal_modes(sign * hessian, masses, rigid_motions([[0, 0, 0], [1, 0, 0]], masses))
        expected = np.sqrt(units.kB * 300 / k) * 0.75
        np.testing.assert_allclose(modes.amplitudes(300.0), [expected], rtol=1e-8)


def test_depolarization_is_zero_for_a_breathing_mode_and_three_quarters_for_a_traceless_one():
    """Atoms on springs to their places: the mean alone or the anisotropy alone, by choice of the slopes."""
    modes = normal_modes(np.eye(6), [1.0, 1.0])
    isotropic = np.zeros((2, 3, 3, 3))
    isotropic[0, ..., 0] = np.eye(3)
    traceless = np.zeros((2, 3, 3, 3))
    traceless[0, ..., 0] = np.diag([1.0, -1.0, 0.0])
    for slopes, expected in ((isotropic, 0.0), (traceless, 0.75)):
        activity, ratio = raman_activities(modes, slopes)
        assert ratio[activity > 0] == pytest.approx(expected, abs=1e-12)
        assert np.isnan(ratio[activity == 0]).all()


@pytest.mark.parametrize(
    ("name", "count"), [("H2O", 3), ("CO2", 4), ("H2", 1), ("CH3CH2OH", 21), ("C2H2", 7), ("O", 0)]
)
def test_number_of_vibrations_is_3n_minus_6_or_5(name, count):
    atoms = Atoms("O") if name == "O" else molecule(name)
    n = len(atoms)
    rigid = rigid_motions(atoms.positions, atoms.get_masses())
    spring = np.random.default_rng(0).normal(size=(3 * n, 3 * n))
    assert len(normal_modes(spring + spring.T, atoms.get_masses(), rigid)) == count


def test_displacements_are_orthonormal_under_the_masses():
    atoms = molecule("CH3CH2OH")
    spring = np.random.default_rng(1).normal(size=(27, 27))
    masses = atoms.get_masses()
    modes = normal_modes(spring + spring.T, masses, rigid_motions(atoms.positions, masses))
    u = modes.displacements
    np.testing.assert_allclose(np.einsum("i,kia,lia->kl", masses, u, u), np.eye(21), atol=1e-12)
    np.testing.assert_allclose(np.einsum("i,kia->ka", masses, u), 0, atol=1e-10)  # no translation


def test_frequencies_and_strengths_do_not_depend_on_the_frame(ethanol):
    found, turned = vibrations(ethanol), ethanol.copy()
    turned.rotate(73, [1, -2, 0.5])
    turned.translate([30, -10, 5])
    turned.calc = ethanol.calc
    again = vibrations(turned)
    np.testing.assert_allclose(again.frequencies, found.frequencies, atol=1e-6)
    np.testing.assert_allclose(again.infrared, found.infrared, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(again.raman, found.raman, rtol=1e-6, atol=1e-8)


# ---- borders


def test_periodic_structures_have_frequencies_but_no_dipole_and_say_why():
    atoms = NASTY["triclinic"]()
    atoms.calc = PaiNNCalculator(random_model(), dtype="float64")
    found = vibrations(atoms, fmax=1e6)
    assert found.frequencies.shape == (9,)
    assert found.infrared is None
    assert found.raman is None
    assert "Γ point" in found.table()


def test_a_model_without_polarizability_has_no_raman():
    atoms = molecule("H2O")
    atoms.calc = PaiNNCalculator(random_model(heads={"energy": {}, "dipole": {}}), dtype="float64")
    found = vibrations(atoms, fmax=1e6)
    assert found.raman is None
    assert found.infrared.shape == (3,)


def test_fixed_atoms_stay_where_they_are():
    """A molecule whose C-C-O frame is held: the block of the Hessian of the others, nothing projected."""
    atoms = molecule("CH3CH2OH")
    atoms.calc = PaiNNCalculator(random_model(), dtype="float64")
    hessian = atoms.calc.get_hessian(atoms)
    atoms.set_constraint(FixAtoms([0, 1, 2]))
    found = vibrations(atoms, fmax=1e6)
    np.testing.assert_array_equal(found.hessian, hessian[9:, 9:])
    assert found.frequencies.shape == (18,)
    assert np.abs(found.displacements(0)[:3]).max() == 0
    np.testing.assert_allclose(
        found.data.get_frequencies().real.max(), found.frequencies.max(), rtol=1e-6
    )  # ASE holds the same atoms


def test_unrelaxed_structures_and_other_calculators_are_refused_with_a_way_out():
    atoms = molecule("H2O")
    with pytest.raises(InputError, match="expected atoms with a PaiNNCalculator"):
        vibrations(atoms)
    atoms.calc = EMT()
    with pytest.raises(InputError, match=r"ase\.vibrations"):
        vibrations(atoms)
    atoms.calc = PaiNNCalculator(random_model(), dtype="float64")
    with pytest.raises(InputError, match="Relax it first"):
        vibrations(atoms)
    atoms.set_constraint(FixBondLength(0, 1))
    with pytest.raises(InputError, match="FixBondLength"):
        vibrations(atoms, fmax=1e6)
    atoms.set_constraint(FixAtoms([0, 1, 2]))
    with pytest.raises(InputError, match="every atom is fixed"):
        vibrations(atoms, fmax=1e6)


def test_hessians_of_the_wrong_shape_or_without_symmetry_are_refused():
    with pytest.raises(InputError, match=r"expected shape \(6, 6\)"):
        normal_modes(np.eye(5), [1.0, 1.0])
    with pytest.raises(InputError, match="symmetric"):
        normal_modes(np.arange(36.0).reshape(6, 6), [1.0, 1.0])
    with pytest.raises(InputError, match="symmetric"):
        normal_modes(np.full((6, 6), np.nan), [1.0, 1.0])
    with pytest.raises(InputError, match="positive"):
        normal_modes(np.eye(6), [1.0, -1.0])
    modes = normal_modes(np.eye(6), [1.0, 1.0])
    with pytest.raises(InputError, match="born_effective_charges"):
        infrared_intensities(modes, np.zeros((3, 3, 3)))
