"""A run that was stopped and taken up again is the run that never stopped, to the last bit."""

import logging

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones
from ase.calculators.mixing import SumCalculator
from ase.constraints import FixAtoms

from painn_ase import PaiNNCalculator
from painn_ase.cli import main
from painn_ase.errors import InputError
from painn_ase.simulate import MTK, Bussi, Guards, NoseHooverChain, Output, Run, run_md
from painn_ase.simulate.run.restart import Checkpoint, Restart

from helpers.identical import check_same_run, frames_of, readable
from helpers.springs import cluster
from helpers.stopped import Stop, copper, ethanol, silicon, stop_after

GENTLY = {"timestep": 0.25, "temperature": 100}


def held() -> Atoms:
    atoms = cluster()
    atoms.set_constraint(FixAtoms([0]))
    return atoms


RECORD = {"positions": 3, "forces": 2}
ENSEMBLES = {
    "nve": {"ensemble": "nve"},
    "langevin": {},
    "bussi": {"thermostat": Bussi(time=20)},
    "nose-hoover": {"thermostat": NoseHooverChain(time=20)},
}
PRESSURES = {
    "isotropic": {"ensemble": "npt", "barostat": MTK(pressure=1.0, pressure_time=1000)},
    "full": {"ensemble": "npt", "barostat": MTK(pressure=1.0, pressure_time=1000, cell="full")},
    "along z": {"ensemble": "npt", "barostat": MTK(pressure=1.0, pressure_time=1000, cell=(False, False, True))},
}
QUICK = [(ethanol, "langevin"), (silicon, "nose-hoover"), (silicon, "isotropic"), (held, "langevin")]
QUICK += [(copper, name) for name in (*ENSEMBLES, *PRESSURES)]
REST = [(build, name) for build in (ethanol, silicon) for name in (*ENSEMBLES, *PRESSURES)]
REST = [case for case in REST if case not in QUICK and not (case[0] is ethanol and case[1] in PRESSURES)]
CASES = [*QUICK, *(pytest.param(*case, marks=pytest.mark.slow) for case in REST)]


def short(atoms: Atoms, path, **changes) -> Run:
    options = {"steps": 45, "timestep": 1.0, "temperature": 600, "record": RECORD, "output": Output(10)}
    return run_md(atoms, path=path, **options | changes)


def pieces(build, path, monkeypatch, stops, **options) -> None:
    """A run that is stopped at each of `stops` (evaluations of one piece), its state saved at every seventh step."""
    count = iter(range(10**6))
    with monkeypatch.context() as patch:
        patch.setattr(Checkpoint, "due", property(lambda self: next(count) % 7 == 6))
        for k, stop in enumerate(stops):
            with pytest.raises(Stop):
                short(stop_after(build(), stop), path, resume=k > 0, **options)
            readable(path)
        short(build(), path, resume=True, **options)


@pytest.mark.parametrize(("build", "name"), CASES, ids=lambda x: getattr(x, "__name__", x))
def test_a_stopped_run_resumes_to_the_last_bit(build, name, tmp_path, monkeypatch):
    options = (ENSEMBLES | PRESSURES)[name]
    options = options | {ethanol: {"record": RECORD | {"dipole": 4}}, silicon: GENTLY}.get(build, {})
    short(build(), tmp_path / "whole", **options)
    pieces(build, tmp_path / "pieces", monkeypatch, (25, 15), **options)
    check_same_run(tmp_path / "pieces", tmp_path / "whole")


def test_sums_with_a_model_resume_to_the_last_bit(tmp_path, monkeypatch):
    """ASE's sums do not know what their parts remember."""

    def build():
        atoms = ethanol()
        atoms.calc = SumCalculator([atoms.calc, LennardJones(sigma=1.0, epsilon=0.001)])
        return atoms

    short(build(), tmp_path / "whole")
    pieces(build, tmp_path / "pieces", monkeypatch, (25, 15))
    check_same_run(tmp_path / "pieces", tmp_path / "whole")


def test_the_order_of_pairs_is_part_of_the_state(tmp_path, monkeypatch):
    """Without it the last bit would go its own way: the tests above can fail."""
    monkeypatch.delattr(PaiNNCalculator, "recall")
    short(ethanol(), tmp_path / "whole")
    pieces(ethanol, tmp_path / "pieces", monkeypatch, (25,))
    with pytest.raises(AssertionError):
        check_same_run(tmp_path / "pieces", tmp_path / "whole")


def test_a_run_stopped_before_its_first_checkpoint_begins_again(tmp_path):
    short(cluster(), tmp_path / "whole")
    with pytest.raises(Stop):
        short(stop_after(cluster(), 30), tmp_path / "pieces")
    assert Run.load(tmp_path / "pieces").summary["steps"] > 10
    short(cluster(), tmp_path / "pieces", resume=True)
    check_same_run(tmp_path / "pieces", tmp_path / "whole")


def test_a_run_stopped_before_it_had_files_begins_again(tmp_path, monkeypatch):
    short(cluster(), tmp_path / "whole")

    def stopped(rows, first):
        raise Stop

    with monkeypatch.context() as patch:
        patch.setattr("painn_ase.simulate.run.recorder.Rows.open", stopped)
        with pytest.raises(Stop):
            short(cluster(), tmp_path / "pieces")
    short(cluster(), tmp_path / "pieces", resume=True)
    check_same_run(tmp_path / "pieces", tmp_path / "whole")


@pytest.mark.parametrize("first", [17, 20, 45])
def test_a_finished_run_goes_on_when_more_steps_are_asked_for(first, tmp_path):
    """The frame at the end of a run that now goes on is taken off again; asking for the same steps changes nothing."""
    short(ethanol(), tmp_path / "whole")
    short(ethanol(), tmp_path / "pieces", steps=first)
    assert frames_of(tmp_path / "pieces.traj")[-1].info["step"] == first
    run = short(ethanol(), tmp_path / "pieces", resume=True)
    assert run.summary["complete"]
    check_same_run(tmp_path / "pieces", tmp_path / "whole")
    with pytest.raises(InputError, match="has 45 steps already"):
        short(ethanol(), tmp_path / "pieces", steps=20, resume=True)


def test_the_same_atoms_go_on_from_where_they_are(tmp_path):
    """In one process, as in a notebook: the atoms have moved, and the run is continued from there."""
    whole, atoms = ethanol(), ethanol()
    short(whole, tmp_path / "whole")
    short(atoms, tmp_path / "pieces", steps=20)
    short(atoms, tmp_path / "pieces", resume=True)
    check_same_run(tmp_path / "pieces", tmp_path / "whole")
    assert (atoms.positions == whole.positions).all()
    assert atoms.constraints == []


def test_a_calculator_with_a_memory_of_its_own_is_noticed(tmp_path, monkeypatch, caplog):
    """ASE's EMT keeps a neighbour list with a skin, whose order decides the last bit."""

    def hot() -> Atoms:
        atoms = copper()
        atoms.calc = EMT()
        return atoms

    with caplog.at_level(logging.WARNING, "painn_ase"):
        pieces(hot, tmp_path / "pieces", monkeypatch, (38,), temperature=3000, timestep=4.0)
    assert "not to the last bit" in caplog.text


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"temperature": 610.0}, r"temperature_K was 600.0, now 610.0"),
        ({"timestep": 0.5}, r"timestep_fs was 1.0, now 0.5"),
        ({"seed": 3}, "seed was 0, now 3"),
        ({"thermostat": "bussi"}, r"coupling was 'Langevin\(friction=0.01\)'"),
        ({"ensemble": "nve"}, "ensemble was 'nvt', now 'nve'"),
        ({"record": "positions"}, r"\(record\)"),
        ({"every": 2}, "every was 1, now 2"),
        ({"output": Output(5)}, "frames_every was 10, now 5"),
    ],
)
def test_another_request_is_refused_and_named(changes, message, tmp_path):
    short(cluster(), tmp_path / "a", steps=10)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    with pytest.raises(InputError, match=message):
        short(cluster(), tmp_path / "a", resume=True, **changes)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_another_structure_or_model_is_refused_and_named(tmp_path):
    short(cluster(), tmp_path / "a", steps=10)
    moved, pulled, heavy, charged, bent = (cluster() for _ in range(5))
    moved.positions[0] += 0.1
    pulled.set_constraint(FixAtoms([1]))
    heavy.set_masses(heavy.get_masses() * 2)
    charged.info["charge"] = 1
    bent.calc.lengths = bent.calc.lengths * 1.1
    for atoms, message in (
        (moved, r"\(positions\)"),
        (pulled, r"\(constraints\)"),
        (heavy, r"\(masses\)"),
        (charged, "charge was '0', now '1'"),
        (bent, "begun with another model"),
    ):
        with pytest.raises(InputError, match=message):
            short(atoms, tmp_path / "a", resume=True)
    other = cluster()
    other.calc = LennardJones()
    with pytest.raises(InputError, match="calculator was 'springs', now 'lennardjones'"):
        short(other, tmp_path / "a", resume=True)


def test_precision_of_the_network_is_part_of_the_request(tmp_path):
    short(ethanol(), tmp_path / "a", steps=3)
    atoms = ethanol()
    atoms.calc = PaiNNCalculator("ethanol", skin=0.5, dtype="float64")
    with pytest.raises(InputError, match="calculator's dtype was 'float32', now 'float64'"):
        short(atoms, tmp_path / "a", steps=6, resume=True)


def test_resuming_nothing_or_something_else_is_refused(tmp_path):
    with pytest.raises(InputError, match="no run to continue; start one without resume"):
        short(cluster(), tmp_path / "a", resume=True)
    short(cluster(), tmp_path / "a", steps=3)
    with pytest.raises(InputError, match="overwrite"):
        short(cluster(), tmp_path / "a")
    (tmp_path / "a.restart.npz").write_bytes(b"PK\x03\x04 not one")
    with pytest.raises(InputError, match="not a restart file"):
        short(cluster(), tmp_path / "a", resume=True)
    with pytest.raises(InputError, match="checkpoint: expected"):
        short(cluster(), tmp_path / "b", checkpoint=-1.0)


def test_guards_may_change_when_a_run_goes_on(tmp_path):
    """A run that was stopped for its temperature goes on under another limit."""
    short(cluster(), tmp_path / "a", steps=20)
    short(cluster(), tmp_path / "a", steps=30, resume=True, guards=Guards(max_temperature=1e5))
    assert Run.load(tmp_path / "a").summary["steps"] == 30


def test_a_restart_holds_every_state_it_names(tmp_path):
    short(silicon(), tmp_path / "a", steps=5, **PRESSURES["isotropic"] | GENTLY)
    saved = Restart.load(tmp_path / "a.restart.npz")
    names = {n.removeprefix("driver ") for n in saved.arrays if n.startswith("driver ")}
    assert names == set(MTK().memory)
    assert np.any(saved.arrays["driver _barostat._p_xi"])
    assert saved.values["generator"]["bit_generator"] == "PCG64"
    assert {"calculator positions", "calculator cell", "forces"} <= saved.arrays.keys()


def test_command_line_resumes(tmp_path, capsys):
    out = str(tmp_path / "run")
    words = ["md", "ethanol", "--steps", "20", "--record", "dipole", "--output", out]
    assert main(words) == 0
    assert main(words) == 2
    assert "--overwrite" in capsys.readouterr().err
    words[3] = "30"
    assert main([*words, "--resume"]) == 0
    words[-1] = str(tmp_path / "whole")
    assert main(words) == 0
    check_same_run(tmp_path / "run", tmp_path / "whole")
    assert main([*words, "--resume", "--temperature", "310"]) == 2
    assert "temperature_K was 300.0, now 310.0" in capsys.readouterr().err
