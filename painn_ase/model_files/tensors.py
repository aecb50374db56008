"""Safetensors files: their bytes depend on their content alone, and they are read against what was announced."""

import json
import struct
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from painn_ase.errors import ModelError, in_short
from painn_ase.model import Model
from painn_ase.model_files.folder import HEADER, WEIGHTS
from painn_ase.model_files.limits import MAX_JSON, MAX_WEIGHTS, check_file, parse_json, read_bytes

_DTYPES = {"F32": torch.float32, "F64": torch.float64}  # as safetensors calls them


def tensor_file(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> bytes:
    """A safetensors file of `tensors` and `metadata`: equal bytes for equal content.

    The library sorts the tensors, but writes metadata in an order that it draws anew in every process; here its keys
    are sorted. A file is the length of its header (8 bytes, little-endian), the header, and the tensors.
    """
    data = save(dict(tensors), metadata=dict(metadata))
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:end])
    header["__metadata__"] = dict(sorted(metadata.items()))
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # tensors start on multiples of 8 bytes
    return len(text).to_bytes(8, "little") + text + data[end:]


def tensor_table(path: Path, folder: Path) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Type and shape of every tensor in a safetensors file, by name, from its header alone.

    The file begins with the header's length (eight bytes, little endian) and the header, a JSON object. Raises
    `ModelError` when the header claims more than the file holds, or is not of this form.
    """
    size = check_file(path, folder, MAX_WEIGHTS)
    start = read_bytes(path, folder, MAX_WEIGHTS, size=8)
    length = struct.unpack("<Q", start)[0] if len(start) == 8 else -1
    if not 0 < length <= min(size - 8, MAX_JSON):
        raise ModelError(
            f"{path}: missing or damaged weights (a file of {size} bytes cannot hold a table of {length} bytes); "
            "copy the model folder again"
        )
    table = parse_json(read_bytes(path, folder, MAX_WEIGHTS, 8, length), path)
    if not isinstance(table, dict):
        raise ModelError(f"{path}: missing or damaged weights (its table is no object); copy the model folder again")
    found = {}
    for name, entry in table.items():
        if name == "__metadata__":
            continue
        entry = entry if isinstance(entry, dict) else {}
        shape = entry.get("shape")
        if not (isinstance(shape, list) and len(shape) <= 8 and all(type(n) is int and n >= 0 for n in shape)):
            raise ModelError(f"{path}: missing or damaged weights (no shape for {in_short(repr(name))})")
        found[name] = (in_short(entry.get("dtype")), tuple(shape))
    return found


def read_tensors(folder: Path, model: Model) -> dict[str, torch.Tensor]:
    """The tensors of the file, which must be those of `model` (on the meta device) in name, type and shape."""
    path = folder / WEIGHTS
    table = tensor_table(path, folder)
    if set(table) != set(model.state_dict()):
        odd = sorted(set(table) ^ set(model.state_dict()))
        raise ModelError(f"{path}: weights do not fit {HEADER}; these are in only one of them: {in_short(odd[:5])}")
    precision = table[next(name for name, _ in model.named_parameters())][0]
    if precision not in _DTYPES:
        raise ModelError(f"{path}: expected weights of type {' or '.join(_DTYPES)}; got {precision}")
    wanted = {name: (t.dtype, tuple(t.shape)) for name, t in model.to(_DTYPES[precision]).state_dict().items()}
    for name, (dtype, shape) in wanted.items():
        if table[name][1] != shape:
            raise ModelError(f"{path}: {name} has shape {table[name][1]}, but {HEADER} asks for {shape}")
        if _DTYPES.get(table[name][0]) != dtype:
            raise ModelError(f"{path}: {name} is of type {table[name][0]}, but in this model it is {dtype}")
    try:
        with safe_open(path, framework="pt") as file:
            # clones lie on torch's own alignment, on which the last bit of a matrix product can depend
            tensors = {name: file.get_tensor(name).clone() for name in wanted}
    except (SafetensorError, OSError, RuntimeError) as error:
        raise ModelError(
            f"{path}: missing or damaged weights ({in_short(error)}); copy the model folder again"
        ) from None
    for name, tensor in tensors.items():
        if not bool(torch.isfinite(tensor).all()):
            raise ModelError(f"{path}: {name} holds values that are not finite numbers; the file is damaged")
    return tensors
