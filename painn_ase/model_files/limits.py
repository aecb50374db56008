"""Files that may come from strangers: read within limits, never executed, never outside of their folder."""

import json
import math
import os
import stat
from pathlib import Path
from typing import Any

from painn_ase.errors import ModelError, in_short

MAX_JSON = 4 * 2**20
"""Bytes. A thousand times the description of a model; parsing this much takes less than 0.5 GB in the worst case."""

MAX_WEIGHTS = 256 * 2**20
"""Bytes. Twice the largest network this package has a use for (512 features, six rounds, float64)."""

MAX_DEPTH = 32
"""Levels of nesting: what is deeper breaks recursive code (copying, pickling) long after it was read."""

MAX_ITEMS = 128
"""Entries of a list or object in the description of an architecture, and the most digits of a whole number."""


def check_file(path: Path, folder: Path, limit: int) -> int:
    """The size in bytes of the ordinary file `path`, which must lie in `folder` with all links resolved.

    Raises `ModelError` for anything else: pipes and devices (reading them may never end), folders, links that lead
    out of the folder, files above `limit` bytes, files that cannot be looked at.
    """
    try:
        status = path.stat()
        outside = not path.resolve(strict=True).is_relative_to(folder.resolve(strict=True))
    except (OSError, RuntimeError) as error:  # RuntimeError: a loop of links, before Python 3.13
        raise ModelError(
            f"{path}: missing or damaged {path.stem} ({in_short(error)}); copy the model folder again"
        ) from None
    if not stat.S_ISREG(status.st_mode):
        raise ModelError(f"{path}: expected an ordinary file; this is a folder, pipe or device")
    if outside:
        raise ModelError(
            f"{path}: a link that leads out of the model folder is not followed; copy the file itself (cp -rL)"
        )
    if status.st_size > limit:
        raise ModelError(
            f"{path}: {status.st_size} bytes, but at most {limit / 2**20:g} MiB are expected; this is not of a model"
        )
    return status.st_size


def read_bytes(path: Path, folder: Path, limit: int, start: int = 0, size: int | None = None) -> bytes:
    """The content of the file `path` (see `check_file`), or `size` bytes of it from `start` on."""
    check_file(path, folder, limit)
    try:
        # what lies here may have been exchanged since it was checked: a pipe must not make us wait
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
        with open(descriptor, "rb") as file:
            file.seek(start)
            return file.read(limit if size is None else size)
    except OSError as error:
        raise ModelError(f"{path}: unreadable ({in_short(error)}); copy the model folder again") from None


def parse_json(data: bytes, path: Path) -> Any:
    """The JSON value in `data`: UTF-8, finite numbers of a sane length, no name twice in an object, limited depth.

    Raises `ModelError` that names `path` otherwise.
    """
    try:
        value = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_object,
            parse_constant=_refuse_constant,
            parse_float=_finite,
            parse_int=_whole,
        )
        _check_tree(value)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path}: damaged header, not JSON ({in_short(error)}); copy the model folder again") from None
    return value


def check_lengths(value: Any, path: Path) -> None:
    """Raises `ModelError` if a list, object or text within the description of an architecture is absurdly long."""
    for part in _parts(value):
        if isinstance(part, list | dict | str) and len(part) > MAX_ITEMS:
            raise ModelError(
                f"{path}: the description of the model holds a list, object or text of {len(part)} entries; "
                f"expected at most {MAX_ITEMS}"
            )


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in made if names.count(name) > 1)
        raise ValueError(f"the name {in_short(repr(twice))} stands twice in one object")
    return made


def _refuse_constant(word: str) -> float:
    raise ValueError(f"{word} is not a number in JSON")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(f"{in_short(digits)} is no finite number")
    return number


def _whole(digits: str) -> int:
    if len(digits) > MAX_ITEMS:
        raise ValueError(f"a whole number of {len(digits)} digits")
    return int(digits)


def _check_tree(value: Any) -> None:
    layer, depth = [value], 0
    while layer:
        if depth > MAX_DEPTH:
            raise ValueError(f"nested more than {MAX_DEPTH} levels deep")
        for part in layer:
            if isinstance(part, str):
                part.encode("utf-8")  # a lone surrogate (ValueError) can be neither printed nor written again
            elif isinstance(part, dict):
                "".join(part).encode("utf-8")
        layer, depth = [inner for part in layer for inner in _inside(part)], depth + 1


def _parts(value: Any) -> list[Any]:
    found = [value]
    for part in found:  # grows while it is read
        found.extend(_inside(part))
    return found


def _inside(part: Any) -> list[Any]:
    if isinstance(part, dict):
        return list(part.values())
    return part if isinstance(part, list) else []
