"""Training from a file to a model folder: it learns, survives kills to the last bit, and never loses a run."""

import csv
import itertools
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import ase.io
import numpy as np
import pytest
import torch
from ase.build import molecule
from ase.calculators.morse import MorsePotential
from safetensors.numpy import load_file

from painn_ase.cards.render import render_card
from painn_ase.errors import InputError, ModelError, SimulationError
from painn_ase.model_files import load_model
from painn_ase.training import Label, evaluate_model, parity_plot, parse_config, read_frames, train, trainer
from painn_ase.training.checkpoint import load_state, save_state
from painn_ase.training.config import Schedule
from painn_ase.training.schedule import LearningRate

CHARGES = {1: 0.3, 8: -0.6}  # e


def write_frames(path: Path, count: int, seed: int) -> None:
    """Rattled water with Morse energies and forces, the dipole of fixed charges, and a distance-dependent α."""
    rng = np.random.default_rng(seed)
    frames = []
    for k in range(count):
        atoms = molecule("H2O")
        atoms.rattle(0.08, rng=rng)
        atoms.calc = MorsePotential(epsilon=2.0, rho0=1.5, r0=1.0, rcut1=8.0, rcut2=9.0)
        energy, forces = atoms.get_potential_energy(), atoms.get_forces()
        atoms.calc = None
        bonds = atoms.positions[1:] - atoms.positions[0]
        atoms.info |= {
            "E": energy - 100.0,
            "mu": sum(CHARGES[z] * r for z, r in zip(atoms.numbers, atoms.positions, strict=True)),
            "alpha": (0.05 * np.eye(3) + 0.03 * bonds.T @ bonds).ravel(),
            "source": f"run {k % 4}",
        }
        atoms.arrays["F"] = forces
        frames.append(atoms)
    ase.io.write(path, frames, format="extxyz")


@pytest.fixture
def table(tmp_path) -> dict:
    """A small and fast training run as a TOML table; paths are relative to `tmp_path`."""
    write_frames(tmp_path / "train.xyz", 12, seed=1)
    return {
        "data": {
            "train": "train.xyz",
            "labels": {
                "energy": {"key": "E", "unit": "eV"},
                "forces": {"key": "F", "unit": "eV/Å"},
                "dipole": {"key": "mu", "unit": "e·Å"},
                "polarizability": {"key": "alpha", "unit": "e²Å²/eV"},
            },
            "split": {"by": "info", "key": "source", "validation": 0.25},
        },
        "model": {"representation": {"kind": "painn", "features": 16, "interactions": 2, "cutoff": 4.0}},
        "optimizer": {"learning_rate": 5e-3, "ema": 0.9},
        "schedule": {"warmup": 5},
        "run": {"epochs": 4, "batch_size": 3, "output": "out", "checkpoint_epochs": 2, "threads": 1},
    }


class Killed(Exception):
    """Stands for a kill: nothing of the run is tidied up after it."""


def kill_in(epoch: int):
    def look(row):
        if row["epoch"] == epoch:
            raise Killed

    return look


def test_a_small_network_learns_every_property_of_a_few_frames(table, tmp_path):
    table["run"] |= {"epochs": 80, "output": "fit"}
    write_frames(tmp_path / "held.xyz", 2, seed=3)
    del table["data"]["split"]
    table["data"] |= {"validation": "held.xyz"}
    config = parse_config(table, tmp_path)
    result = train(config, progress=False)
    frames = read_frames(tmp_path / "train.xyz")
    spread = {
        "energy": np.std([a.info["E"] for a in frames]),
        "forces": np.sqrt(np.mean([a.arrays["F"] ** 2 for a in frames])),
        "dipole": np.sqrt(np.mean([a.info["mu"] ** 2 for a in frames])),
        "polarizability": np.sqrt(np.mean([a.info["alpha"] ** 2 for a in frames])),
    }
    for name, comparison in evaluate_model(result.model, frames, config.data.labels).comparisons.items():
        rmse = np.sqrt(np.mean((comparison.predicted - comparison.reference) ** 2))
        assert rmse < 0.1 * spread[name], name
    card = (result.folder / "card.md").read_text(encoding="utf-8")
    assert card == render_card(load_model(result.folder))  # train() writes it, whoever calls
    assert "## Errors: validation (2 structures)" in card


@pytest.mark.parametrize("schedule", [{"kind": "cosine"}, {"kind": "plateau"}, {"minutes": 4 / 60}])
def test_a_killed_run_resumes_to_the_same_bits(table, tmp_path, schedule, monkeypatch):
    seconds = itertools.count()  # on a clock by which every epoch takes one: what a schedule by minutes goes by
    monkeypatch.setattr(trainer, "time", SimpleNamespace(monotonic=lambda: float(next(seconds))))
    table["schedule"] |= schedule
    straight = train(parse_config(table, tmp_path), progress=False)
    table["run"]["output"] = "killed"
    config = parse_config(table, tmp_path)
    with pytest.raises(Killed):  # in epoch 3, one epoch after the checkpoint
        train(config, progress=False, on_epoch=kill_in(3))
    torch.manual_seed(5)  # the state of the global generator must not matter
    resumed = train(config, resume=True, progress=False)
    assert resumed.epochs == 4
    for name, value in straight.model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[name]), name
    first, second = (load_file(tmp_path / o / "checkpoint.safetensors") for o in ("out", "killed"))
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert np.array_equal(value, second[name]), name
    rows = [list(csv.DictReader((tmp_path / o / "log.csv").read_text().splitlines())) for o in ("out", "killed")]
    for a, b in zip(*rows, strict=True):
        assert {**a, "seconds": ""} == {**b, "seconds": ""}


def test_a_schedule_by_minutes_ends_with_them(table, tmp_path, monkeypatch, capsys):
    """Epochs of a second in a schedule of seven: the cosine of as many steps, whatever [run] epochs says."""
    seconds = itertools.count()
    monkeypatch.setattr(trainer, "time", SimpleNamespace(monotonic=lambda: float(next(seconds))))
    table["schedule"] = {"minutes": 7 / 60, "warmup": 0, "minimum": 0.01}
    result = train(parse_config(table, tmp_path))
    assert (result.epochs, result.finished) == (7, True)
    assert "epoch 7 of 7" in capsys.readouterr().err
    with open(tmp_path / "out/log.csv", newline="") as file:
        rates = [float(row["learning_rate"]) for row in csv.DictReader(file)]
    cosine = LearningRate(Schedule(warmup=0, minimum=0.01), 7 * 3)
    assert rates[1:] == pytest.approx([5e-3 * cosine.at(3 * k - 1) for k in range(2, 8)])
    with pytest.raises(InputError, match=r"schedule.minutes was 0.1\d* and is now 1.0"):
        train(parse_config(table | {"schedule": table["schedule"] | {"minutes": 1}}, tmp_path), resume=True)


def test_ctrl_c_finishes_the_epoch_and_saves(table, tmp_path):
    config = parse_config(table, tmp_path)

    def press(row):
        if row["epoch"] == 1:
            os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    result = train(config, progress=False, on_epoch=press)
    assert signal.getsignal(signal.SIGINT) is before
    assert not result.finished
    assert result.epochs <= 2  # the signal arrives at the end of the first epoch or within the second
    assert train(config, resume=True, progress=False).epochs == 4


SCRIPT = """
import sys
from painn_ase.training import load_config, train
config = load_config(sys.argv[1])
train(config, resume=len(sys.argv) > 2, progress=False, on_epoch=lambda row: print(row["epoch"], flush=True))
"""

TOML = """
[data]
train = "train.xyz"
labels.energy = { key = "E", unit = "eV" }
labels.forces = { key = "F", unit = "eV/Å" }
[model.representation]
kind = "painn"
features = 16
interactions = 1
cutoff = 4.0
[run]
output = "out"
epochs = EPOCHS
checkpoint_epochs = 1
threads = 1
"""


@pytest.mark.slow
def test_a_process_killed_by_the_system_resumes(table, tmp_path):
    """SIGKILL at an arbitrary moment: whatever is on disk then must be whole."""
    (tmp_path / "train.toml").write_text(TOML.replace("EPOCHS", "40"))
    command = [sys.executable, "-c", SCRIPT, str(tmp_path / "train.toml")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    for line in process.stdout:
        if line.strip() == "7":
            process.kill()
            break
    process.stdout.close()
    assert process.wait() == -signal.SIGKILL
    output = subprocess.run([*command, "--resume"], capture_output=True, text=True, check=True).stdout.split()
    assert int(output[0]) >= 7
    assert output[-1] == "40"
    load_model(tmp_path / "out" / "model")


def test_an_earlier_run_is_never_overwritten(table, tmp_path):
    config = parse_config(table, tmp_path)
    train(config, progress=False)
    with pytest.raises(InputError, match="already holds a training run; continue it with --resume"):
        train(config, progress=False)


@pytest.mark.parametrize(
    ("section", "change", "message"),
    [
        ("optimizer", {"learning_rate": 1e-4}, "optimizer.learning_rate was 0.005 and is now 0.0001"),
        ("run", {"batch_size": 4}, "run.batch_size was 3 and is now 4"),
    ],
)
def test_resuming_another_run_is_refused(table, tmp_path, section, change, message):
    train(parse_config(table, tmp_path), progress=False)
    table[section] |= change
    with pytest.raises(InputError, match=message):
        train(parse_config(table, tmp_path), resume=True, progress=False)


def test_a_run_from_before_epsilon_was_spelled_out_goes_on_with_the_value_it_had(table, tmp_path):
    table["model"]["representation"] |= {"epsilon": 1e-8, "radial": {"kind": "bessel", "count": 20}}
    table["model"]["heads"] = {"energy": {}, "dipole": {"epsilon": 1e-8}, "polarizability": {"epsilon": 1e-8}}
    train(parse_config(table, tmp_path), progress=False)
    path = tmp_path / "out" / "checkpoint.safetensors"
    groups, scalars = load_state(path)
    unknown = ("epsilon", "loss.born_effective_charges")  # nor could Born charges be labels
    scalars["run"] = {k: v for k, v in scalars["run"].items() if not k.endswith(unknown) and "radial" not in k}
    save_state(path, groups, scalars)
    assert train(parse_config(table, tmp_path), resume=True, progress=False).finished
    save_state(path, groups, scalars)
    del table["model"]["heads"]
    with pytest.raises(InputError, match=r"resume: model.heads.dipole.epsilon was 1e-08 and is now 0.05; set it back"):
        train(parse_config(table, tmp_path), resume=True, progress=False)
    del table["model"]["representation"]["radial"], table["model"]["representation"]["epsilon"]
    table["model"]["heads"] = {"energy": {}, "dipole": {"epsilon": 1e-8}, "polarizability": {"epsilon": 1e-8}}
    with pytest.raises(InputError, match=r"resume: model.representation.epsilon was 1e-08 and is now 0.05"):
        train(parse_config(table, tmp_path), resume=True, progress=False)
    table["model"]["representation"]["epsilon"] = 1e-8
    with pytest.raises(InputError, match=r"resume: model.representation.radial.count was 20 and is now 6"):
        train(parse_config(table, tmp_path), resume=True, progress=False)


def test_resuming_with_changed_data_is_refused(table, tmp_path):
    train(parse_config(table, tmp_path), progress=False)
    write_frames(tmp_path / "train.xyz", 12, seed=2)
    with pytest.raises(InputError, match=r"resume: sha256 of train.xyz was"):
        train(parse_config(table, tmp_path), resume=True, progress=False)


@pytest.mark.parametrize("damage", [None, b"", b"\x00" * 100])
def test_a_missing_or_damaged_checkpoint_is_refused(table, tmp_path, damage):
    if damage is not None:
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "checkpoint.safetensors").write_bytes(damage)
    with pytest.raises(InputError, match="missing or damaged training checkpoint"):
        train(parse_config(table, tmp_path), resume=True, progress=False)


def test_a_diverging_run_stops_with_its_last_checkpoint_intact(table, tmp_path):
    table["optimizer"] = {"learning_rate": 1e25, "gradient_norm": 0}
    table["schedule"] = {"warmup": 20}
    table["run"] |= {"epochs": 50, "checkpoint_epochs": 1}
    with pytest.raises(SimulationError, match=r"training diverged in epoch \d+ .*[Ll]ower"):
        train(parse_config(table, tmp_path), progress=False)


def test_training_leaves_the_process_as_it_was(table, tmp_path):
    torch.manual_seed(11)
    state, threads, dtype = torch.get_rng_state(), torch.get_num_threads(), torch.get_default_dtype()
    train(parse_config(table, tmp_path), progress=False)
    assert torch.equal(torch.get_rng_state(), state)
    assert (torch.get_num_threads(), torch.get_default_dtype()) == (threads, dtype)


def test_early_stopping_ends_a_run_that_no_longer_improves(table, tmp_path):
    table["optimizer"] = {"learning_rate": 1e-12, "ema": 0.0}
    table["run"] |= {"epochs": 50, "early_stopping": 3}
    result = train(parse_config(table, tmp_path), progress=False)
    assert result.epochs == result.best_epoch + 3


def test_the_model_says_how_it_was_made(table, tmp_path):
    write_frames(tmp_path / "test.xyz", 3, seed=9)
    table["data"]["test"] = "test.xyz"
    result = train(parse_config(table, tmp_path), progress=False)
    header = json.loads((result.folder / "model.json").read_text())
    provenance = header["provenance"]
    assert provenance["structures"] == {"train": 9, "validation": 3, "test": 3}
    assert provenance["training"]["data"]["split"]["key"] == "source"
    assert set(provenance["data_sha256"]) == {"train.xyz", "test.xyz"}
    assert str(tmp_path) not in json.dumps(header)
    assert header["errors"]["test"]["properties"]["forces"]["unit"] == "meV/Å"
    assert set(result.model.elements) == {1, 8}


@pytest.mark.parametrize(
    ("heads", "message"),
    [({"energy": {}}, "no head predicts the labelled dipole"), ({"energi": {}}, "did you mean 'energy'")],
)
def test_heads_that_do_not_fit_the_labels_are_refused(table, tmp_path, heads, message):
    table["model"]["heads"] = heads
    with pytest.raises(InputError, match=message):
        train(parse_config(table, tmp_path), progress=False)


def test_a_head_without_labels_is_refused(table, tmp_path):
    del table["data"]["labels"]["polarizability"]
    table["model"]["heads"] = {"energy": {}, "dipole": {}, "polarizability": {}}
    with pytest.raises(InputError, match="no label trains polarizability"):
        train(parse_config(table, tmp_path), progress=False)


def test_evaluation_reports_errors_in_units_and_by_group(table, tmp_path):
    model = train(parse_config(table, tmp_path), progress=False).model
    frames = read_frames(tmp_path / "train.xyz")
    labels = parse_config(table, tmp_path).data.labels
    evaluation = evaluate_model(model, frames, labels, group="source", batch_size=5)
    assert set(evaluation.groups) == {"run 0", "run 1", "run 2", "run 3"}
    by_name = {e.name: e for e in evaluation.errors}
    forces = evaluation.comparisons["forces"]
    assert by_name["forces"].count == 12 * 3 * 3
    assert by_name["forces"].mae == pytest.approx(1e3 * np.abs(forces.predicted - forces.reference).mean())
    assert by_name["energy per atom"].mae == pytest.approx(by_name["energy"].mae / 3)
    # the mean of the groups, all of one size, is the whole
    parts = [e.mae for errors in evaluation.groups.values() for e in errors if e.name == "forces"]
    assert np.mean(parts) == pytest.approx(by_name["forces"].mae)
    assert "| forces " in evaluation.table()
    assert parity_plot(evaluation, tmp_path / "parity.png").stat().st_size > 10_000


def test_evaluation_refuses_what_the_model_does_not_know(table, tmp_path):
    model = train(parse_config(table, tmp_path), progress=False).model
    frames = read_frames(tmp_path / "train.xyz")
    with pytest.raises(InputError, match=r"model 'model' predicts .*; there are labels for charges"):
        evaluate_model(model, frames, {"charges": Label("q", "e")})
    frames[0].numbers[0] = 6
    with pytest.raises(InputError, match="knows H, O; structure has C"):
        evaluate_model(model, frames, {"energy": Label("E", "eV")})


def test_training_goes_on_from_a_model(table, tmp_path):
    """The first validation is that of the model it started from; its scales stay, and its energies are those of the
    new data in the mean, which are on the same level here."""
    first = train(parse_config(table, tmp_path), progress=False)
    write_frames(tmp_path / "more.xyz", 6, seed=2)
    write_frames(tmp_path / "held.xyz", 3, seed=3)
    table["data"]["train"] = ["train.xyz", "more.xyz"]
    table["data"] |= {"validation": "held.xyz", "split": {}}
    table["optimizer"]["learning_rate"] = 1e-9
    table["run"] |= {"output": "second", "start": "out/model", "epochs": 1}
    second = train(parse_config(table, tmp_path), progress=False)
    frames = read_frames([tmp_path / "held.xyz"])
    labels = parse_config(table, tmp_path).data.labels
    before = evaluate_model(load_model(first.folder), frames, labels)
    assert second.evaluations["validation"].comparisons["forces"].error().rmse == pytest.approx(
        before.comparisons["forces"].error().rmse, rel=1e-4
    )
    for name, head in first.model.heads.items():
        assert second.model.heads[name].scale == head.scale
    zeros = [float(model.heads["energy"].references[[1, 1, 8]].sum()) for model in (first.model, second.model)]
    first_frames = evaluate_model(first.model, read_frames([tmp_path / n for n in table["data"]["train"]]), labels)
    rest = first_frames.comparisons["energy"]
    assert zeros[1] - zeros[0] == pytest.approx(float(np.mean(rest.reference - rest.predicted)), abs=1e-5)
    assert abs(zeros[1] - zeros[0]) < 0.3  # of 100 eV
    assert second.model.provenance["training"]["run"]["start"] == "model"
    assert "weights.safetensors" in second.model.provenance["data_sha256"]


def test_a_killed_run_that_started_from_a_model_resumes_to_the_same_bits(table, tmp_path):
    train(parse_config(table, tmp_path), progress=False)
    table["run"] |= {"start": "out/model", "output": "whole"}
    whole = train(parse_config(table, tmp_path), progress=False)
    table["run"]["output"] = "killed"
    with pytest.raises(Killed):
        train(parse_config(table, tmp_path), progress=False, on_epoch=kill_in(3))
    resumed = train(parse_config(table, tmp_path), resume=True, progress=False)
    for a, b in zip(whole.model.parameters(), resumed.model.parameters(), strict=True):
        assert torch.equal(a, b)


def test_training_refuses_to_start_from_another_network(table, tmp_path):
    train(parse_config(table, tmp_path), progress=False)
    table["run"] |= {"start": "out/model", "output": "second"}
    table["model"]["representation"]["features"] = 32
    with pytest.raises(InputError, match=r"start: model.representation.features is 16 .* and 32 in this configuration"):
        train(parse_config(table, tmp_path), progress=False)
    table["model"]["representation"]["features"] = 16
    table["run"]["start"] = "nowhere"
    with pytest.raises(ModelError, match="nowhere"):
        train(parse_config(table, tmp_path), progress=False)


def test_a_budget_of_time_ends_a_run_that_more_time_continues(table, tmp_path, capsys):
    """A first epoch is always made; the model is evaluated on the test frames, and --resume goes on where it was."""
    write_frames(tmp_path / "test.xyz", 3, seed=9)
    table["data"]["test"] = "test.xyz"
    table["run"]["hours"] = 1e-9
    result = train(parse_config(table, tmp_path))
    assert (result.epochs, result.finished, set(result.evaluations)) == (1, False, {"validation", "test"})
    assert "train: epoch 1 of 4 after" in capsys.readouterr().err  # no terminal here
    table["run"]["hours"] = 1.0
    resumed = train(parse_config(table, tmp_path), resume=True, progress=False)
    assert (resumed.epochs, resumed.finished) == (4, True)
    del table["run"]["hours"]
    table["run"]["output"] = "straight"
    straight = train(parse_config(table, tmp_path), progress=False)
    for a, b in zip(straight.model.parameters(), resumed.model.parameters(), strict=True):
        assert torch.equal(a, b)


def test_ctrl_c_does_not_wait_for_the_test_frames(table, tmp_path):
    write_frames(tmp_path / "test.xyz", 3, seed=9)
    table["data"]["test"] = "test.xyz"
    result = train(
        parse_config(table, tmp_path), progress=False, on_epoch=lambda row: os.kill(os.getpid(), signal.SIGINT)
    )
    assert set(result.evaluations) == {"validation"}
    assert not result.finished
    assert set(train(parse_config(table, tmp_path), resume=True, progress=False).evaluations) == {"validation", "test"}
