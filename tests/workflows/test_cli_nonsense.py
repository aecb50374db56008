"""Nonsense for every word of every verb: one sentence and exit code 2, before anything is computed or written."""

import argparse
import shutil
import time
from pathlib import Path

import ase.io
import pytest
from ase.build import molecule

from painn_ase.cli import VERBS, main, parser
from painn_ase.model_files import find_model

# what makes each verb run, quickly, where the nonsense is none
BASE = {
    "info": [],
    "md": ["ethanol", "--steps", "1"],
    "relax": ["ethanol", "--steps", "1"],
    "vibrations": ["ethanol"],
    "spectrum": ["ethanol", "--trajectories", "1", "--length", "0.12", "--equilibration", "0", "--resolution", "400"],
    "rpmd": ["ethanol", "--beads", "2", "--steps", "1", "--equilibration", "0"],
    "ipi-driver": ["ethanol", "--patience", "0", "--port", "1"],
    "lammps pack": ["ethanol", "m.painn"],
    "lammps build": [],
    "lammps input": ["ethanol"],
    "train": ["train.toml"],
    "evaluate": ["mine", "few.extxyz"],
    "convert": ["few.extxyz", "--label", "energy=energy:eV", "--check"],
    "card": ["mine", "--test", "few.extxyz", "--md", "300:0.001"],
    "import schnetpack": ["best_model", "out", "--energy-unit", "eV", "--length-unit", "Ang"],
    "import curator": ["best_model", "out"],
    "import neuralforcefield": ["best_model", "out"],
    "sample": ["conformer.xyz", "--model", "ethanol", "--quantum", "1"],
    "label": ["few.extxyz", "--models", "ethanol"],
    "select": ["few.extxyz", "--count", "1"],
    "build": ["few.extxyz", "--reference", "ethanol", "--output", "new", "--dry-run"],
    "bench": ["--systems", "none"],
    "check": ["ethanol", "--only", "pickle", "--as-given"],
    "completion": ["bash"],
}
NUMBERS = ("-1", "nan", "inf", "1e400", "words", "", "0x10")
FILES = ("", "missing/", "folder", "/dev/null", "file.txt/below", "/proc/nowhere/x", "\0")
PREFIXES = ("", "folder/", ".", "file.txt/below", "/proc/nowhere/x", "\0")
FOLDERS = ("", "file.txt", "file.txt/below", "/proc/nowhere/x", "\0")
SOURCES = ("", "missing.xyz", "folder", "empty", "binary", "missing@0", "\0")
CHOICES = ("words", "", "-1")
TEXTS = ("words", "")
SENSE = {"--charge": {"-1"}, "--pressure": {"-1"}, "--card": {"words"}}


def arguments():
    """(verb, option or positional, what it takes) of the whole command line."""
    found = []

    def collect(p, name):
        for action in p._actions:
            if isinstance(action, argparse._SubParsersAction):
                for word, inner in action.choices.items():
                    collect(inner, f"{name} {word}".strip())
            elif action.nargs != 0 and name:
                found.append((name, action.option_strings[-1] if action.option_strings else action.dest, kind(action)))

    collect(parser(), "")
    return found


def kind(action):
    """Which nonsense suits an argument."""
    if action.choices:
        return CHOICES
    where = getattr(action.type, "__qualname__", "")
    if where.startswith(("number", "whole")):
        return NUMBERS
    files = {"new_file": FILES, "file_to_write": FILES, "prefix": PREFIXES, "folder": FOLDERS}
    return {"source": SOURCES, **files}.get(where, TEXTS)


ARGUMENTS = arguments()


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    Path("file.txt").write_text("no structure here\n")
    Path("empty").touch()
    Path("binary").write_bytes(bytes(range(256)))
    frame = molecule("CH3CH2OH")
    frame.info["energy"], frame.arrays["forces"] = 0.0, frame.positions * 0
    ase.io.write("few.extxyz", frame, format="extxyz", columns=["symbols", "positions", "forces"])
    ase.io.write("conformer.xyz", molecule("CH3CH2OH"))
    shutil.copytree(find_model("ethanol"), "mine", ignore=shutil.ignore_patterns("data"))


def command(verb, argument, value):
    words = list(BASE[verb])
    if argument.startswith("--"):
        return [*verb.split(), *words, f"{argument}={value}"]
    place = {"folder": 1, "file": 1, "data": 1, "structures": 1}.get(argument, 0)
    if place < len(words) and not words[place].startswith("--"):
        words[place] = value
    else:
        words.insert(place, value)
    return [*verb.split(), *words]


@pytest.mark.parametrize(("verb", "argument", "nonsense"), ARGUMENTS, ids=[f"{v} {a}" for v, a, _ in ARGUMENTS])
def test_nonsense_is_refused_in_one_sentence_before_anything_is_done(verb, argument, nonsense, capsys):
    if argument == "--host" or (verb == "lammps build" and nonsense is not NUMBERS):
        pytest.skip("would look a name up in the network, or compile")
    before = sorted(Path().rglob("*"))
    for value in nonsense:
        if value in SENSE.get(argument, ()):
            continue
        begin = time.perf_counter()
        code = main(command(verb, argument, value))
        said = capsys.readouterr().err
        lines = [line for line in said.splitlines() if "warning: " not in line]
        where = f"{verb} {argument}={value!r}: {code} {said}"
        assert "Traceback" not in said, where
        assert code == 2, where
        assert len(lines) == 1, where
        assert lines[0].startswith(f"painn-ase {verb.split()[0]}"), where
        assert len(lines[0]) < 1500, where
        assert time.perf_counter() - begin < 20, where
        assert sorted(Path().rglob("*")) == before, where


def test_every_verb_is_tried():
    assert {verb.split()[0] for verb in BASE} == {name.rstrip("_").replace("_", "-") for name in VERBS}
