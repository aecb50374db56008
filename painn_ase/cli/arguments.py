"""What the words of a command line are checked against: numbers with a range, files to read, files to write.

Every mistake ends in one sentence and exit code 2, before any work begins.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from painn_ase.errors import InputError, PainnError, closest
from painn_ase.files import check_writable


class UsageError(InputError):
    """A command line that cannot be read; the message begins with the command."""


class NewFile(str):
    """A file that the command writes. `main` refuses one that exists, unless --overwrite is given."""

    __slots__ = ()


class Unset(list):
    """Stands for the default of an option while it is found out which options were given."""


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one sentence, and whose result knows in `given_options` which options were given."""

    def error(self, message: str) -> NoReturn:
        """Raises `UsageError`, from which `main` makes the one sentence."""
        raise UsageError(f"{self.prog}: {message} ({self.prog} --help)")

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As the base class, but words that nothing takes are told what they are near to."""
        options, rest = self.parse_known_args(args, namespace)
        if rest:
            unknown = next((word for word in rest if word.startswith("-")), rest[0])
            self.error(f"{' '.join(rest)}: not understood{closest(unknown, getattr(options, 'known_options', ()))}")
        return options

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As the base class; `given_options` names what was given, `known_options` all options of the verb."""
        options, rest = super().parse_known_args(args, namespace)
        inner: frozenset[str] = getattr(options, "given_options", frozenset())  # of the verb
        probe = argparse.Namespace(**{action.dest: Unset() for action in self._actions})
        super().parse_known_args(args, probe)
        own = ((action.dest, getattr(probe, action.dest, None)) for action in self._actions)
        options.given_options = inner | {name for name, value in own if type(value) is not Unset or value}
        known = [word for action in self._actions for word in action.option_strings]
        options.known_options = tuple(dict.fromkeys([*getattr(options, "known_options", ()), *known]))
        return options, rest


def number(above: float | None = None, least: float | None = None) -> Callable[[str], float]:
    """A finite number, larger than `above` or at least `least`."""
    bounds = f" above {above:g}" if above is not None else f" >= {least:g}" if least is not None else ""

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value) or (above is not None and value <= above) or (least is not None and value < least):
            raise argparse.ArgumentTypeError(f"expected a number{bounds}; got {text!r}")
        return value

    return read


def whole(least: int) -> Callable[[str], int]:
    """A whole number from `least` on."""

    def read(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if value < least or value > sys.maxsize:
            raise argparse.ArgumentTypeError(f"expected a whole number >= {least}; got {text!r}")
        return value

    return read


def source(text: str) -> str:
    """A file to read, or the name of a model; ~ stands for the home folder also where the shell did not see it."""
    if not text.strip() or not text.isprintable():
        raise argparse.ArgumentTypeError(f"expected a file or a name; got {text!r}")
    return os.path.expanduser(text)


def file_to_write(text: str) -> str:
    """A file that can be written."""
    if text.endswith(os.sep):
        raise argparse.ArgumentTypeError(f"expected the name of a file; {text!r} is that of a folder")
    return _writable(source(text))


def new_file(text: str) -> NewFile:
    """A file to write that does not exist yet, unless --overwrite is given."""
    return NewFile(file_to_write(text))


def prefix(text: str) -> str:
    """What the names of output files begin with: not the name of a folder, whose files would begin with a dot."""
    path = source(text)
    if path.endswith(os.sep) or Path(path).name in ("", ".", ".."):
        raise argparse.ArgumentTypeError(
            f"expected what the names of files begin with, as in {os.path.join(path, 'run')}; {text!r} is a folder"
        )
    _writable(path + ".h5")
    return path


def folder(text: str) -> str:
    """A folder that can be written."""
    path = source(text)
    _writable(os.path.join(path, "files"))
    return path


def refuse_existing(options: argparse.Namespace) -> None:
    """Raises `InputError` if a file to write exists and may not be replaced."""
    taken = [value for value in vars(options).values() if isinstance(value, NewFile) and Path(value).exists()]
    if taken and not getattr(options, "overwrite", False):
        raise InputError(f"{', '.join(taken)} exists; choose another path or pass --overwrite")


def without_effect(options: argparse.Namespace, names: Sequence[str], why: str) -> None:
    """Says of those of the options `names` that were given that they change nothing, and why."""
    idle = [f"--{name.replace('_', '-')}" for name in names if name in options.given_options]
    if idle:
        verb = "has" if len(idle) == 1 else "have"
        say(options, f"warning: {', '.join(idle)} {verb} no effect: {why}")


def say(options: argparse.Namespace, text: str) -> None:
    """A line to the user beside the output."""
    print(f"painn-ase {options.verb}: {text}", file=sys.stderr)


def _writable(path: str) -> str:
    try:
        check_writable(Path(path))
    except PainnError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return path
