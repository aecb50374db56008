"""A model in one file for `pair_style painn`; csrc/model_file.cpp says what is in it."""

import struct
from hashlib import sha256
from pathlib import Path

import numpy as np
from ase.data import chemical_symbols

from painn_ase.backends.kernel import unsupported
from painn_ase.backends.weights import HeadWeights, KernelWeights, kernel_weights
from painn_ase.errors import InputError
from painn_ase.files import write_atomically
from painn_ase.model import Model
from painn_ase.native import library as c

MAGIC = b"painn\r\n\x00"
FORMAT = 1


def pack(model: Model, path: str | Path) -> Path:
    """The file `path`, written in one step: what the compiled kernel needs of the energy of `model`.

    Heads for other properties are left out: a process of LAMMPS sees a part of the structure, and a dipole or
    polarizability needs all of it. Raises `InputError` for models that the kernel does not know.
    """
    path = Path(path)
    write_atomically(path, packed(model))
    return path


def packed(model: Model) -> bytes:
    """The bytes of the file."""
    if "energy" not in model.heads:
        raise InputError(f"lammps: expected a model of energies; {model.name!r} has {', '.join(model.heads)}")
    reason = unsupported(model)
    if reason:
        raise InputError(f"lammps: {reason}")
    weights = kernel_weights(model)
    head = next(head for head in weights.heads if head.kind == c.ENERGY)
    if head.flag:
        raise InputError("lammps: expected a model whose energy is a sum over atoms; this one takes their mean")
    symbols = " ".join(f"{chemical_symbols[z]} {z}" for z in model.elements)
    records = [
        _record("sizes", bytes(weights.sizes)),
        _record("elements", symbols.encode()),
        _record("name", str(model.name).encode()[:200]),
        *_network(weights),
        _record("head", _head(head), len(head.widths) - 1),
    ]
    content = b"".join(records)
    return MAGIC + struct.pack("<IIQ", FORMAT, 0, len(content)) + sha256(content).digest() + content


def _network(weights: KernelWeights) -> list[bytes]:
    coefficients, radial = weights.radial
    records = [_record("filter", table.tobytes(), index) for index, table in enumerate(weights.filters)]
    records.append(_record("radial", _doubles(coefficients) + _doubles(radial), len(radial)))
    records.append(_record("embed", b"".join(table.tobytes() for table in weights.embedding)))
    for which, index, weight, bias in weights.linears:
        data = weight.tobytes() + (b"" if bias is None else bias.tobytes())
        records.append(_record("linear", data, which, index))
    return records


def _head(head: HeadWeights) -> bytes:
    numbers = _doubles(np.array([head.scale])) + _doubles(head.references)
    return numbers + head.widths.tobytes() + b"".join(tensor.tobytes() for tensor in head.tensors)


def _doubles(array: np.ndarray) -> bytes:
    return np.ascontiguousarray(array, dtype="<f8").tobytes()


def _record(tag: str, data: bytes, a: int = 0, b: int = 0) -> bytes:
    return struct.pack("<8siiQ", tag.encode(), a, b, len(data)) + data
