"""Labels of Kohn-Sham theory are derivatives of its energy, and those of the bundled data."""

from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from ase.units import Bohr, Hartree

from painn_ase.cli import main
from painn_ase.errors import NotConverged
from painn_ase.reference import KohnShamCalculator, Level, label
from painn_ase.reference.gradient import gradient
from painn_ase.reference.journal import stored
from painn_ase.reference.kohn_sham import compute, converge, self_consistent_field
from painn_ase.reference.response import polarizability

pytest.importorskip("pyscf")

ETHANOL = Path(__file__).parents[2] / "models" / "ethanol" / "data"
TIGHT = {"scf_tolerance": 1e-11, "response_tolerance": 1e-9}


@pytest.mark.slow
def test_the_bundled_data_are_reproduced(tmp_path, monkeypatch):
    """Three frames, labelled before this code existed, through the command line."""
    monkeypatch.chdir(tmp_path)
    indices = (0, 7, 33)
    given = [ase.io.read(ETHANOL / "test.extxyz", index) for index in indices]
    ase.io.write("given.xyz", given, format="extxyz")
    words = (
        "label given.xyz --level PBE0/def2-SVPD --properties energy forces dipole polarizability --output out.extxyz"
    )
    assert main(words.split()) == 0
    for new, old in zip(ase.io.read("out.extxyz", ":"), given, strict=True):
        assert abs(new.get_potential_energy() - old.get_potential_energy()) < 1e-5
        assert np.abs(new.get_forces() - old.get_forces()).max() < 1e-4
        assert np.abs(new.get_dipole_moment() - old.get_dipole_moment()).max() < 1e-5
        assert np.abs(stored(new, "polarizability") - stored(old, "polarizability")).max() < 1e-3
        assert new.info["source"] == old.info["source"]


def test_two_processes_label_with_a_level(tmp_path):
    """PySCF keeps a file without a name in the folder of temporary files, which is none that processes share."""
    frames = [amide(charge) for charge in (-1, 0, -1)]
    frames[2].rattle(0.01, seed=0)
    outcome = label(frames, Level("pbe0", "6-31g"), tmp_path / "out.extxyz", properties=["energy"], processes=2)
    assert outcome.computed == 3
    assert not outcome.failed


def test_polarizabilities_survive_a_resume_whether_or_not_ase_knows_the_property(tmp_path):
    """A calculator of ours tells ASE of the property, and its reader then puts it elsewhere."""
    from painn_ase.ase_outputs import register_properties

    by, path = Level("pbe0", "6-31g", compact_basis=True), tmp_path / "out.extxyz"
    label([amide(-1)], by, path, properties=["energy", "polarizability"])
    register_properties()
    content = path.read_bytes()
    assert label([amide(-1)], by, path, properties=["energy", "polarizability"]).computed == 0
    assert path.read_bytes() == content


def amide(charge):
    """NH2 or its anion: open and closed shell, neither degenerate."""
    atoms = molecule("NH2")
    atoms.rotate(40, (1, 2, 3))
    atoms.translate([0.1, 0.2, 0.3])
    atoms.info["charge"] = charge
    return atoms


def with_field(atoms, level, field):
    """Dipole (3,) in e·Å in a static field (3,) in atomic units: an independent way to polarizabilities."""
    scf = self_consistent_field(atoms, level)
    core = scf.get_hcore() + np.einsum("x,xpq->pq", field, scf.mol.intor("int1e_r"))
    scf.get_hcore = lambda *arguments: core
    scf.kernel()
    density = scf.make_rdm1()
    density = density if density.ndim == 2 else density.sum(axis=0)
    return -np.einsum("xpq,qp->x", scf.mol.intor("int1e_r"), density) * Bohr


@pytest.mark.parametrize("charge", [0, -1], ids=["open shell", "closed shell"])
def test_polarizability_is_the_response_of_the_dipole_to_a_field(charge):
    """Both spin cases; the response kernel on the grid of the ground state, so that the two ways agree."""
    level = Level("pbe0", "6-31g", response_grid=3, compact_basis=True, **TIGHT)
    atoms, strength, direction = amide(charge), 2e-3, np.array([0.6, -0.48, 0.64])  # every element of α takes part
    alpha = compute(atoms, level, ["polarizability"])["polarizability"]
    field = strength * direction
    slope = (with_field(atoms, level, field) - with_field(atoms, level, -field)) / (2 * strength)
    assert np.abs(slope * Bohr**2 - alpha @ direction).max() < 1e-3 * np.abs(alpha).max()  # hyperpolarizability E²
    np.testing.assert_allclose(alpha, alpha.T, atol=1e-5 * np.abs(alpha).max())


def test_forces_are_minus_the_energys_gradient():
    level = Level("hf", "6-31g", **TIGHT)  # no grid, whose missing response would show as 1 meV/Å
    atoms = amide(0)
    forces = compute(atoms, level, ["forces"])["forces"]
    for axis in range(3):
        slopes = []
        for step in (0.005, 0.01):
            energies = []
            for by in (-step, step):
                moved = atoms.copy()
                moved.positions[1, axis] += by
                energies.append(compute(moved, level, ["energy"])["energy"])
            slopes.append((energies[0] - energies[1]) / (2 * step))
        fourth_order = (4 * slopes[0] - slopes[1]) / 3
        assert fourth_order == pytest.approx(forces[1, axis], abs=5e-6)  # rounding of 1.5 keV over 0.01 Å


@pytest.mark.parametrize(
    ("charge", "functional"), [(0, "pbe0"), (-1, "pbe0"), (-1, "pbe"), (0, "wb97x"), (-1, "m06-2x")]
)
def test_the_gradient_over_orbitals_is_pyscfs_over_matrices(charge, functional):
    """Open and closed shells; with and without exact exchange; the two kinds of functionals that are PySCF's alone."""
    level = Level(functional, "6-31g", grid=1)
    scf = self_consistent_field(amide(charge), level)
    converge(scf, level)
    assert np.abs(gradient(scf) - scf.nuc_grad_method().kernel()).max() < 1e-10  # Hartree/Bohr


@pytest.mark.parametrize("charge", [0, -1], ids=["open shell", "closed shell"])
def test_kept_values_and_a_coarse_start_change_no_converged_field(charge, monkeypatch):
    """Against PySCF's own integration and iteration from the beginning on the fine grid."""
    from pyscf.dft.numint import NumInt

    from painn_ase.reference import grid_values

    level = Level("pbe0", "6-31g", grid=2, **TIGHT)
    fields = [self_consistent_field(amide(charge), level) for _ in range(3)]
    fields[1]._numint = NumInt()
    energies = [converge(fields[0], level), fields[1].kernel()]
    monkeypatch.setattr(grid_values, "_MEMORY", 0)  # nothing may be kept
    energies.append(converge(fields[2], level))
    assert np.ptp(energies) < 1e-9  # Hartree
    for other in fields[1:]:
        assert np.abs(fields[0].make_rdm1() - other.make_rdm1()).max() < 1e-6


def test_dipoles_of_molecules_ignore_where_they_are_and_those_of_ions_refer_to_the_centre_of_mass():
    level = Level("hf", "6-31g")
    for charge in (0, -1):
        here, there = amide(charge), amide(charge)
        there.positions += [3.0, -2.0, 1.0]
        first, second = (compute(a, level, ["dipole"])["dipole"] for a in (here, there))
        assert np.abs(first - second).max() < 1e-5  # convergence of the density


def test_water_has_its_polarizability_and_a_basis_without_diffuse_functions_has_not():
    """1.41 Å³ in def2-SVPD, 0.78 in def2-SVP; experiment 1.45 (Murphy, J. Chem. Phys. 67, 5831 (1977))."""
    for basis, expected in (("def2-svpd", 1.41), ("def2-svp", 0.78)):
        alpha = compute(molecule("H2O"), Level("pbe0", basis), ["polarizability"])["polarizability"]
        assert np.trace(alpha) / 3 == pytest.approx(expected, abs=0.01)


def test_a_field_that_does_not_converge_is_an_error_not_a_label(monkeypatch):
    from painn_ase.reference import kohn_sham

    monkeypatch.setattr(kohn_sham, "MAX_CYCLES", 1)
    with pytest.raises(NotConverged, match="did not converge in 1 cycles"):
        compute(amide(0), Level("pbe0", "6-31g"), ["energy"])


def test_heavy_elements_get_their_effective_core():
    """The dipole counts the cores that def2 leaves out: HI has 0.09 e·Å, not 28 electrons' worth more."""
    atoms = Atoms("IH", [[0, 0, 0], [0, 0, 1.609]])
    assert 0.05 < np.linalg.norm(compute(atoms, Level("pbe0", "def2-svp"), ["dipole"])["dipole"]) < 0.2


def test_the_calculator_gives_what_labels_hold_whatever_came_before():
    atoms, fresh = amide(-1), amide(-1)
    atoms.calc = KohnShamCalculator(Level("pbe0", "6-31g", **TIGHT))
    atoms.get_potential_energy()
    for moved in (atoms, fresh):
        moved.positions[1] += 0.02
    expected = compute(fresh, atoms.calc.level, ["energy", "forces"])
    assert atoms.get_potential_energy() == pytest.approx(expected["energy"], abs=1e-9 * Hartree)
    assert np.abs(atoms.get_forces() - expected["forces"]).max() < 1e-5  # eV/Å; density converged to about 1e-6


@pytest.mark.parametrize(
    ("charge", "functional"), [(0, "pbe0"), (-1, "pbe0"), (0, "hf"), (-1, "pbe"), (-1, "m06-2x"), (-1, "wb97x")]
)
def test_polarizabilities_from_integrals_over_orbitals_are_those_from_the_basis(charge, functional):
    """Open and closed shells; hybrid, no functional, no exchange, meta-GGA; with long-range exchange by the old way."""
    level = Level(functional, "6-31g", compact_basis=True)
    scf = self_consistent_field(amide(charge), level)
    scf.kernel()
    fast, slow = (polarizability(scf, level, in_orbitals=way) for way in (True, False))
    assert np.abs(fast - slow).max() < 1e-10  # Å³


@pytest.mark.parametrize(("functional", "share"), [("pbe0", 0.01), ("hf", 1.0)])
def test_the_error_of_a_polarizability_is_the_square_of_that_of_its_equations(functional, share):
    """Residuals up to 1 % leave less than the tolerance of 1e-4: Hylleraas's functional is stationary."""
    scf = self_consistent_field(amide(0), Level(functional, "6-31g", compact_basis=True))
    scf.kernel()
    rough, fine = (polarizability(scf, Level(functional, "6-31g", response_tolerance=t)) for t in (1e-4, 1e-9))
    assert 0 < np.abs(rough - fine).max() < share * 1e-4 * np.abs(fine).max()


def test_settings_are_the_coarsest_within_the_accuracy(tmp_path, monkeypatch):
    """Of trials in order; what an output was begun with is kept, and impossible accuracy gets the fine settings."""
    from painn_ase.reference import settings
    from painn_ase.reference.settings import FINE, settled, trials

    level, atoms = Level("pbe0", "sto-3g"), molecule("H2O")
    found = list(trials(atoms, level))
    assert [(t.grid, t.scf_tolerance) for t in found] == list(settings.COARSE_TO_FINE)
    assert found[0].largest > 10 * found[-1].largest
    assert "meV/Å on average" in str(found[0])
    monkeypatch.setattr(settings, "trials", lambda *_: iter(found))
    for trial in found:
        first = next(t for t in found if t.largest <= trial.largest)
        chosen = settled(atoms, level, trial.largest)
        assert (chosen.grid, chosen.scf_tolerance) == (first.grid, first.scf_tolerance)
    chosen = settled(atoms, level, 1e-12)
    assert (chosen.grid, chosen.scf_tolerance) == FINE
    output = tmp_path / "out.extxyz"
    label([atoms], settled(atoms, level, 1.0), output)
    assert settled(atoms, level, 1e-12, output) == settled(atoms, level, 1.0)
    assert settled(atoms, Level("pbe", "sto-3g"), 1e-12, output).grid == FINE[0]  # another level
