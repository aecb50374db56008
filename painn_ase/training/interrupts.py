"""Ctrl-C ends a training run after its epoch."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType


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
