"""The ensembles are right: conserved quantities, mean kinetic energies, pressure."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.constraints import FixAtoms
from springs import cluster, crystal

from painn_ase.simulate import MTK, Bussi, Langevin, NoseHooverChain, run_md
from painn_ase.simulate.run.averages import mean_and_error


def copper(repeat: int = 2) -> Atoms:
    atoms = bulk("Cu", cubic=True) * (repeat, repeat, repeat)
    atoms.calc = EMT()
    return atoms


def test_nve_conserves_energy_and_momenta(tmp_path):
    atoms = cluster()
    run = run_md(atoms, ensemble="nve", timestep=0.5, steps=2000, record="velocities", path=tmp_path / "nve")
    # Verlet's energy error oscillates without trend; the bound is that of the project for a network, 0.1.
    assert abs(run.summary["energy_drift"]) < 0.1
    _, energies = run.observables("total_energy")
    assert np.ptp(energies) < 0.02 * run.observables("kinetic_energy")[1].mean()
    _, velocities = run.observables("velocities")
    momenta = atoms.get_masses()[:, None] * velocities
    # 2000 steps of round-off, each some 1e-16 of the momenta
    assert np.abs(momenta.sum(axis=1)).max() < 1e-12 * np.abs(momenta[0]).sum()
    assert np.linalg.norm(atoms.get_angular_momentum()) < 1e-9


def test_shadow_energy_error_falls_with_the_square_of_the_timestep(tmp_path):
    """A wrong unit or a wrong time axis would break second order."""
    swing = []
    for timestep in (1.0, 0.5):
        run = run_md(
            cluster(), ensemble="nve", timestep=timestep, steps=int(300 / timestep), path=tmp_path / f"{timestep}"
        )
        swing.append(np.std(run.observables("total_energy")[1]))
    assert 3.5 < swing[0] / swing[1] < 4.5


@pytest.mark.parametrize(
    ("thermostat", "freedom"),
    [(Langevin(friction=0.05), 15), (Bussi(time=20), 12), (NoseHooverChain(time=15), 12)],
    ids=["langevin", "bussi", "nose-hoover"],
)
def test_thermostat_gives_the_mean_kinetic_energy_of_its_degrees_of_freedom(tmp_path, thermostat, freedom):
    """N = 6: counting three momenta too many would be wrong by 20 % or more, and the error bar is far below."""
    run = run_md(
        cluster(), temperature=400, timestep=1.0, steps=4000, thermostat=thermostat, path=tmp_path / "nvt", seed=3
    )
    assert run.metadata["degrees_of_freedom"] == freedom
    mean, error = run.summary["temperature"], run.summary["temperature_error"]
    assert error < 0.06 * 400
    assert abs(mean - 400) < 4 * error  # four standard errors: 1 in 16,000 by chance, and the seed is fixed


@pytest.mark.slow
@pytest.mark.parametrize("make", [cluster, crystal], ids=["molecule", "solid"])
@pytest.mark.parametrize(
    "thermostat",
    [Langevin(friction=0.05), Bussi(time=20), NoseHooverChain(time=15)],
    ids=["langevin", "bussi", "nose-hoover"],
)
def test_thermostat_samples_the_canonical_distribution_of_the_kinetic_energy(tmp_path, thermostat, make):
    """Var(K) = f (kT)²/2: a Berendsen-like thermostat would have the mean right and fail here."""
    steps, timestep = (50_000, 1.0) if make is cluster else (30_000, 3.0)
    run = run_md(make(), timestep=timestep, steps=steps, thermostat=thermostat, path=tmp_path / "v")
    temperature = run.observables("temperature")[1][steps // 10 :]
    mean, error = mean_and_error(temperature)
    assert error < 0.03 * 300  # one degree of freedom too many would be 8 or 11 %
    assert abs(mean - 300) < 4 * error
    expected = 300 * np.sqrt(2 / run.metadata["degrees_of_freedom"])
    assert abs(temperature.std() - expected) < 0.15 * expected


@pytest.mark.parametrize("thermostat", ["bussi", "nose-hoover"])
def test_thermostats_with_a_conserved_energy_conserve_it(tmp_path, thermostat):
    run = run_md(cluster(), timestep=0.5, steps=2000, thermostat=thermostat, path=tmp_path / "nvt")
    swing = np.ptp(run.observables("total_energy")[1])
    assert np.ptp(run.observables("conserved_energy")[1]) < 0.1 * swing
    assert abs(run.summary["energy_drift"]) < 1.0  # 1 ps: the oscillation of the Verlet error leaves a slope


@pytest.mark.parametrize("cell", ["isotropic", "full", (False, False, True)], ids=["isotropic", "full", "axis"])
def test_npt_conserves_its_extended_energy_and_moves_only_the_cell_it_may(tmp_path, cell):
    atoms = copper(1)
    before = atoms.cell.array.copy()
    bath = MTK(pressure=0.5, cell=cell, pressure_time=200)
    run = run_md(atoms, ensemble="npt", timestep=2.0, steps=300, barostat=bath, path=tmp_path / "npt")
    conserved = run.observables("conserved_energy")[1]
    assert np.ptp(conserved) < 0.02 * np.ptp(run.observables("total_energy")[1])
    assert run.observables("volume")[1].std() > 0
    change = atoms.cell.array - before
    if cell == "isotropic":
        assert change == pytest.approx(before * change[0, 0] / before[0, 0], abs=1e-12)
    elif cell != "full":
        assert np.abs(change[:2]).max() == 0
        assert abs(change[2, 2]) > 0


@pytest.mark.slow
def test_npt_reaches_the_temperature_and_pressure_asked_for(tmp_path):
    bath = MTK(pressure=2.0, pressure_time=200)
    run = run_md(crystal(), ensemble="npt", timestep=4.0, steps=20_000, barostat=bath, path=tmp_path / "npt", seed=1)
    for name, target, enough in (("temperature", 300, 9), ("pressure", 2.0, 0.3)):
        mean, error = mean_and_error(run.observables(name)[1][1000:])
        assert error < enough
        assert abs(mean - target) < 4 * error


def test_langevin_holds_the_centre_of_mass_and_lets_the_molecule_turn(tmp_path):
    atoms = cluster()
    centre = atoms.get_center_of_mass()
    run_md(atoms, timestep=1.0, steps=500, thermostat=Langevin(friction=0.05), path=tmp_path / "nvt")
    assert atoms.get_center_of_mass() == pytest.approx(centre, abs=1e-10)
    assert np.linalg.norm(atoms.get_angular_momentum()) > 0.1
    assert atoms.constraints == []


def test_fixed_atoms_stay_and_are_not_counted(tmp_path):
    atoms = copper(1)
    atoms.set_constraint(FixAtoms([0]))
    before = atoms.positions[0].copy()
    run = run_md(atoms, timestep=2.0, steps=50, path=tmp_path / "nvt")
    assert run.metadata["degrees_of_freedom"] == 9
    assert (atoms.positions[0] == before).all()
    assert len(atoms.constraints) == 1


@pytest.mark.parametrize(
    ("atoms", "freedom"),
    [
        (Atoms("N2", [[0, 0, 0], [0, 0, 1.1]]), 1),
        (Atoms("H2O", [[0.8, 0.6, 0], [-0.8, 0.6, 0], [0, 0, 0]]), 3),
        (Atoms("CO2", [[0, 0, 0], [1.1, 0, 0], [-1.1, 0, 0]]), 3),  # it bends
        (Atoms("N2", [[0, 0, 0], [0, 0, 1.1]], cell=[9, 9, 9], pbc=True), 3),
    ],
    ids=["diatomic", "bent", "linear", "periodic"],
)
def test_rigid_motions_are_removed_and_not_counted(tmp_path, atoms, freedom):
    atoms = atoms.copy()
    atoms.calc = EMT()
    run = run_md(atoms, ensemble="nve", timestep=0.2, steps=5, path=tmp_path / "nve")
    assert run.metadata["degrees_of_freedom"] == freedom
    assert atoms.get_momenta().sum(axis=0) == pytest.approx(0, abs=1e-10)
    if not atoms.pbc.any():
        assert atoms.get_angular_momentum() == pytest.approx(0, abs=1e-10)
