"""Linear molecules: what moves is counted, from straight and from bent starts, in every kind of dynamics."""

import logging

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from ase.calculators.calculator import Calculator, all_changes
from ase.units import kB

from painn_ase import PaiNNCalculator, rigid
from painn_ase.errors import InputError
from painn_ase.simulate import Bussi, Langevin, NoseHooverChain, Protocol, run_md, simulate_spectra, spectra_of_run
from painn_ase.simulate.md import momenta
from painn_ase.simulate.md.coupling import Conditions
from painn_ase.simulate.md.driver import driven
from painn_ase.simulate.replicas.modes import Ring
from painn_ase.simulate.replicas.motion import Replicas
from painn_ase.simulate.replicas.thermostat import THERMOSTATS, Thermostat
from painn_ase.simulate.spectrum.analysis import Analysis
from painn_ase.spectra import infrared, infrared_intensities, normal_modes, rigid_motions

STRAIGHT = {
    "N2": molecule("N2"),
    "CO2": molecule("CO2"),
    "HCN": Atoms("CHN", [[0, 0, 0], [0, 0, -1.07], [0, 0, 1.15]]),
    "C2H2": molecule("C2H2"),
}


def straight(name, bend=0.0):
    atoms = STRAIGHT[name].copy()
    atoms.rotate(40, [1, 2, 3])
    atoms.translate([3.0, -2.0, 1.0])
    if bend:
        atoms.rattle(bend, seed=1)
    return atoms


class Rod:
    """E = ½ k Σ (r - r0)² + ½ κ |û + ŵ|² of a triatomic, its middle atom first; all copies at once."""

    memory = {}  # noqa: RUF012
    charges = np.array([0.6, -0.3, -0.3])

    def __init__(self, atoms, stretch=60.0, bend=4.0):
        x = atoms.positions
        self.lengths, self.stretch, self.bend = np.linalg.norm(x[1:] - x[0], axis=1), stretch, bend

    def __call__(self, positions, names, cells=None):
        arms = positions[:, 1:] - positions[:, :1]
        r = np.linalg.norm(arms, axis=2, keepdims=True)
        unit = arms / r
        long, sum_ = r - self.lengths[:, None], unit.sum(axis=1, keepdims=True)
        across = sum_ - unit * np.sum(unit * sum_, axis=2, keepdims=True)
        ends = -self.stretch * long * unit - self.bend * across / r
        energy = 0.5 * self.stretch * np.sum(long**2, axis=(1, 2)) + 0.5 * self.bend * np.sum(sum_**2, axis=(1, 2))
        return {"energy": energy, "forces": np.concatenate([-ends.sum(axis=1, keepdims=True), ends], axis=1)}


class RodCalculator(Calculator):
    implemented_properties = ["energy", "free_energy", "forces", "dipole"]  # noqa: RUF012

    def __init__(self, rod):
        super().__init__()
        self.rod = rod

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        found = self.rod(atoms.positions[None], ())
        energy = float(found["energy"][0])
        self.results = {"energy": energy, "free_energy": energy, "forces": found["forces"][0]}
        self.results["dipole"] = self.rod.charges @ atoms.positions


def rod(name="CO2", bend=0.0, **stiffness):
    atoms = straight(name, bend)
    atoms.calc = RodCalculator(Rod(straight(name), **stiffness))
    return atoms


# ---- counting


@pytest.mark.parametrize("bend", [0.0, 1e-7, 1e-4, 0.05])
@pytest.mark.parametrize(("name", "freedom"), [("N2", 1), ("CO2", 3), ("HCN", 3), ("C2H2", 6)])
def test_momenta_without_rotation_are_canonical_in_the_degrees_of_freedom_counted(name, freedom, bend):
    """⟨K⟩ = f kT/2 over many draws, and neither translation nor rotation in any of them."""
    atoms, kinetic = straight(name, bend), []
    for seed in range(300):
        atoms.set_momenta(np.zeros((len(atoms), 3)))
        found = momenta.prepare(atoms, 300.0, np.random.default_rng(seed), True)
        assert (found.count, found.turns, type(found.count)) == (freedom, False, int)
        kinetic.append(atoms.get_kinetic_energy() / (0.5 * kB * 300))
        assert np.abs(atoms.get_momenta().sum(axis=0)).max() < 1e-10
        assert np.abs(atoms.get_angular_momentum()).max() < 1e-6  # thermal ones are 1; 1e-7 where the bend is 1e-7 Å
    # the standard error of 300 draws is √(2f/300); one degree of freedom more is at least four of them away
    assert abs(np.mean(kinetic) - freedom) < 3.5 * np.sqrt(2 * freedom / 300)


@pytest.mark.parametrize("bend", [0.0, 0.05])
def test_as_many_momenta_are_counted_as_p_and_l_leave_independent_once_the_molecule_bends(tmp_path, bend):
    atoms = rod(bend=bend)
    run = run_md(atoms, steps=300, timestep=1.0, thermostat="bussi", path=tmp_path / "run")
    x, root = rigid.arms(atoms.positions, atoms.get_masses()), np.sqrt(atoms.get_masses())
    moves = np.concatenate([np.broadcast_to(np.eye(3)[:, None], (3, 3, 3)), np.cross(np.eye(3)[:, None], x[None])])
    rank = np.linalg.matrix_rank((moves * root[:, None]).reshape(6, 9), tol=1e-3)
    assert run.metadata["degrees_of_freedom"] == 9 - rank == 3
    assert np.abs(atoms.get_angular_momentum()).max() < 1e-9


def test_a_wire_of_atoms_in_a_line_does_not_turn_about_its_axis():
    atoms = Atoms("C4", [[0, 0, 1.3 * k] for k in range(4)], cell=[0, 0, 5.2], pbc=[False, False, True])
    found = momenta.prepare(atoms, 300.0, np.random.default_rng(0), True)
    assert found.count == 12 - 3 - 1
    atoms.rattle(0.1, seed=0)
    atoms.set_momenta(np.zeros((4, 3)))
    assert momenta.prepare(atoms, 300.0, np.random.default_rng(0), True).count == 8
    assert abs(atoms.get_angular_momentum()[2]) < 1e-12


def test_a_rotation_that_the_atoms_bring_is_kept_counted_and_said(caplog):
    atoms = straight("CO2")
    atoms.set_momenta(np.random.default_rng(0).normal(size=(3, 3)))
    with caplog.at_level(logging.WARNING):
        found = momenta.prepare(atoms, 300.0, np.random.default_rng(0), True)
    assert (found.count, found.turns) == (9, True)
    assert "an angular momentum" in caplog.text
    assert "a total momentum" in caplog.text


# ---- dynamics


def mean_kinetic(atoms, bath, steps, seed=0):
    """Degrees of freedom counted, and 2⟨K⟩/kT at 400 K."""
    rng = np.random.default_rng(seed)
    freedom = momenta.prepare(atoms, 400.0, rng, bath.keeps_angular_momentum)
    kinetic = np.empty(steps)
    with driven(atoms, freedom.hold_centre):
        driver = bath.driver(atoms, Conditions(400.0, 1.0, freedom.count, rng))
        for k in range(steps):
            driver.step()
            kinetic[k] = atoms.get_kinetic_energy()
    return freedom.count, kinetic[steps // 10 :].mean() / (0.5 * kB * 400)


def test_bussi_keeps_a_molecule_that_starts_straight_at_its_temperature():
    """Four degrees of freedom, as of the straight structure, would be 4/3 too hot."""
    count, kinetic = mean_kinetic(rod(), Bussi(time=10), 3000)
    assert count == 3
    assert abs(kinetic - 3) < 0.5


@pytest.mark.slow
@pytest.mark.parametrize("bend", [0.0, 0.05])
@pytest.mark.parametrize("name", ["CO2", "HCN"])
@pytest.mark.parametrize(
    ("bath", "freedom"), [(Bussi(time=10), 3), (NoseHooverChain(time=15), 3), (Langevin(friction=0.1), 6)]
)
def test_every_thermostat_gives_the_degrees_of_freedom_it_counts_their_heat(bath, freedom, name, bend):
    found = [mean_kinetic(rod(name, bend, stretch=20.0), bath, 6000, seed) for seed in range(3)]
    assert {count for count, _ in found} == {freedom}
    # three runs of 6 ps: the standard error of the mean is some 4 %, a degree of freedom too many 17 or 33 %
    assert abs(np.mean([kinetic for _, kinetic in found]) - freedom) < 0.13 * freedom


@pytest.mark.parametrize("bend", [0.0, 0.05])
@pytest.mark.parametrize("beads", [1, 4])
def test_ring_polymers_of_linear_molecules_have_the_temperature_of_all_their_modes(beads, bend):
    atoms = straight("CO2", bend)
    ring = Ring(beads, atoms.get_masses(), 400.0, 0.5)
    assert ring.freedom == 9 * beads - 3  # translation of the centroid alone: the bath turns the whole
    generators = [np.random.default_rng(k) for k in range(100)]
    polymers = Replicas(ring, Rod(straight("CO2")), atoms.positions, Thermostat(time=10), generators)
    polymers.start()
    found = np.empty((500, 100))
    for k in range(500):
        polymers.step()
        found[k] = polymers.temperature
    mean = found[250:].mean(axis=0)  # 125 fs of 100 independent copies, after 12 relaxation times
    error = mean.std() / 10
    assert error < 8  # one degree of freedom of six is 67 K
    assert abs(mean.mean() - 400) < 4 * error


# ---- vibrations and spectra


@pytest.mark.parametrize("away", [0.0, 5e-4, 0.02])
@pytest.mark.parametrize("name", ["CO2", "HCN", "C2H2"])
def test_a_molecule_relaxed_to_almost_straight_keeps_its_second_bend(name, away):
    atoms = straight(name)
    atoms.positions[0] += away * np.cross(atoms.positions[-1] - atoms.positions[0], [1, 0, 0])
    assert len(rigid_motions(atoms.positions, atoms.get_masses())) == 5


@pytest.mark.parametrize("name", ["H2O", "CH3OH", "H2O2", "HOCl", "CH2_s1A1d"])
def test_a_bent_molecule_turns_about_three_axes(name):
    atoms = molecule(name) if name != "H2O2" else molecule("H2O2")
    assert len(rigid_motions(atoms.positions, atoms.get_masses())) == 6
    assert not rigid.is_linear(atoms.positions, atoms.get_masses())


def rod_modes(atoms, step=1e-4):
    """Normal modes of a straight rod, its Hessian from forces."""
    moves = np.concatenate([s * step * np.eye(9).reshape(9, 3, 3) for s in (1, -1)])
    forces = Rod(atoms)(atoms.positions + moves, ())["forces"].reshape(2, 9, 9)
    hessian = (forces[1] - forces[0]) / (2 * step)
    masses = atoms.get_masses()
    return normal_modes(0.5 * (hessian + hessian.T), masses, rigid_motions(atoms.positions, masses))


def bend_area(turns, copies=160, steps=4000):
    """Infrared area of the bends at 300 K in km/mol, and its error, with and without rotation of the whole."""
    atoms = straight("CO2")
    masses = atoms.get_masses()
    ring = Ring(1, masses, 300.0, 0.5)
    rods = Rod(atoms)
    polymers = Replicas(
        ring, rods, atoms.positions, THERMOSTATS["pile-l"], [np.random.default_rng(k) for k in range(copies)]
    )
    polymers.start()
    for _ in range(1000):
        polymers.step()
    polymers.use(THERMOSTATS["none"])
    if not turns:
        p = polymers.centroid_velocities * masses[:, None]
        polymers.set_centroid_velocities((p - rigid.rotation(polymers.centroids, p, masses)) / masses[:, None])
    dipoles = []
    for k in range(steps):
        polymers.step()
        if k % 4 == 0:
            dipoles.append(rods.charges @ polymers.positions[:, 0])
    found = infrared(np.array(dipoles).swapaxes(0, 1), timestep=0.5, every=4, temperature=300, resolution=40)
    return found.area(300, 1000)


@pytest.mark.slow
def test_bends_absorb_as_two_modes_while_the_molecule_turns_and_as_one_when_it_may_not():
    """Why rotation=False is refused for linear molecules."""
    atoms = straight("CO2")
    modes = rod_modes(atoms)
    born = Rod.charges[:, None, None] * np.eye(3)
    strengths = infrared_intensities(modes, born)
    assert modes.wavenumbers[0] == pytest.approx(modes.wavenumbers[1], rel=1e-6)
    both = strengths[:2].sum()
    area, error = bend_area(turns=True)
    assert error < 0.06 * both
    assert abs(area - both) < 4 * error + 0.03 * both  # and anharmonicity
    area, error = bend_area(turns=False)
    assert abs(area - both / 2) < 4 * error + 0.03 * both


@pytest.mark.parametrize("bend", [0.0, 0.3])
def test_spectra_without_rotation_of_a_linear_molecule_are_refused(tmp_path, bend):
    atoms = rod()
    across = np.cross(atoms.positions[2] - atoms.positions[1], [1, 0, 0])
    atoms.positions[0] += bend * across / np.linalg.norm(across)
    assert rigid.is_linear(atoms.positions, atoms.get_masses()) == (bend == 0)
    with pytest.raises(InputError, match="bends in one plane only"):
        simulate_spectra(atoms, path=tmp_path / "ir", protocol=Protocol(rotation=False))
    assert not (tmp_path / "ir").exists()


@pytest.mark.filterwarnings("ignore:the longest")
def test_spectra_without_rotation_of_bent_and_of_diatomic_molecules_are_made(tmp_path):
    short = Protocol(trajectories=1, length=0.5, equilibration=0.01, timestep=1.0, rotation=False)
    water = molecule("H2O")
    water.calc = PaiNNCalculator("water")
    report = simulate_spectra(
        water, path=tmp_path / "water", protocol=short, analysis=Analysis(100, harmonic=False), progress=False
    )
    assert "3 degrees of freedom" in report.facts["temperature"]


def test_a_run_without_rotation_of_a_linear_molecule_says_that_half_of_its_bends_is_missing(tmp_path):
    atoms = rod()
    run = run_md(
        atoms, ensemble="nve", steps=500, timestep=1.0, every=2, record="dipole", path=tmp_path / "run", progress=False
    )
    with pytest.warns(UserWarning, match="bends in one plane only"):
        report = spectra_of_run(run, path=tmp_path / "ir", analysis=Analysis(resolution=100))
    assert "half" in report.facts["bends"]
