"""The command line: every verb helps, works, and fails in one sentence."""

import argparse
import inspect
import shutil
from pathlib import Path

import ase.io
import pytest

from painn_ase import relax, run_md, run_rpmd, vibrations
from painn_ase.cards.measure import Measurements
from painn_ase.cli import VERBS, main, parser
from painn_ase.model_files import find_model
from painn_ase.simulate import Output

DATA = Path(__file__).parents[2] / "models" / "ethanol" / "data"


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself(verb, capsys):
    with pytest.raises(SystemExit) as stop:
        main([verb.rstrip("_").replace("_", "-"), "--help"])
    assert stop.value.code == 0
    assert "usage: painn-ase" in capsys.readouterr().out


def test_info_lists_models_and_shows_a_card(capsys):
    assert main(["info"]) == 0
    assert "ethanol" in capsys.readouterr().out
    assert main(["info", "ethanol"]) == 0
    card = capsys.readouterr().out
    assert "PBE0/def2-SVPD" in card
    assert "| forces |" in card


def test_md_names_its_files_and_they_exist(capsys):
    words = ["md", "ethanol", "--steps", "20", "--record", "dipole", "--output", "out/run", "--frames-every", "5"]
    assert main(words) == 0
    out = capsys.readouterr().out
    assert "steps/s" in out
    for name in ("out/run.h5", "out/run.traj"):
        assert name in out
        assert Path(name).is_file()
    assert len(ase.io.read("out/run.traj", ":")) == 5
    assert main(words) == 2  # existing files are not replaced ...
    assert "--overwrite" in capsys.readouterr().err
    assert main([*words, "--overwrite"]) == 0  # ... unless asked


@pytest.mark.parametrize("thermostat", ["langevin", "bussi", "nose-hoover", "none"])
def test_md_runs_with_every_thermostat(thermostat, capsys):
    assert main(["md", "ethanol", "--steps", "5", "--thermostat", thermostat]) == 0
    assert ("NVE" if thermostat == "none" else "NVT") in capsys.readouterr().out


def test_md_of_an_ensemble_of_models(capsys):
    words = ["md", "ethanol", "--ensemble", "ethanol", "ethanol", "--steps", "5", "--record", "forces_std"]
    assert main(words) == 0
    assert "forces_std" in capsys.readouterr().out


def test_relax_of_a_file_writes_the_final_structure(capsys):
    atoms = ase.io.read(find_model("ethanol") / "structure.xyz")
    atoms.rattle(0.05, seed=1)
    atoms.write("start.xyz")
    assert main(["relax", "start.xyz", "--model", "ethanol", "--fmax", "0.02", "--output", "end"]) == 0
    assert "converged" in capsys.readouterr().out
    final = ase.io.read("end.extxyz")
    assert abs(final.get_forces()).max() < 0.02
    assert main(["relax", "start.xyz", "--model", "ethanol", "--steps", "1", "--output", "short"]) == 1
    assert "not converged" in capsys.readouterr().err


def test_evaluate_prints_errors_plots_and_updates_a_card(capsys):
    shutil.copytree(find_model("ethanol"), "mine", ignore=shutil.ignore_patterns("data"))
    frames = ase.io.read(DATA / "test.extxyz", ":8")
    ase.io.write("few.extxyz", frames)
    words = ["evaluate", "mine", "few.extxyz", "--group", "source", "--plot", "parity.png", "--card", "few"]
    assert main(words) == 0
    out = capsys.readouterr().out
    assert "labels: energy = energy in eV" in out
    assert "| forces" in out
    assert Path("parity.png").stat().st_size > 10_000
    card = Path("mine/card.md").read_text(encoding="utf-8")
    assert "## Errors: few (8 structures)" in card


def test_train_from_a_file_gives_a_model_that_runs(capsys):
    frames = ase.io.read(DATA / "train.extxyz", ":40")
    ase.io.write("few.extxyz", frames)
    Path("train.toml").write_text(
        """
        [data]
        train = "few.extxyz"
        [data.labels]
        energy = { key = "energy", unit = "eV" }
        forces = { key = "forces", unit = "eV/Å" }
        [model.representation]
        kind = "painn"
        features = 16
        interactions = 1
        [run]
        epochs = 2
        output = "run"
        """,
        encoding="utf-8",
    )
    assert main(["train", "train.toml"]) == 0
    assert "model: " in capsys.readouterr().out
    assert Path("run/model/card.md").is_file()
    structure = str(find_model("ethanol") / "structure.xyz")
    assert main(["md", structure, "--model", "run/model", "--steps", "5"]) == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["md", "ethanool", "--steps", "5"], "did you mean 'ethanol'"),
        (["md", "nothing.xyz", "--model", "ethanol", "--steps", "5"], "expected a file"),
        (["md", "ethanol", "--steps", "0"], "steps"),
        (["md", "ethanol", "--steps", "5", "--temperature", "-3"], "temperature"),
        (["md", "ethanol", "--steps", "5", "--record", "dipol"], "dipole"),
        (["md", "ethanol", "--steps", "5", "--pressure", "0"], "period"),
        (["md", "ethanol", "--steps", "5", "--pressure", "0", "--thermostat", "bussi"], "brings its own"),
        (["md", "ethanol", "--steps", "5", "--ensemble", "ethanol", "ethano"], "did you mean 'ethanol'"),
        (["relax", "ethanol", "--cell"], "period"),
        (["info", "nowhere"], "expected a bundled name"),
        (["train", "nowhere.toml"], "cannot read"),
        (["evaluate", "ethanol", "nowhere.xyz"], "nowhere.xyz"),
        (["md", "broken.xyz", "--model", "ethanol", "--steps", "5"], "cannot read"),
    ],
)
def test_mistakes_are_one_sentence_and_exit_code_two(words, message, capsys):
    Path("broken.xyz").write_text("3\nno structure here\nH 0 0\n", encoding="utf-8")
    assert main(words) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
    assert len(error.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("verb", "function"),
    [("md", run_md), ("rpmd", run_rpmd), ("relax", relax), ("vibrations", vibrations), ("card", Measurements)],
)
def test_numbers_the_command_line_takes_by_default_are_those_of_python(verb, function):
    verbs = next(a for a in parser()._actions if isinstance(a, argparse._SubParsersAction)).choices
    defaults = {a.dest: a.default for a in verbs[verb]._actions if isinstance(a.default, int | float)}
    if "frames_every" in defaults:
        assert defaults["frames_every"] == Output().trajectory_every
    of_python = {name: p.default for name, p in inspect.signature(function).parameters.items()}
    shared = defaults.keys() & of_python.keys()
    assert shared
    assert {name: defaults[name] for name in shared} == {name: of_python[name] for name in shared}
