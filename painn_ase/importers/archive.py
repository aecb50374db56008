"""Files of tensors: torch's zip archives, .npz and .safetensors, with every size checked before memory is taken."""

import json
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from painn_ase.errors import InputError, ModelError
from painn_ase.importers.names import Name
from painn_ase.importers.unpickle import Unpickler

_DTYPES = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}
_ZIP_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    RuntimeError,  # encrypted, or a newer kind of zip
    EOFError,
    OSError,
    KeyError,
    ValueError,
    OverflowError,
)


class Storage:
    """The numbers of one storage, and how many of them the tensors made from it have claimed."""

    def __init__(self, values: Tensor) -> None:
        self.values = values
        self.claimed = 0
        self.views: dict[tuple, Tensor] = {}

    def view(self, offset: int, size: tuple[int, ...], stride: tuple[int, ...]) -> Tensor:
        """The strided tensor; equal requests get the same object. Distinct ones may not add up to more than there is.

        A view can claim any shape for a few bytes (stride 0); without the sum, copying it would take all memory.
        """
        key = (offset, size, stride)
        if key not in self.views:
            count = int(np.prod(size, dtype=object))
            last = offset + sum((n - 1) * s for n, s in zip(size, stride, strict=True))
            self.claimed += count
            if min((offset, *size, *stride), default=0) < 0 or self.claimed > len(self.values):
                raise ModelError("damaged checkpoint: tensors claim more numbers than their storage holds")
            if count and last >= len(self.values):
                raise ModelError("damaged checkpoint: a tensor reaches beyond its storage")
            # torch keeps empty tensors too; their strides mean nothing
            self.views[key] = self.values.as_strided(size, stride, offset) if count else self.values[:0]
        return self.views[key]


class _Archive:
    """A zip file written by torch.save."""

    def __init__(self, path: Path) -> None:
        self.zip = zipfile.ZipFile(path)
        names = self.zip.namelist()
        if any(name.endswith("/constants.pkl") or "/code/" in name for name in names):
            raise ModelError(
                f"{path}: a deployed TorchScript model, whose network is code; import the checkpoint it was made "
                "from (SchNetPack: best_model)"
            )
        total = path.stat().st_size
        for entry in self.zip.infolist():
            # torch.save stores; a compressed entry could unfold to any size
            if entry.compress_type != zipfile.ZIP_STORED or entry.compress_size != entry.file_size:
                raise ModelError(f"{path}: entry {entry.filename!r} is compressed, which torch.save never does")
            total -= entry.file_size
        if total < 0:
            raise ModelError(f"{path}: the zip directory claims more bytes than the file has")
        roots = [name.removesuffix("data.pkl") for name in names if name.endswith("/data.pkl") or name == "data.pkl"]
        if len(roots) != 1:
            raise ModelError(f"{path}: expected a file written by torch.save; the zip holds no single data.pkl")
        self.root = roots[0]
        order = f"{self.root}byteorder"
        if order in names and self.zip.read(order) != b"little":
            raise ModelError(f"{path}: written on a big-endian machine; load and save it again on a common one")
        self.storages: dict[str, Storage] = {}

    def load_storage(self, identity: Any) -> Storage:
        """The storage of a persistent id ("storage", type, key, device, count); the device does not matter."""
        kind, storage_type, key, _, count = identity
        if kind != "storage" or not isinstance(storage_type, Name) or not isinstance(key, str) or not key.isalnum():
            raise TypeError("a persistent id that torch does not write")
        if key not in self.storages:
            dtype = _DTYPES[storage_type.name]
            entry = self.zip.getinfo(f"{self.root}data/{key}")
            if not isinstance(count, int) or entry.file_size != count * dtype.itemsize:
                raise ModelError(
                    f"damaged checkpoint: storage {key} has {entry.file_size} bytes, its type and count ask for others"
                )
            data = bytearray(self.zip.read(entry))
            self.storages[key] = Storage(torch.frombuffer(data, dtype=dtype) if data else torch.empty(0, dtype=dtype))
        return self.storages[key]


def _make_tensor(storage: Any, offset: Any, size: Any, stride: Any) -> Tensor:
    numbers = (offset, *size, *stride)
    if not isinstance(storage, Storage) or not all(type(n) is int for n in numbers) or len(size) > 8:
        raise TypeError("a tensor that torch does not write")
    return storage.view(offset, tuple(size), tuple(stride))


def read_torch(path: str | Path, packages: frozenset[str] = frozenset(), advice: str = "") -> Any:
    """What `torch.save` wrote to `path`: tensors, containers, and a `Record` for every object of `packages`.

    `advice` is the way out that the refusal of a name ends with.

    Raises `ModelError` when the file is damaged, of torch's old format, or asks for a name that is not allowed.
    Nothing in the file is executed.
    """
    path = Path(path)
    try:
        with open(path, "rb") as file:
            start = file.read(4)
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror})") from None
    if start[:1] == b"\x80":
        raise ModelError(
            f"{path}: torch's format before version 1.6 (a bare pickle), which is not read. Load it where it was made "
            "and save it again with torch.save of a newer torch"
        )
    if start != b"PK\x03\x04":
        raise ModelError(f"{path}: expected a file written by torch.save; this is something else or truncated")
    try:
        archive = _Archive(path)
        with archive.zip:
            data = archive.zip.read(f"{archive.root}data.pkl")
            return Unpickler(packages, archive.load_storage, _make_tensor, advice).load(data)
    except ModelError as error:
        raise ModelError(str(error) if str(error).startswith(str(path)) else f"{path}: {error}") from None
    except _ZIP_ERRORS as error:
        raise ModelError(f"{path}: truncated or damaged ({error}); copy the checkpoint again") from None


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Puts the name of the file before the `ModelError`s of what is found in it."""
    try:
        yield
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from None


def read_tensors(path: str | Path) -> dict[str, Tensor]:
    """The named tensors of a state dict: .npz, .safetensors, or a file of torch.save. Raises `ModelError`."""
    path = Path(path)
    if path.suffix == ".npz":
        return _read_npz(path)
    if path.suffix == ".safetensors":
        try:
            with safe_open(path, framework="pt") as file:
                return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
        except (SafetensorError, OSError) as error:
            raise ModelError(f"{path}: missing or damaged ({error}); copy the checkpoint again") from None
    state = read_torch(path)
    if type(state) is dict and type(state.get("state_dict")) is dict:
        state = state["state_dict"]
    if type(state) is not dict or not state or not all(isinstance(v, Tensor) for v in state.values()):
        raise ModelError(f"{path}: expected a state dict (names and tensors)")
    return {str(name): tensor for name, tensor in state.items()}


def _read_npz(path: Path) -> dict[str, Tensor]:
    try:
        with zipfile.ZipFile(path) as archive:
            unfolded = sum(entry.file_size for entry in archive.infolist())
            if unfolded > max(2**26, 20 * path.stat().st_size):  # weights hardly compress; a bomb does
                raise ModelError(f"unfolds to {unfolded} bytes, far more than weights of this file size do")
            return {entry.filename.removesuffix(".npy"): _read_npy(archive, entry) for entry in archive.infolist()}
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from None
    except (*_ZIP_ERRORS, TypeError, SyntaxError) as error:
        raise ModelError(f"{path}: truncated or damaged ({error}); copy the checkpoint again") from None


def _read_npy(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Tensor:
    with archive.open(entry) as file:
        version = np.lib.format.read_magic(file)
        if version != (1, 0):
            raise ModelError(f"entry {entry.filename!r}: expected the .npy format 1.0, got {version}")
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
        count = int(np.prod(shape, dtype=object))
        if dtype.kind not in "fiub" or count * dtype.itemsize != entry.file_size - file.tell():
            raise ModelError(f"entry {entry.filename!r}: the header does not fit the data")
        values = np.frombuffer(file.read(), dtype).reshape(shape, order="F" if fortran else "C")
    return torch.from_numpy(values.astype(dtype.newbyteorder("="), order="C"))


def read_hyperparameters(given: str | Path | dict[str, Any]) -> dict[str, Any]:
    """The description of a network, from a dictionary or a JSON file. Raises `InputError`."""
    if isinstance(given, dict):
        return given
    try:
        found = json.loads(Path(given).read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"hyperparameters: expected a JSON file; got {given} ({error})") from None
    if not isinstance(found, dict):
        raise InputError(f"hyperparameters: expected a JSON object; {given} holds a {type(found).__name__}")
    return found
