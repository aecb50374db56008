"""The spectrum protocol: right physics in lock-step, the same result after a kill, an honest report."""

import errno
import os
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from ase.calculators.calculator import Calculator
from ase.constraints import FixAtoms
from ase.units import fs, kB

from painn_ase import PaiNNCalculator, rigid, run_md
from painn_ase.cli import main
from painn_ase.errors import InputError, SimulationError, StorageError
from painn_ase.simulate import Analysis, Protocol, Run, simulate_spectra, spectra_of_run
from painn_ase.simulate.replicas import batch
from painn_ase.simulate.replicas.batch import BatchedEvaluator, SerialEvaluator
from painn_ase.simulate.replicas.modes import Ring
from painn_ase.simulate.replicas.motion import Replicas
from painn_ase.simulate.replicas.thermostat import THERMOSTATS
from painn_ase.simulate.run import rows
from painn_ase.spectra import Spectrum, infrared
from painn_ase.units import DEBYE

from helpers.identical import check_same_run
from helpers.random_models import random_model
from helpers.springs import Springs, cluster
from helpers.stopped import Stop
from helpers.systems import bundled_ethanol as ethanol

# 60 cm⁻¹ needs 0.73 ps
SHORT = Protocol(trajectories=3, length=0.8, equilibration=0.1, timestep=1.0, every=2)
COARSE = Analysis(resolution=60)


class IonPairs(Calculator):
    """Pairs of opposite ions on isotropic springs in a periodic cell: E = k/2 Σ |r_2 - r_1 - d|², Born charges ±q."""

    implemented_properties = ["energy", "forces", "born_effective_charges"]  # noqa: RUF012
    k, q = 10.0, 1.1

    def check_state(self, atoms, tol=0.0):
        same = self.atoms is not None and np.array_equal(self.atoms.positions, atoms.positions)
        return [] if same else ["positions"]

    def calculate(self, atoms=None, properties=("energy",), system_changes=("positions",)):
        super().calculate(atoms, properties, system_changes)
        stretch = atoms.positions[1::2] - atoms.positions[::2] - [2.5, 0, 0]
        forces = np.empty_like(atoms.positions)
        forces[::2], forces[1::2] = self.k * stretch, -self.k * stretch
        charges = np.where(np.arange(len(atoms)) % 2, -self.q, self.q)
        born = charges[:, None, None] * np.eye(3)
        self.results = {"energy": 0.5 * self.k * np.sum(stretch**2), "forces": forces, "born_effective_charges": born}


def ion_pairs(count=4):
    base = np.array([[0.0, 0, 0], [2.5, 0, 0]])
    positions = np.concatenate([base + np.array([0, 5.0 * k, 0]) for k in range(count)])
    atoms = Atoms("NaCl" * count, positions=positions, cell=[5, 5.0 * count, 5], pbc=True)
    atoms.calc = IonPairs()
    return atoms


def network(atoms=None):
    atoms = molecule("CH3CH2OH") if atoms is None else atoms
    atoms.calc = PaiNNCalculator(random_model(features=8), dtype="float64")
    return atoms


# ---- mechanics


def test_copies_in_one_evaluation_follow_the_path_of_copies_one_by_one():
    atoms = network()
    rng = np.random.default_rng(0)
    x = atoms.positions + rng.normal(scale=0.05, size=(4, 9, 3))
    together, apart = BatchedEvaluator(atoms), SerialEvaluator(atoms)
    for move in range(6):
        x = x + rng.normal(scale=0.1, size=x.shape)  # beyond the skin now and then, copy by copy
        names = ["forces", "dipole", "polarizability"] if move % 2 else ["forces"]
        batch, single = together(x, names), apart(x, names)
        assert set(batch) == set(single) == {"energy", *names}
        for name, values in batch.items():
            np.testing.assert_allclose(values, single[name], atol=1e-10)


def test_periodic_copies_in_one_evaluation_are_right_too():
    from helpers.systems import triclinic

    atoms = network(triclinic())
    x = atoms.positions + np.random.default_rng(1).normal(scale=0.1, size=(3, 4, 3))
    together, apart = BatchedEvaluator(atoms), SerialEvaluator(atoms)
    for name, values in together(x, ["forces"]).items():
        np.testing.assert_allclose(values, apart(x, ["forces"])[name], atol=1e-10)


def test_momenta_are_canonical_without_translation_and_rotation():
    masses = molecule("CH3CH2OH").get_masses()
    x = np.repeat(molecule("CH3CH2OH").positions[None], 4000, axis=0)
    generators = [np.random.default_rng(k) for k in range(4000)]
    ring = Ring(1, masses, 300.0, 0.5)
    polymers = Replicas(ring, SerialEvaluator(ethanol()), x[0], THERMOSTATS["none"], generators)
    p = polymers.centroid_velocities * masses[:, None]
    assert np.abs(p.sum(axis=1)).max() < 1e-12
    q = p - rigid.rotation(x, p, masses)
    arms = x - (masses @ x[0] / masses.sum())
    assert np.abs(np.cross(arms, q).sum(axis=1)).max() < 1e-12
    assert np.abs(q.sum(axis=1)).max() < 1e-12
    for momenta, freedom in ((p, 24), (q, 21)):
        energy = rigid.kinetic_energy(momenta, masses)
        # standard error of the mean of 4000 samples: √(2/freedom/4000)
        assert energy.mean() == pytest.approx(freedom * kB * 150, rel=4 * np.sqrt(2 / freedom / 4000))


def test_equilibration_reaches_the_temperature_and_energy_is_conserved_after_it(tmp_path):
    protocol = Protocol(trajectories=20, length=0.6, equilibration=0.4, timestep=1.0, every=4)
    report = simulate_spectra(
        cluster(), path=tmp_path / "out", protocol=protocol, spectra=["infrared"], analysis=Analysis(90)
    )
    run = Run.load(tmp_path / "out/run")
    per_run = 2 * run.observables("kinetic_energy")[1].mean(axis=0) / (15 * kB)
    # energies of a run scatter like those of the canonical ensemble; four standard errors
    assert per_run.mean() == pytest.approx(300, abs=4 * per_run.std(ddof=1) / np.sqrt(20))
    total = run.observables("total_energy")[1]
    # 1 fs is 1/36 of the fastest period (930 cm⁻¹): velocity Verlet ripples by some (ωΔt)²/8 of kT per mode
    assert np.abs(total - total[:1]).max() < 0.02
    assert "15 degrees of freedom" in report.facts["temperature"]
    assert "meV/atom/ps" in report.facts["energy drift"]


def test_rotation_is_kept_unless_told_otherwise(tmp_path):
    for rotation, freedom in ((True, 15), (False, 12)):
        protocol = Protocol(**{**vars(SHORT), "rotation": rotation})
        report = simulate_spectra(
            cluster(), path=tmp_path / f"{rotation}", protocol=protocol, analysis=COARSE, spectra=["power"]
        )
        assert f"{freedom} degrees" in report.facts["temperature"]
        assert report.facts["rotation of the whole"] == ("kept" if rotation else "none")
        velocities = Run.load(tmp_path / f"{rotation}" / "run").observables("velocities")[1]
        assert report.power.area()[0] == pytest.approx(freedom, rel=0.05)
        assert velocities.dtype == np.float32


# ---- a run that is stopped


def interrupted_at(call, monkeypatch):
    """From now on the evaluation number `call` fails, once."""
    calls, plain = [], batch.evaluator

    def failing(atoms, memory=None):
        inner = plain(atoms, memory)

        class Failing:
            memory = property(lambda self: inner.memory)

            def __call__(self, positions, names):
                calls.append(names)
                if len(calls) == call:
                    raise Stop
                return inner(positions, names)

        return Failing()

    monkeypatch.setattr(batch, "evaluator", failing)


@pytest.mark.parametrize(
    ("build", "call"), [(ethanol, 60), (ethanol, 102), (ethanol, 400), (cluster, 101), (cluster, 400)]
)
def test_a_stopped_run_resumes_to_the_same_numbers(build, call, tmp_path, monkeypatch):
    """Stopped while equilibrating, at the change to constant energy, while recording: not a bit differs."""
    whole, pieces = tmp_path / "whole", tmp_path / "pieces"
    protocol = Protocol(**{**vars(SHORT), "timestep": 0.5, "length": 0.3, "equilibration": 0.05})
    arguments = {"protocol": protocol, "analysis": Analysis(180)}
    # the analysis only reads these files
    monkeypatch.setattr("painn_ase.simulate.spectrum.recorded.analyse", lambda run, plan, facts, *_: facts)
    expected = simulate_spectra(build(), path=whole, **arguments)
    with monkeypatch.context() as patch:
        interrupted_at(call, patch)
        with pytest.raises(Stop):
            simulate_spectra(build(), path=pieces, checkpoint=0.02, **arguments)
    found = simulate_spectra(build(), path=pieces, resume=True, **arguments)
    assert {"dipole", "polarizability", "velocities"} <= set(Run.load(whole / "run").names)
    check_same_run(pieces / "run", whole / "run")
    assert found | {"wall time": ""} == expected | {"wall time": ""}


def test_a_killed_process_resumes_to_the_same_numbers(tmp_path):
    script = textwrap.dedent("""
        import sys
        from painn_ase.simulate import Analysis, Protocol, simulate_spectra
        from helpers.springs import cluster
        protocol = Protocol(trajectories=2, length=3.0, equilibration=0.1, timestep=1.0, every=2)
        simulate_spectra(cluster(), path=sys.argv[1], protocol=protocol, analysis=Analysis(60), checkpoint=0.1,
                         spectra=["infrared"])
        """)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    process = subprocess.Popen([sys.executable, "-c", script, str(killed)], env=environment)
    deadline = time.monotonic() + 60
    while not (killed / "run.h5").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    begun = (killed / "run.restart.npz").stat().st_mtime_ns
    while (killed / "run.restart.npz").stat().st_mtime_ns == begun and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "the run was over before it could be killed"
    protocol = Protocol(trajectories=2, length=3.0, equilibration=0.1, timestep=1.0, every=2)
    arguments = {"protocol": protocol, "analysis": COARSE, "spectra": ["infrared"]}
    simulate_spectra(cluster(), path=killed, resume=True, **arguments)
    simulate_spectra(cluster(), path=whole, **arguments)
    check_same_run(killed / "run", whole / "run")


def test_a_full_disk_ends_a_run_with_a_sentence_and_it_goes_on_when_there_is_room(tmp_path, monkeypatch):
    def full(data, rows):
        if len(data) and len(rows):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    arguments = {"protocol": SHORT, "analysis": COARSE, "spectra": ["power"]}
    with monkeypatch.context() as patch:
        patch.setattr("painn_ase.simulate.run.rows._BUFFER", 1 << 16)
        patch.setattr("painn_ase.simulate.run.rows._append", with_room_for(30, full))
        with pytest.raises(StorageError, match=r"run.h5 cannot be written: No space left on device"):
            simulate_spectra(cluster(), path=tmp_path / "out", **arguments)
    simulate_spectra(cluster(), path=tmp_path / "out", resume=True, **arguments)
    simulate_spectra(cluster(), path=tmp_path / "whole", **arguments)
    check_same_run(tmp_path / "out/run", tmp_path / "whole/run")


def with_room_for(calls, then):
    """`rows._append` that works for a number of calls."""
    done, plain = [], rows._append

    def append(data, new):
        done.append(1)
        (plain if len(done) <= calls else then)(data, new)

    return append


def test_a_finished_run_can_be_analysed_again_without_a_step(tmp_path):
    arguments = {"path": tmp_path / "out", "protocol": SHORT, "spectra": ["infrared"]}
    simulate_spectra(cluster(), analysis=COARSE, **arguments)
    atoms = cluster()
    atoms.calc.get_forces(atoms)
    before = len(atoms.calc.calls)
    again = simulate_spectra(atoms, analysis=Analysis(90), resume=True, **arguments)
    assert len(atoms.calc.calls) - before <= 1  # only whether the calculator has a dipole was asked
    assert again.infrared.metadata["resolution / cm⁻¹"] == 90


def test_resuming_something_else_is_refused(tmp_path):
    out = tmp_path / "out"
    arguments = {"path": out, "analysis": COARSE, "spectra": ["infrared"]}
    with pytest.raises(InputError, match="no run to continue"):
        simulate_spectra(cluster(), protocol=SHORT, resume=True, **arguments)
    simulate_spectra(cluster(), protocol=SHORT, **arguments)
    with pytest.raises(InputError, match="--resume"):
        simulate_spectra(cluster(), protocol=SHORT, **arguments)
    other = Protocol(**{**vars(SHORT), "seed": 1})
    with pytest.raises(InputError, match=r"other settings \(protocol\)"):
        simulate_spectra(cluster(), protocol=other, resume=True, **arguments)
    moved = cluster()
    moved.positions[0, 0] += 0.01
    with pytest.raises(InputError, match=r"other settings \(positions\)"):
        simulate_spectra(moved, protocol=SHORT, resume=True, **arguments)
    simulate_spectra(cluster(), protocol=other, overwrite=True, **arguments)
    assert Run.load(out / "run").metadata["protocol"]["seed"] == 1


# ---- periodic cells


def test_infrared_of_a_periodic_cell_from_born_charges_and_velocities(tmp_path):
    """Three modes per ion pair at √(k/μ), each of 42.256 km/mol per (D/Å)²/amu: no dipole of the cell is needed."""
    atoms = ion_pairs()
    protocol = Protocol(trajectories=8, length=1.2, equilibration=0.4, timestep=1.0, every=2)
    report = simulate_spectra(atoms, path=tmp_path / "out", protocol=protocol, analysis=COARSE)
    assert set(report.spectra) == {"infrared", "power"}
    masses = atoms.get_masses()[:2]
    mu = masses.prod() / masses.sum()
    expected = 4 * 3 * 42.2561 * (IonPairs.q / DEBYE) ** 2 / mu
    area, error = report.infrared.area()
    assert abs(area - expected) < 4 * error
    assert error < 0.2 * expected
    strongest = report.infrared.wavenumbers[report.infrared.intensity.argmax()]
    assert strongest == pytest.approx(521.471 * np.sqrt(IonPairs.k / mu), abs=5)


def test_density_of_states_of_a_periodic_cell_works_and_its_dipole_is_refused_with_the_reason(tmp_path):
    from helpers.systems import triclinic

    atoms = network(triclinic())
    atoms.calc.backend.model.heads["energy"].scale.fill_(1e-6)  # a random network would tear it apart
    with pytest.raises(InputError, match="only up to lattice vectors"):
        simulate_spectra(atoms, path=tmp_path / "out", protocol=SHORT, analysis=COARSE, spectra=["infrared"])
    with pytest.raises(InputError, match="only up to lattice vectors"):
        simulate_spectra(atoms, path=tmp_path / "out", protocol=SHORT, analysis=COARSE, spectra=["raman"])
    assert not (tmp_path / "out").exists()
    cold = Protocol(**{**vars(SHORT), "temperature": 5.0})
    report = simulate_spectra(atoms, path=tmp_path / "out", protocol=cold, analysis=COARSE)
    assert set(report.spectra) == {"power"}
    assert report.power.area()[0] == pytest.approx(9, rel=0.05)


# ---- a recorded run


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    path = tmp_path_factory.mktemp("recorded") / "run"
    record = {"dipole": 2, "polarizability": 2, "velocities": 2}
    return run_md(cluster(), ensemble="nve", steps=4000, timestep=1.0, path=path, record=record, seed=3)


def test_a_recorded_run_gives_the_spectra_of_its_arrays(recorded, tmp_path):
    report = spectra_of_run(recorded, path=tmp_path / "out", analysis=Analysis(90))
    assert set(report.spectra) == {"infrared", "raman", "power"}
    _, dipoles = recorded.observables("dipole")
    temperature = recorded.summary["temperature"]
    expected = infrared(dipoles, timestep=1.0, every=2, temperature=temperature, resolution=90)
    np.testing.assert_allclose(report.infrared.intensity, expected.intensity)
    assert report.power.area()[0] == pytest.approx(12, rel=0.1)
    assert "blocks" in report.facts["error bars"]


def test_a_recorded_thermostat_is_called_by_its_name(tmp_path):
    run_md(cluster(), steps=1000, timestep=1.0, path=tmp_path / "nvt", record=["dipole"], every=2)
    report = spectra_of_run(tmp_path / "nvt.h5", path=tmp_path / "out", analysis=COARSE)
    assert "thermostat" in report.facts["ensemble"]
    with pytest.raises(InputError, match="no raman spectrum"):
        spectra_of_run(tmp_path / "nvt.h5", path=tmp_path / "other", spectra=["raman"], analysis=COARSE)
    with pytest.raises(InputError, match="overwrite"):
        spectra_of_run(tmp_path / "nvt.h5", path=tmp_path / "out", analysis=COARSE)
    with pytest.raises(InputError, match="coarser"):
        spectra_of_run(tmp_path / "nvt.h5", path=tmp_path / "fine", analysis=Analysis(5))


def test_a_recorded_periodic_run_with_born_charges_gives_infrared(tmp_path):
    run_md(ion_pairs(1), ensemble="nve", steps=1500, timestep=1.0, path=tmp_path / "run",
           record=["born_effective_charges", "velocities"])  # fmt: skip
    report = spectra_of_run(tmp_path / "run.h5", path=tmp_path / "out", analysis=COARSE)
    masses = ion_pairs(1).get_masses()
    mu = masses.prod() / masses.sum()
    # one pair: all three degrees of freedom are the three infrared modes, so the area is exact up to the time average
    assert report.infrared.area()[0] == pytest.approx(3 * 42.2561 * (IonPairs.q / DEBYE) ** 2 / mu, rel=0.05)


# ---- the report


def test_report_has_its_files_and_says_what_it_is_worth(recorded, tmp_path):
    folder = tmp_path / "out"
    report = spectra_of_run(recorded, path=folder, analysis=COARSE)
    names = {file.name for file in folder.iterdir()}
    assert {"report.txt", "report.html", "infrared.csv", "infrared.png", "raman.png", "raman_parallel.csv"} <= names
    text = (folder / "report.txt").read_text(encoding="utf-8")
    for word in ("temperature", "drift", "resolution", "error bars", "km/mol"):
        assert word in text
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert page.count("data:image/png;base64,") == 3
    assert "http" not in page  # nothing is loaded from elsewhere
    np.testing.assert_allclose(Spectrum.load(folder / "infrared.csv").intensity, report.infrared.intensity)
    assert (folder / "infrared.png").read_bytes().startswith(b"\x89PNG")


def test_strings_in_the_html_page_are_escaped(tmp_path):
    name = tmp_path / "<img src=x onerror=alert(1)>"
    run_md(cluster(), ensemble="nve", steps=1000, timestep=1.0, path=name, record=["dipole"], every=2)
    spectra_of_run(f"{name}.h5", path=tmp_path / "out", analysis=COARSE)
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "<img src=x" not in page
    assert "&lt;img src=x" in page


def test_command_line_runs_the_protocol_and_reads_a_recorded_run(recorded, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = ["--trajectories", "2", "--length", "0.8", "--equilibration", "0.05", "--resolution", "60"]
    assert main(["spectrum", "ethanol", "--ir", "--raman", *arguments, "--output", "out"]) == 0
    assert "Infrared bands" in capsys.readouterr().out
    assert "harmonic / cm⁻¹" in (tmp_path / "out" / "report.txt").read_text(encoding="utf-8")
    assert (tmp_path / "out" / "harmonic.csv").exists()
    assert main(["spectrum", "ethanol", "--ir", "--raman", *arguments, "--output", "out"]) == 2
    assert "--resume" in capsys.readouterr().err
    assert main(["spectrum", "ethanol", "--ir", "--raman", *arguments, "--output", "out", "--resume"]) == 0
    assert main(["spectrum", f"{recorded.path}.h5", "--vdos", "--resolution", "60", "--output", "again"]) == 0
    assert (tmp_path / "again" / "power.png").exists()
    assert main(["vibrations", "ethanol", "--csv", "modes.csv", "--modes", "modes.xyz"]) == 0
    assert "zero-point energy" in capsys.readouterr().out


@pytest.mark.parametrize(
    "option",
    [
        *(["--stop-outside"], ["--max-force", "5"], ["--min-distance", "0.6"], ["--max-disagreement", "1"]),
        *(
            ["--warn-only"],
            ["--temperature", "400"],
            ["--temperature", "300"],
            ["--beads", "32"],
            ["--no-rotation"],
            ["--resume"],
        ),
        *(["--model", "water"], ["--ensemble", "water", "water"], ["--charge", "1"], ["--seed", "3"]),
    ],
    ids=lambda words: words[0],
)
def test_options_of_dynamics_are_refused_for_a_recorded_run_which_takes_no_step(option, recorded, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["spectrum", f"{recorded.path}.h5", "--vdos", "--resolution", "60", "--output", str(out), *option]) == 2
    said = capsys.readouterr().err
    assert f"got {option[0]}. Leave it out" in said
    assert f"{recorded.path.name}.h5" in said
    assert not out.exists()


# ---- bad input


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"temperature": -5}, "temperature: expected a finite number above zero"),
        ({"length": float("nan")}, "length"),
        ({"trajectories": 0}, "trajectories: expected a whole number"),
        ({"every": 1.5}, "every: expected a whole number"),
        ({"equilibration": -1}, "equilibration"),
    ],
)
def test_bad_protocols_are_named(keywords, message):
    with pytest.raises(InputError, match=message):
        Protocol(**keywords)


def test_impossible_requests_are_refused_before_anything_is_written(tmp_path):
    out = tmp_path / "out"

    def refused(message, atoms=None, protocol=SHORT, analysis=COARSE, **more):
        with pytest.raises(InputError, match=message):
            simulate_spectra(atoms or cluster(), path=out, protocol=protocol, analysis=analysis, **more)

    refused("resolution of 10 cm⁻¹ needs trajectories of 4.38 ps", analysis=Analysis(10))
    refused("at most 4 fs", protocol=Protocol(length=10, every=20, timestep=1.0))
    refused("did you mean 'infrared'", spectra=["infared"])
    fixed = cluster()
    fixed.set_constraint(FixAtoms([0]))
    refused("constraints", fixed)
    bare = cluster()
    bare.calc = None
    refused("needs an ASE calculator", bare)
    refused("something that vibrates", Atoms("O"))
    with pytest.raises(InputError, match="laser"):
        Analysis(laser=0)
    assert not out.exists()


def test_a_calculator_without_dipole_gives_what_it_can_and_names_what_it_cannot(tmp_path):
    class Plain(Springs):
        implemented_properties = ["energy", "free_energy", "forces"]  # noqa: RUF012

    atoms = cluster()
    atoms.calc = Plain(atoms)
    with pytest.raises(InputError, match="has no dipole"):
        simulate_spectra(atoms, path=tmp_path / "out", protocol=SHORT, analysis=COARSE, spectra=["infrared"])
    report = simulate_spectra(atoms, path=tmp_path / "out", protocol=SHORT, analysis=COARSE)
    assert set(report.spectra) == {"power"}
    with pytest.raises(InputError, match="holds power"):
        report.infrared  # noqa: B018


def test_an_explosion_is_stopped_and_named(tmp_path):
    class Broken(Springs):
        def calculate(self, *arguments, **keywords):
            super().calculate(*arguments, **keywords)
            if len(self.calls) > 200:
                self.results["forces"] = self.results["forces"] * np.nan

    atoms = cluster()
    atoms.calc = Broken(atoms)
    with pytest.raises(SimulationError, match=r"step -?\d+, trajectory \d"):
        simulate_spectra(atoms, path=tmp_path / "out", protocol=SHORT, analysis=COARSE)


def test_timesteps_are_fs():
    """One free step of 1 fs moves an atom by its velocity in Å/fs."""
    short = Protocol(timestep=1.0, length=1.0, every=2, equilibration=0.5)
    assert (short.equilibration_steps, short.recorded_steps) == (500, 1000)
    assert Protocol(timestep=0.5, length=10.0).frames == 5001
    assert pytest.approx(0.09822695, rel=1e-6) == fs
