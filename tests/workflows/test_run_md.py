"""What run_md records, keeps, refuses and reports."""

import json
import logging
import warnings

import h5py
import numpy as np
import pytest
from ase import Atoms, units
from ase.build import bulk
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones
from ase.calculators.morse import MorsePotential
from ase.constraints import FixBondLengths
from ase.io import read

from painn_ase.errors import InputError, SimulationError
from painn_ase.simulate import MTK, Guards, Langevin, Output, Run, run_md

from helpers.springs import Springs, cluster


class CountingEMT(EMT):
    calls = 0

    def calculate(self, *args, **kwargs):
        self.calls += 1
        super().calculate(*args, **kwargs)


def copper() -> Atoms:
    atoms = bulk("Cu", cubic=True)
    atoms.calc = CountingEMT()
    return atoms


# ---- what is recorded


def test_recorded_values_equal_those_recomputed_from_the_saved_frames(tmp_path):
    record = {"dipole": 2, "polarizability": 5, "velocities": 10, "positions": 10}
    run = run_md(cluster(), steps=40, record=record, path=tmp_path / "a", output=Output(trajectory_every=10))
    frames = read(run.trajectory, ":")
    assert [frame.info["step"] for frame in frames] == [0, 10, 20, 30, 40]
    for frame in frames:
        step = frame.info["step"]
        stored = {name: run.observables(name)[1][step // record.get(name, 1)] for name in run.names}
        saved_energy = frame.get_potential_energy()
        frame.calc = Springs(cluster())
        # the same arithmetic on the same float64 numbers, so round-off is all that may differ
        assert saved_energy == stored["potential_energy"]
        assert frame.get_potential_energy() == pytest.approx(stored["potential_energy"], rel=1e-12)
        assert frame.get_kinetic_energy() == pytest.approx(stored["kinetic_energy"], rel=1e-12)
        assert frame.get_total_energy() == pytest.approx(stored["total_energy"], rel=1e-12)
        assert frame.get_dipole_moment() == pytest.approx(stored["dipole"], rel=1e-12)
        assert frame.calc.get_property("polarizability", frame) == pytest.approx(stored["polarizability"], rel=1e-12)
        assert frame.get_velocities() * units.fs == pytest.approx(stored["velocities"], rel=1e-12)
        assert (frame.positions == stored["positions"]).all()
        assert stored["step"] == step
        assert stored["time"] == frame.info["time_fs"] == 0.5 * step


def test_velocities_are_the_time_derivative_of_positions(tmp_path):
    run = run_md(
        cluster(), ensemble="nve", timestep=0.1, steps=20, record=["positions", "velocities"], path=tmp_path / "a"
    )
    times, positions = run.observables("positions")
    _, velocities = run.observables("velocities")
    central = (positions[2:] - positions[:-2]) / (times[2:] - times[:-2])[:, None, None]
    assert central == pytest.approx(velocities[1:-1], abs=1e-3 * np.abs(velocities).max())  # O(dt²)


def test_every_observable_has_its_own_interval_and_unit(tmp_path):
    run = run_md(cluster(), steps=12, timestep=0.25, every=3, record={"dipole": 2, "forces": 4}, path=tmp_path / "a")
    assert run.observables("temperature")[0].tolist() == [0, 0.75, 1.5, 2.25, 3.0]
    assert run.observables("dipole")[0].tolist() == [0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0]
    assert run.observables("forces")[1].shape == (4, 6, 3)
    assert [run.unit(n) for n in ("time", "dipole", "forces")] == ["fs", "e·Å", "eV/Å"]
    with h5py.File(run.file) as data:
        assert data["observables/dipole"].attrs["interval"] == 2
        about = json.loads(data.attrs["metadata"])
    assert about["timestep_fs"] == 0.25
    assert about["temperature_K"] == 300
    assert about["symbols"] == list("CCNNOF")
    assert about["calculator"] == "springs"
    assert about["versions"]["ase"]


def test_a_periodic_run_records_stress_that_came_with_the_forces(tmp_path):
    atoms = copper()
    run = run_md(atoms, steps=4, path=tmp_path / "a")
    assert run.observables("stress")[1][-1] == pytest.approx(atoms.get_stress())
    full = atoms.get_stress(include_ideal_gas=True)
    assert run.observables("pressure")[1][-1] == pytest.approx(-full[:3].mean() / units.GPa)
    assert run.observables("cell")[1].shape == (5, 3, 3)


@pytest.mark.parametrize(
    "options",
    [
        {"ensemble": "nve"},
        {"thermostat": "langevin"},
        {"thermostat": "bussi"},
        {"thermostat": "nose-hoover"},
        {"ensemble": "npt"},
        {"ensemble": "npt", "barostat": MTK(cell="full")},
    ],
    ids=str,
)
def test_a_step_is_one_evaluation(tmp_path, options):
    atoms = copper()
    run_md(atoms, steps=20, timestep=2, record="stress", path=tmp_path / "a", **options)
    assert atoms.calc.calls == 21


def test_properties_on_request_share_the_evaluation_of_their_step(tmp_path):
    atoms = cluster()
    calc = atoms.calc
    run_md(atoms, steps=20, record={"dipole": 1, "polarizability": 4}, path=tmp_path / "a")
    start = 3  # the initial structure is tried property by property
    assert len(calc.calls) == start + 20
    assert sum("polarizability" in call for call in calc.calls[start:]) == 5


def test_two_runs_with_one_seed_agree_bit_for_bit_and_another_seed_differs(tmp_path):
    ends = []
    for i, seed in enumerate((1, 1, 2)):
        atoms = cluster()
        run_md(atoms, steps=30, seed=seed, path=tmp_path / f"{i}")
        ends.append(atoms.positions)
    assert (ends[0] == ends[1]).all()
    assert not (ends[0] == ends[2]).any()


@pytest.mark.parametrize("thermostat", ["langevin", "bussi", "nose-hoover"])
def test_global_random_state_is_untouched(tmp_path, thermostat):
    np.random.seed(5)  # noqa: NPY002
    before = np.random.get_state()  # noqa: NPY002
    run_md(cluster(), steps=5, thermostat=thermostat, path=tmp_path / "a")
    after = np.random.get_state()  # noqa: NPY002
    assert before[2:] == after[2:]
    assert (before[1] == after[1]).all()


def test_momenta_of_the_structure_are_kept_and_the_summary_says_so(tmp_path, caplog):
    atoms = cluster()
    given = np.random.default_rng(0).normal(size=(6, 3))
    given -= given.mean(axis=0)
    atoms.set_momenta(given)
    with caplog.at_level(logging.INFO, "painn_ase"):
        run = run_md(atoms, ensemble="nve", steps=2, path=tmp_path / "a")
    assert read(run.trajectory, 0).get_momenta() == pytest.approx(given, abs=0)
    assert "kept" in str(run)
    assert "angular momentum" in caplog.text


def test_the_structure_gets_its_calculator_and_constraints_back(tmp_path):
    atoms = cluster()
    calc = atoms.calc
    run_md(atoms, steps=2, path=tmp_path / "a")
    assert atoms.calc is calc
    assert atoms.constraints == []
    with pytest.raises(InputError):
        run_md(atoms, steps=2, record="charges", path=tmp_path / "b")
    assert atoms.calc is calc
    assert atoms.constraints == []


@pytest.mark.parametrize("calc", [LennardJones(sigma=2.6, epsilon=0.05), MorsePotential(r0=2.6)], ids=["lj", "morse"])
def test_other_ase_calculators_run(tmp_path, calc):
    atoms = Atoms("Ar4", [[0, 0, 0], [2.8, 0, 0], [1.4, 2.4, 0], [1.4, 0.8, 2.3]])
    atoms.calc = calc
    assert run_md(atoms, temperature=20, timestep=2, steps=20, path=tmp_path / "a").summary["complete"]


# ---- files


def test_a_run_is_loaded_again_with_its_summary(tmp_path):
    run = run_md(cluster(), steps=50, path=tmp_path / "sub" / "ethanol_0.5fs")
    again = Run.load(tmp_path / "sub" / "ethanol_0.5fs.h5")
    assert again == run
    assert again.summary == run.summary
    assert again.summary["complete"]
    text = str(again)
    for word in (
        "NVT of C2FN2O, 6 atoms",
        "Langevin",
        "50 of 0.5 fs",
        "steps/s",
        "ethanol_0.5fs.h5",
        "ethanol_0.5fs.traj",
    ):
        assert word in text


def test_files_are_not_overwritten_unless_asked(tmp_path):
    run = run_md(cluster(), steps=2, path=tmp_path / "a")
    content = run.file.read_bytes()
    with pytest.raises(InputError, match=r"a\.h5.*exists.*overwrite=True"):
        run_md(cluster(), steps=3, path=tmp_path / "a")
    assert run.file.read_bytes() == content
    assert run_md(cluster(), steps=3, path=tmp_path / "a", overwrite=True).summary["steps"] == 3


def test_an_unrecorded_observable_is_named_with_those_there(tmp_path):
    run = run_md(cluster(), steps=2, record="dipole", path=tmp_path / "a")
    with pytest.raises(InputError, match="did you mean 'dipole'"):
        run.observables("dipol")
    with pytest.raises(InputError, match="does not exist"):
        Run.load(tmp_path / "nothing")
    (tmp_path / "junk.h5").write_bytes(b"not HDF5")
    with pytest.raises(InputError, match="not a readable HDF5 file"):
        Run.load(tmp_path / "junk")


def test_the_progress_bar_shows_temperature_when_asked_and_nothing_otherwise(tmp_path, capsys):
    run_md(cluster(), steps=5, path=tmp_path / "a")
    assert capsys.readouterr() == ("", "")
    run_md(cluster(), steps=5, path=tmp_path / "b", progress=True)
    out, err = capsys.readouterr()
    assert out == ""
    assert "5/5" in err
    assert " K" in err


# ---- guards


class Breaking(Springs):
    """Goes wrong at the nth evaluation."""

    def __init__(self, atoms, at, how):
        super().__init__(atoms)
        self.at, self.how = at, how

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        if len(self.calls) == self.at:
            if self.how == "raise":
                raise ValueError("network refused")
            self.results["forces"][1] = {"nan": np.nan, "inf": np.inf, "kick": 1e6}[self.how]


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("nan", r"step 8: forces are not finite \(atoms 1\)"),
        ("inf", r"step 8: forces are not finite \(atoms 1\)"),
        ("kick", "step 8: temperature .* K above the limit of 5000 K"),
        ("raise", "step 8: ValueError: network refused"),
    ],
)
@pytest.mark.parametrize("ensemble", ["nve", "nvt"])
def test_a_broken_step_stops_the_run_and_keeps_what_was_good(tmp_path, ensemble, how, message):
    atoms = cluster()
    atoms.calc = Breaking(atoms, at=9, how=how)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # inf - inf inside the integrator
        with pytest.raises(SimulationError, match=message):
            run_md(atoms, ensemble=ensemble, steps=50, record="positions", path=tmp_path / "a")
    run = Run.load(tmp_path / "a")
    assert not run.summary["complete"]
    assert "stopped early" in str(run)
    times, positions = run.observables("positions")
    assert times[-1] == 3.5  # step 7
    good, bad = read(tmp_path / "a.failure.traj", ":")
    assert (good.info["step"], bad.info["step"]) == (7, 8)
    assert (good.positions == positions[-1]).all()
    assert len(read(run.trajectory, ":")) == 1


def test_a_force_limit_stops_the_run(tmp_path):
    atoms = cluster()
    with pytest.raises(SimulationError, match=r"step .*: force .* eV/Å on atom .* above the limit of 0\.5"):
        run_md(atoms, steps=500, path=tmp_path / "a", guards=Guards(max_force=0.5))


def test_an_interrupted_run_is_readable(tmp_path):
    class Interrupting(Springs):
        def calculate(self, *args, **kwargs):
            super().calculate(*args, **kwargs)
            if len(self.calls) == 6:
                raise KeyboardInterrupt

    atoms = cluster()
    atoms.calc = Interrupting(atoms)
    with pytest.raises(KeyboardInterrupt):
        run_md(atoms, steps=50, path=tmp_path / "a")
    assert Run.load(tmp_path / "a").summary["steps"] == 4


# ---- what is refused


class NoDipole(Calculator):
    implemented_properties = ["energy", "forces"]  # noqa: RUF012

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        self.results = {"energy": 0.0, "forces": np.full((len(atoms), 3), np.nan)}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "steps: expected a whole number, 1 or more; got 0"),
        ({"steps": 1.5}, "steps: expected a whole number"),
        ({"timestep": 0.0}, "timestep: expected a finite number above zero in fs"),
        ({"timestep": float("nan")}, "timestep: expected a finite number above zero in fs"),
        ({"temperature": 0.0}, "temperature of ensemble 'nvt': expected a finite number above zero in K"),
        (
            {"temperature": -5.0, "ensemble": "nve"},
            "temperature of ensemble 'nve': expected a finite number of zero or more",
        ),
        ({"ensemble": "nvtt"}, "expected one of nve, nvt, npt; got 'nvtt'; did you mean 'nvt'"),
        ({"thermostat": "langevine"}, "did you mean 'langevin'"),
        ({"thermostat": "bussi", "ensemble": "nve"}, "only ensemble 'nvt' takes one"),
        ({"barostat": MTK()}, "only ensemble 'npt' takes one"),
        ({"ensemble": "npt"}, "'npt' needs a cell that is periodic along all three vectors"),
        ({"record": "dipol"}, "unknown; .* did you mean 'dipole'"),
        ({"record": ["charges"]}, "'springs' does not provide it"),
        ({"record": "volume"}, "'volume' is not defined for this structure"),
        ({"record": {"dipole": 0}}, "whole number, 1 or more; got 0"),
        ({"every": 0}, "every: expected a whole number"),
    ],
)
def test_impossible_requests_are_refused_before_a_file_exists(tmp_path, options, message):
    atoms = cluster()
    before = atoms.positions.copy()
    with pytest.raises(InputError, match=message):
        run_md(atoms, **({"steps": 2, "path": tmp_path / "a"} | options))
    assert list(tmp_path.iterdir()) == []
    assert (atoms.positions == before).all()


@pytest.mark.parametrize(("intervals", "message"), [((0,), "trajectory_every .*1 or more"), ((1, -1.0), "sync .*zero")])
def test_impossible_intervals_of_output_are_refused(intervals, message):
    with pytest.raises(InputError, match=message):
        Output(*intervals)


@pytest.mark.parametrize(("kind", "value"), [(Langevin, -1), (Langevin, float("nan")), (MTK, float("inf"))])
def test_impossible_couplings_are_refused(kind, value):
    with pytest.raises(InputError, match="expected a"):
        kind(value)
    with pytest.raises(InputError, match="'isotropic', 'full' or three booleans"):
        MTK(cell=(False, False, False))


def test_structures_that_cannot_move_are_refused(tmp_path):
    empty, lonely = Atoms(), cluster()
    empty.calc, lonely.calc = EMT(), None
    broken = cluster()
    broken.calc = NoDipole()
    bonded = cluster()
    bonded.set_constraint(FixBondLengths([[0, 1]]))
    for atoms, message in (
        (empty, "empty"),
        (lonely, "needs an ASE calculator; got None"),
        (broken, "not finite"),
        (bonded, "Langevin follows .* FixBondLengths.* thermostat='bussi'"),
    ):
        with pytest.raises(InputError, match=message):
            run_md(atoms, steps=2, path=tmp_path / "a")
    assert list(tmp_path.iterdir()) == []


def test_a_timestep_that_looks_like_another_unit_gets_a_warning(tmp_path):
    with pytest.warns(UserWarning, match="is it meant in fs"):
        run_md(cluster(), steps=1, timestep=10.5, temperature=1, ensemble="nve", path=tmp_path / "a")
