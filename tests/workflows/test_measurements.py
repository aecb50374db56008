"""`painn-ase card`: what is measured stays in the header, and the card is made from the header alone."""

import hashlib
import json
import shutil
import warnings
from pathlib import Path

import ase.io
import numpy as np
import pytest

from painn_ase import load_model, save_model
from painn_ase.cards.measure import Measurements, committee, dynamics_check, measure
from painn_ase.cards.render import render_card
from painn_ase.cli import main
from painn_ase.errors import InputError, ModelError
from painn_ase.model_files import find_model
from painn_ase.structures import read_structure
from painn_ase.training import evaluate_model, trained_labels

from helpers.random_models import random_model
from helpers.systems import triclinic

DATA = Path(__file__).parents[2] / "models" / "ethanol" / "data"


@pytest.fixture
def folder(tmp_path):
    """A copy of the bundled ethanol model that may be changed."""
    target = tmp_path / "ethanol"
    target.mkdir()
    for name in ("model.json", "weights.safetensors", "structure.xyz"):
        shutil.copy(find_model("ethanol") / name, target / name)
    return target


@pytest.fixture(scope="module")
def covered(tmp_path_factory):
    """A copy with the coverage of its training data."""
    target = shutil.copytree(find_model("ethanol"), tmp_path_factory.mktemp("covered") / "ethanol",
                             ignore=shutil.ignore_patterns("data"))  # fmt: skip
    measure(target, Measurements(coverage=[str(DATA / "train.extxyz")]))
    return target


def test_short_dynamics_are_measured_stored_and_shown(folder, capsys):
    words = ["card", str(folder), "--nve", "0.02", "--md", "300:0.02", "300:0.004:4"]
    assert main(words) == 0
    said = capsys.readouterr().out
    assert "meV/atom/ps" in said
    assert "all 8 bonds intact" in said
    checks = json.loads((folder / "model.json").read_text())["checks"]
    assert checks["nve"]["ps"] == 0.02
    run = checks["md"]["300 K"]
    assert run["stable"]
    assert run["ps"] == run["asked_ps"] == 0.02
    ring = checks["md"]["300 K, 4 beads"]
    assert (ring["beads"], ring["ps"], ring["timestep_fs"]) == (4, 0.004, 0.25)
    assert ring["stable"]
    card = (folder / "card.md").read_text()
    assert "## Energy conservation" in card
    assert "| 300 K | 0.02 of 0.02 ps, 0.5 fs | all 8 intact" in card
    assert card == render_card(load_model(folder))


def test_a_second_measurement_adds_to_the_first(folder):
    model = load_model(folder)
    model.checks.pop("md", None)  # those of the bundled model
    save_model(model, folder)
    measure(folder, Measurements(md=[(300, 0.002)]), say=lambda text: None)
    measure(folder, Measurements(md=[(100, 0.002)]), say=lambda text: None)
    assert list(load_model(folder).checks["md"]) == ["300 K", "100 K"]


def test_errors_and_a_committee_on_test_frames(folder, tmp_path):
    model = load_model(folder)
    for parameter in model.parameters():
        parameter.data *= 1.001
    save_model(model, tmp_path / "other")
    frames = ase.io.read(DATA / "test.extxyz", ":6")
    ase.io.write(tmp_path / "few.extxyz", frames)
    wanted = Measurements(test=[str(tmp_path / "few.extxyz")], group="source")
    measured = measure(folder, wanted, [tmp_path / "other"], say=lambda text: None)
    assert measured.errors["test"]["structures"] == 6
    assert measured.checks["committee"]["members"] == ["ethanol", "other"]
    assert "mean of a committee of 2" in (folder / "card.md").read_text()


def test_the_committee_mean_is_the_mean_of_its_members():
    one, two = load_model("ethanol"), load_model("ethanol")
    for parameter in two.parameters():
        parameter.data *= 1.001
    frames, labels = ase.io.read(DATA / "test.extxyz", ":4"), trained_labels(one)
    found = committee([one, two], frames, labels)
    members = [evaluate_model(m, frames, labels).comparisons["forces"].predicted for m in (one, two)]
    mean = found.evaluation.comparisons["forces"].predicted
    assert mean == pytest.approx(np.mean(members, axis=0), abs=1e-12)
    # of two members the standard deviation is |difference| / √2
    deviation = 1000 * np.linalg.norm(members[0] - members[1], axis=1) / np.sqrt(2)
    assert found.forces_std == pytest.approx(deviation.mean(), rel=1e-9)
    with pytest.raises(InputError, match="at least two"):
        committee([one], frames, labels)


def test_coverage_of_a_model_of_periodic_dipoles_is_taken_from_its_periodic_frames(tmp_path):
    """Whether a dipole of a periodic frame means something is the model's to say."""
    model = random_model(heads={"energy": {}, "cell_dipole": {}})
    crystal = triclinic()
    crystal.info |= {"E": -1.0, "mu": np.array([0.1, 0.2, 0.3])}
    ase.io.write(tmp_path / "frames.extxyz", crystal, format="extxyz")
    file = str(tmp_path / "frames.extxyz")
    labels = {"energy": {"key": "E", "unit": "eV"}, "dipole": {"key": "mu", "unit": "e·Å"}}
    model.provenance = {
        "training": {"data": {"train": [file], "labels": labels}},
        "data_sha256": {file: hashlib.sha256((tmp_path / "frames.extxyz").read_bytes()).hexdigest()},
    }
    save_model(model, tmp_path / "model")
    measured = measure(tmp_path / "model", Measurements(coverage=[file]), say=lambda text: None)
    assert measured.coverage.structures == 1
    assert load_model(tmp_path / "model").coverage.closest == measured.coverage.closest


def test_coverage_is_added_only_from_the_files_of_the_training(folder, covered):
    for name in ("harmonic.extxyz", "test.extxyz", "nothing.extxyz"):
        with pytest.raises(InputError, match="not a file that model 'ethanol' was trained on"):
            measure(folder, Measurements(coverage=[str(DATA / name)]))
    model = load_model(covered)
    assert (1, 8) in model.coverage.closest
    run = dynamics_check(model, read_structure("ethanol"), temperature=300, ps=0.02)
    assert run.outside == 0.0
    assert run.first_outside is None


def test_every_bead_of_a_ring_polymer_counts(covered):
    model, atoms = load_model(covered), read_structure("ethanol")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        hot = dynamics_check(model, atoms, temperature=300, ps=0.02, beads=4, every=4)
    looks = 0.02 / 0.25 * 1000 / 4 + 1
    assert (4 * looks * hot.outside) == pytest.approx(round(4 * looks * hot.outside))
    assert 1.0 < hot.longest_bond < 1.5


def test_a_time_step_that_is_asked_for_counts_for_beads_too(folder):
    for asked, classical, beads in (([], 0.5, 0.25), (["--timestep", "0.4"], 0.4, 0.4)):
        assert main(["card", str(folder), "--md", "300:0.004", "300:0.004:4", *asked]) == 0
        found = load_model(folder).checks["md"]
        assert (found["300 K"]["timestep_fs"], found["300 K, 4 beads"]["timestep_fs"]) == (classical, beads)


def test_a_run_that_leaves_the_data_is_reported_without_an_error(covered):
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # the check counts, it does not warn
        run = dynamics_check(covered, read_structure("ethanol"), temperature=3000, ps=0.1, every=5)
    assert run.outside > 0
    assert run.first_outside.startswith("after ")
    assert run.stopped or run.ps == 0.1


def test_a_card_without_measurements_is_only_rendered(folder):
    before = json.loads((folder / "model.json").read_text())
    assert main(["card", str(folder)]) == 0
    after = json.loads((folder / "model.json").read_text())
    assert before["errors"] == after["errors"]
    assert (folder / "card.md").read_text() == render_card(load_model(folder))


def test_wrong_words_are_explained(folder, capsys):
    assert main(["card", str(folder), "--md", "300"]) == 2
    assert "300:1000" in capsys.readouterr().err
    (folder / "structure.xyz").unlink()
    assert main(["card", str(folder), "--nve", "1"]) == 2
    assert "--structure" in capsys.readouterr().err


def test_damaged_checks_are_refused(folder):
    header = json.loads((folder / "model.json").read_text())
    header["checks"] = {"harmonic": {"frames": 3}}
    (folder / "model.json").write_text(json.dumps(header))
    with pytest.raises(ModelError, match="cannot be read"):
        render_card(load_model(folder))
