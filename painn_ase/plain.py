"""Numbers and objects of libraries as JSON knows them: what a run is asked for is converted before it touches files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass, replace
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, TypeVar

from painn_ase.errors import InputError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    T = TypeVar("T", bound=DataclassInstance)
else:
    T = TypeVar("T")


def plain(value: Any, name: str = "the request") -> Any:
    """The value made of what JSON has: numbers of NumPy and torch, arrays, devices, paths and ASE's objects converted.

    `InputError` that names the type of what cannot be converted.
    """
    return json.loads(json.dumps(value, default=lambda one: _convert(one, name)))


def plainly(setting: T) -> T:
    """A setting (a dataclass) with its values made of what JSON has; lists are tuples."""
    values = plain(asdict(setting), type(setting).__name__)
    return replace(setting, **{name: tuple(one) if isinstance(one, list) else one for name, one in values.items()})


def _convert(value: Any, name: str) -> Any:
    if callable(getattr(value, "tolist", None)):  # of NumPy and torch
        return value.tolist()
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    if isinstance(value, PurePath):
        return str(value)
    kind = f"{type(value).__module__.partition('.')[0]}.{type(value).__name__}"
    if kind in ("torch.device", "torch.dtype"):
        return str(value)
    if callable(getattr(value, "todict", None)):  # ASE's way
        return value.todict()
    raise InputError(f"{name}: a {kind} cannot be written to a file; expected numbers, words, arrays or ASE's objects")
