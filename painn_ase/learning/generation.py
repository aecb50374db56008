"""One generation of a committee is trained: at once, or in a process of its own that ends with this one."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from painn_ase.errors import SimulationError
from painn_ase.files import write_atomically
from painn_ase.reference import worker

_OUTCOME = "outcome.json"
_NICE = 10  # added to the niceness of a training beside a run

Members = Sequence[Sequence[dict[str, Any]]]  # training configurations, part by part


@dataclass(frozen=True)
class Outcome:
    """What a training came to; mean absolute validation errors in eV, Å and e, means over the members."""

    errors: dict[str, float]
    seconds: float


def member(place: Path, number: int) -> Path:
    """The model folder of a member of the generation in `place`."""
    return place / f"member-{number}"


def train_generation(place: Path, members: Members) -> Outcome:
    """Trains the members, whose models are then in `place`."""
    from painn_ase.properties import PROPERTIES  # a new process sets its numbers of threads before it loads these
    from painn_ase.training.parts import train_parts

    start = time.perf_counter()
    errors: list[dict[str, float]] = []
    for number, tables in enumerate(members):
        trained = train_parts(tables)
        shutil.move(trained.folder, member(place, number))
        found = trained.evaluations["validation"].comparisons
        errors.append({name: c.error().mae / PROPERTIES[name].report[1] for name, c in found.items()})
    means = {name: sum(e[name] for e in errors) / len(errors) for name in errors[0]}
    return Outcome(means, time.perf_counter() - start)


class Background:
    """`train_generation` in a process of its own, with one thread and a lower priority, which no death of this one
    outlives."""

    def __init__(self, place: Path, members: Members, frames: int) -> None:
        self.frames, self._path = frames, place / _OUTCOME
        self._process = get_context("spawn").Process(target=_work, args=(place, members), daemon=True)
        self._process.start()

    @property
    def ended(self) -> bool:
        """Whether the process has ended, however it did."""
        return not self._process.is_alive()

    def outcome(self) -> Outcome:
        """Waits for the end. Raises `SimulationError` if nothing came of it."""
        self._process.join()
        if not self._path.exists():
            raise SimulationError(
                f"the process that trained models ended with code {self._process.exitcode} and no models (out of "
                'memory, or a script that trains in the background without if __name__ == "__main__"); '
                f"its folder is {self._path.parent}"
            )
        return Outcome(**json.loads(self._path.read_text(encoding="utf-8")))


def _work(place: Path, members: Members) -> None:
    """What the process does."""
    worker.start(1)
    if hasattr(os, "nice"):
        os.nice(_NICE)
    outcome = train_generation(place, members)
    write_atomically(place / _OUTCOME, json.dumps(asdict(outcome)) + "\n")
