"""Files of other codes are refused in one sentence that says what they are and what would work.

The files are made by hand: the names and texts that the real ones hold, in pickles that build nothing.
"""

import pickle
import struct
import zipfile

import numpy as np
import pytest
import torch

from painn_ase.cli import main
from painn_ase.errors import ModelError, PainnError
from painn_ase.importers import DIALECTS, schnetpack
from painn_ase.importers.recognise import refuse_strangers
from painn_ase.model_files import find_model

from helpers.foreign_checkpoints import small_network, small_pickle


def text(word):
    return b"X" + struct.pack("<I", len(word.encode())) + word.encode()


def name(dotted):
    module, _, last = dotted.rpartition(".")
    return f"c{module}\n{last}\n".encode()


def pickled(*parts):
    """A tuple of names (with a capital after the last dot, or lower-case functions in angle brackets) and texts."""
    body = b"".join(name(p[1:]) if p.startswith("!") else text(p) for p in parts)
    return b"\x80\x02(" + body + b"t."


def torch_file(path, *parts, entries=()):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("m/data.pkl", pickled(*parts))
        for entry in entries:
            archive.writestr(entry, "")
    return path


LIGHTNING = (
    "epoch",
    "global_step",
    "pytorch-lightning_version",
    "state_dict",
    "loops",
    "callbacks",
    "hyper_parameters",
)
PICKLES = {
    "MACE": (("!mace.modules.models.ScaleShiftMACE", "!e3nn.o3._irreps.Irreps"), "mace.calculators.MACECalculator"),
    "MACE state dict": (("!collections.OrderedDict", "products.0.symmetric_contractions.weight"), "MACECalculator"),
    "CACE": (("!cace.models.atomistic.NeuralNetworkPotential",), "cace.calculators.CACECalculator"),
    "NequIP state dict": (
        ("!collections.OrderedDict", "model.func.chemical_embedding.linear.weight"),
        "NequIPCalculator",
    ),
    "NequIP Lightning": ((*LIGHTNING, "!nequip.train.lightning.NequIPLightningModule"), "nequip.ase.NequIPCalculator"),
    "Allegro": (("!allegro.model.AllegroModel", "!nequip.nn.Graph"), "Allegro"),
    "fairchem 2": (("!fairchem.core.units.mlip_unit.api.inference.MLIPInferenceCheckpoint",), "FAIRChemCalculator"),
    "fairchem PaiNN": (("state_dict", "config", "module.message_layers.0.x_proj.0.weight"), "OCPCalculator"),
    "CHGNet": (("!chgnet.model.model.CHGNet",), "chgnet.model.dynamics.CHGNetCalculator"),
    "nff SchNet": (("!nff.nn.models.schnet.SchNet", "!nff.nn.modules.schnet.SchNetConv"), "NeuralForceField's SchNet"),
    "nff CHGNet": (("!nff.nn.models.chgnet.CHGNetNFF", "!chgnet.model.model.CHGNet"), "NeuralForceField's CHGNetNFF"),
    "SO3net": (("!schnetpack.model.base.NeuralNetworkPotential", "!schnetpack.representation.so3net.SO3net"), "SO3net"),
    "SchNet": (
        ("!schnetpack.model.base.NeuralNetworkPotential", "!schnetpack.representation.schnet.SchNet"),
        "SchNet,",
    ),
    "SPaiNN": (
        (
            "!schnetpack.model.base.NeuralNetworkPotential",
            "!spainn.model.SPAINN",
            "!schnetpack.representation.painn.PaiNN",
        ),
        "SPaiNN",
    ),
    "SchNetPack Lightning": (
        (*LIGHTNING, "model.representation.interactions.0.interatomic_context_net.0.weight", "intraatomic_context_net"),
        "best_model that the training wrote",
    ),
    "curator Lightning": ((*LIGHTNING, "model.message_layers.0.scalar_message_mlp.0.weight"), "best_model_*.ckpt"),
    "another Lightning": ((*LIGHTNING, "model.layers.0.weight"), "Lightning checkpoint"),
    "TorchMD-Net": (("state_dict", "model.representation_model.embedding.weight"), "TorchMD-Net"),
    "e3nn": (("!e3nn.nn._gate.Gate",), "e3nn"),
    "SevenNet": (("!sevenn.nn.sequential.AtomGraphSequential",), "sevenn.calculator.SevenNetCalculator"),
    "Orb": (("!orb_models.forcefield.models.Model",), "Orb"),
}


def refusal(path, dialect):
    with pytest.raises(PainnError) as caught:
        refuse_strangers(path, dialect)
    sentence = str(caught.value)
    assert sentence.startswith(str(path))
    assert "\n" not in sentence
    assert len(sentence) < 600
    return sentence


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("case", PICKLES)
def test_a_checkpoint_of_another_code_is_named_with_the_way_out(case, dialect, tmp_path):
    parts, word = PICKLES[case]
    assert word in refusal(torch_file(tmp_path / "m.pt", *parts), dialect)


@pytest.mark.parametrize("case", ["MACE", "nff SchNet"])
def test_newer_and_older_pickles_are_seen_through_too(case, tmp_path):
    """Protocol 4 names by two texts; torch before 1.6 wrote pickles one after the other."""
    parts, word = PICKLES[case]
    names = [p[1:].rpartition(".") for p in parts]
    new = b"\x80\x04(" + b"".join(text(m) + b"\x94" + text(n) + b"\x94\x93" for m, _, n in names) + b"t."
    with zipfile.ZipFile(tmp_path / "new", "w") as archive:
        archive.writestr("m/data.pkl", new)
    assert word in refusal(tmp_path / "new", "schnetpack")
    magic = pickle.dumps(0x1950A86A20F9469CFC6C, 2) + pickle.dumps(1001, 2) + pickle.dumps({"little_endian": True}, 2)
    (tmp_path / "old").write_bytes(magic + pickled(*parts))
    assert word in refusal(tmp_path / "old", "schnetpack")


ARCHIVES = {
    "TorchScript": (("m/code/__torch__/torch/nn.py", "m/constants.pkl"), "TorchScript"),
    "deployed NequIP": (("m/code/__torch__/nequip/nn.py", "m/extra/nequip_version"), "NequIPCalculator"),
    "compiled MACE": (("m/code/__torch__/___torch_mangle_5/mace/modules.py",), "MACECalculator"),
    "packaged NequIP": (("m/.data/extern_modules", "m/nequip/model.py"), "torch.package"),
    "AOTInductor": (("m/data/aotinductor/model/x.so",), "AOTInductor"),
}


@pytest.mark.parametrize("case", ARCHIVES)
def test_archives_of_code_are_named_with_the_way_out(case, tmp_path):
    entries, word = ARCHIVES[case]
    assert word in refusal(torch_file(tmp_path / "m.pt", entries=entries), "schnetpack")


STARTS = {
    "model.h5": (b"\x89HDF\r\n\x1a\n....", "HDF5"),
    "frozen.pb": (b"\x0a\x2d\x0a", "deepmd.calculator.DP"),
    "net.onnx": (b"\x08\x07", "ONNX"),
    "config.yaml": (b"model: painn\n", "configuration"),
    "params.json": (b'{"cutoff": 5}', "--hyperparameters"),
    "gp.xml": (b"<GAP>", "GAP"),
    "model.pth": (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
    "model.tar.gz": (b"\x1f\x8b\x08", "unpack"),
    "plain.pkl": (pickle.dumps({"a": 1}), "torch.save did not write"),
}


@pytest.mark.parametrize("file", STARTS)
def test_files_that_are_no_checkpoint_are_named(file, tmp_path):
    content, word = STARTS[file]
    (tmp_path / file).write_bytes(content)
    assert word in refusal(tmp_path / file, "schnetpack")


def test_a_model_of_this_package_and_other_folders_are_named(tmp_path):
    assert "PaiNNCalculator(" in refusal(find_model("ethanol"), "schnetpack")
    assert "expected the file" in refusal(tmp_path, "curator")


def test_a_right_file_under_the_wrong_dialect_is_told_the_right_one(tmp_path, capsys):
    path = small_pickle().save(tmp_path / "best_model")
    for wrong in ("curator", "neuralforcefield"):
        assert main(["import", wrong, str(path), str(tmp_path / "out")]) != 0
        assert "painn-ase import schnetpack" in capsys.readouterr().err
    refuse_strangers(path, "schnetpack")  # passes
    for dialect, parts in (("curator", "scalar_message_mlp"), ("neuralforcefield", "inv_message.inv_dense")):
        path = torch_file(tmp_path / "m", parts)
        assert f"painn-ase import {dialect}" in refusal(path, "schnetpack")
        refuse_strangers(path, dialect)


def test_bare_weights_pass_with_hyperparameters_alone(tmp_path):
    np.savez(tmp_path / "state.npz", **small_network())
    torch.save({k: torch.as_tensor(np.array(v)) for k, v in small_network().items()}, tmp_path / "state.pt")
    for file in ("state.npz", "state.pt"):
        refuse_strangers(tmp_path / file, "schnetpack", described=True)
    assert "--hyperparameters" in refusal(tmp_path / "state.npz", "neuralforcefield")
    assert "num_layer" in refusal(tmp_path / "state.npz", "curator")


def test_advice_in_a_refusal_is_that_of_the_dialect(tmp_path):
    """A name that no PaiNN needs, in a file that nobody recognises."""
    with zipfile.ZipFile(tmp_path / "m", "w") as archive:
        archive.writestr("m/data.pkl", pickled("!mine.Secret"))
    said = {}
    for dialect in DIALECTS:
        with pytest.raises(ModelError, match=r"mine\.Secret") as caught:
            _load(dialect, tmp_path / "m")
        said[dialect] = str(caught.value)
    assert "state_dict(), FILE" in said["schnetpack"]
    assert "params.json" in said["neuralforcefield"]
    assert "hyperparameters" not in said["curator"]
    assert "num_layer" in said["curator"]


def _load(dialect, path):
    from importlib import import_module

    units = {"energy_unit": "eV", "length_unit": "Ang"} if dialect == "schnetpack" else {}
    return import_module(f"painn_ase.importers.{dialect}").load(path, **units)


@pytest.mark.parametrize("content", [b"", b"PK", b"PK\x03\x04" + b"\0" * 60, b"\x80", b"\x80\x02cos\n", b"hello"])
def test_damaged_files_pass_to_the_reader_that_says_more(content, tmp_path):
    (tmp_path / "m").write_bytes(content)
    with pytest.raises(ModelError):
        schnetpack.load(tmp_path / "m", energy_unit="eV", length_unit="Ang")
    refuse_strangers(tmp_path / "absent", "schnetpack")
