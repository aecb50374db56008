"""The compiled kernel's C interface (csrc/painn.h) through ctypes."""

import ctypes
import os
import sys
from ctypes import POINTER, Structure, c_char_p, c_double, c_int32, c_int64, c_void_p
from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

from painn_ase.errors import PainnError
from painn_ase.native import training

ABI = 5
INSTRUCTION_SETS = ("portable", "avx2", "avx512")
# Another build of the kernel to load instead of the installed one (the sanitizer run uses it).
LIBRARY_VARIABLE = "PAINN_ASE_NATIVE_LIBRARY"
# Instruction set to use instead of the fastest of the machine.
INSTRUCTION_SET_VARIABLE = "PAINN_ASE_INSTRUCTION_SET"

# which matrix painn_set_linear is given, and kinds of heads
CONTEXT_1, CONTEXT_2, MIX, UPDATE_1, UPDATE_2 = range(5)
ENERGY, CHARGES, DIPOLE, POLARIZABILITY, CELL_DIPOLE = range(5)
# why a function of the library did nothing
NO_MEMORY, FAILED, UNDEFINED = range(1, 4)
# what crosses the border of a domain: what atoms say, and what was answered to them
NODES, HEARD = range(2)


class Sizes(Structure):
    _fields_ = (
        ("features", c_int32),
        ("interactions", c_int32),
        ("filters", c_int32),
        ("sets", c_int32),
        ("intervals", c_int32),
        ("elements", c_int32),
        ("cutoff", c_double),
        ("epsilon", c_double),
    )


class HeadSpec(Structure):
    _fields_ = (
        ("kind", c_int32),
        ("depth", c_int32),
        ("sizes", c_void_p),
        ("tensors", c_void_p),
        ("scale", c_double),
        ("references", c_void_p),
        ("masses", c_void_p),
        ("flag", c_int32),
        ("epsilon", c_double),
    )


class Topology(Structure):
    _fields_ = (
        ("atoms", c_int64),
        ("pairs", c_int64),
        ("structures", c_int64),
        ("numbers", c_void_p),
        ("owner", c_void_p),
        ("centers", c_void_p),
        ("neighbors", c_void_p),
        ("shifts", c_void_p),
        ("positions", c_void_p),
    )


class DomainAtoms(Structure):
    _fields_ = (
        ("owned", c_int64),
        ("ghosts", c_int64),
        ("numbers", c_void_p),
        ("counts", c_void_p),
        ("neighbors", c_void_p),
        ("mask", c_int32),
        ("positions", c_void_p),
        ("images", c_void_p),
    )


class Outputs(Structure):
    _fields_ = tuple(
        (name, c_void_p) for name in ("energy", "energies", "forces", "stress", "dipole", "charges", "polarizability")
    )


_STRUCTS: dict[str, type[Structure]] = {
    "PainnSizes": Sizes,
    "PainnHeadSpec": HeadSpec,
    "PainnTopology": Topology,
    "PainnOutputs": Outputs,
    "PainnTrainingSizes": training.Sizes,
    "PainnSample": training.Sample,
    "PainnLoss": training.Loss,
    "PainnUpdate": training.Update,
}
_SIGNATURES: dict[str, tuple] = {
    "painn_abi": (c_int32,),
    "painn_struct_size": (c_int64, c_char_p),
    "painn_instruction_set": (c_char_p, c_char_p),
    "painn_vector_rate": (c_double, c_char_p),
    "painn_new": (c_void_p, POINTER(Sizes), c_char_p),
    "painn_free": (None, c_void_p),
    "painn_error": (c_char_p, c_void_p),
    "painn_set_linear": (c_int32, c_void_p, c_int32, c_int32, c_void_p, c_void_p),
    "painn_set_filter": (c_int32, c_void_p, c_int32, c_void_p),
    "painn_set_radial": (c_int32, c_void_p, c_int32, c_void_p, c_void_p),
    "painn_set_embedding": (c_int32, c_void_p, c_void_p, c_void_p),
    "painn_add_head": (c_int32, c_void_p, POINTER(HeadSpec)),
    "painn_set_topology": (c_int32, c_void_p, POINTER(Topology)),
    "painn_run": (c_int32, c_void_p, c_void_p, c_void_p, c_void_p, c_int32, POINTER(Outputs)),
    "painn_read": (c_int32, c_void_p, c_int32, POINTER(Outputs)),
    "painn_domain_new": (c_void_p, c_void_p, c_int32, c_void_p, c_int32),
    "painn_domain_free": (None, c_void_p),
    "painn_domain_error": (c_char_p, c_void_p),
    "painn_domain_set": (c_int32, c_void_p, POINTER(DomainAtoms)),
    "painn_domain_forward": (c_int32, c_void_p, c_int32, c_void_p),
    "painn_domain_backward": (c_int32, c_void_p, c_int32),
    "painn_domain_read": (c_int32, c_void_p, c_void_p, c_void_p, c_void_p, c_void_p),
    "painn_border_width": (c_int32, c_int32, c_int32),
    "painn_border_get": (None, c_void_p, c_int32, c_int64, c_void_p, c_int64, c_void_p),
    "painn_border_put": (None, c_void_p, c_int32, c_int64, c_void_p, c_int64, c_void_p),
    **training.SIGNATURES,
}


def library() -> ctypes.CDLL:
    """The kernel's shared library; raises `PainnError` that says why it cannot be had."""
    return _load(os.environ.get(LIBRARY_VARIABLE) or _installed())


def why_unavailable() -> str | None:
    """None if the library can be used on this machine, else the reason why not."""
    try:
        library()
    except PainnError as error:
        return str(error)
    return None


def vector_rate(instruction_set: str = "") -> float:
    """Multiply-adds per second of one core with operands from the first-level cache; the fastest set by default."""
    return library().painn_vector_rate(instruction_set.encode())


def address(array: ctypes.Array) -> int:
    """Where a ctypes array lies in memory."""
    return ctypes.addressof(array)


@cache
def _installed() -> str:
    here = Path(__file__).resolve().parent
    for suffix in EXTENSION_SUFFIXES:
        path = here / f"_native{suffix}"
        if path.is_file():
            return str(path)
    raise PainnError(
        "the native kernel was not built when painn_ase was installed; it needs a C++17 compiler (GCC or Clang): "
        "install one and run pip install --force-reinstall --no-deps painn-ase"
    )


@cache
def _load(path: str) -> ctypes.CDLL:
    if sys.byteorder != "little":
        raise PainnError("the native kernel runs on little-endian machines only")
    try:
        loaded = ctypes.CDLL(path)
    except OSError as error:
        raise PainnError(f"the native kernel {path} cannot be loaded: {error}") from None
    missing = [name for name in _SIGNATURES if not hasattr(loaded, name)]
    if missing or loaded.painn_abi() != ABI:
        raise PainnError(f"the native kernel {path} belongs to another version of painn_ase; install painn_ase again")
    for name, (result, *arguments) in _SIGNATURES.items():
        function = getattr(loaded, name)
        function.restype, function.argtypes = result, arguments
    for name, struct in _STRUCTS.items():
        here, there = ctypes.sizeof(struct), loaded.painn_struct_size(name.encode())
        if here != there:
            raise PainnError(
                f"the native kernel {path} and painn_ase differ about {name} ({there} and {here} bytes); "
                "install painn_ase again"
            )
    return loaded


__all__ = [
    "INSTRUCTION_SETS",
    "INSTRUCTION_SET_VARIABLE",
    "LIBRARY_VARIABLE",
    "DomainAtoms",
    "HeadSpec",
    "Outputs",
    "Sizes",
    "Topology",
    "library",
    "vector_rate",
    "why_unavailable",
]
