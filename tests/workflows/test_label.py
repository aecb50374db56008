"""Labelling loses nothing: not to a kill, not to a failure, not to another order. Any ASE calculator will do here."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from ase.build import molecule
from ase.calculators.calculator import CalculationFailed
from ase.calculators.emt import EMT
from ase.io import read, write

from painn_ase import PaiNNCalculator
from painn_ase.cli import main
from painn_ase.errors import InputError, SimulationError
from painn_ase.model_files import find_model
from painn_ase.reference import Models, label


class Slow(EMT):
    """Takes a while, as quantum chemistry does."""

    def calculate(self, *args, **kwargs):
        time.sleep(0.2)
        super().calculate(*args, **kwargs)


class Moody(EMT):
    """Fails for stretched structures, as a self-consistent field may."""

    def calculate(self, atoms, *args, **kwargs):
        if np.ptp(atoms.positions[:, 2]) > 3.2:
            raise CalculationFailed("no convergence")
        super().calculate(atoms, *args, **kwargs)


def frames(count=6):
    made = []
    for seed in range(count):
        atoms = molecule("CH3CH2OH")
        atoms.rattle(0.05, seed=seed)
        atoms.info["source"] = f"rattle_{seed}"
        made.append(atoms)
    return made


def same_labels(first, second):
    return all(
        (a.positions == b.positions).all()
        and a.get_potential_energy() == b.get_potential_energy()
        and (a.get_forces() == b.get_forces()).all()
        and a.info["source"] == b.info["source"]
        for a, b in zip(read(first, ":"), read(second, ":"), strict=True)
    )


def test_labels_are_the_calculators_on_the_very_positions_written(tmp_path):
    given = frames()
    outcome = label(given, EMT, tmp_path / "out.extxyz")
    assert (outcome.computed, outcome.found, outcome.failed) == (6, 0, {})
    for atoms, original in zip(read(outcome.path, ":"), given, strict=True):
        assert np.abs(atoms.positions - original.positions).max() <= 0.5001e-8
        stored = (atoms.get_potential_energy(), atoms.get_forces())
        assert atoms.info["source"] == original.info["source"]
        atoms.calc = EMT()
        assert atoms.get_potential_energy() == pytest.approx(stored[0], abs=1e-12)
        assert np.abs(atoms.get_forces() - stored[1]).max() <= 0.5001e-8  # eight decimals in the file
    about = json.loads((tmp_path / "out.extxyz.json").read_text())
    assert about["recipe"]["properties"] == {"energy": "eV", "forces": "eV/Å"}
    assert about["frames"] == 6


def test_models_label_with_their_mean_and_the_recipe_knows_their_weights(tmp_path, monkeypatch, capsys):
    given = frames(3)
    monkeypatch.chdir(tmp_path)
    write("given.xyz", given, format="extxyz")
    words = ["--properties", "energy", "forces", "dipole", "--output", "out.extxyz"]
    assert main(["label", "given.xyz", "--models", "ethanol", "ethanol", *words]) == 0
    assert "3 labelled now" in capsys.readouterr().out
    calculator = PaiNNCalculator(["ethanol", "ethanol"])
    for atoms in read(tmp_path / "out.extxyz", ":"):
        twin = atoms.copy()
        twin.calc = calculator
        assert atoms.get_potential_energy() == pytest.approx(twin.get_potential_energy(), abs=1e-9)
        assert np.abs(atoms.get_forces() - twin.get_forces()).max() < 1e-7  # eight decimals in the file
        assert np.abs(atoms.get_dipole_moment() - twin.get_dipole_moment()).max() < 1e-7
    weights = (find_model("ethanol") / "weights.safetensors").read_bytes()
    recipe = json.loads((tmp_path / "out.extxyz.json").read_text())["recipe"]
    assert recipe["sha256 of weights"] == [hashlib.sha256(weights).hexdigest()] * 2
    with pytest.raises(InputError, match="leave it out of the properties"):
        label(given, Models("ethanol"), tmp_path / "alpha.extxyz", properties=["polarizability"])


def test_processes_change_nothing_and_leave_the_parents_environment(tmp_path):
    before = dict(os.environ)
    label(frames(), EMT, tmp_path / "one.extxyz")
    label(frames(), EMT, tmp_path / "two.extxyz", processes=2)
    assert same_labels(tmp_path / "one.extxyz", tmp_path / "two.extxyz")
    assert (tmp_path / "one.extxyz").read_bytes() == (tmp_path / "two.extxyz").read_bytes()
    assert dict(os.environ) == before


def test_old_labels_of_the_input_are_forgotten(tmp_path):
    given = frames(1)
    given[0].calc = EMT()
    given[0].info |= {"energy": 5.0, "dipole": [1.0, 2.0, 3.0], "polarizability": np.eye(3)}
    label(given, EMT, tmp_path / "out.extxyz", properties=["forces"])
    atoms = read(tmp_path / "out.extxyz")
    assert set(atoms.calc.results) == {"forces"}
    assert set(atoms.info) == {"source"}


def test_a_second_call_computes_only_what_is_missing(tmp_path):
    path = tmp_path / "out.extxyz"
    label(frames()[2:4], EMT, path)
    outcome = label(frames(), EMT, path)
    assert (outcome.computed, outcome.found) == (4, 2)
    label(frames(), EMT, tmp_path / "at_once.extxyz")
    assert path.read_bytes() == (tmp_path / "at_once.extxyz").read_bytes()


def test_frames_get_the_labels_that_they_name_and_later_those_that_they_lack(tmp_path):
    path, given = tmp_path / "out.extxyz", frames(3)
    given[1].info["labels"] = "energy"
    given[2].info["labels"] = ["forces"]
    outcome = label(given, EMT, path)
    assert outcome.computed == 3
    assert [set(atoms.calc.results) - {"free_energy"} for atoms in read(path, ":")] == [
        {"energy", "forces"}, {"energy"}, {"forces"},
    ]  # fmt: skip
    assert json.loads((tmp_path / "out.extxyz.json").read_text())["labels"] == {"energy": 2, "forces": 2}
    given[1].info["labels"] = "forces"
    assert label(given, EMT, path).computed == 1
    again = read(path, ":")[1]
    fresh = frames(2)[1]
    fresh.calc = EMT()
    assert again.get_potential_energy() == pytest.approx(fresh.get_potential_energy(), abs=1e-6)
    assert np.abs(again.get_forces() - fresh.get_forces()).max() < 1e-6
    assert label(given, EMT, path).computed == 0


def test_labels_by_source_on_the_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write("given.xyz", frames(3), format="extxyz")
    words = ["label", "given.xyz", "--models", "ethanol", "--output", "out.extxyz", "--properties", "energy"]
    assert main([*words, "--properties-for", "*_1=energy,dipole", "rattle_[12]=forces"]) == 0
    found = [set(atoms.calc.results) - {"free_energy"} for atoms in read("out.extxyz", ":")]
    assert found == [{"energy"}, {"energy", "dipole"}, {"forces"}]
    for wrong, message in (("rattle_1", "expected '*_wigner_*="), ("wigner*=energy", "there are rattle_0")):
        assert main([*words, "--properties-for", wrong]) != 0
        assert message in capsys.readouterr().err


@pytest.mark.parametrize(("own", "words"), [("", "expected names"), ("force", "EMT labels energy, forces")])
def test_labels_that_a_frame_cannot_have_are_refused(tmp_path, own, words):
    given = frames(2)
    given[1].info["labels"] = own
    with pytest.raises(InputError, match=words):
        label(given, EMT, tmp_path / "out.extxyz")


def test_labels_of_frames_that_are_not_asked_for_again_are_kept(tmp_path):
    path = tmp_path / "out.extxyz"
    label(frames(), EMT, path)
    label(frames()[3:5], EMT, path)
    assert [a.info["source"] for a in read(path, ":")] == [f"rattle_{k}" for k in (3, 4, 0, 1, 2, 5)]


def test_equal_frames_are_computed_once_and_written_twice(tmp_path):
    outcome = label([*frames(2), *frames(2)], EMT, tmp_path / "out.extxyz")
    assert outcome.computed == 2
    assert [a.info["source"] for a in read(outcome.path, ":")] == ["rattle_0", "rattle_1"] * 2


@pytest.mark.parametrize("lost", [1, 30, 400])
def test_a_half_written_frame_is_cut_off_and_computed_again(tmp_path, lost):
    path, whole = tmp_path / "out.extxyz", tmp_path / "whole.extxyz"
    label(frames(), EMT, whole)
    label(frames(), EMT, path)
    os.truncate(path, path.stat().st_size - lost)
    outcome = label(frames(), EMT, path)
    assert (outcome.computed, outcome.found) == (1, 5)
    assert path.read_bytes() == whole.read_bytes()


def test_a_failure_costs_its_own_frame_only_and_is_recorded(tmp_path):
    given = frames()
    given[2].positions[8, 2] += 5.0
    outcome = label(given, Moody, tmp_path / "out.extxyz")
    assert outcome.failed == {2: "CalculationFailed: no convergence"}
    assert [a.info["source"] for a in read(outcome.path, ":")] == [f"rattle_{k}" for k in (0, 1, 3, 4, 5)]
    about = json.loads((tmp_path / "out.extxyz.json").read_text())
    assert about["failed"] == [{"frame": 2, "reason": "CalculationFailed: no convergence"}]
    assert "FAILED" in str(outcome)
    with pytest.raises(SimulationError, match="all 1 frames failed"):
        label(given[2:3], Moody, tmp_path / "none.extxyz")


def test_an_output_of_another_recipe_or_origin_is_not_touched(tmp_path):
    path = tmp_path / "out.extxyz"
    label(frames(2), EMT, path)
    content = path.read_bytes()
    for change in ({"properties": ["forces"]}, {"by": Moody}):
        with pytest.raises(InputError, match="another recipe"):
            label(frames(2), **({"by": EMT} | change), output=path)
    (tmp_path / "out.extxyz.json").unlink()
    with pytest.raises(InputError, match="does not or is no such"):
        label(frames(2), EMT, path)
    assert path.read_bytes() == content
    label(frames(2), Moody, path, overwrite=True)


@pytest.mark.parametrize(
    ("change", "words"),
    [({"properties": ["polarizability"]}, "level of theory"), ({"properties": ["dipole"]}, "EMT labels energy, forces"),
     ({"properties": ["force"]}, "forces"), ({"properties": []}, "at least one"), ({"processes": 0}, "processes"),
     ({"by": 3}, "a function that makes a calculator"), ({"by": "pbe0"}, "FUNCTIONAL/BASIS"),
     ({"frames": []}, "at least one frame")],
)  # fmt: skip
def test_impossible_requests_are_refused_before_anything_is_written(tmp_path, change, words):
    with pytest.raises(InputError, match=words):
        label(**({"frames": frames(1), "by": EMT, "output": tmp_path / "out.extxyz"} | change))
    assert not list(tmp_path.iterdir())


SCRIPT = """
import sys
sys.path.insert(0, {tests!r})
from test_label import Slow, frames
from painn_ase.reference import label
if __name__ == "__main__":
    label(frames(12), Slow, {path!r}, processes=2)
"""


def children_of(process):
    found = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(process.pid)], capture_output=True, text=True, check=False
    )
    return [int(word) for word in found.stdout.split()]


def running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
def test_a_killed_run_leaves_no_process_and_resumes(tmp_path):
    path, script = tmp_path / "out.extxyz", tmp_path / "script.py"
    script.write_text(SCRIPT.format(tests=str(Path(__file__).parent), path=str(path)))
    process = subprocess.Popen([sys.executable, str(script)], env=os.environ | {"OMP_NUM_THREADS": "1"})
    try:
        deadline = time.monotonic() + 60
        while not (path.exists() and path.stat().st_size) and time.monotonic() < deadline:
            time.sleep(0.05)
        children = children_of(process)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert children
    deadline = time.monotonic() + 20
    while any(map(running, children)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(running, children))
    saved = path.read_text().count("source=")
    assert 0 < saved < 12
    outcome = label(frames(12), Slow, path)
    assert outcome.computed + outcome.found == 12
    assert outcome.found >= saved - 1  # the kill may have met the last one half written
    label(frames(12), EMT, tmp_path / "whole.extxyz")
    assert path.read_bytes() == (tmp_path / "whole.extxyz").read_bytes()
