"""Threads: PyTorch's count for the length of a block, forks that work, and a lock that survives copies and forks."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from threading import RLock
from typing import Any
from weakref import WeakSet

import torch


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """PyTorch uses `count` threads inside the block (0: as many as before) and as many as before after it.

    In a forked process it is one thread, whatever `count` says; see `_after_fork`.
    """
    before = torch.get_num_threads()
    if _forked:
        count = 1
    if count in (0, before):
        yield
        return
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class Lock:
    """A lock that one thread may take several times. A copy, an unpickled one, or that of a forked child, is free."""

    def __init__(self) -> None:
        self._lock = RLock()
        _locks.add(self)

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *error: object) -> None:
        self._lock.release()

    def __reduce__(self) -> tuple[Any, ...]:
        return Lock, ()


_locks: "WeakSet[Lock]" = WeakSet()
_forked = False


def _after_fork() -> None:
    """What a forked child needs before it computes.

    The threads of OpenMP, and those that held locks, do not exist in it: a parallel operation of torch would wait for
    them for ever. With one thread there is nothing to wait for.
    """
    global _forked
    _forked = True
    torch.set_num_threads(1)
    for lock in _locks:
        lock._lock = RLock()


os.register_at_fork(after_in_child=_after_fork)  # nothing happens in this process
