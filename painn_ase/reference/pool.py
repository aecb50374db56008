"""Structures labelled one after the other or in processes; what one of them does to its process costs only itself."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import Any

import numpy as np
from ase import Atoms

from painn_ase.errors import InputError, MissingPackageError, SimulationError
from painn_ase.reference import worker
from painn_ase.reference.labellers import Labeller

Outcome = dict[str, Any] | str  # labels, or the reason why there are none
_DIED = "the process that computed it died (out of memory?)"


def outcomes(
    labeller: Labeller, tasks: Sequence[tuple[int, Atoms]], processes: int, threads: int
) -> Iterator[tuple[int, Outcome]]:
    """Labels of the structures, or reasons, by index, as they come.

    Raises `InputError` if the calculators of several processes write the same file, and `SimulationError` if processes
    die whatever they compute.
    """
    if processes == 1 or not tasks:
        for index, atoms in tasks:
            yield index, attempt(labeller, atoms)
        return
    waiting, places, alive = deque(tasks), _Places(), False
    while waiting:
        lost: list[tuple[int, Atoms]] = []
        for index, outcome, written in _of_pool(labeller, waiting, processes, threads, lost):
            alive = True
            yield from places.sorted_out(index, outcome, written)
        for task in lost:  # one of them ended its process and with it the pool: each has another try, alone
            alone: list[tuple[int, Atoms]] = []
            for index, outcome, written in _of_pool(labeller, deque([task]), 1, threads, alone):
                alive = True
                yield from places.sorted_out(index, outcome, written)
            if alone:
                if not alive:
                    raise SimulationError(
                        "every worker process died before it labelled anything (out of memory, or a script that calls "
                        'label without if __name__ == "__main__"). Run with processes=1 to see why'
                    )
                yield task[0], _DIED
    yield from places.held_back()


def attempt(labeller: Labeller, atoms: Atoms) -> Outcome:
    """Labels, or the reason why there are none.

    Requests were checked before: what is raised here, and calculators of others raise anything, is the failure of one
    structure.
    """
    try:
        labels = labeller(atoms)
        strange = [name for name, value in labels.items() if not np.isfinite(value).all()]
    except MissingPackageError:
        raise
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return f"not finite: {', '.join(strange)}" if strange else labels


def _of_pool(
    labeller: Labeller, waiting: deque[tuple[int, Atoms]], processes: int, threads: int, lost: list[tuple[int, Atoms]]
) -> Iterator[tuple[int, Outcome, frozenset[str]]]:
    """Outcomes, and files written outside of its folder; what a broken pool had under way goes to `lost`."""
    context = get_context("spawn")
    pool = ProcessPoolExecutor(min(processes, len(waiting)), context, initializer=worker.start, initargs=(threads,))
    running: dict[Any, tuple[int, Atoms]] = {}
    try:
        while waiting or running:
            while waiting and len(running) < processes:  # no more, so that those under way are known
                running[pool.submit(_watched, labeller, waiting[0][1])] = waiting[0]
                waiting.popleft()
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                outcome, written = future.result()
                yield running.pop(future)[0], outcome, written
    except BrokenProcessPool:
        lost += running.values()
    finally:
        pool.shutdown(cancel_futures=True)


def _watched(labeller: Labeller, atoms: Atoms) -> tuple[Outcome, frozenset[str]]:
    with worker.watched() as written:
        outcome = attempt(labeller, atoms)
    inside = str(getattr(labeller, "scratch", "")) or "\0"
    return outcome, frozenset(path for path in written if not path.startswith(inside))


class _Places:
    """Files that calculators write outside of the folders they were given: harmless if each structure has others.

    A first such outcome is kept until the second shows whether the file is always the same.
    """

    def __init__(self) -> None:
        self._known: set[str] = set()
        self._held: list[tuple[int, Outcome]] = []
        self._seen = 0

    def sorted_out(self, index: int, outcome: Outcome, written: frozenset[str]) -> Iterator[tuple[int, Outcome]]:
        """What may be believed by now."""
        if not written:
            yield index, outcome
            return
        shared = sorted(written & self._known)
        if shared:
            raise InputError(
                f"label: the calculators of several processes write {shared[0]!r}, where one reads what another wrote. "
                "Use the calculator's directory, or let the function that makes it take the argument directory; or "
                "label with processes=1"
            )
        self._known |= written
        self._seen += 1
        self._held.append((index, outcome))
        if self._seen > 1:
            yield from self.held_back()

    def held_back(self) -> Iterator[tuple[int, Outcome]]:
        """Everything kept so far."""
        while self._held:
            yield self._held.pop(0)
