"""Memory that training frees and takes at every step stays with the process."""

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager

# glibc's numbers for mallopt (malloc.h)
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_LARGEST = 1 << 30  # bytes


@contextmanager
def memory_kept() -> Iterator[None]:
    """Inside the block, glibc's malloc keeps memory that is freed; without glibc the block runs as it is.

    Every step of training frees and takes the same arrays; given back to the kernel in between, each page is cleared
    and mapped anew, a sixth of a step's time. Glibc starts with thresholds of 128 KiB and raises them up to 32 and 64
    MiB as large arrays are freed, but never again once they were set: so these are what it is left with, and not
    128 KiB, with which all later arrays would be mapped.
    """
    mallopt = _mallopt()
    if mallopt is None:
        yield
        return
    mallopt(_TRIM_THRESHOLD, _LARGEST)
    mallopt(_MMAP_THRESHOLD, _LARGEST)
    try:
        yield
    finally:
        mallopt(_TRIM_THRESHOLD, 64 << 20)
        mallopt(_MMAP_THRESHOLD, 32 << 20)


def _mallopt() -> Callable[[int, int], int] | None:
    try:
        return ctypes.CDLL(None).mallopt
    except (OSError, TypeError, AttributeError):  # TypeError: Windows names no library by None
        return None
