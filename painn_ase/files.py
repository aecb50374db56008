"""Files of users: written in one step, and never replaced unasked."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from painn_ase.errors import InputError, StorageError


def write_atomically(path: Path, content: bytes | str) -> None:
    """Replaces `path` by `content` in one step: temporary file, fsync, rename."""
    data = content.encode() if isinstance(content, str) else content
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with storing(path):
            with open(temporary, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def storing(path: Path) -> Iterator[None]:
    """Turns the system's refusal to write `path` inside the block into a `StorageError` that says what to do."""
    try:
        yield
    except StorageError:
        raise
    except OSError as error:
        raise storage_error(path, error) from error


def storage_error(path: Path, error: Exception) -> StorageError:
    """What is said when `path` cannot be written."""
    number = getattr(error, "errno", None)
    if number is None:  # HDF5 hides it in a paragraph
        found = re.search(r"\berrno = (\d+)", str(error))
        number = int(found[1]) if found else None
    reason = os.strerror(number) if number else str(error).splitlines()[0]
    return StorageError(
        f"{path} cannot be written: {reason}. What was saved before is intact: make room, then continue with "
        "resume=True (--resume)"
    )


def claim(files: list[Path], overwrite: bool) -> None:
    """Makes way for new files; `InputError` if one exists and may not be overwritten."""
    taken = [f for f in files if f.exists()]
    if taken and not overwrite:
        raise InputError(
            f"{', '.join(map(str, taken))} exists; choose another path or pass overwrite=True (--overwrite)"
        )
    for f in taken:
        f.unlink()
    files[0].parent.mkdir(parents=True, exist_ok=True)
