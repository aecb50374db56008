"""Random damage to model folders and foreign checkpoints: a refusal in words or a model that works, never a crash."""

import json
import random
import shutil
import struct

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from painn_ase import PaiNNCalculator, load_model, save_model
from painn_ase.errors import InputError, ModelError, PainnError
from painn_ase.importers import schnetpack

from helpers.foreign_checkpoints import small_pickle
from helpers.random_models import random_model
from helpers.systems import molecule

COMMON = {"deadline": None, "derandomize": True, "database": None, "suppress_health_check": list(HealthCheck)}
ODD = [None, True, False, 0, 1, -1, 2, 3.5, -0.0, 1e308, 1e-308, 10**6, 10**18, 10**25, "", "painn", "1", [], [1],
       [[]], {}, {"kind": "bessel"}, {"kind": "painn", "count": 3}, "\x00", "ö" * 200, [None] * 50]  # fmt: skip
# torch says so while it builds a layer without columns, which is then refused
pytestmark = pytest.mark.filterwarnings("ignore:Initializing zero-element tensors:UserWarning")


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    return save_model(random_model(), tmp_path_factory.mktemp("sound") / "model")


def attempt(folder) -> str:
    """ "refused", or "works" after a calculation that ended in numbers or in one of our errors."""
    try:
        model = load_model(folder)
    except ModelError as error:
        said = str(error)
    else:
        said = ""
    if said:
        assert len(said.splitlines()) == 1
        assert len(said) < 1500
        return "refused"
    try:
        calc = PaiNNCalculator(model, dtype="float64")
        for name in ("forces", "dipole", "polarizability"):
            calc.get_property(name, molecule())
    except PainnError:
        return "works, and says what it cannot do"
    return "works"


def mutated_bytes(data: bytes, rng: random.Random) -> bytes:
    damaged = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 5, 20])):
        kind, at = rng.randrange(5), rng.randrange(max(1, len(damaged)))
        if kind == 0 and damaged:
            damaged[at] = rng.randrange(256)
        elif kind == 1:
            damaged[at:at] = rng.randbytes(rng.randrange(1, 9))
        elif kind == 2:
            del damaged[at : at + rng.randrange(1, 20)]
        elif kind == 3:
            damaged[at:at] = rng.choice([b"[", b"{", b'"', b"}", b"]", b",", b"-", b"9" * 30, b"\xff", b"NaN", b"null"])
        else:
            end = at + rng.randrange(1, 100)
            damaged[at:at] = damaged[at:end]
    return bytes(damaged)


def mutated_value(value, rng: random.Random):
    """The JSON value with one part exchanged, removed or added."""
    if isinstance(value, dict) and value and rng.random() < 0.85:
        key = rng.choice(list(value))
        changed = dict(value)
        if rng.random() < 0.08:
            del changed[key]
        elif rng.random() < 0.05:
            changed[key + "x"] = changed.pop(key)
        else:
            changed[key] = mutated_value(value[key], rng)
        return changed
    if isinstance(value, list) and value and rng.random() < 0.7:
        changed = list(value)
        k = rng.randrange(len(changed))
        changed[k] = mutated_value(changed[k], rng)
        return changed
    return rng.choice(ODD)


def damaged_copy(sound, root, seed: int):
    """A copy of the sound folder with one random damage to the header, the table of tensors, or their bytes."""
    rng = random.Random(seed)
    folder = root / "m"
    if folder.exists():
        shutil.rmtree(folder)
    shutil.copytree(sound, folder)
    header, weights = folder / "model.json", folder / "weights.safetensors"
    kind = rng.randrange(5)
    if kind == 0:
        header.write_bytes(mutated_bytes(header.read_bytes(), rng))
    elif kind in (1, 2):
        header.write_text(json.dumps(mutated_value(json.loads(header.read_text()), rng)))
    else:
        content = weights.read_bytes()
        length = struct.unpack("<Q", content[:8])[0]
        table, data = content[8 : 8 + length], content[8 + length :]
        if kind == 3:
            table = mutated_bytes(table, rng)
            length = len(table) if rng.random() < 0.7 else rng.choice([0, 1, length, 2**31, 2**63 - 1])
        else:
            table = json.dumps(mutated_value(json.loads(table), rng)).encode()
            length = len(table)
        if rng.random() < 0.3:
            data = mutated_bytes(data, rng)
        weights.write_bytes(struct.pack("<Q", length) + table + data)
    return folder


@settings(max_examples=120, **COMMON)
@given(seed=st.integers(0, 2**32 - 1))
def test_damaged_model_folder_is_refused_or_works(sound, tmp_path_factory, seed):
    attempt(damaged_copy(sound, tmp_path_factory.getbasetemp(), seed))


@pytest.mark.slow
def test_three_thousand_damaged_model_folders(sound, tmp_path):
    found = [attempt(damaged_copy(sound, tmp_path, seed)) for seed in range(3000)]
    print({kind: found.count(kind) for kind in set(found)})
    assert found.count("refused") > 2000


@pytest.mark.slow
def test_a_thousand_damaged_foreign_checkpoints(tmp_path):
    """The importers' parsers: whatever the bytes, a model or an error of ours."""
    path = small_pickle().save(tmp_path / "m")
    data = path.read_bytes()
    refusals = 0
    for seed in range(1000):
        path.write_bytes(mutated_bytes(data, random.Random(seed)))
        try:
            schnetpack.load(path, energy_unit="kcal/mol", length_unit="Ang")
        except (InputError, ModelError):
            refusals += 1
    assert refusals > 300
