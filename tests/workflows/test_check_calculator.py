"""The conformance suite finds every mistake it is made for, and only those; our calculator passes it."""

import json
import os

import numpy as np
import pytest
import torch

from painn_ase import PaiNNCalculator
from painn_ase.cli import main
from painn_ase.errors import InputError
from painn_ase.testing import CHECKS, check_calculator
from painn_ase.testing.derivatives import derivative
from painn_ase.testing.subject import POINTS, STEP, _noise

from helpers import broken_calculators
from helpers.broken_calculators import CLUSTER, CRYSTAL, KEPT, MISTAKES, OPEN, Sound
from helpers.random_models import random_model
from helpers.systems import molecule, triclinic


@pytest.fixture
def _clean():
    environment, dtype = dict(os.environ), torch.get_default_dtype()
    yield
    os.environ.clear()
    os.environ.update(environment)
    torch.set_default_dtype(dtype)
    for file in OPEN:
        file.close()
    OPEN.clear()
    KEPT.clear()


def test_sound_calculator_passes_every_check():
    report = check_calculator(Sound(), [CRYSTAL, CLUSTER], calls=100)
    assert report, str(report)
    assert report.exit_code == 0
    passed = {row.check for row in report.rows if row.status == "pass"}
    assert set(CHECKS) - passed <= {
        "notices charge", "notices initial charges", "notices wrapping", "notices numbers", "molecules far apart",
    }  # fmt: skip


@pytest.mark.usefixtures("_clean")
@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistake_is_found_by_the_check_made_for_it(mistake):
    broken, check = MISTAKES[mistake]
    report = check_calculator(broken(), [CRYSTAL, CLUSTER], only=[check], calls=100, relatives=False)
    assert [row.check for row in report.failures][:1] == [check], str(report)
    assert report.exit_code == 1
    assert not report


def test_every_check_is_shown_to_find_something():
    assert {check for _, check in MISTAKES.values()} >= {
        name for name in CHECKS if name not in {
            "other cell, same lattice", "notices displacements", "notices removal", "notices addition",
            "notices initial charges", "notices wrapping",
        }
    }  # fmt: skip


@pytest.mark.parametrize("dtype", ["float32", pytest.param("float64", marks=pytest.mark.slow)])
def test_our_calculator_passes(dtype):
    model = random_model(heads={"energy": {}, "dipole": {}})
    report = check_calculator(PaiNNCalculator(model, dtype=dtype), [molecule(), triclinic()], relatives=False)
    assert report, str(report)
    assert sum(row.status == "pass" for row in report.rows) >= 37


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::painn_ase.coverage.CoverageWarning")  # nasty structures lie outside
@pytest.mark.parametrize("words", [["ethanol"], ["ethanol", "--dtype", "float64"], ["ethanol", "--calls", "10000"]])
def test_bundled_model_passes_on_the_command_line(words, tmp_path, capsys):
    assert main(["check", *words, "--json", str(tmp_path / "report.json")]) == 0, capsys.readouterr().out
    found = json.loads((tmp_path / "report.json").read_text())
    assert found["counts"]["fail"] == 0


def test_command_line_prints_a_table_and_says_by_its_exit_code_what_was_found(capsys, tmp_path):
    words = ["--only", "rotation", "pickle", "free energy", "--as-given"]
    assert main(["check", "ethanol", *words, "--json", str(tmp_path / "report.json")]) == 0
    out = capsys.readouterr().out
    assert "pass  rotation" in out
    assert "4 pass, 0 fail" in out
    found = json.loads((tmp_path / "report.json").read_text())
    assert {o["check"] for o in found["outcomes"]} == {"accepts the structure", "rotation", "pickle", "free energy"}
    assert main(["check", "emt", *words]) == 1
    assert "FAIL  pickle" in capsys.readouterr().out
    structure = tmp_path / "argon.xyz"
    CLUSTER.write(structure)
    assert main(["check", "ase.calculators.lj:LennardJones", str(structure), *words]) == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["ethanool"], "did you mean 'ethanol'"),
        (["ase.calculators.lj:LennardJonas"], "module:name"),
        (["ase.calculators.lj:LennardJones"], "comes without a structure"),
        (["ethanol", "--only", "rotations"], "expected some of"),
    ],
)
def test_command_line_refuses_in_one_sentence(words, message, capsys):
    assert main(["check", *words]) == 2
    assert message in capsys.readouterr().err


def test_no_structures_is_an_error():
    with pytest.raises(InputError, match="expected structures"):
        check_calculator(Sound(), [])


def test_report_is_json_and_reads_as_a_table():
    report = check_calculator(Sound(), CLUSTER, only=["rotation", "unwrapped atoms"], relatives=False)
    assert json.loads(json.dumps(report.as_dict()))["counts"] == {"pass": 2, "fail": 0, "not applicable": 1}
    assert "n/a   unwrapped atoms" in str(report)
    assert "not periodic" in str(report)


@pytest.mark.parametrize("level", [1e-12, 1e-6, 1e-3])
def test_measured_noise_is_the_noise_that_was_added(level):
    """White noise on a smooth function is found to within a factor of two."""
    rng = np.random.default_rng(0)
    ratios = []
    for _ in range(50):
        x = np.arange(POINTS) * STEP
        values = np.stack([np.sin(3 * x), np.exp(x)], axis=-1) + level * rng.normal(size=(POINTS, 2))
        ratios.append(_noise(values).level / level)
    assert 0.5 < np.median(ratios) < 2


@pytest.mark.parametrize("level", [0.0, 1e-9, 1e-6])
def test_error_of_a_finite_difference_is_estimated(level):
    rng = np.random.default_rng(1)
    off, estimated = [], []
    for shift in np.linspace(0, 1, 40):
        slope, error = derivative(lambda t, s=shift: np.sin(5 * (t + s)) + level * rng.normal(), level)
        off.append(abs(slope - 5 * np.cos(5 * shift)))
        estimated.append(error)
    assert np.mean(np.array(off) <= 10 * np.array(estimated)) > 0.97
    assert np.median(estimated) < 1e-7 + 1000 * level


def test_classes_of_the_tests_can_be_pickled():
    assert broken_calculators.Sound is Sound
