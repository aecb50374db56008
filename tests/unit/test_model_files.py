"""Model folders: what is saved is what is loaded, and what is damaged is refused in words."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from painn_ase import PaiNNCalculator, load_model, save_model
from painn_ase.cards.render import render_card
from painn_ase.errors import ModelError
from painn_ase.model import Model
from painn_ase.model_files import HEADER, WEIGHTS, find_model
from painn_ase.model_files.outline import outline
from painn_ase.model_files.tensors import tensor_file

from helpers.random_models import ARCHITECTURES, random_model
from helpers.systems import molecule


@pytest.fixture
def folder(tmp_path):
    return save_model(random_model(), tmp_path / "model", card="# a card\n", provenance={"about": {"data": "none"}})


@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_saved_model_computes_the_same(architecture, dtype, tmp_path):
    model = random_model(architecture).to(dtype)
    model.provenance, model.errors = {"epochs": 3}, {"test": 1.5}
    again = load_model(save_model(model, tmp_path / "m"))
    assert again.config == model.config
    assert again.dtype == dtype
    assert (again.provenance, again.errors, again.name) == (model.provenance, model.errors, "m")
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name]), name
    for precision in ("float32", "float64"):
        one, two = (PaiNNCalculator(m, dtype=precision) for m in (model, again))
        for name in sorted(model.properties & {"forces", "dipole", "polarizability"}):
            np.testing.assert_array_equal(
                one.get_property(name, molecule()), two.get_property(name, molecule()), strict=True
            )


def test_references_keep_float64_in_a_float32_model(tmp_path):
    model = random_model()
    model.heads["energy"].references.fill_(-1000.123456789012)
    again = load_model(save_model(model.float(), tmp_path / "m"))
    assert float(again.heads["energy"].references[1]) == -1000.123456789012
    assert again.dtype == torch.float32


def test_header_states_format_units_cutoff_and_elements(folder):
    header = json.loads((folder / HEADER).read_text())
    assert header["format"] == "painn_ase.model"
    assert header["version"] == 1
    assert header["units"]["energy"] == "eV"
    assert header["cutoff"] == 4.0
    assert header["model"]["elements"] == [1, 6, 8, 14]
    assert header["provenance"]["about"] == {"data": "none"}


def change_header(folder, **changes):
    path = folder / HEADER
    header = json.loads(path.read_text())
    header.update(changes)
    path.write_text(json.dumps(header))


def change_architecture(folder, **changes):
    path = folder / HEADER
    header = json.loads(path.read_text())
    header["model"]["representation"].update(changes)
    path.write_text(json.dumps(header))


def change_weights(folder, edit):
    tensors = load_file(folder / WEIGHTS)
    edit(tensors)
    save_file(tensors, folder / WEIGHTS)


def cut(path, size):
    path.write_bytes(path.read_bytes()[:size])


DAMAGE = {
    "no header": (lambda f: (f / HEADER).unlink(), "expected a bundled name"),
    "no weights": (lambda f: (f / WEIGHTS).unlink(), "missing or damaged weights"),
    "truncated header": (lambda f: cut(f / HEADER, 100), "damaged header"),
    "truncated weights": (lambda f: cut(f / WEIGHTS, 5000), "missing or damaged weights"),
    "empty weights": (lambda f: cut(f / WEIGHTS, 0), "missing or damaged weights"),
    "binary header": (lambda f: (f / HEADER).write_bytes(b"\x80\x02}q\x00."), "damaged header"),
    "header of something else": (lambda f: (f / HEADER).write_text("[1, 2]"), "not a painn_ase model"),
    "deeply nested header": (lambda f: (f / HEADER).write_text("[" * 100_000), "damaged header"),
    "newer format": (lambda f: change_header(f, version=99), "pip install -U painn-ase"),
    "other format": (lambda f: change_header(f, format="other"), "not a painn_ase model"),
    "no description": (lambda f: change_header(f, model={}), "missing"),
    "unknown network": (lambda f: change_architecture(f, kind="pain"), "did you mean 'painn'"),
    "unknown option": (lambda f: change_architecture(f, featurs=3), "did you mean 'features'"),
    "other size": (lambda f: change_architecture(f, features=32), "has shape"),
    "absurd size": (lambda f: change_architecture(f, features=10**9), "from 1 to 4096"),
    "absurd depth": (lambda f: change_architecture(f, interactions=10**9), "from 1 to 64"),
    "absurd radial": (lambda f: change_architecture(f, radial={"kind": "bessel", "count": 10**12}), "has shape"),
    "words for numbers": (lambda f: change_architecture(f, cutoff="five"), "cannot be used"),
    "tensor missing": (lambda f: change_weights(f, lambda t: t.pop("heads.energy.scale")), "do not fit"),
    "tensor too many": (lambda f: change_weights(f, lambda t: t.update(evil=torch.ones(1))), "do not fit"),
    "not a number": (
        lambda f: change_weights(f, lambda t: t["heads.energy.network.0.weight"].fill_(torch.nan)),
        "not finite",
    ),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_damaged_model_is_refused_in_one_sentence(folder, kind):
    damage, message = DAMAGE[kind]
    damage(folder)
    with pytest.raises(ModelError, match=message):
        load_model(folder)


def test_model_is_found_by_folder_and_by_header(folder):
    assert find_model(folder) == find_model(str(folder)) == find_model(folder / HEADER)


def test_saving_over_a_model_replaces_it_whole(folder):
    other = random_model(features=32)
    save_model(other, folder)
    assert load_model(folder).config == other.config
    assert not list(folder.glob(".*"))  # no temporary files are left


def test_files_depend_on_their_content_alone(folder, tmp_path):
    """A model that is loaded and saved again, here and in a process with other hashes, gives the same bytes."""
    expected = {name: (folder / name).read_bytes() for name in (HEADER, WEIGHTS)}
    script = "import sys, painn_ase; painn_ase.save_model(painn_ase.load_model(sys.argv[1]), sys.argv[2])"
    elsewhere = tmp_path / "elsewhere"
    environment = os.environ | {"PYTHONHASHSEED": "12345"}
    subprocess.run([sys.executable, "-c", script, folder, elsewhere], env=environment, check=True)
    for again in (save_model(load_model(folder), tmp_path / "here"), elsewhere):
        assert {name: (again / name).read_bytes() for name in expected} == expected


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_an_outline_has_the_names_types_and_shapes_of_the_model_and_no_values(architecture):
    model = random_model(architecture)
    state = torch.random.get_rng_state()
    with outline():
        drawn = Model.from_config(model.config)
    assert torch.equal(torch.random.get_rng_state(), state)
    real = Model.from_config(model.config)
    for one, other in zip(drawn.state_dict().items(), real.state_dict().items(), strict=True):
        assert one[0] == other[0]
        assert (one[1].shape, one[1].dtype) == (other[1].shape, other[1].dtype)
        assert one[1].is_meta or one[0].endswith(".masses")  # a hundred numbers that ASE has anyway


def test_constants_computed_within_an_outline_have_values():
    with outline(), torch.device("cpu"):
        numbers = torch.arange(1, 4, dtype=torch.float64) * 2.0
    assert numbers.tolist() == [2.0, 4.0, 6.0]


def test_the_first_model_of_a_process_waits_for_no_compiler():
    """PyTorch's own shape functions would import its compiler and a computer algebra system, which takes seconds."""
    script = """
import sys, torch
before = set(sys.modules)
from painn_ase import PaiNNCalculator
from painn_ase.structures import read_structure
atoms = read_structure("ethanol")
atoms.calc = PaiNNCalculator("ethanol", backend=sys.argv[1])
atoms.get_forces()
assert not {"sympy", "torch._dynamo"} & (set(sys.modules) - before)
"""
    subprocess.run([sys.executable, "-c", script, "auto"], check=True)


def test_metadata_of_tensor_files_are_sorted_and_their_tensors_unchanged(tmp_path):
    """Twenty keys: their order by chance would be the right one once in 10¹⁸ times."""
    tensors = {"b": torch.arange(6.0).reshape(2, 3), "a": torch.tensor([1.0], dtype=torch.float64)}
    metadata = {f"key {k * 7 % 20:02d}": 'größer " \n' * k for k in range(20)}
    data = tensor_file(tensors, metadata)
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    assert list(header["__metadata__"].items()) == sorted(metadata.items())
    (tmp_path / "file").write_bytes(data)
    with safe_open(tmp_path / "file", framework="pt") as file:  # the library agrees
        assert file.metadata() == metadata
        for name, tensor in tensors.items():
            assert torch.equal(file.get_tensor(name), tensor)


def test_model_works_from_a_read_only_copy(folder, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    for file in copy.iterdir():
        file.chmod(0o444)
    assert load_model(copy).name == "copy"


def test_card_is_made_from_the_header_alone(folder):
    model = load_model(folder)
    model.errors = {
        "test": {
            "structures": 60,
            "properties": {"forces": {"mae": 12.345, "rmse": 20.0, "max": 99.0, "unit": "meV/Å", "count": 1620}},
        }
    }
    card = render_card(model)
    assert "| forces | 12.3 | 20 | 99 | meV/Å | 1620 |" in card
    assert "H, C, O, Si" in card
    assert "| data | none |" in card


def test_a_header_without_epsilon_means_that_of_the_first_models_and_a_saved_one_spells_it_out(folder, tmp_path):
    def parts(place):
        header = json.loads((place / HEADER).read_text())
        heads = header["model"]["heads"]
        return header, (header["model"]["representation"], heads["dipole"], heads["polarizability"])

    header, without = parts(folder)
    for part in without:
        del part["epsilon"]
    (folder / HEADER).write_text(json.dumps(header))
    _, again = parts(save_model(load_model(folder), tmp_path / "again"))
    assert [part["epsilon"] for part in again] == [1e-8] * 3


@pytest.mark.parametrize(("options", "kind"), [({}, "PaiNN"), ({"vectors": "local"}, "PaiNNVariant")])
def test_a_header_that_spells_out_the_options_of_variants_describes_what_it_did(options, kind, tmp_path):
    model = random_model(heads={"energy": {}}, **({"kind": "painn_variant"} | options if options else {}))
    save_model(model, tmp_path / "model")
    header = tmp_path / "model" / "model.json"
    described = json.loads(header.read_text())
    published = {"vectors": "full", "scalar_product": True, "cross_product": False, "tensor_features": False}
    described["model"]["representation"] = published | described["model"]["representation"] | {"kind": "painn"}
    header.write_text(json.dumps(described))
    assert type(load_model(tmp_path / "model").representation).__name__ == kind
