"""What a worker process of `label` does before and beside its work. Imports nothing numerical at the top."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import parent_process


def start(threads: int) -> None:
    """Sets this process's thread counts before any library reads them, and ties its life to the parent's."""
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = str(threads)  # of this process only
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends it without a traceback of its own
    threading.Thread(target=_follow_parent, daemon=True).start()


def _follow_parent() -> None:
    """Ends this process when the parent has gone, so that a killed run leaves no work behind."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


_written: set[str] = set()
_watching = False


@contextmanager
def watched() -> Iterator[set[str]]:
    """Paths of files that Python opens anew for writing within the block; in a worker process, for hooks stay."""
    global _watching
    if not _watching:
        sys.addaudithook(_note)
        _watching = True
    _written.clear()
    yield _written


def _note(event: str, arguments: tuple) -> None:
    if event != "open" or not isinstance(arguments[0], str | os.PathLike):
        return
    path, mode, flags = arguments
    anew = any(letter in mode for letter in "wx") if isinstance(mode, str) else bool(flags & os.O_TRUNC)
    if anew and not str(path).startswith("/dev/") and not os.path.isdir(path):  # tempfile names its folder instead
        _written.add(os.path.abspath(path))
