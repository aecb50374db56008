"""Long runs: memory and open files after thousands of calls."""

from __future__ import annotations

import ctypes
import gc
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np

from painn_ase.testing.report import Outcome, measured, not_applicable
from painn_ase.testing.subject import Case, Subject

GROWTH = 5.0  # MB
_STATM, _FILES = Path("/proc/self/statm"), Path("/proc/self/fd")


def memory(calls: int) -> Callable[[Subject, Case], Outcome]:
    """The check that resident memory grows by less than 5 MB over `calls` calls, after a tenth of them."""

    def check(subject: Subject, case: Case) -> Outcome:
        if calls < 1:
            return not_applicable("asked for with calls=10000 (--calls 10000)")
        if not _STATM.exists():
            return not_applicable("memory is read from /proc, which does not exist here")
        files, start = open_files(), 0.0
        atoms, rng = case.atoms.copy(), np.random.default_rng(0)
        names = [n for n in ("forces", "energy", "stress") if n in subject.available(case)]
        for call in range(calls):
            if call == calls // 10:
                start = resident()
            atoms.positions = case.atoms.positions + 0.02 * rng.normal(size=(len(atoms), 3))
            for name in names:
                subject.ask(name, atoms)
        growth, opened = resident() - start, open_files() - files
        outcome = measured(growth, GROWTH, "MB", f"{calls} calls; {opened} more open files")
        return outcome if opened <= 0 else measured(opened, 0, "open files", f"after {calls} calls")

    check.__doc__ = memory.__doc__
    return check


def resident() -> float:
    """Memory of this process that is in use, in MB; what was freed and is kept for later is given back first.

    Otherwise what a calculator hoards would be taken from there, and go unseen.
    """
    gc.collect()
    with suppress(OSError, TypeError, AttributeError):  # only glibc has it; Windows names no library None
        ctypes.CDLL(None).malloc_trim(0)
    return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def open_files() -> int:
    """Number of file handles of this process."""
    return len(os.listdir(_FILES)) if _FILES.exists() else 0
