"""Every mistake in a training configuration is refused with its place and the way out."""

import copy
import json
import re
from dataclasses import fields
from pathlib import Path

import pytest

from painn_ase.errors import InputError
from painn_ase.training import load_config, parse_config
from painn_ase.training.config import Data, Optimizer, Run, Schedule

GOOD = {
    "data": {"train": "train.extxyz", "labels": {"energy": {"key": "energy", "unit": "eV"}}},
    "run": {"epochs": 3, "output": "out"},
}


def changed(place: str, value):
    """GOOD with the entry at a dotted place set, or removed where `value` is None."""
    config = copy.deepcopy(GOOD)
    *sections, key = place.split(".")
    table = config
    for section in sections:
        table = table.setdefault(section, {})
    if value is None:
        del table[key]
    else:
        table[key] = value
    return config


MISTAKES = [
    ("data.repeat", {"trian.extxyz": 2}, "repeat: expected names of training files, train.extxyz; .*did you mean"),
    ("data.repeat", {"train.extxyz": 0}, "repeat: expected a whole number >= 1 for 'train.extxyz'; got 0"),
    ("data.repeat", {"train.extxyz": 2.5}, "whole number"),
    ("dta", {}, "top level: unknown key 'dta'; did you mean 'data'"),
    ("optimizer.learning_rte", 1e-3, r"\[optimizer\]: unknown key 'learning_rte'; did you mean 'learning_rate'"),
    ("data.split.frction", 0.1, r"\[data.split\]: unknown key 'frction'"),
    ("data.labels.energy.units", "eV", r"\[data.labels.energy\]: unknown key 'units'; did you mean 'unit'"),
    ("data.train", None, r"\[data\] train is missing"),
    ("data", None, r"section \[data\] is missing"),
    ("data.labels", None, r"section \[data.labels\] is missing"),
    ("data.labels", {}, "expected at least one of energy, forces"),
    ("data.labels.energie", {"key": "e", "unit": "eV"}, "got 'energie'; did you mean 'energy'"),
    ("data.labels.energy.unit", "Hartre", "energy: expected one of eV, .*; got 'Hartre'; did you mean 'Hartree'"),
    ("data.labels.energy", "energy", r"\[data.labels.energy\]: expected a table; got 'energy'"),
    ("run.epochs", 3.5, r"\[run\] epochs: expected a whole number; got 3.5"),
    ("run.epochs", True, "expected a whole number; got True"),
    ("run.epochs", 0, r"\[run\] epochs: expected a number >= 1; got 0"),
    ("run.output", 3, r"\[run\] output: expected a path in quotes; got 3"),
    ("run.dtype", "float16", r"\[run\] dtype: expected one of 'float32', 'float64'; got 'float16'"),
    ("schedule", {"kind": "plateau", "minutes": 5}, "a plateau has no end; take kind = 'cosine', or \\[run\\] hours"),
    ("schedule.kind", "cosin", "got 'cosin'; did you mean 'cosine'"),
    ("optimizer.ema", 1.5, r"\[optimizer\] ema: expected a number from 0.0 to 1.0; got 1.5"),
    ("optimizer.learning_rate", "fast", "expected a number; got 'fast'"),
    ("optimizer.learning_rate", float("nan"), "expected a number >= 0.0; got nan"),
    ("optimizer.learning_rate", 0, "expected a positive number"),
    ("data.split.validation", 0, "expected a fraction between 0 and 1"),
    ("data.split.by", "info", "by = 'info' needs key"),
    ("data.split.key", "source", "key is used with by = 'info' only"),
    ("loss.energy", 0, "expected a positive weight"),
]


@pytest.mark.parametrize(("place", "value", "message"), MISTAKES)
def test_a_mistake_names_its_place_and_the_nearest_valid_word(place, value, message):
    with pytest.raises(InputError, match=message):
        parse_config(changed(place, value))


def test_validation_files_and_a_split_exclude_each_other():
    config = changed("data.validation", "val.extxyz")
    config["data"]["split"] = {"validation": 0.2}
    with pytest.raises(InputError, match=r"either validation .* or"):
        parse_config(config)


def test_paths_are_relative_to_the_file(tmp_path):
    text = (
        '[data]\ntrain = ["a.xyz", "sub/b.db"]\nlabels.energy = {key="E", unit="eV"}\n[run]\nepochs=1\noutput="../out"'
    )
    (tmp_path / "train.toml").write_text(text)
    config = load_config(tmp_path / "train.toml")
    assert config.data.train == (tmp_path / "a.xyz", tmp_path / "sub" / "b.db")
    assert config.run.output.resolve() == tmp_path.parent / "out"


def test_the_dictionary_of_a_configuration_is_json_without_folders(tmp_path):
    text = json.dumps(parse_config(GOOD, tmp_path).to_dict())
    assert str(tmp_path) not in text
    assert "train.extxyz" in text


def test_new_trainings_of_painn_smooth_the_norms_of_vectors_unless_they_say_otherwise():
    label = {"key": "mu", "unit": "e·Å"}
    model = parse_config(changed("data.labels.dipole", label)).model
    assert model.representation == {"kind": "painn", "epsilon": 0.05, "radial": {"kind": "bessel", "count": 8}}
    assert model.heads == {"energy": {}, "dipole": {"epsilon": 0.05}}
    config = changed("model", {"representation": {"kind": "painn", "epsilon": 1e-8}})
    config["model"]["heads"] = {"energy": {}, "mu": {"kind": "cell_dipole", "epsilon": 0.01}}
    model = parse_config(config).model
    assert (model.representation["epsilon"], model.heads["mu"]["epsilon"]) == (1e-8, 0.01)
    other = parse_config(changed("model", {"representation": {"kind": "tensornet"}})).model
    assert (other.representation, other.heads) == ({"kind": "tensornet"}, {"energy": {}})


@pytest.mark.parametrize(
    ("cutoff", "count"), [(5.0, 8), (6, 10), (10.0, 16), (1.0, 4), ("wide", 8), (float("nan"), 8), (-1.0, 8)]
)
def test_radial_functions_of_a_new_training_are_as_fine_at_every_cutoff(cutoff, count):
    model = parse_config(changed("model.representation", {"kind": "painn", "cutoff": cutoff})).model
    assert model.representation["radial"] == {"kind": "bessel", "count": count}
    given = {"kind": "gaussian", "count": 30}
    model = parse_config(changed("model.representation", {"kind": "painn", "radial": given})).model
    assert model.representation["radial"] == given


@pytest.mark.parametrize(("text", "message"), [("[data", "is not TOML"), (None, "cannot read")])
def test_unreadable_files_are_refused(tmp_path, text, message):
    path = tmp_path / "train.toml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError, match=message):
        load_config(path)


def test_the_bundled_models_configuration_is_valid():
    config = load_config(Path(__file__).parents[2] / "models" / "ethanol" / "train.toml")
    assert set(config.data.labels) == {"energy", "forces", "dipole", "polarizability"}
    assert all(path.is_file() for path in config.data.train + config.data.test)


PAGE = (Path(__file__).parents[2] / "docs" / "training.md").read_text(encoding="utf-8")


def test_the_page_on_training_shows_a_configuration_that_is_accepted(tmp_path):
    (block,) = re.findall(r"```toml\n(.*?)```", PAGE, flags=re.DOTALL)
    (tmp_path / "train.toml").write_text(block, encoding="utf-8")
    assert load_config(tmp_path / "train.toml").run.epochs == 200


@pytest.mark.parametrize("section", [Data, Optimizer, Run, Schedule])
def test_the_page_on_training_names_every_key(section):
    assert [f.name for f in fields(section) if f.name not in PAGE] == []
