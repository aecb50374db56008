"""What a pickle may name, and what becomes of it: strings, numbers and records, never anything that is imported.

Networks name layers and tensors. What trainers put beside them (losses as NumPy scalars, dtypes, the states of
optimisers, paths, times) is inert data: a number is decoded from its bytes, everything else stays a record of the name
of its class and its attributes.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class Name:
    """A global name in a pickle: two strings, never looked up."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass
class Record:
    """An object in a pickle: the name of its class and, once BUILD has come, its attributes."""

    kind: Name
    state: dict[str, Any] = field(default_factory=dict)


_STORAGES = {"Float", "Double", "Half", "BFloat16", "Long", "Int", "Short", "Char", "Byte", "Bool"}
_TORCH_LAYERS = {
    "torch.nn.modules.container": {"ModuleList", "ModuleDict", "Sequential"},
    "torch.nn.modules.linear": {"Identity", "Linear"},
    "torch.nn.modules.sparse": {"Embedding"},
    "torch.nn.modules.activation": {"SiLU", "Softplus", "Tanh", "Sigmoid"},
    "torch.nn.modules.dropout": {"Dropout"},
}
_TORCH_FUNCTIONS = {
    "torch.nn.functional": {"silu", "softplus", "tanh", "relu", "elu", "gelu"},
    "torch._C._nn": {"softplus", "silu", "gelu"},
    "torch.nn.init": {"xavier_uniform_", "zeros_", "constant_", "kaiming_uniform_", "orthogonal_", "normal_"},
}
_PARTIAL = Name("functools", "partial")  # nff keeps its initialisers so; a record like any other, never called

_BUILTINS = ("builtins", "__builtin__")  # their names in Python 3 and, as protocol 2 has them, in Python 2
_NUMPY = ("numpy.core.multiarray", "numpy._core.multiarray")  # before and since NumPy 2
_TYPES = {
    "builtins": {"bool", "int", "float", "complex", "str", "bytes", "list", "tuple", "dict", "set", "object"},
    "numpy": {"ndarray", "generic", "bool", "bool_", "str_", "float16", "float32", "float64", "longdouble"}
    | {f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)},
    "torch": {"float16", "bfloat16", "float32", "float64", "uint8", "int8", "int16", "int32", "int64", "bool"}
    | {"Tensor", "strided", "contiguous_format", "preserve_format"},
    "torch.nn.parameter": {"Parameter"},
}
_TYPES["__builtin__"] = _TYPES["builtins"] | {"unicode", "long"}
_RECORDS = {
    "torch": {"device"},
    "pathlib": {"Path", "PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath"},
    "datetime": {"date", "datetime", "timedelta", "timezone"},
    "argparse": {"Namespace"},
    "types": {"SimpleNamespace"},
}
_RECORDS["pathlib._local"] = _RECORDS["pathlib"]  # Python 3.13
_OPTIMIZERS = "torch.optim."

DTYPE, NDARRAY = Name("numpy", "dtype"), Name("numpy", "ndarray")
_FORMATS = {"b1": "?", "f2": "e", "f4": "f", "f8": "d"} | {
    f"{kind}{size}": letter.lower() if kind == "i" else letter
    for kind in "iu"
    for size, letter in ((1, "B"), (2, "H"), (4, "I"), (8, "Q"))
}


def is_storage(name: Name) -> bool:
    """Whether the name is that of a type of storage, as torch.FloatStorage."""
    return name.module == "torch" and name.name.endswith("Storage") and name.name.removesuffix("Storage") in _STORAGES


def is_value(name: Name) -> bool:
    """Whether the name may stand alone: a type of data, or a function that a layer keeps."""
    return name.name in _TYPES.get(name.module, ()) or name.name in _TORCH_FUNCTIONS.get(name.module, ())


def is_class(name: Name, packages: frozenset[str]) -> bool:
    """Whether objects of the class with that name become records."""
    return (
        name == _PARTIAL
        or name.name in _TORCH_LAYERS.get(name.module, ())
        or name.name in _RECORDS.get(name.module, ())
        or (f"{name.module}.".startswith(_OPTIMIZERS) and name.name[:1].isupper())
        or name.module.partition(".")[0] in packages
    )


def plain(key: Any) -> Any:
    """A dictionary key or set member: text, a number, a name, or a flat tuple of them.

    Anything else is refused, since hashing a nested tuple can take for ever.
    """
    parts = key if isinstance(key, tuple) else (key,)
    if not all(part is None or isinstance(part, (str, bytes, int, float, Name)) for part in parts):
        raise TypeError(f"a key of type {type(key).__name__}")
    return key


def _mapping(pairs: Any = (), *_: Any) -> dict:
    if isinstance(pairs, Name):  # the factory of a defaultdict
        return {}
    items = pairs.items() if type(pairs) is dict else pairs
    return {plain(key): value for key, value in items}


def _members(items: Any = ()) -> set:
    return {plain(item) for item in items}


def _items(items: Any = (), *_: Any) -> list:
    return list(items)


def _shape(sizes: Any = ()) -> tuple:
    return tuple(sizes)


def _bytes(text: str, encoding: str = "latin1") -> bytes:
    """Bytes, which protocol 2 writes as text and the order to encode it."""
    if type(text) is not str or encoding not in ("latin1", "latin-1"):
        raise TypeError("bytes that pickle does not write")
    return text.encode("latin-1")


def _dtype(code: str, *_: Any) -> Record:
    return Record(DTYPE, {"code": code})


def _array(*_: Any) -> Record:
    return Record(NDARRAY)


def _scalar(dtype: Any, data: Any = None) -> Any:
    """The number that the bytes of a NumPy scalar are; a record for texts, times and objects."""
    if not isinstance(dtype, Record) or dtype.kind != DTYPE:
        raise TypeError("a scalar without a dtype")
    letter = _FORMATS.get(dtype.state.get("code", ""))
    if letter is None or not isinstance(data, bytes):
        return Record(Name("numpy", "generic"))
    return struct.unpack((">" if dtype.state.get("order") == ">" else "<") + letter, data)[0]


def _parameter(tensor: Any, *_: Any) -> Tensor:
    if not isinstance(tensor, Tensor):
        raise TypeError("a parameter that is not a tensor")
    return tensor


MAKERS: dict[tuple[str, str], Callable[..., Any]] = {
    ("collections", "OrderedDict"): _mapping,
    ("collections", "defaultdict"): _mapping,
    ("collections", "Counter"): _mapping,
    ("collections", "deque"): _items,
    ("torch", "Size"): _shape,
    ("torch._utils", "_rebuild_parameter"): _parameter,
    ("torch._utils", "_rebuild_parameter_with_state"): _parameter,
    ("_codecs", "encode"): _bytes,
    ("numpy", "dtype"): _dtype,
    **{(module, name): _members for module in _BUILTINS for name in ("set", "frozenset")},
    **{(module, "scalar"): _scalar for module in _NUMPY},
    **{(module, "_reconstruct"): _array for module in _NUMPY},
    **{(module.replace("multiarray", "numeric"), "_frombuffer"): _array for module in _NUMPY},
}
"""What a call of a name makes of its arguments, by functions of this file."""


def fill(target: Record, state: Any) -> None:
    """Gives a record its attributes, where they are a dictionary; of a dtype only the order of bytes matters."""
    if target.kind == DTYPE and isinstance(state, tuple) and len(state) > 1:
        target.state["order"] = state[1]
    elif type(state) is dict:
        if target.kind != _PARTIAL:
            target.state.update(state)
    elif not isinstance(state, (tuple, list, str, bytes, int, float, type(None))):
        raise TypeError("attributes for something that is not a module")
