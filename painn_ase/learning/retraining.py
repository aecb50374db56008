"""When the committee of a learning calculator trains, and what is written down when its models change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms

from painn_ase.errors import SimulationError
from painn_ase.learning.committee import Committee
from painn_ase.learning.judge import Judge
from painn_ase.learning.record import Record

_MORE = 0.1  # of the labelled frames, as new ones that call for a training


@dataclass
class Answered:
    """The last structure, which models are compared on when they change."""

    atoms: Atoms
    values: dict[str, Any]  # that were answered
    energy: float | None  # eV, of the models at that time; None without any


class Retraining:
    """Trains between structures, or in the background, and keeps account of the steps in energy.

    committee, judge, record: of the calculator
    batch: new labels at least between two trainings
    background: whether trainings go on beside the run
    """

    def __init__(self, committee: Committee, judge: Judge, record: Record, batch: int, background: bool) -> None:
        self._committee, self._judge, self._record = committee, judge, record
        self._batch, self._background = batch, background
        self.steps = sum(step for (step,) in record.changes.numbers("energy_step"))  # eV, of all changes

    def between(self, frames: Sequence[Atoms], last: Answered | None, evaluation: int) -> None:
        """Called between structures: takes up models that are ready, or trains if it is time.

        frames: all that are labelled
        last: what was answered before
        evaluation: its number
        """
        if self._committee.training:
            if self._committee.finished:
                self.take(last, evaluation)
        elif self._due(frames):
            if self._background:
                self._record.say(f"structure {evaluation}: {len(frames)} frames train in the background")
                self._committee.begin(frames)
            else:
                self._change(last, evaluation, frames)

    def take(self, last: Answered | None, evaluation: int) -> None:
        """Waits for the training that is under way, if one is, and changes to its models."""
        if not self._committee.training:
            return
        try:
            self._change(last, evaluation, None)
        except SimulationError as failure:
            self._background = False
            self._record.say(f"structure {evaluation}: {failure}; from now on the run waits for trainings")

    def _due(self, frames: Sequence[Atoms]) -> bool:
        new = len(frames) - self._committee.trained
        if new < self._batch or len(frames) < 2:
            return False
        latest = [seconds for (seconds,) in self._record.calls.numbers("seconds")][-new:]
        worth = sum(latest) >= self._committee.seconds or new >= _MORE * self._committee.trained
        return worth or not self._committee.generation

    def _change(self, last: Answered | None, evaluation: int, frames: Sequence[Atoms] | None) -> None:
        """Trains on `frames`, or takes what was trained in the background, and writes down the step."""
        before = self._surface(last)
        errors = self._committee.take() if frames is None else self._committee.train(frames)
        after = self._surface(last)
        self._judge.forget()
        step = None if before is None or after is None else after[0] - before[0]
        self.steps += step or 0.0
        change = None if before is None or after is None else float(np.sqrt(np.mean((after[1] - before[1]) ** 2)))
        committee = self._committee
        facts: dict[str, Any] = {"evaluation": evaluation, "model": committee.generation, "frames": committee.trained}
        facts |= {
            "seconds": committee.seconds,
            "force_error": errors["forces"],
            "threshold": self._judge.threshold,
        }
        self._record.changes.add(facts | {"energy_step": step, "force_step": change})
        jump = "" if step is None else f"; energies step by {1000 * step:+.1f} meV here, conserved energies begin anew"
        self._record.say(
            f"structure {evaluation}: models {committee.generation} of {committee.trained} frames, trained in "
            f"{committee.seconds:.3g} s, err by {1000 * errors['forces']:.3g} meV/Å on frames held out{jump}"
        )

    def _surface(self, last: Answered | None) -> tuple[float, np.ndarray] | None:
        """Energy (eV) and forces of the last structure: those of the models, or the answer where there are none."""
        if last is None:
            return None
        found = self._committee.surface(last.atoms)
        return found or (float(last.values["energy"]), np.asarray(last.values["forces"]))
