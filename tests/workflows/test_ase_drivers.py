"""ASE's own tools run unmodified on the bundled model and on a periodic one."""

import threading
import uuid

import numpy as np
import pytest
from ase import units
from ase.build import bulk, molecule
from ase.calculators.socketio import SocketClient, SocketIOCalculator
from ase.filters import FrechetCellFilter
from ase.md.langevin import Langevin
from ase.md.velocitydistribution import thermalize_momenta
from ase.md.verlet import VelocityVerlet
from ase.mep import NEB
from ase.optimize import BFGS, FIRE
from ase.phonons import Phonons
from ase.vibrations import Infrared, Vibrations
from ase.vibrations.placzek import PlaczekStatic
from ase.vibrations.raman import StaticRamanCalculator

from painn_ase import PaiNNCalculator
from painn_ase.structures import read_structure

from helpers.random_models import random_model


@pytest.fixture(scope="module")
def calculator():
    return PaiNNCalculator("ethanol", dtype="float64")


@pytest.fixture
def ethanol(calculator):
    atoms = read_structure("ethanol")
    atoms.calc = calculator
    return atoms


def test_verlet_conserves_momentum_and_its_energy_error_is_of_second_order(ethanol):
    rng = np.random.default_rng(0)
    thermalize_momenta(ethanol, temperature_K=300, rng=rng)
    fluctuations = []
    for timestep, steps in ((0.5, 200), (0.25, 400)):
        atoms = ethanol.copy()
        atoms.calc = ethanol.calc
        momentum = atoms.get_momenta().sum(0)
        with VelocityVerlet(atoms, timestep * units.fs) as md:
            fluctuations.append(np.std([atoms.get_total_energy() for _ in md.irun(steps)]))
        np.testing.assert_allclose(atoms.get_momenta().sum(0), momentum, atol=1e-10)
    # the energy oscillates with an amplitude proportional to the square of the step: forces are exact derivatives
    assert fluctuations[0] / fluctuations[1] == pytest.approx(4, rel=0.1)


def test_langevin_runs(ethanol):
    with Langevin(
        ethanol, 0.5 * units.fs, temperature_K=300, friction=0.01 / units.fs, rng=np.random.default_rng(1), fixcm=False
    ) as md:
        md.run(50)
    assert 0 < ethanol.get_temperature() < 1500


@pytest.mark.parametrize("optimizer", [FIRE, BFGS])
def test_optimizers_find_the_minimum(ethanol, optimizer):
    ethanol.rattle(0.05, seed=3)
    with optimizer(ethanol, logfile=None) as driver:
        assert driver.run(fmax=0.01, steps=300)


def test_cell_filter_relaxes_a_crystal():
    """A random model with short cutoffs has some minimum; the filter must walk downhill in the cell as well."""
    atoms = bulk("Si", "diamond", 5.4)
    atoms.calc = PaiNNCalculator(random_model(cutoff=3.0), dtype="float64")
    start, stress = atoms.get_potential_energy(), np.abs(atoms.get_stress()).max()
    with FIRE(FrechetCellFilter(atoms), logfile=None) as driver:
        driver.run(fmax=1e-3, steps=25)
    assert atoms.get_potential_energy() < start
    assert np.abs(atoms.get_stress()).max() < stress


def test_infrared_and_raman_of_ase(ethanol, tmp_path, capsys):
    infrared = Infrared(ethanol, name=str(tmp_path / "ir"))
    infrared.run()
    infrared.summary()
    frequencies = infrared.get_frequencies()
    assert (np.abs(frequencies[:6]) < 40).all()  # translations and rotations
    assert (frequencies[6:].imag == 0).all()
    assert 3500 < frequencies[-1].real < 4200  # O-H stretch
    assert infrared.intensities[6:].max() > 0.5  # D²/amu/Å²

    calc = ethanol.calc
    raman = StaticRamanCalculator(ethanol, lambda: calc.get_polarizability, name=str(tmp_path / "raman"))
    raman.run()
    placzek = PlaczekStatic(ethanol, name=str(tmp_path / "raman"))
    activities = placzek.get_absolute_intensities()
    assert activities[6:].max() > 10  # Å⁴/amu: C-H stretches are strong in Raman
    capsys.readouterr()


def test_vibrations_agree_between_float32_and_float64(ethanol, tmp_path):
    exact = Vibrations(ethanol, name=str(tmp_path / "64"))
    exact.run()
    ethanol.calc = PaiNNCalculator("ethanol", dtype="float32")
    fast = Vibrations(ethanol, name=str(tmp_path / "32"))
    fast.run()
    # forces of float32 carry 1e-5 eV/Å of noise, over 0.02 Å displacements: cm⁻¹ at the stiff modes
    np.testing.assert_allclose(fast.get_frequencies()[6:].real, exact.get_frequencies()[6:].real, atol=5)


def test_phonons_of_ase_are_the_modes_of_the_supercell(tmp_path):
    """At wave vectors that fit into it: 3 q-points x 6 branches are its 18 modes, here from the exact Hessian."""
    crystal, cells = bulk("Si", "diamond", 5.45), 3
    # an ε that keeps the energy smooth where a site's symmetry makes vectors vanish, see docs/architecture.md
    calc = PaiNNCalculator(random_model(cutoff=4.0, heads={"energy": {}}, epsilon=0.1), dtype="float64")
    phonons = Phonons(crystal, calc, supercell=(cells, 1, 1), delta=0.002, name=str(tmp_path / "phonons"))
    phonons.run()
    phonons.read(acoustic=False, symmetrize=0)
    found = phonons.band_structure(np.array([[k / cells, 0, 0] for k in range(cells)]), verbose=False)

    supercell = crystal.repeat((cells, 1, 1))
    supercell.calc = calc
    squares = np.linalg.eigvalsh(calc.get_hessian(supercell) / supercell.get_masses()[0])  # eV/Å²/amu
    energies = np.sign(squares) * np.sqrt(np.abs(squares)) * units._hbar * 1e10 / np.sqrt(units._e * units._amu)
    # differences over 0.002 Å; a root turns what is left of the acoustic zeros into less than 1e-3 of the others
    np.testing.assert_allclose(np.sort(found.ravel()), energies, atol=2e-3 * np.abs(energies).max())


def test_socket_client_of_ase_serves_the_calculator(ethanol):
    """ASE's client has our calculator, ASE's server asks it: so could any driver that speaks the protocol."""
    name, mirror = f"painn_ase_test_{uuid.uuid4().hex[:12]}", ethanol.copy()
    mirror.cell = np.eye(3) * 20  # the protocol sends a cell
    served = mirror.copy()
    served.calc = ethanol.calc.clone()

    def serve():
        SocketClient(unixsocket=name).run(served)

    client = threading.Thread(target=serve)
    with SocketIOCalculator(unixsocket=name, timeout=20) as server:
        client.start()  # the server listens since it was made
        mirror.calc = server
        for seed in range(3):
            mirror.rattle(0.02, seed=seed)
            energy, forces = mirror.get_potential_energy(), mirror.get_forces()
            assert energy == pytest.approx(ethanol.calc.get_property("energy", mirror), abs=1e-8)
            np.testing.assert_allclose(forces, ethanol.calc.get_property("forces", mirror), atol=1e-8)
    client.join(timeout=20)
    assert not client.is_alive()


@pytest.mark.filterwarnings("ignore::painn_ase.coverage.CoverageWarning")  # the straight path shortens O-H
def test_neb_with_clones_and_with_one_shared_calculator(calculator):
    first = read_structure("ethanol")
    last = first.copy()
    last.set_dihedral(0, 1, 2, 3, 60, indices=[3])
    energies = []
    for shared in (False, True):
        images = [first.copy() for _ in range(4)] + [last.copy()]
        for image in images:
            image.calc = calculator if shared else calculator.clone()
        neb = NEB(images, allow_shared_calculator=shared, method="improvedtangent")
        neb.interpolate()
        forces = neb.get_forces()
        assert np.isfinite(forces).all()
        energies.append([image.get_potential_energy() for image in images])
    np.testing.assert_allclose(energies[0], energies[1], atol=1e-9)


def test_conformers_of_ethanol_have_chemical_energies(calculator):
    """Anti and gauche ethanol are within a few kJ/mol of each other, and both are minima."""
    anti = molecule("CH3CH2OH")
    gauche = anti.copy()
    gauche.set_dihedral(0, 1, 2, 3, 62, indices=[3])
    found = []
    for atoms in (anti, gauche):
        atoms.calc = calculator
        with BFGS(atoms, logfile=None) as driver:
            assert driver.run(fmax=0.005, steps=200)
        found.append((atoms.get_dihedral(0, 1, 2, 3), atoms.get_potential_energy()))
    assert abs(found[0][0] - 180) < 10
    assert 50 < found[1][0] < 80
    assert abs(found[0][1] - found[1][1]) < 0.05  # eV
