"""Errors that a user can cause. Each message says what was expected, what came, and the way out."""

from collections.abc import Iterable
from difflib import get_close_matches
from math import isfinite, nan
from numbers import Integral, Real
from pathlib import Path
from typing import Any

_SHOWN = 300  # characters of a stranger's text that an error message repeats


class PainnError(Exception):
    """Base class of every error this package raises on purpose."""


class InputError(PainnError, ValueError):
    """A structure, keyword, label or configuration value cannot be used as given."""


class ModelError(PainnError, ValueError):
    """A model folder is damaged, of a newer format, or does not fit the request."""


class MissingPackageError(PainnError, ImportError):
    """An optional package is needed; the message holds the pip line."""

    def __init__(self, package: str, purpose: str, extra: str) -> None:
        super().__init__(f"{purpose} needs the optional package {package!r}: pip install 'painn-ase[{extra}]'")


class SimulationError(PainnError, RuntimeError):
    """A simulation left the region where its numbers mean anything.

    `reason` is the sentence that says what happened (the whole message where no run adds to it), `step` the step of the
    run and `frames` the file that keeps the frames around it; None where there is none.
    """

    def __init__(
        self, message: str, *, reason: str | None = None, step: int | None = None, frames: Path | None = None
    ) -> None:
        super().__init__(message)
        self.reason = message if reason is None else reason
        self.step = step
        self.frames = frames


class NotConverged(PainnError, RuntimeError):
    """An iteration used up its steps before it reached its goal; what it has so far is kept."""


class StorageError(PainnError, OSError):
    """A file cannot be written: the disk is full, a quota is reached, or it is read-only."""


def positive(name: str, value: Any, unit: str = "", *, zero: bool = False) -> float:
    """`value` as a float; `InputError` unless it is a finite number above zero (or `zero` itself, where allowed)."""
    number = value if isinstance(value, Real) and not isinstance(value, bool) else nan
    if not isfinite(number) or number < 0 or (number == 0 and not zero):
        least = "of zero or more" if zero else "above zero"
        raise InputError(f"{name}: expected a finite number {least}{f' in {unit}' if unit else ''}; got {value!r}")
    return float(number)


def whole(name: str, value: Any, least: int = 0, most: int | None = None) -> int:
    """`value` as an int; `InputError` unless it is a whole number from `least` to `most`."""
    number = int(value) if isinstance(value, Integral) and not isinstance(value, bool) else least - 1
    if number < least or (most is not None and number > most):
        allowed = f", {least} or more" if most is None else f" from {least} to {most}"
        raise InputError(f"{name}: expected a whole number{allowed}; got {value!r}")
    return number


def choice(name: str, value: Any, known: Iterable[str], other: str = "") -> str:
    """`value`; `InputError` that lists the `known` words, and the nearest of them, unless it is one of these.

    `other` says, in the list of words, what else may be given.
    """
    words = list(known)
    if value not in words:
        expected = ", ".join(words) + other
        raise InputError(f"{name}: expected one of {expected}; got {value!r}{closest(str(value), words)}")
    return value


def closest(word: str, known: Iterable[str]) -> str:
    """'; did you mean ...?' for the nearest known word, or nothing."""
    by_lower = {name.lower(): name for name in known}
    match = get_close_matches(word.lower(), list(by_lower), n=1)
    return f"; did you mean {by_lower[match[0]]!r}?" if match else ""


def in_short(text: object) -> str:
    """The first line of `text`, cut: what an error message may repeat of a file."""
    line = next(iter(str(text).splitlines()), "")
    return line if len(line) <= _SHOWN else line[:_SHOWN] + " ..."
