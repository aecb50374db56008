"""`painn-ase evaluate` on data as people have them: some labels, some frames, another charge, strange geometries."""

import ase.io
import numpy as np
import pytest

from painn_ase.cli import main
from painn_ase.errors import InputError
from painn_ase.model_files import find_model, load_model
from painn_ase.spectra import infrared, raman
from painn_ase.training import evaluate_model, parse_config, read_frames, trained_labels
from painn_ase.training.data import make_examples

DATA = find_model("ethanol") / "data" / "test.extxyz"


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def frames():
    return ase.io.read(DATA, ":12")


def stripped(frames, *names):
    """Copies that hold nothing but the named results."""
    found = []
    for frame in frames:
        copy = frame.copy()
        copy.info = {k: v for k, v in frame.info.items() if k in names}
        copy.info |= {name: frame.calc.results[name] for name in names if name in ("energy",)}
        found.append(copy)
    return found


def test_files_with_energies_alone_are_evaluated_and_what_is_missing_is_named(frames, capsys):
    ase.io.write("few.extxyz", stripped(frames, "energy"))
    assert main(["evaluate", "ethanol", "few.extxyz"]) == 0
    out = capsys.readouterr().out
    assert "| energy " in out
    assert "| forces" not in out
    assert "not compared, since no frame has it: forces ('forces')" in out
    assert main(["evaluate", "ethanol", "few.extxyz", "--label", "forces=forces:eV/Å"]) == 2  # asked for by name
    assert "no frame has the key 'forces'" in capsys.readouterr().err


def test_a_label_under_another_name_is_pointed_at(frames, capsys):
    copies = stripped(frames, "energy")
    for copy, frame in zip(copies, frames, strict=True):
        copy.arrays["REF_forces"] = frame.get_forces()
    ase.io.write("few.extxyz", copies)
    assert main(["evaluate", "ethanol", "few.extxyz"]) == 0
    assert "--label forces=REF_forces:UNIT" in capsys.readouterr().out


def test_files_without_any_label_are_refused(frames, capsys):
    ase.io.write("few.extxyz", stripped(frames))
    assert main(["evaluate", "ethanol", "few.extxyz"]) == 2
    assert "no frame has the key" in capsys.readouterr().err


def test_frames_outside_of_the_training_data_are_counted(frames):
    model = load_model("ethanol")
    broken = [frame.copy() for frame in frames]
    for k in (3, 7):
        broken[k].positions[2] += [0, 0, 1.5]  # the oxygen goes
        broken[k].calc = frames[k].calc
    for k, frame in enumerate(broken):
        frame.calc = frames[k].calc
    found = evaluate_model(model, broken, trained_labels(model))
    inside = evaluate_model(model, frames, trained_labels(model))
    assert {index for index, _ in found.outside} - {index for index, _ in inside.outside} == {3, 7}
    assert f"{len(found.outside)} of 12 frames lie outside" in found.coverage()


def test_the_command_says_how_many_frames_are_outside(frames, capsys):
    ase.io.write("few.extxyz", frames)
    assert main(["evaluate", "ethanol", "few.extxyz"]) == 0
    assert "of what the training data covered" in capsys.readouterr().out


def test_slices_of_files_are_evaluated(frames, capsys):
    ase.io.write("few.extxyz", frames)
    model = load_model("ethanol")
    assert main(["evaluate", "ethanol", "few.extxyz@::5"]) == 0
    expected = evaluate_model(model, frames[::5], trained_labels(model)).table()
    assert expected in capsys.readouterr().out
    with pytest.raises(InputError, match="holds no structures of 12"):
        read_frames("few.extxyz@12")


def test_one_charge_of_all_frames_is_a_number_in_the_configuration(frames):
    table = {
        "data": {"train": "x.extxyz", "charge": 1, "labels": {"energy": {"key": "energy", "unit": "eV"}}},
        "run": {"output": "run"},
    }
    config = parse_config(table)
    assert config.data.charge == 1.0
    assert parse_config(table | {"data": table["data"] | {"charge": "q"}}).data.charge == "q"
    for wrong in (True, [1], {}):
        with pytest.raises(InputError, match="charge"):
            parse_config(table | {"data": table["data"] | {"charge": wrong}})
    examples = make_examples(frames, config.data.labels, 5.0, charge=config.data.charge)
    assert {float(e.graph.charges) for e in examples} == {1.0}


def test_evaluation_takes_the_charge_that_training_took(frames):
    model = load_model("ethanol")
    model.provenance = {**model.provenance, "training": {"data": {"charge": 1.0}}}
    labels = {"dipole": trained_labels(load_model("ethanol"))["dipole"]}
    ion, neutral = (evaluate_model(model, frames, labels, charge=charge) for charge in (None, 0.0))
    difference = ion.comparisons["dipole"].predicted - neutral.comparisons["dipole"].predicted
    assert np.abs(difference).max() > 1e-3
    given = evaluate_model(model, frames, labels, charge=1.0).comparisons["dipole"].predicted
    np.testing.assert_array_equal(ion.comparisons["dipole"].predicted, given)


@pytest.mark.filterwarnings("default:.*no unit was given")
def test_a_unit_that_is_not_given_is_said_to_be_assumed():
    rng = np.random.default_rng(0)
    dipoles = rng.normal(size=(2000, 3))
    tensors = rng.normal(size=(2000, 1, 1)) * np.eye(3)
    settings = {"timestep": 0.5, "temperature": 300, "resolution": 100}
    with pytest.warns(UserWarning, match="dipole: no unit was given, and e·Å is assumed"):
        assumed = infrared(dipoles, **settings)
    np.testing.assert_array_equal(assumed.intensity, infrared(dipoles, unit="e·Å", **settings).intensity)
    with pytest.warns(UserWarning, match="polarizability: no unit was given"):
        raman(tensors, **settings)
