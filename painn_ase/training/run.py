"""What surrounds a training run: threads, interrupts, log, checksums."""

import csv
import ctypes
import hashlib
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import torch

from painn_ase.errors import InputError
from painn_ase.files import write_atomically


@dataclass
class Interrupt:
    requested: bool = False


@contextmanager
def interrupts() -> Iterator[Interrupt]:
    """Inside the block, the first Ctrl-C (SIGINT) only sets a flag; a second one interrupts at once."""
    flag = Interrupt()
    if threading.current_thread() is not threading.main_thread():  # only the main thread may handle signals
        yield flag
        return

    def handle(_signal: int, _frame: FrameType | None) -> None:
        if flag.requested:
            raise KeyboardInterrupt
        flag.requested = True

    before = signal.signal(signal.SIGINT, handle)
    try:
        yield flag
    finally:
        signal.signal(signal.SIGINT, before)


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


class Log:
    """A CSV file with a row per epoch; rows after `epoch` are dropped when a run resumes from there."""

    def __init__(self, path: Path, columns: list[str], epoch: int) -> None:
        self.path, self.columns = path, columns
        kept: list[str] = []
        if epoch and path.is_file():
            kept = [line for line in path.read_text().splitlines()[1:] if _epoch(line) <= epoch]
        write_atomically(path, "\n".join([",".join(columns), *kept]) + "\n")

    def write(self, row: dict[str, float]) -> None:
        with open(self.path, "a", newline="") as file:
            csv.DictWriter(file, self.columns, restval="").writerow(row)


def _epoch(line: str) -> float:
    first = line.split(",", 1)[0]
    return int(first) if first.isdigit() else float("inf")


def checksums(paths: Iterable[Path]) -> dict[str, str]:
    """SHA-256 of each file by its name."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def choose_device(name: str) -> torch.device:
    """The device called `name`. Raises `InputError` when this machine or this PyTorch does not have it."""
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        message = str(error).splitlines()[0]
        raise InputError(f"[run] device: {name!r} cannot be used ({message}); 'cpu' always can") from None
    return device
