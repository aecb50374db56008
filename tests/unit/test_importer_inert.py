"""What trainers put beside a network is read as data: numbers as numbers, everything else inert, nothing called."""

import datetime
import pathlib
from collections import Counter, OrderedDict, defaultdict, deque

import numpy as np
import pytest
import torch
from torch import nn

from painn_ase.errors import ModelError
from painn_ase.importers import schnetpack
from painn_ase.importers.archive import read_torch
from painn_ase.importers.names import Name, Record

from helpers.foreign_checkpoints import small_pickle

PROTOCOLS = (2, 4, 5)
UNITS = {"energy_unit": "kcal/mol", "length_unit": "Ang"}


def read(value, tmp_path, protocol=2):
    torch.save({"value": value}, tmp_path / "m", pickle_protocol=protocol)
    return read_torch(tmp_path / "m")["value"]


NUMBERS = [
    np.float64(0.1),
    np.float32(0.1),
    np.float16(0.1),
    np.int64(-3),
    np.int8(-3),
    np.uint16(40000),
    np.bool_(True),
    np.dtype(">f8").type(0.25),
]


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("number", NUMBERS, ids=lambda n: type(n).__name__)
def test_numpy_scalars_are_read_as_the_numbers_they_are(number, protocol, tmp_path):
    found = read(number, tmp_path, protocol)
    assert type(found) in (float, int, bool)
    assert found == number.item()


INERT = {
    "dtypes of torch": (torch.float32, torch.bfloat16, torch.int64),
    "dtypes of torch as keys": {torch.float32: torch.float64},
    "types of numpy": [np.float64, np.int32, np.bool_],
    "dtypes of numpy": [np.dtype("f8"), np.dtype("<i4"), np.dtype("U7"), np.dtype([("a", "f4")])],
    "texts and times of numpy": [np.str_("text"), np.datetime64("2020-01-01")],
    "arrays of numpy": [np.arange(6.0).reshape(2, 3), np.array(["a"]), np.asfortranarray(np.eye(2))],
    "types of Python": [int, float, dict, complex],
    "a device and a shape": (torch.device("cuda", 1), torch.Size([2, 3])),
    "a parameter": nn.Parameter(torch.ones(2)),
    "containers": [
        OrderedDict(a=1),
        defaultdict(list, a=[1]),
        Counter("aab"),
        deque([1, 2], 5),
        {1, 2},
        frozenset("ab"),
    ],
    "paths and times": [pathlib.PurePosixPath("/a/b"), datetime.datetime(2020, 1, 2), datetime.timedelta(3)],
    "bytes": [b"abc", b"\xff\x00", bytearray(b"abc")],
    "flat tuples as keys": {("a", 1): 2, None: 3, b"x": 4},
}


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("case", INERT)
def test_what_trainers_write_is_read_without_calling_it(case, protocol, tmp_path):
    if case == "bytes" and protocol == 2:
        INERT[case].pop(2)  # protocol 2 writes a bytearray as a call of bytearray
    read(INERT[case], tmp_path, protocol)


def test_the_values_are_those_that_were_written(tmp_path):
    assert read({"losses": [np.float32(0.5), 2.0], "epoch": np.int64(7)}, tmp_path) == {
        "losses": [0.5, 2.0],
        "epoch": 7,
    }
    assert read(torch.float32, tmp_path) == Name("torch", "float32")
    assert read(b"\xff\x00", tmp_path) == b"\xff\x00"
    assert read(Counter("aab"), tmp_path) == {"a": 2, "b": 1}
    assert read(torch.device("cpu"), tmp_path) == Record(Name("torch", "device"))
    assert torch.equal(read(nn.Parameter(torch.ones(2)), tmp_path), torch.ones(2))


def test_optimiser_and_scheduler_states_are_read(tmp_path):
    parameter = nn.Parameter(torch.ones(3))
    optimizer = torch.optim.AdamW([parameter], lr=np.float64(1e-3))
    parameter.grad = torch.ones(3)
    optimizer.step()
    scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, [3, 5])
    read([optimizer.state_dict(), scheduler.state_dict()], tmp_path)


def test_a_schnetpack_checkpoint_with_dtypes_as_values_and_keys_is_read(tmp_path):
    """As those of another age hold them: CastTo64.type_map and input_dtype."""
    network = small_pickle()
    vars(network.module("postprocessors.0"))["type_map"] = {torch.float32: torch.float64}
    vars(network.module(""))["input_dtype_str"] = torch.float32
    network.module("input_modules.0").input_dtype = torch.float64
    plain = schnetpack.load(small_pickle().save(tmp_path / "plain"), **UNITS).state_dict()
    found = schnetpack.load(network.save(tmp_path / "m"), **UNITS).state_dict()
    assert all(torch.equal(found[name], tensor) for name, tensor in plain.items())


def test_a_number_that_claims_other_bytes_is_refused(tmp_path):
    """A float64 of four bytes."""
    short = np.float64(0.1).__reduce__()
    with pytest.raises(ModelError, match="damaged"):
        read(_Reduced(short[0], (short[1][0], b"1234")), tmp_path)


class _Reduced:
    def __init__(self, function, arguments):
        self.reduction = function, arguments

    def __reduce__(self):
        return self.reduction


@pytest.mark.parametrize("function", [np.load, np.fromfile, np.save, np.memmap, torch.load, getattr, eval])
def test_functions_of_the_same_packages_stay_refused(function, tmp_path):
    with pytest.raises(ModelError, match="Nothing was executed"):
        read(_Reduced(function, ("executed",)), tmp_path)


def test_copies_may_not_outgrow_the_file(tmp_path):
    """One long text, encoded again and again by two bytes of pickle each: 200 MB of a file of 200 kB."""
    text = "x" * 100_000
    body = b"\x80\x02(X" + len(text).to_bytes(4, "little") + text.encode() + b"q\x00"
    body += b"c_codecs\nencode\nq\x010(" + b"h\x01h\x00\x85R" * 2000 + b"t."
    # a zip as torch.save lays it out
    import zipfile

    with zipfile.ZipFile(tmp_path / "m", "w") as archive:
        archive.writestr("m/data.pkl", body.replace(b"q\x010(", b"q\x01"))
    with pytest.raises(ModelError, match="copies more than it holds"):
        read_torch(tmp_path / "m")
