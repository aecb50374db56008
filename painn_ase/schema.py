"""Tables of JSON and TOML files against annotations: which keys they have, of which types and in which ranges."""

import inspect
import sys
import types
from collections.abc import Callable, Collection, Mapping
from dataclasses import MISSING, field, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, NoReturn, Union, get_args, get_origin, get_type_hints

from painn_ase.errors import InputError, closest, in_short

_WORDS: dict[Any, str] = {
    Path: "a path in quotes",
    float: "a number",
    int: "a whole number",
    str: "text",
    bool: "true or false",
    dict: "a table",
    types.NoneType: "nothing",
}


def read_toml(path: Path, what: str) -> dict[str, Any]:
    """The table in a TOML file; `InputError` that says `what` the file should be where it cannot be read."""
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{what}: cannot read {str(path)!r} ({error.strerror})") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{what} {str(path)!r} is not TOML: {error}") from None


def at_least(low: float, default: Any = MISSING) -> Any:
    """A field of a dataclass whose values start at `low`."""
    return field(default=default, metadata={"low": low})


def between(low: float, high: float, default: Any) -> Any:
    """A field of a dataclass with values from `low` to `high`."""
    return field(default=default, metadata={"low": low, "high": high})


def check_keys(
    where: str,
    given: Any,
    required: Collection[str] = (),
    optional: Collection[str] = (),
    *,
    what: str = "key",
    error: type[Exception] = InputError,
) -> None:
    """Raises `error` unless `given` is a table with all of the `required` keys, and with no other but `optional` ones.

    where: what the table is called in the message
    given: the table
    required: keys it must have
    optional: keys it may have
    what: what a key is called in the message
    error: class of the error
    """
    if not isinstance(given, Mapping):
        raise error(f"{where}: expected a table; got {in_short(repr(given))}")
    known = (*required, *optional)
    for key in given:
        if key not in known:
            hint = closest(str(key), known)
            raise error(f"{where}: unknown {what} {key!r}{hint}; known: {', '.join(known) or 'none'}")
    for key in required:
        if key not in given:
            raise error(f"{where}: {what} {key!r} is missing")


def check_options(build: Callable[..., Any], given: Mapping[str, Any]) -> None:
    """Raises `InputError` for an option of another type than the class `build` declares.

    Networks take many a wrong type without complaint: "false" is true, and text for a number fails in the first
    evaluation.
    """
    for name, kind in options_of(build).items():
        if name in given:
            as_annotated(kind, given[name], f"{build.__name__} {name}", show=str)


def options_of(build: Any) -> dict[str, Any]:
    """Options of the class `build` with their annotations; what it hands on as **keywords are those of its base."""
    hints, parameters = get_type_hints(build.__init__), inspect.signature(build).parameters.values()
    own = {p.name: hints.get(p.name, Any) for p in parameters if p.kind is not p.VAR_KEYWORD}
    return own if len(own) == len(parameters) else options_of(build.__base__) | own


def from_table(cls: Any, table: Any, section: str = "", folder: Path = Path()) -> Any:
    """The dataclass `cls` from a table, every key, type and range checked.

    cls: dataclass whose annotations and fields (`at_least`, `between`) say what is expected
    table: nested dictionaries
    section: dotted name of the table in its file; "" for the whole
    folder: what paths are relative to
    """
    where = f"[{section}]" if section else "top level"
    known = {f.name: f for f in fields(cls)}
    check_keys(where, table, (), known)
    hints = get_type_hints(cls)
    values = {}
    for name, f in known.items():
        inner = f"{section}.{name}" if section else name
        if name in table:
            values[name] = as_annotated(hints[name], table[name], inner, folder)
            _check_range(f.metadata, values[name], in_brackets(inner))
        elif f.default is MISSING and f.default_factory is MISSING:
            kind = hints[name]
            what = f"section [{inner}]" if is_dataclass(kind) or get_origin(kind) is dict else in_brackets(inner)
            raise InputError(f"{what} is missing")
    return cls(**values)


def in_brackets(where: str) -> str:
    """A dotted name as TOML would have it: "[data.split] seed"."""
    section, _, key = where.rpartition(".")
    return f"[{section}] {key}" if section else f"[{key}]"


def as_annotated(
    kind: Any, value: Any, where: str, folder: Path = Path(), show: Callable[[str], str] = in_brackets
) -> Any:
    """`value` of a file as the annotated type `kind`, or `InputError`; kinds that no file can hold accept all.

    kind: a type, a union, `Literal`, list, tuple or dictionary of types, or a dataclass
    value: as JSON or TOML give it; whole numbers serve as numbers, and a single value as a tuple of one
    where: dotted name of the value
    folder: what paths are relative to
    show: how `where` is written in the message
    """
    origin, args = get_origin(kind), get_args(kind)
    if is_dataclass(kind):
        return from_table(kind, value, where, folder)
    if origin in (Union, types.UnionType):
        for part in args:
            try:
                return as_annotated(part, value, where, folder, show)
            except InputError:
                continue
    elif origin is Literal:
        if value in args:
            return value
    elif origin is tuple:
        parts = value if isinstance(value, list | tuple) else [value]
        return tuple(as_annotated(args[0], part, where, folder, show) for part in parts)
    elif origin is dict or kind is dict:
        if isinstance(value, dict):
            inner = args[1] if args else Any
            return {k: as_annotated(inner, part, f"{where}.{k}", folder, show) for k, part in value.items()}
    elif origin is not None and issubclass(list, origin):
        if isinstance(value, list | tuple):
            return [as_annotated(args[0], part, where, folder, show) for part in value]
    elif kind is Path:
        if isinstance(value, str):
            return folder / value
    elif kind is float:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
    elif kind not in _WORDS or (isinstance(value, kind) and not (kind is int and isinstance(value, bool))):
        return value
    _refuse(kind, value, show(where))


def _refuse(kind: Any, value: Any, where: str) -> NoReturn:
    hint = closest(str(value), map(str, get_args(kind))) if get_origin(kind) is Literal else ""
    raise InputError(f"{where}: expected {_in_words(kind)}; got {in_short(repr(value))}{hint}")


def _in_words(kind: Any) -> str:
    origin, args = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return " or ".join(_in_words(part) for part in args if part is not types.NoneType)
    if origin is Literal:
        return f"one of {', '.join(map(repr, args))}"
    if origin is not None and origin is not dict:
        return f"a list, each {_in_words(args[0])}"
    return _WORDS[dict if origin is dict else kind]


def _check_range(limits: Mapping[str, Any], value: Any, where: str) -> None:
    low, high = limits.get("low"), limits.get("high")
    # a NaN fails the comparison and is refused with the rest
    if (low is not None and not value >= low) or (high is not None and not value <= high):
        span = f"a number >= {low}" if high is None else f"a number from {low} to {high}"
        raise InputError(f"{where}: expected {span}; got {value}")
