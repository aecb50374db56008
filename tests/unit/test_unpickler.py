"""Checkpoints that try to run code, damaged ones, and ones that claim more than they hold: refused, nothing run."""

import os
import pickle
import random
import struct
import warnings
import zipfile
from collections import OrderedDict

import numpy as np
import pytest
import torch
from torch import nn

from painn_ase.errors import InputError, ModelError
from painn_ase.importers import schnetpack
from painn_ase.importers.archive import read_tensors, read_torch

from helpers.foreign_checkpoints import small_network, small_pickle

UNITS = {"energy_unit": "kcal/mol", "length_unit": "Ang"}


def torch_zip(path, data, storages=(), compression=zipfile.ZIP_STORED):
    """A file laid out as torch.save lays it out, with `data` as its pickle."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("m/data.pkl", data)
        archive.writestr("m/byteorder", "little")
        for key, content in enumerate(storages):
            archive.writestr(f"m/data/{key}", content)
    return path


def op(module, name):
    return f"c{module}\n{name}\n".encode()


def text(value):
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def calling(module, name, *arguments):
    """Protocol 2: push the name, push the arguments, REDUCE."""
    return b"\x80\x02" + op(module, name) + b"(" + b"".join(map(text, arguments)) + b"tR."


class Touch:
    """What a real attacker writes: the pickle calls os.system when it is loaded."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


class Nested:
    """The outer call is one that checkpoints need; its argument is not."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return OrderedDict, ([("weight", Touch(self.path))],)


class SetState:
    """Runs code through the state of an object rather than through its making."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return nn.Identity, (), {"_modules": {"x": Touch(self.path)}}


def malicious(marker):
    touch = f"touch {marker}"
    write = f"__import__('os').system('touch {marker}')"
    getattr_chain = (
        b"\x80\x02" + op("builtins", "getattr") + b"(" + op("torch", "FloatStorage") + text("__init__") + b"tR."
    )
    build_function = (
        b"\x80\x02" + op("torch._utils", "_rebuild_tensor_v2") + b"}" + text("__code__") + text("x") + b"sb."
    )
    build_class = b"\x80\x02" + op("schnetpack.x", "Y") + b"}" + text("__init__") + text("x") + b"sb."
    inst = b"(" + text(touch) + b"ios\nsystem\n."
    obj = b"\x80\x02(" + op("os", "system") + text(touch) + b"o."
    nested_pickle = calling("pickle", "loads", "cos\nsystem\n(S'id'\ntR.")
    extension = b"\x80\x02\x82\x01)R."
    stack_global = b"\x80\x04" + text("os") + text("system") + b"\x93(" + text(touch) + b"tR."
    newobj = b"\x80\x02" + op("subprocess", "Popen") + b"(" + text(touch) + b"t\x81."
    protocol_0 = f"cos\nsystem\n(S'{touch}'\ntR.".encode()
    return {
        "os.system": pickle.dumps(Touch(marker), 2),
        "os.system, protocol 5": pickle.dumps(Touch(marker), 5),
        "posix.system": calling("posix", "system", touch),
        "builtins.eval": calling("builtins", "eval", write),
        "builtins.exec": calling("__builtin__", "exec", write),
        "nested reduce": pickle.dumps(Nested(marker), 2),
        "reduce inside a module's state": pickle.dumps(SetState(marker), 2),
        "torch gadget: torch.load": calling("torch", "load", str(marker)),
        "torch gadget: torch.hub.load": calling("torch.hub", "load", "someone/something"),
        "torch gadget: torch.utils.collect_env.run": calling("torch.utils.collect_env", "run", touch),
        "torch gadget: dotted torch.os.system": calling("torch", "os.system", touch),
        "torch gadget: module torch.os": calling("torch.os", "system", touch),
        "torch gadget: dotted storage": calling("torch", "FloatStorage.from_file", str(marker)),
        "torch gadget: torch._utils": calling("torch._utils", "_import_dotted_name", "os.system"),
        "torch gadget: nn.Module": calling("torch.nn.modules.module", "Module"),
        "torch gadget: dynamo": calling("torch._dynamo.guards", "exec", write),
        "dotted schnetpack name": calling("schnetpack", "os.system", touch),
        "package that begins like schnetpack": calling("schnetpack_evil", "run", touch),
        "numpy gadget": calling("numpy.testing._private.utils", "runstring", write, ""),
        "functools.partial": calling("functools", "partial", "x"),
        "copyreg._reconstructor": calling("copyreg", "_reconstructor", "x"),
        "getattr chain": getattr_chain,
        "BUILD on a function": build_function,
        "BUILD on a class": build_class,
        "INST": inst,
        "OBJ": obj,
        "pickle in a pickle": nested_pickle,
        "extension registry": extension,
        "STACK_GLOBAL": stack_global,
        "NEWOBJ of Popen": newobj,
        "protocol 0": protocol_0,
    }


@pytest.mark.parametrize("case", malicious("x"))
def test_code_in_a_checkpoint_is_refused_and_does_not_run(case, tmp_path):
    marker = tmp_path / "executed"
    path = torch_zip(tmp_path / "best_model", malicious(marker)[case])
    with pytest.raises(ModelError) as refusal:
        schnetpack.load(path, **UNITS)
    assert not marker.exists()
    assert str(path) in str(refusal.value)


@pytest.mark.parametrize("case", ["os.system", "builtins.eval", "nested reduce"])
def test_the_malicious_pickles_are_real(case, tmp_path):
    """The ordinary unpickler is caught by them; otherwise the test above would prove nothing."""
    marker = tmp_path / "executed"
    pickle.loads(malicious(marker)[case])
    assert marker.exists()


def test_code_inside_an_otherwise_good_checkpoint_is_refused_by_name(tmp_path):
    network = small_pickle()
    network.module("representation").secret = Touch(tmp_path / "executed")
    path = network.save(tmp_path / "best_model")
    with pytest.raises(ModelError, match=r"posix\.system|nt\.system"):
        schnetpack.load(path, **UNITS)
    assert not (tmp_path / "executed").exists()


def test_a_module_class_of_schnetpack_is_inert_even_when_it_is_called(tmp_path):
    path = torch_zip(tmp_path / "m", calling("schnetpack.utils", "run_anything", "x"))
    with pytest.raises(ModelError, match="not a plain torch module"):
        schnetpack.load(path, **UNITS)


# ---- claims larger than the file


def tensor(key=b"K\x00", count=b"K\x04", size=(4,), stride=(1,), offset=b"K\x00", kind="FloatStorage", storage="0"):
    """Pickle of one tensor on storage `storage` of the archive."""

    def numbers(values):
        return b"(" + b"".join(b"\x8a\x08" + struct.pack("<q", v) for v in values) + b"t"

    identity = b"(" + text("storage") + op("torch", kind) + text(storage) + text("cpu") + count + b"tQ"
    arguments = b"(" + identity + offset + numbers(size) + numbers(stride) + b"\x89}t"
    return op("torch._utils", "_rebuild_tensor_v2") + arguments + b"R"


HUGE = 10**14
BOMBS = {
    "a stride of zero": tensor(size=(HUGE,), stride=(0,)),
    "a size beyond the storage": tensor(size=(HUGE,), stride=(1,)),
    "a stride beyond the storage": tensor(size=(2,), stride=(HUGE,)),
    "a negative stride": tensor(size=(4,), stride=(-1,)),
    "a negative offset": tensor(size=(1,), stride=(1,), offset=b"\x8a\x01\xff"),
    "a negative size": tensor(size=(-1,), stride=(1,)),
    "an offset beyond the storage": tensor(size=(4,), stride=(1,), offset=b"K\x01"),
    "a count beyond the storage": tensor(count=b"\x8a\x08" + struct.pack("<q", HUGE), size=(4,), stride=(1,)),
    "another type": tensor(kind="DoubleStorage"),
    "an absent storage": tensor(storage="7"),
    "a storage out of the archive": tensor(storage="../../etc/passwd"),
    "a type that is none": tensor(kind="Float"),
}


@pytest.mark.parametrize("case", BOMBS)
def test_a_tensor_that_claims_more_than_its_storage_is_refused(case, tmp_path):
    path = torch_zip(tmp_path / "m", b"\x80\x02}" + text("x") + BOMBS[case] + b"s.", [b"\0" * 16])
    with pytest.raises(ModelError):
        read_tensors(path)


def test_many_views_of_one_storage_are_refused(tmp_path):
    views = b"".join(text(f"x{k}") + tensor(size=(3,), offset=b"K" + bytes([k])) for k in range(2))
    path = torch_zip(tmp_path / "m", b"\x80\x02}(" + views + b"u.", [b"\0" * 16])
    with pytest.raises(ModelError, match="claim more numbers"):
        read_tensors(path)


def test_a_compressed_archive_is_refused(tmp_path):
    path = torch_zip(tmp_path / "m", b"\x80\x02}.", [b"\0" * 10**6], zipfile.ZIP_DEFLATED)
    with pytest.raises(ModelError, match="compressed"):
        read_torch(path)


def test_a_key_that_takes_for_ever_to_hash_is_refused(tmp_path):
    """Tuples nested by reference: 2^60 visits for one hash."""
    nest = b"K\x01" + b"q\x00h\x00\x86" * 60
    path = torch_zip(tmp_path / "m", b"\x80\x02}" + nest + b"K\x01s.")
    with pytest.raises(ModelError, match="tuple"):
        read_torch(path)


def test_a_network_that_contains_itself_is_refused(tmp_path):
    parts = b"".join(text(p) + b"}" for p in ("_parameters", "_buffers"))
    loop = op("schnetpack.model.base", "NeuralNetworkPotential") + b")\x81q\x00}(" + parts + text("_modules")
    loop += b"}(" + text("representation") + b"h\x00" + text("output_modules") + b"h\x00uub."
    with pytest.raises(ModelError):
        schnetpack.load(torch_zip(tmp_path / "m", b"\x80\x02" + loop), **UNITS)


# ---- damage


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    path = small_pickle().save(tmp_path_factory.mktemp("good") / "best_model")
    model = schnetpack.load(path, **UNITS)
    return path.read_bytes(), model.state_dict()


def same(model, state):
    return all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())


def load_or_refuse(path):
    """The model or None; any other error than ModelError fails the test."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # zipfile warns about doubled names
            return schnetpack.load(path, **UNITS)
    except ModelError as error:
        sentence = str(error)
    assert "\n" not in sentence
    assert len(sentence) < 800
    return None


@pytest.mark.parametrize("fraction", [0.0, 1e-4, 0.01, 0.1, 0.5, 0.9, 0.99, 0.9999])
def test_a_truncated_checkpoint_is_refused(fraction, good, tmp_path):
    content, _ = good
    path = tmp_path / "m"
    path.write_bytes(content[: int(fraction * len(content))])
    with pytest.raises(ModelError, match=r"truncated|damaged"):
        schnetpack.load(path, **UNITS)


def flips(content, count, seed):
    rng = random.Random(seed)
    for _ in range(count):
        damaged = bytearray(content)
        damaged[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        yield bytes(damaged)


def test_a_flipped_bit_is_noticed_or_harmless(good, tmp_path):
    """Weights and pickle are under the checksums of the zip; flips of dates and padding change nothing."""
    content, state = good
    path, refused = tmp_path / "m", 0
    for damaged in flips(content, 300, seed=1):
        path.write_bytes(damaged)
        model = load_or_refuse(path)
        refused += model is None
        assert model is None or same(model, state)
    assert refused > 30


def test_a_flipped_bit_under_a_valid_checksum_gives_a_sentence(good, tmp_path):
    """A pickle that was changed before it was packed: whatever it says now, no other error and no code."""
    path = tmp_path / "m"
    path.write_bytes(good[0])
    with zipfile.ZipFile(path) as archive:
        entries = {entry.filename: archive.read(entry) for entry in archive.infolist()}
    name = next(n for n in entries if n.endswith("data.pkl"))
    refused = 0
    for damaged in flips(entries[name], 200, seed=2):
        with zipfile.ZipFile(path, "w") as archive:
            for entry, content in (entries | {name: damaged}).items():
                archive.writestr(entry, content)
        refused += load_or_refuse(path) is None
    assert refused > 50


def test_an_empty_or_foreign_file_is_refused(tmp_path):
    path = tmp_path / "m"
    for content in (b"", b"PK\x03\x04", b"hello", b"PK\x05\x06" + b"\0" * 18):
        path.write_bytes(content)
        with pytest.raises(ModelError):
            schnetpack.load(path, **UNITS)
    with pytest.raises(ModelError, match="cannot be read"):
        schnetpack.load(tmp_path / "absent", **UNITS)
    with pytest.raises(ModelError, match="cannot be read"):
        schnetpack.load(tmp_path, **UNITS)


def test_the_old_format_is_refused_with_the_way_out(tmp_path):
    torch.save({"x": torch.zeros(1)}, tmp_path / "m", _use_new_zipfile_serialization=False)
    with pytest.raises(ModelError, match="save it again"):
        read_torch(tmp_path / "m")


def test_a_deployed_model_is_refused_with_the_way_out(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(nn.Linear(2, 2)), tmp_path / "m")
    with pytest.raises(ModelError, match="TorchScript"):
        read_torch(tmp_path / "m")


def test_weights_that_are_not_numbers_are_refused(tmp_path):
    embedding = small_network()["representation.embedding.weight"]
    embedding[6, 0] = np.nan
    path = small_pickle(representation__embedding__weight=embedding).save(tmp_path / "m")
    with pytest.raises(ModelError, match="not finite"):
        schnetpack.load(path, **UNITS)


# ---- what is read


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_protocol_of_torch_save_is_read(protocol, good, tmp_path):
    path = small_pickle().save(tmp_path / "m", pickle_protocol=protocol)
    assert same(schnetpack.load(path, **UNITS), good[1])


@pytest.mark.parametrize(
    "dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.int64, torch.uint8, torch.bool]
)
def test_a_state_dict_is_read_as_torch_reads_it(dtype, tmp_path):
    base = (torch.rand(6, 5, generator=torch.Generator().manual_seed(0)) * 3).to(dtype)
    state = {"whole": base, "transposed": base.clone().t(), "part": base.clone()[1:4, ::2], "empty": base[:0].clone()}
    torch.save(state, tmp_path / "state.pt")
    read = read_tensors(tmp_path / "state.pt")
    assert all(torch.equal(read[name], tensor) for name, tensor in state.items() if tensor.numel())


def test_module_state_dicts_with_their_version_notes_are_read(tmp_path):
    state = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1)).state_dict()
    torch.save(state, tmp_path / "state.pt")
    assert all(torch.equal(v, state[k]) for k, v in read_tensors(tmp_path / "state.pt").items())


def test_npz_bombs_and_objects_are_refused(tmp_path):
    np.savez_compressed(tmp_path / "bomb.npz", x=np.zeros(10**7))
    np.savez(tmp_path / "object.npz", x=np.array([Touch(tmp_path / "executed")], dtype=object))
    for name in ("bomb", "object"):
        with pytest.raises(ModelError):
            read_tensors(tmp_path / f"{name}.npz")
    assert not (tmp_path / "executed").exists()


def test_a_state_dict_needs_hyperparameters(tmp_path):
    np.savez(tmp_path / "state.npz", **small_network())
    with pytest.raises(InputError, match="hyperparameters"):
        schnetpack.load(tmp_path / "state.npz", **UNITS)
