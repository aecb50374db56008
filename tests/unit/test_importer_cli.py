"""`painn-ase import` writes a model folder, and asks for what the file does not say."""

import inspect
import json
import re
from importlib import import_module

import numpy as np
import pytest

from painn_ase import load_model
from painn_ase.cli import main
from painn_ase.errors import InputError
from painn_ase.importers import DIALECTS, convert

from helpers.foreign_checkpoints import small_network, small_pickle


def test_the_verb_writes_a_model_folder_with_a_card(tmp_path, capsys):
    checkpoint = small_pickle().save(tmp_path / "best_model")
    words = ["import", "schnetpack", str(checkpoint), str(tmp_path / "out")]
    assert main([*words, "--energy-unit", "kcal/mol", "--length-unit", "Bohr", "--elements", "C,H,O"]) == 0
    model = load_model(tmp_path / "out")
    assert model.elements == (1, 6, 8)
    assert model.cutoff == pytest.approx(4.0 * 0.529177210903)
    assert (tmp_path / "out" / "card.md").read_text().strip() in capsys.readouterr().out
    assert model.provenance["imported"]["units"] == {"energy": "kcal/mol", "length": "Bohr"}
    assert len(model.provenance["imported"]["sha256"]) == 64


def test_a_state_dict_with_hyperparameters_needs_no_python(tmp_path):
    state = {name: value for name, value in small_network().items() if not name.startswith("postprocessors")}
    np.savez(tmp_path / "state.npz", **state)
    (tmp_path / "h.json").write_text(json.dumps({"representation": {}, "output_modules": [{"type": "Atomwise"}]}))
    words = ["import", "schnetpack", str(tmp_path / "state.npz"), str(tmp_path / "out"), "--energy-unit", "eV"]
    assert main([*words, "--length-unit", "Ang", "--hyperparameters", str(tmp_path / "h.json")]) == 0
    assert load_model(tmp_path / "out").properties == {"energy", "energies", "forces", "stress"}


def test_missing_units_are_asked_for(tmp_path, capsys):
    checkpoint = small_pickle().save(tmp_path / "best_model")
    assert main(["import", "schnetpack", str(checkpoint), str(tmp_path / "out"), "--energy-unit", "eV"]) == 2
    assert "length_unit" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_options_of_another_dialect_and_unknown_dialects_are_refused(tmp_path):
    with pytest.raises(InputError, match="do not take dipole_unit"):
        convert("curator", tmp_path / "m.pth", tmp_path / "out", dipole_unit="Debye")
    with pytest.raises(InputError, match="did you mean 'schnetpack'"):
        convert("schnetpak", tmp_path / "m", tmp_path / "out")


@pytest.mark.parametrize("dialect", DIALECTS)
def test_help_of_a_dialect_lists_the_options_it_takes(dialect, capsys):
    load = import_module(f"painn_ase.importers.{dialect}").load
    takes = {name for name, p in inspect.signature(load).parameters.items() if p.kind == p.KEYWORD_ONLY}
    assert set(DIALECTS[dialect].options) == takes
    with pytest.raises(SystemExit):
        main(["import", dialect, "--help"])
    shown = set(re.findall(r"--([a-z-]+)", capsys.readouterr().out)) - {"help", "overwrite"}
    assert {name.replace("-", "_") for name in shown} == takes


def test_a_refused_checkpoint_leaves_no_folder(tmp_path, capsys):
    (tmp_path / "best_model").write_bytes(b"PK\x03\x04 and nothing else")
    words = ["import", "schnetpack", str(tmp_path / "best_model"), str(tmp_path / "out")]
    assert main([*words, "--energy-unit", "eV", "--length-unit", "Ang"]) == 2
    assert "damaged" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
