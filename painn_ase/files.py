"""Files of users: written in one step, and never replaced unasked."""

import logging
import os
import re
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from painn_ase.errors import InputError, StorageError

logger = logging.getLogger(__name__)


def write_atomically(path: Path, content: bytes | str) -> None:
    """Replaces `path` by `content` in one step: temporary file, fsync, rename."""
    with replacement(path) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)


@contextmanager
def replacement(path: Path) -> Iterator[Path]:
    """The name of a file that, once the block has written it, takes the place of `path` in one step."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with storage_errors(path):
            yield temporary
            fsync(temporary)
            os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def fsync(name: str | os.PathLike) -> None:
    """Has what was written to a file reach the disk."""
    descriptor = os.open(name, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
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


def check_writable(path: Path) -> None:
    """Raises `InputError` unless the file `path` can be written, found out without leaving a trace."""
    try:
        if path.exists() and not path.is_file():
            raise InputError(f"{path} is a folder or device; expected the name of a file")
        if path.exists() and not os.access(path, os.W_OK):
            raise InputError(f"{path} is read-only; choose another path")
        place = next(p for p in path.absolute().parents if p.exists())
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        raise InputError(f"{path} cannot be written: {os.strerror(error.errno or 0)}; choose another path") from None


def split_index(name: str) -> tuple[str, str]:
    """File and index of a name as ASE takes it, FILE@0 or FILE@::5; the index is empty where there is none.

    A file whose own name has the @ goes first.
    """
    path, at, index = name.rpartition("@")
    if at and path and re.fullmatch(r"-?\d+|-?\d*:-?\d*(:-?\d*)?", index) and not Path(name).exists():
        return path, index
    return name, ""


@contextmanager
def only_writer(path: Path) -> Iterator[None]:
    """Keeps other processes from writing the run at `path` while the block lasts; `InputError` if one does already.

    The lock ends with the process, however that ends. Where the system or the disk knows no locks, nothing is locked.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    name = path.with_name(f".{path.name}.lock")
    lock = _lock(name, path)
    try:
        yield
    finally:
        if lock is not None:
            name.unlink(missing_ok=True)  # while it is still held, so that nobody else's goes
            os.close(lock)


class Hold:
    """Keeps other processes from writing at a path as long as it lives, however this process ends; see `hold`."""

    def __init__(self, path: Path) -> None:
        stack = ExitStack()
        stack.enter_context(only_writer(path))
        weakref.finalize(self, stack.close)


_held: weakref.WeakValueDictionary[Path, Hold] = weakref.WeakValueDictionary()


def hold(path: Path) -> Hold:
    """As `only_writer`, for objects that write for as long as they live; those of one process share it."""
    place = path.absolute()
    found = _held.get(place)
    if found is None:
        found = _held[place] = Hold(path)
    return found


def _lock(name: Path, path: Path) -> int | None:
    """The descriptor of a lock on the file `name`; None where there are no locks."""
    try:
        import fcntl
    except ImportError:
        return None
    while True:
        with storage_errors(path):
            lock = os.open(name, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o666)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.stat(name).st_ino == os.fstat(lock).st_ino:
                return lock
        except FileNotFoundError:
            pass  # its holder took it away between our opening and locking it: try again
        except BlockingIOError:
            os.close(lock)
            raise InputError(
                f"{path}: another process is writing this run; wait until it has ended, or choose another path"
            ) from None
        except OSError as error:
            logger.info("%s: no lock (%s), so another process could write the same run", path, error.strerror)
            return lock
        os.close(lock)


def make_way(files: list[Path], overwrite: bool, first: str = "") -> None:
    """Makes way for new files; `InputError` if one exists and may not be overwritten.

    The error says what to do about it, and before that what is to be tried `first`.
    """
    taken = [f for f in files if f.exists()]
    if taken and not overwrite:
        names = ", ".join(map(str, taken))
        raise InputError(f"{names} exists; {first}choose another path or pass overwrite=True (--overwrite)")
    for f in taken:
        f.unlink()
    files[0].parent.mkdir(parents=True, exist_ok=True)
