"""The ensembles are right: conserved quantities, mean kinetic energies, pressure."""

from itertools import pairwise

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.emt import EMT
from ase.constraints import (
    ExternalForce,
    FixAtoms,
    FixBondLengths,
    FixCartesian,
    FixCom,
    FixedLine,
    FixedMode,
    FixedPlane,
    FixInternals,
    FixSubsetCom,
    FixSymmetry,
    Hookean,
)
from ase.units import GPa, fs, kB

from painn_ase.errors import InputError
from painn_ase.simulate import MTK, Bussi, Langevin, NoseHooverChain, run_md
from painn_ase.simulate.md import momenta
from painn_ase.simulate.md.coupling import Conditions
from painn_ase.simulate.run.averages import estimate
from painn_ase.simulate.run.guards import GuardWarning
from painn_ase.spectra import rigid_motions

from helpers.springs import cluster, crystal


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
    mean, error, _ = estimate(temperature)
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
        mean, error, _ = estimate(run.observables(name)[1][1000:])
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


def test_steps_too_long_for_the_fastest_vibration_are_objected_to(tmp_path):
    """Where the error of a step is a third of the thermal scatter; at 1 fs not a word."""
    run_md(cluster(), ensemble="nve", timestep=1.0, steps=300, path=tmp_path / "short")
    light = cluster()
    light.set_masses(np.full(6, 10.0))
    with pytest.warns(GuardWarning, match="steps of 10 fs are too long"):
        run_md(light, ensemble="nve", timestep=10.0, steps=300, path=tmp_path / "long")


# ---- all momenta: those of the atoms, the cell and the chains


def momenta_of(bath, atoms, steps, timestep, temperature, seed):
    """2⟨K⟩/kT of the atoms, the cell and every link of the chains, by what each should be."""
    rng = np.random.default_rng(seed)
    freedom = momenta.prepare(atoms, temperature, rng, bath.keeps_angular_momentum)
    driver = bath.driver(atoms, Conditions(temperature, timestep, freedom.count, rng))
    rows = []
    for _ in range(steps):
        driver.step()
        row = [2 * atoms.get_kinetic_energy() / freedom.count, *driver._thermostat._p_eta**2 / driver._thermostat._Q]
        if isinstance(bath, MTK):
            of_the_cell = {"isotropic": "_p_eps", "full": "_p_g"}.get(str(bath.cell), "_p_c")
            barostat = driver._barostat
            cell = np.sum(np.square(getattr(driver, of_the_cell))) / barostat.W
            row += [cell / CELL_FREEDOM[str(bath.cell)], *barostat._p_xi**2 / barostat._R]
        rows.append(row)
    return np.mean(rows[steps // 10 :], axis=0) / (kB * temperature)


CELL_FREEDOM = {"isotropic": 1, "full": 6, "(False, False, True)": 1, "(True, False, True)": 2, "(True, True, True)": 3}


def test_a_full_cell_has_six_momenta():
    """ASE's chain drives nine of them: 1.5 in the place of 1."""
    found = momenta_of(MTK(cell="full", time=30, pressure_time=150), crystal(), 1500, 4.0, 300.0, 0)
    names = ("atoms", "links", "links", "links", "cell")
    for name, value in zip(names, found, strict=False):
        assert value == pytest.approx(1, abs=0.25), name


@pytest.mark.slow
@pytest.mark.parametrize("cell", ["isotropic", "full", (False, False, True), (True, False, True), (True, True, True)])
def test_every_momentum_of_a_cell_at_constant_pressure_has_its_share(cell):
    bath = MTK(cell=cell, time=30, pressure_time=150)
    found = np.array([momenta_of(bath, crystal(), 7000, 4.0, 300.0, seed) for seed in range(3)])
    mean, error = found.mean(axis=0), found.std(axis=0, ddof=1) / np.sqrt(3)
    # a cell with one degree of freedom, and the links of its chain, remember for picoseconds
    assert (np.abs(mean - 1) < np.maximum(5 * error, 0.05)).all()
    assert np.abs(mean[0] - 1) < 0.03
    assert np.abs(mean - 1).max() < 0.3


@pytest.mark.slow
@pytest.mark.parametrize("make", [cluster, crystal], ids=["molecule", "solid"])
def test_every_momentum_of_a_chain_has_its_share(make):
    found = np.array([momenta_of(NoseHooverChain(time=15), make(), 10_000, 1.0, 300.0, seed) for seed in range(3)])
    assert np.abs(found.mean(axis=0) - 1).max() < 0.08


class Nothing(Calculator):
    """An ideal gas."""

    implemented_properties = ["energy", "free_energy", "forces", "stress"]  # noqa: RUF012

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        self.results = {"energy": 0.0, "free_energy": 0.0, "forces": np.zeros((len(atoms), 3)), "stress": np.zeros(6)}


def half_period(read, driver, timestep):
    """fs between the first two moments at which what `read` gives crosses zero."""
    values = []
    while sum(a * b < 0 for a, b in pairwise(values)) < 2:
        driver.step()
        values.append(read())
        assert len(values) < 5000
    crossings = [k for k, (a, b) in enumerate(pairwise(values)) if a * b < 0]
    return (crossings[1] - crossings[0]) * timestep


def test_times_of_chain_and_barostat_are_what_their_pages_say():
    """The temperature of a gas: 2πτ/√2; a volume: 2πτ_p √((N + 1) kT/3BV)."""
    target = 20 * 3 * kB * 300 / 2
    gas = Atoms("Ar20", np.random.default_rng(0).uniform(0, 20, (20, 3)), cell=[20, 20, 20], pbc=True)
    gas.calc = Nothing()
    gas.set_momenta(np.random.default_rng(1).normal(size=(20, 3)))
    gas.set_momenta(gas.get_momenta() * np.sqrt(1.05 * target / gas.get_kinetic_energy()))
    driver = NoseHooverChain(time=100, length=1).driver(gas, Conditions(300, 2.0, 60, np.random.default_rng(0)))
    assert half_period(lambda: gas.get_kinetic_energy() - target, driver, 2.0) == pytest.approx(222, rel=0.03)

    atoms = crystal()
    volume, bulk_modulus = atoms.get_volume(), 118 * GPa
    atoms.set_momenta(np.zeros((4, 3)))
    driver = MTK(time=1e5, pressure_time=2000).driver(atoms, Conditions(300, 1.0, 9, np.random.default_rng(0)))
    driver._p_eps = 1e-3 * driver._barostat.W / (100 * fs)
    expected = np.pi * 2000 * np.sqrt(5 * kB * 300 / (3 * bulk_modulus * volume))
    found = half_period(lambda: driver._eps, driver, 1.0)
    assert found == pytest.approx(expected, rel=0.05)


# ---- what a driver would integrate wrongly


def test_fixed_vectors_stay_fixed_or_are_refused(tmp_path):
    def npt(atoms, cell):
        bath = MTK(pressure=5.0, cell=cell, pressure_time=200)
        return run_md(
            atoms, ensemble="npt", steps=30, barostat=bath, timestep=2.0, path=tmp_path / "npt", overwrite=True
        )

    primitive = bulk("Cu") * (2, 2, 2)
    hexagonal = bulk("Mg", "hcp", a=3.2, c=5.2) * (2, 2, 1)
    for atoms in (primitive, hexagonal):
        atoms.calc = EMT() if atoms is primitive else Nothing()
    for atoms, cell in (
        (primitive, (False, False, True)),
        (primitive, (True, True, True)),
        (hexagonal, (True, False, True)),
    ):
        with pytest.raises(InputError, match=r"right angles.*Use cell='full' or 'isotropic'"):
            npt(atoms, cell)
    lengths = npt(hexagonal, (False, False, True)).observables("cell")[1]
    assert np.ptp(lengths[:, :2], axis=0).max() == 0
    assert np.ptp(lengths[:, 2, 2]) > 0


FOLLOWED = {
    "atoms": lambda a: FixAtoms([0]),
    "cartesian": lambda a: FixCartesian([0, 1], (True, False, True)),
    "line": lambda a: FixedLine(0, [1, 1, 0]),
    "plane": lambda a: FixedPlane([0, 1], [1, 2, 0]),
    "bond": lambda a: FixBondLengths([[0, 1], [2, 3]]),
    "centre": lambda a: FixCom(),
    "spring": lambda a: Hookean(0, 1, 5.0, 1.6),
}
NOT_FOLLOWED = {
    "force": lambda a: ExternalForce(0, 2, 0.5),
    "mode": lambda a: FixedMode(np.ones(3 * len(a))),
    "internals": lambda a: FixInternals(bonds=[[a.get_distance(0, 1), [0, 1]]]),
    "subset": lambda a: FixSubsetCom([0, 1]),
    "symmetry": lambda a: FixSymmetry.__new__(FixSymmetry),  # needs spglib to be made
}


@pytest.mark.parametrize("name", sorted(FOLLOWED))
def test_constraints_that_are_followed_keep_the_second_order_of_the_step(tmp_path, name):
    swing = []
    for timestep in (1.0, 0.5):
        atoms = cluster()
        atoms.set_constraint(FOLLOWED[name](atoms))
        run = run_md(atoms, ensemble="nve", timestep=timestep, steps=int(100 / timestep), path=tmp_path / f"{timestep}")
        swing.append(np.std(run.observables("total_energy")[1]))
        assert isinstance(run.metadata["degrees_of_freedom"], int)
    assert 3 < swing[0] / swing[1] < 5


@pytest.mark.parametrize("name", sorted(NOT_FOLLOWED))
@pytest.mark.parametrize("ensemble", ["nve", "bussi", "langevin", "nose-hoover"])
def test_constraints_that_no_driver_keeps_are_refused_with_a_sentence(tmp_path, name, ensemble):
    atoms = cluster()
    atoms.set_constraint(NOT_FOLLOWED[name](atoms))
    kind = {"ensemble": "nve"} if ensemble == "nve" else {"thermostat": ensemble}
    with pytest.raises(InputError, match=r"No driver here keeps it and conserves energy; remove it"):
        run_md(atoms, steps=5, path=tmp_path / "run", **kind)
    assert not list(tmp_path.iterdir())


def test_bussi_is_advised_only_for_constraints_it_follows(tmp_path):
    atoms = cluster()
    atoms.set_constraint(FOLLOWED["bond"](atoms))
    with pytest.raises(InputError, match="thermostat='bussi'"):
        run_md(atoms, steps=5, path=tmp_path / "run")
    run_md(atoms, steps=5, thermostat="bussi", path=tmp_path / "run")


@pytest.mark.parametrize("mass", [-1.0, 0.0, np.nan, np.inf])
def test_masses_that_are_none_are_refused(tmp_path, mass):
    atoms = cluster()
    masses = atoms.get_masses()
    masses[1] = mass
    atoms.set_masses(masses)
    with pytest.raises(InputError, match=r"masses: expected one positive number in amu per atom; got .*atom 1"):
        run_md(atoms, steps=5, path=tmp_path / "run")
    with pytest.raises(InputError, match="masses: expected one positive"):
        rigid_motions(atoms.positions, masses)
