"""Ring-polymer runs: classical with one bead, the same in any company, recorded, and resumed to the last bit."""

import os
import signal
import subprocess
import sys
import time
import warnings

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from ase.constraints import FixAtoms, FixBondLength
from ase.io import read
from ase.md.langevinbaoab import LangevinBAOAB
from ase.md.verlet import VelocityVerlet
from ase.units import fs, kB

from painn_ase import PaiNNCalculator
from painn_ase.cli import main
from painn_ase.errors import InputError, SimulationError
from painn_ase.simulate import (
    Analysis,
    Beads,
    Output,
    Protocol,
    RingPolymerRun,
    Run,
    Thermostat,
    run_rpmd,
    simulate_spectra,
    spectra_of_run,
)
from painn_ase.simulate.replicas import batch
from painn_ase.simulate.replicas.modes import Ring
from painn_ase.simulate.replicas.motion import Replicas
from painn_ase.simulate.replicas.thermostat import THERMOSTATS
from painn_ase.simulate.ring_polymer.estimators import spread, virial_kinetic_energies
from painn_ase.simulate.run.motion import pressure
from painn_ase.simulate.run.restart import Restart
from painn_ase.units import GIGAPASCAL

from helpers.identical import check_same_run
from helpers.random_models import random_model
from helpers.springs import Springs, cluster
from helpers.stopped import Stop
from helpers.systems import bundled_ethanol as ethanol


def short(atoms, path, **changes):
    arguments = {
        "beads": 4, "steps": 40, "timestep": 0.5, "equilibration": 0.005, "every": 2,
        "output": Output(trajectory_every=10), "progress": False,
    }  # fmt: skip
    return run_rpmd(atoms, path=path, **(arguments | changes))


# ---- limits


@pytest.mark.parametrize("bath", ["none", "langevin"])
def test_one_bead_takes_the_classical_path_step_for_step(bath):
    """The same random numbers, the same steps as ASE's drivers: nothing but rounding lies between."""
    atoms = cluster()
    rng = np.random.default_rng(1)
    start = rng.standard_normal((6, 3)) * np.sqrt(kB * 300 / atoms.get_masses())[:, None]
    ring = Ring(1, atoms.get_masses(), 300.0, 0.5, centred=False)
    chosen = THERMOSTATS["none"] if bath == "none" else Thermostat(time=50)
    polymers = Replicas(ring, batch.evaluator(atoms), atoms.positions, chosen, [np.random.default_rng(5)])
    polymers.set_centroid_velocities(start[None])
    polymers.generators = [np.random.default_rng(7)]
    polymers.start()
    classical = cluster()
    classical.set_velocities(start)
    if bath == "none":
        driver = VelocityVerlet(classical, 0.5 * fs)
    else:
        generator = np.random.default_rng(7)
        driver = LangevinBAOAB(classical, 0.5 * fs, temperature_K=300, T_tau=50 * fs, rng=generator)
    for _ in range(400):
        polymers.step()
    driver.run(400)
    np.testing.assert_allclose(polymers.positions[0, 0], classical.positions, atol=1e-10)
    np.testing.assert_allclose(polymers.centroid_velocities[0], classical.get_velocities(), atol=1e-10)


def test_centroid_force_of_identical_beads_is_the_classical_force():
    atoms = ethanol()
    ring = Ring(16, atoms.get_masses(), 300.0, 0.25)
    polymers = Replicas(ring, batch.evaluator(atoms), atoms.positions, THERMOSTATS["trpmd"], [np.random.default_rng(0)])
    polymers.start()
    # float32 network, beads equal up to the rounding of float64
    np.testing.assert_allclose(polymers.forces[0].mean(axis=0), atoms.get_forces(), atol=1e-5)
    assert virial_kinetic_energies(ring, polymers.positions, polymers.forces).sum() == pytest.approx(
        12 * kB * 300, rel=1e-6
    )


def test_a_replica_takes_the_same_path_in_any_company_and_on_any_number_of_threads():
    atoms = ethanol()
    ring = Ring(8, atoms.get_masses(), 300.0, 0.25)
    seeds = np.random.SeedSequence(3).spawn(3)
    ends = []
    for chosen, threads in ((seeds, 1), (seeds[1:2], 1), (seeds, 2)):
        atoms.calc.backend.threads = threads
        generators = [np.random.default_rng(seed) for seed in chosen]
        polymers = Replicas(ring, batch.evaluator(atoms), atoms.positions, THERMOSTATS["pile-l"], generators)
        polymers.start()
        for _ in range(60):
            polymers.step()
        ends.append(polymers.positions)
    atoms.calc.backend.threads = None
    np.testing.assert_array_equal(ends[0][1], ends[1][0])
    np.testing.assert_array_equal(ends[0], ends[2])


def test_a_committee_of_models_drives_with_its_mean(tmp_path):
    atoms = molecule("CH3CH2OH")
    models = [random_model(features=8, seed=k) for k in (0, 1)]
    for model in models:
        model.heads["energy"].scale.fill_(1e-3)
    atoms.calc = PaiNNCalculator(models, dtype="float64")
    run = short(atoms, tmp_path / "run", steps=6, record=["forces_std", "energy_std"])
    assert run.observables("forces_std")[1].shape == (4, 9)
    assert (run.observables("energy_std")[1] > 0).all()


# ---- what is recorded


def test_a_run_records_what_it_says(tmp_path):
    atoms = cluster()
    before = atoms.positions.copy()
    record = {
        "dipole": 2,
        "polarizability": 4,
        "velocities": 2,
        "positions": 10,
        "bead_positions": 10,
        "heat_capacity": 4,
    }
    run = short(atoms, tmp_path / "run", record=record, save_beads=Beads(every=20))
    np.testing.assert_array_equal(atoms.positions, before)
    assert isinstance(RingPolymerRun.load(tmp_path / "run"), RingPolymerRun)
    rows = {name: len(run.observables(name)[1]) for name in run.names}
    assert rows["dipole"] == rows["potential_energy"] == 21
    assert rows["polarizability"] == rows["heat_capacity"] == 11
    beads = run.observables("bead_positions")[1]
    np.testing.assert_allclose(run.observables("positions")[1], beads.mean(axis=1), atol=1e-12)
    squares = np.square(beads - beads.mean(axis=1, keepdims=True)).sum(axis=-1).mean(axis=1)
    np.testing.assert_allclose(run.observables("squared_gyration_radii")[1][::5], squares, atol=1e-12)
    # a dipole of fixed charges is linear, so its mean over the beads is that of the centroid
    charges = np.linspace(-0.3, 0.3, 6)
    np.testing.assert_allclose(run.observables("dipole")[1][::5], charges @ beads.mean(axis=1), atol=1e-12)
    polarizabilities = np.einsum("tkai,tkaj->tij", beads, beads) / 4
    np.testing.assert_allclose(run.observables("polarizability")[1][::5], polarizabilities[::2], atol=1e-10)
    frames = read(run.trajectory, ":")
    assert [frame.info["step"] for frame in frames] == [0, 10, 20, 30, 40]
    np.testing.assert_allclose([f.positions for f in frames], beads.mean(axis=1), atol=1e-12)
    saved = read(tmp_path / "run.beads.xyz", ":")
    assert len(saved) == 3 * 4
    np.testing.assert_allclose(np.array([f.positions for f in saved]).reshape(3, 4, 6, 3), beads[::2], atol=1e-6)
    assert [f.info["bead"] for f in saved[:4]] == [0, 1, 2, 3]
    assert "heat cap." in str(run)
    assert "4 beads" in str(run)


def test_beads_in_the_format_of_i_pi_are_read_by_ase(tmp_path):
    run = short(cluster(), tmp_path / "run", record={"bead_positions": 20}, save_beads=Beads(every=20, format="i-pi"))
    beads = run.observables("bead_positions")[1]
    for k in range(4):
        frames = read(tmp_path / f"run.pos_{k}.xyz", ":")
        np.testing.assert_allclose([f.positions for f in frames], beads[:, k], atol=1e-10)


def test_chosen_beads_take_turns():
    plan = Beads(every=10, count=2)
    assert [plan.chosen(step, 8).tolist() for step in (0, 10, 20)] == [[0, 4], [1, 5], [2, 6]]


def test_spectra_of_a_recorded_ring_polymer_need_nothing_new(tmp_path):
    atoms = cluster()
    short(
        atoms, tmp_path / "run", beads=2, steps=800, timestep=1.0, thermostat="trpmd", record=["dipole", "velocities"]
    )
    report = spectra_of_run(tmp_path / "run.h5", path=tmp_path / "out", analysis=Analysis(240))
    assert set(report.spectra) == {"infrared", "power"}
    assert "trpmd" in report.facts["ensemble"]


def test_pressure_is_the_force_on_the_cell_when_centroids_follow_it_and_rings_keep_their_size():
    from helpers.systems import triclinic

    atoms = triclinic()
    atoms.calc = PaiNNCalculator(random_model(features=8), dtype="float64")
    ring = Ring(3, atoms.get_masses(), 300.0, 0.25)
    x = atoms.positions + np.random.default_rng(0).normal(scale=0.05, size=(3, len(atoms), 3))
    evaluate = batch.evaluator(atoms)
    found = evaluate(x, ("forces", "stress"))
    kinetic = virial_kinetic_energies(ring, x, found["forces"]).sum()
    volume = atoms.get_volume()
    value = pressure(kinetic, found["stress"].mean(axis=0), volume)
    h = 1e-5

    def energy(s):
        u = spread(x)
        return evaluate((x - u) * s + u, (), np.repeat(atoms.cell.array[None] * s, 3, axis=0))["energy"].mean()

    slope = (energy(1 + h) - energy(1 - h)) / (2 * h)
    expected = (ring.centroid_freedom * kB * 300 - slope) / (3 * volume)
    assert value == pytest.approx(expected, rel=1e-6)


def test_a_periodic_run_records_its_pressure(tmp_path):
    from helpers.systems import triclinic

    atoms = triclinic()
    model = random_model(features=8)
    model.heads["energy"].scale.fill_(1e-9)
    atoms.calc = PaiNNCalculator(model, dtype="float64")
    run = short(atoms, tmp_path / "run", save_beads=Beads(every=20, format="i-pi"))
    # nearly free atoms: 2K/3V of f degrees of freedom
    ideal = (3 * len(atoms) - 3) * kB * 300 / (3 * atoms.get_volume()) / GIGAPASCAL
    assert run.averages["pressure"][0] == pytest.approx(ideal, rel=0.05)
    frame = read(tmp_path / "run.pos_0.xyz", "0")
    np.testing.assert_allclose(frame.get_all_distances(), read(run.trajectory, 0).get_all_distances(), atol=1.0)


def test_fixed_atoms_stay_and_the_others_move(tmp_path):
    atoms = cluster()
    atoms.set_constraint(FixAtoms([0, 3]))
    run = short(atoms, tmp_path / "run", record={"bead_positions": 10})
    beads = run.observables("bead_positions")[1]
    np.testing.assert_allclose(beads[:, :, [0, 3]], np.broadcast_to(atoms.positions[[0, 3]], (5, 4, 2, 3)), atol=1e-13)
    assert np.abs(beads[-1] - atoms.positions).max() > 0.02
    radii = run.averages["gyration_radii"][0]
    assert (radii[[0, 3]] < 1e-12).all()
    assert (radii[[1, 2, 4, 5]] > 0.005).all()
    assert run.metadata["degrees_of_freedom"] == 3 * 4 * 4


# ---- a run that is stopped


class Failing:
    """An evaluator that stops at a call."""

    def __init__(self, inner, call):
        self.inner, self.left = inner, call

    @property
    def memory(self):
        return self.inner.memory

    def __call__(self, positions, names, cells=None):
        self.left -= 1
        if self.left == 0:
            raise Stop
        return self.inner(positions, names, cells)


RECORD = {"dipole": 2, "bead_positions": 5}


def same(one, other):
    """Every row, frame and bead of two runs is the same to the last bit."""
    assert one.names == other.names
    for name in one.names:
        for a, b in zip(one.observables(name), other.observables(name), strict=True):
            np.testing.assert_array_equal(a, b)
    for a, b in zip(read(one.trajectory, ":"), read(other.trajectory, ":"), strict=True):
        np.testing.assert_array_equal(a.positions, b.positions)
        np.testing.assert_array_equal(a.get_momenta(), b.get_momenta())
        assert a.get_potential_energy() == b.get_potential_energy()
    beads = [run.path.with_name(run.path.name + ".beads.xyz").read_bytes() for run in (one, other)]
    assert beads[0] == beads[1]
    states = [Restart.load(run.path.with_name(run.path.name + ".restart.npz")) for run in (one, other)]
    assert states[0].values["generators"] == states[1].values["generators"]
    for name, array in states[0].arrays.items():
        np.testing.assert_array_equal(array, states[1].arrays[name])


@pytest.mark.parametrize(
    ("build", "call"), [(ethanol, k) for k in (2, 12, 30)] + [(cluster, k) for k in (6, 11, 13, 47)]
)
def test_a_stopped_run_resumes_to_the_last_bit(build, call, tmp_path, monkeypatch):
    """Stopped in the equilibration, around step 0, while recording; a state is saved at every step."""
    arguments = {"steps": 40, "record": RECORD, "save_beads": Beads(every=8), "thermostat": "pile-g"}
    whole = short(build(), tmp_path / "whole", **arguments)
    with monkeypatch.context() as patch:
        plain = batch.evaluator
        patch.setattr(batch, "evaluator", lambda atoms, memory=None: Failing(plain(atoms, memory), call))
        with pytest.raises(Stop):
            short(build(), tmp_path / "pieces", checkpoint=0, **arguments)
    same(short(build(), tmp_path / "pieces", resume=True, **arguments), whole)


def test_rows_and_frames_beyond_the_saved_state_are_cut_off(tmp_path, monkeypatch):
    """The state was saved at step 0 and the run stopped at 30: what it had written since is written again."""
    arguments = {"steps": 40, "record": RECORD, "save_beads": Beads(every=8), "output": Output(4, sync=0)}
    whole = short(cluster(), tmp_path / "whole", **arguments)
    with monkeypatch.context() as patch:
        plain = batch.evaluator
        patch.setattr(batch, "evaluator", lambda atoms, memory=None: Failing(plain(atoms, memory), 42))
        clock = iter([0.0] * 12 + [100.0, 100.0] + [100.0] * 100)
        patch.setattr("painn_ase.simulate.run.restart.monotonic", lambda: next(clock))
        with pytest.raises(Stop):
            short(cluster(), tmp_path / "pieces", checkpoint=50, **arguments)
    saved = Restart.load(tmp_path / "pieces.restart.npz").step
    assert 0 <= saved < 10 < Run.load(tmp_path / "pieces").summary["steps"]
    same(short(cluster(), tmp_path / "pieces", resume=True, **arguments), whole)


def test_a_finished_run_goes_on_when_more_steps_are_asked_for(tmp_path):
    arguments = {"record": RECORD, "save_beads": Beads(every=8)}
    whole = short(ethanol(), tmp_path / "whole", steps=60, **arguments)
    short(ethanol(), tmp_path / "pieces", steps=20, **arguments)
    longer = short(ethanol(), tmp_path / "pieces", steps=60, resume=True, **arguments)
    assert longer.summary["complete"]
    same(longer, whole)
    with pytest.raises(InputError, match="has 60 steps already"):
        short(ethanol(), tmp_path / "pieces", steps=20, resume=True, **arguments)


def test_resuming_something_else_is_refused(tmp_path):
    short(cluster(), tmp_path / "run")
    with pytest.raises(InputError, match="begun with other settings"):
        short(cluster(), tmp_path / "run", resume=True, temperature=310.0)
    with pytest.raises(InputError, match="no run to continue"):
        short(cluster(), tmp_path / "other", resume=True)
    with pytest.raises(InputError, match="overwrite"):
        short(cluster(), tmp_path / "run")
    (tmp_path / "run.restart.npz").write_bytes(b"PK\x03\x04 not one")
    with pytest.raises(InputError, match="not a restart file"):
        short(cluster(), tmp_path / "run", resume=True)


SCRIPT = """
import sys
sys.path.insert(0, {tests!r})
import torch
torch.set_num_threads(1)
from painn_ase import PaiNNCalculator
from painn_ase.simulate import Output
from painn_ase.simulate import Beads, run_rpmd
from painn_ase.structures import read_structure
atoms = read_structure("ethanol")
atoms.calc = PaiNNCalculator("ethanol")
run_rpmd(atoms, beads=4, steps={steps}, timestep=0.5, equilibration=0.02, every=2, path={path!r}, resume={resume},
         record={record!r}, save_beads=Beads(every=8), output=Output(10, sync=0.02), checkpoint=0.05, progress=False)
"""


def launch(path, steps, resume):
    tests = os.path.dirname(__file__)
    script = SCRIPT.format(tests=tests, path=str(path), steps=steps, resume=resume, record=RECORD)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen([sys.executable, "-c", script], env=environment)


def kill_once_begun(path, steps, resume, delay):
    """Kills the run `delay` seconds after it has saved a state of its own; False if it was over before."""
    state = path.with_name(path.name + ".restart.npz")
    before = state.stat().st_mtime_ns if resume else 0
    process = launch(path, steps, resume)
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        if state.exists() and state.stat().st_mtime_ns != before:
            time.sleep(delay)
            break
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    return process.wait() == -signal.SIGKILL


def test_a_killed_process_resumes_to_the_last_bit(tmp_path):
    steps = 300
    assert kill_once_begun(tmp_path / "killed", steps, False, delay=0.3), "over before it could be killed"
    arguments = {"steps": steps, "equilibration": 0.02, "record": RECORD, "save_beads": Beads(every=8)}
    resumed = short(ethanol(), tmp_path / "killed", resume=True, **arguments)
    same(resumed, short(ethanol(), tmp_path / "whole", **arguments))


FORKING = """
import os, random, signal, sys, time, traceback
sys.path.insert(0, {tests!r})
from pathlib import Path
from helpers.springs import cluster
from painn_ase.errors import InputError
from painn_ase.simulate import Output
from painn_ase.simulate import Beads, run_rpmd

def start(path, resume):
    process = os.fork()
    if process:
        return process
    arguments = dict(beads=3, steps=120, timestep=0.5, equilibration=0.01, every=2, record={record!r}, progress=False,
                     save_beads=Beads(every=8), output=Output(10, sync=0.01), checkpoint=0.01, path=path)
    try:
        try:
            run_rpmd(cluster(), resume=resume, **arguments)
        except InputError:  # killed before there was anything to resume
            run_rpmd(cluster(), overwrite=True, **arguments)
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)

def status(process):
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])

assert status(start(Path("whole"), False)) == 0
moments = random.Random(0)
for _ in range(60):
    process = start(Path("killed"), True)
    time.sleep(moments.uniform(0, 0.4))
    os.kill(process, signal.SIGKILL)
    assert status(process) in (-signal.SIGKILL, 0)
assert status(start(Path("killed"), True)) == 0
"""


@pytest.mark.slow
def test_a_process_killed_at_random_moments_resumes_to_the_last_bit(tmp_path):
    """Also while it opens, cuts back and replaces its files; children of one process, so that they start at once."""
    script = FORKING.format(tests=os.path.dirname(__file__), record=RECORD)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    same(RingPolymerRun.load(tmp_path / "killed"), RingPolymerRun.load(tmp_path / "whole"))


# ---- conservation in a trained model


def drift(tmp_path, picoseconds, equilibration):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run = run_rpmd(
            ethanol(), beads=16, steps=round(picoseconds * 4000), timestep=0.25, thermostat="none",
            equilibration=equilibration, path=tmp_path / "run", progress=False,
        )  # fmt: skip
    return run


def test_energy_of_sixteen_beads_of_ethanol_is_conserved(tmp_path):
    """Over 0.08 ps the energy per bead ripples by what 0.25 fs steps do to C-H and O-H; it does not climb."""
    run = drift(tmp_path, 0.08, 0.03)
    energy = run.observables("conserved_energy")[1]
    assert energy.std() * 1000 / 9 < 0.5  # meV per atom
    assert abs(energy[len(energy) // 2 :].mean() - energy[: len(energy) // 2].mean()) * 1000 / 9 < 0.1


@pytest.mark.slow
def test_drift_of_rpmd_of_ethanol_is_below_a_tenth_of_a_milli_electronvolt_per_atom_and_picosecond(tmp_path):
    run = drift(tmp_path, 4.0, 0.5)
    assert abs(run.summary["energy_drift"]) < 0.1


# ---- spectra with several beads


def test_quantum_spectra_of_a_harmonic_molecule(tmp_path):
    """Springs keep their frequencies with any number of beads; TRPMD broadens them, the centroids are at 300 K."""
    protocol = Protocol(trajectories=4, length=0.8, equilibration=0.1, timestep=1.0, every=2, beads=3)
    report = simulate_spectra(
        cluster(), path=tmp_path / "out", protocol=protocol, analysis=Analysis(60), spectra=["infrared", "power"]
    )
    assert "TRPMD with 3 beads" in report.facts["trajectories"]
    assert "centroids" in report.facts["temperature"]
    assert report.power.area()[0] == pytest.approx(15, rel=0.25)
    assert Run.load(tmp_path / "out/run").observables("dipole")[1].shape == (protocol.frames, 4, 3)


def test_quantum_spectra_resume_to_the_last_bit(tmp_path, monkeypatch):
    protocol = Protocol(trajectories=2, length=0.1, equilibration=0.02, timestep=0.5, every=2, beads=3)
    arguments = {"protocol": protocol, "analysis": Analysis(600), "spectra": ["infrared"]}
    monkeypatch.setattr("painn_ase.simulate.spectrum.recorded.analyse", lambda run, plan, facts, *_: facts)
    simulate_spectra(ethanol(), path=tmp_path / "whole", **arguments)
    with monkeypatch.context() as patch:
        plain = batch.evaluator
        patch.setattr(batch, "evaluator", lambda atoms, memory=None: Failing(plain(atoms, memory), 150))
        with pytest.raises(Stop):
            simulate_spectra(ethanol(), path=tmp_path / "pieces", checkpoint=0.0, **arguments)
    simulate_spectra(ethanol(), path=tmp_path / "pieces", resume=True, **arguments)
    check_same_run(tmp_path / "pieces/run", tmp_path / "whole/run")


# ---- bad input


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"beads": 0}, "beads: expected a whole number, 1 or more; got 0"),
        ({"beads": 2.5}, "beads: expected a whole number"),
        ({"temperature": 0.0}, "infinitely many beads"),
        ({"temperature": np.nan}, "temperature: expected"),
        ({"timestep": 0.0}, "timestep: expected"),
        ({"beads": 64, "timestep": 1.0}, r"26689 cm⁻¹, resonates .* expected at most 0.597 fs"),
        ({"thermostat": "pile"}, "did you mean 'pile-"),
        ({"thermostat": Thermostat}, "thermostat: expected"),
        ({"propagator": "exakt"}, "did you mean 'exact'"),
        ({"steps": 0}, "steps: expected"),
        ({"equilibration": -1.0}, "equilibration: expected"),
        ({"record": ["dipol"]}, "did you mean 'dipole'"),
        ({"record": ["stress"]}, "periodic along all three"),
        ({"record": {"heat_capacity": 3}}, "multiple of every"),
        ({"save_beads": Beads(count=9)}, "at most the 4 beads"),
        ({"save_beads": Beads(format="pdb")}, "expected one of extxyz"),
        ({"save_beads": Beads(every=0)}, "whole number, 1 or more"),
    ],
)
def test_impossible_requests_are_refused_before_anything_is_written(changes, message, tmp_path):
    with pytest.raises(InputError, match=message):
        short(cluster(), tmp_path / "run", **changes)
    assert not list(tmp_path.iterdir())


def test_impossible_structures_are_refused(tmp_path):
    atoms = cluster()
    atoms.set_constraint(FixBondLength(0, 1))
    with pytest.raises(InputError, match="FixBondLength"):
        short(atoms, tmp_path / "run")
    atoms.set_constraint(FixAtoms(range(6)))
    with pytest.raises(InputError, match="nothing that moves"):
        short(atoms, tmp_path / "run")
    with pytest.raises(InputError, match="empty"):
        short(Atoms(), tmp_path / "run")
    with pytest.raises(InputError, match="needs an ASE calculator"):
        short(molecule("H2O"), tmp_path / "run")
    charged = ethanol()
    charged.info["charge"] = "plus"
    with pytest.raises(InputError, match="total charge: expected a number"):
        short(charged, tmp_path / "run")


def test_undamped_ring_modes_in_the_spectrum_are_named(tmp_path):
    with pytest.warns(UserWarning, match=r"1180, 1668 cm⁻¹ .* thermostat='trpmd'"):
        short(cluster(), tmp_path / "run", thermostat="none", steps=2)


def test_a_molecule_that_falls_apart_stops_the_run_with_a_sentence():
    atoms = ethanol()
    evaluate = batch.evaluator(atoms)
    x = np.repeat(atoms.positions[None], 3, axis=0)
    evaluate(x, ("forces",))
    x[2, 5] += [0, 0, 9.0]
    with pytest.raises(SimulationError, match=r"copy 2: atom 5 is more than 5 Å .* has fallen apart"):
        evaluate(x, ("forces",))


class Exploding(Springs):
    def calculate(self, atoms=None, properties=("energy",), system_changes=()):
        super().calculate(atoms, properties, system_changes)
        if len(self.calls) > 60:
            self.results["forces"] = self.results["forces"] * np.nan


def test_an_explosion_is_stopped_and_frames_of_the_bead_are_kept(tmp_path):
    atoms = cluster()
    atoms.calc = Exploding(atoms)
    with pytest.raises(SimulationError, match=r"step \d+, bead \d: forces are not finite .*failure.traj"):
        short(atoms, tmp_path / "run")
    assert len(read(tmp_path / "run.failure.traj", ":")) == 2
    assert Run.load(tmp_path / "run").summary["steps"] > 0


# ---- command line


def test_command_line_runs_and_resumes_a_ring_polymer(tmp_path, capsys):
    out = str(tmp_path / "run")
    words = ["rpmd", "ethanol", "--beads", "4", "--steps", "20", "--timestep", "0.5", "--equilibration", "0.005"]
    words += ["--record", "dipole", "--output", out, "--beads-every", "10", "--thermostat", "trpmd"]
    assert main(words) == 0
    assert "Ring polymer of 4 beads" in capsys.readouterr().out
    assert main(words) == 2
    assert "--overwrite" in capsys.readouterr().err
    words[words.index("--steps") + 1] = "30"
    assert main([*words, "--resume"]) == 0
    assert RingPolymerRun.load(out).summary["steps"] == 30


def test_command_line_makes_quantum_spectra(tmp_path, capsys):
    words = ["spectrum", "ethanol", "--beads", "4", "--trajectories", "2", "--length", "0.3", "--equilibration", "0.01"]
    words += ["--resolution", "180", "--ir", "--output", str(tmp_path / "out")]
    assert main(words) == 0
    assert "TRPMD with 4 beads" in capsys.readouterr().out
    assert main([*words, "--no-rotation", "--overwrite"]) == 2
    assert "keeps it turning" in capsys.readouterr().err
