"""What learning while running has cost, what it has saved, and how good the models are."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from painn_ase.learning.record import Record
from painn_ase.progress import duration


@dataclass(frozen=True)
class Report:
    """The sum of a learning calculator's files; seconds are of wall time."""

    evaluations: int  # structures that were evaluated, as far as the files say
    calls: int  # of the reference
    why: dict[str, int]  # calls by reason
    frames: int  # that are labelled
    models: int  # generations that were trained
    reference_seconds: float  # of all calls
    training_seconds: float
    model_seconds: float  # of the models' answers, in this process
    errors: tuple[float, ...]  # eV/Å, largest error of a force in each audit of the present kind of model
    threshold: float  # eV/Å

    @property
    def saved_seconds(self) -> float:
        """The time of the reference for all evaluations, less what was spent; negative if learning did not pay."""
        each = self.reference_seconds / max(self.calls, 1)
        return each * (self.evaluations - self.calls) - self.training_seconds - self.model_seconds

    def __str__(self) -> str:
        why = ", ".join(f"{number} {name}" for name, number in sorted(self.why.items(), key=lambda one: -one[1]))
        share = 100 * self.calls / max(self.evaluations, 1)
        saved, each = self.saved_seconds, self.reference_seconds / max(self.calls, 1)
        lines = [
            f"reference    {self.calls} calls for {self.evaluations} structures ({share:.3g} %): {why or 'none'}",
            f"labels       {self.frames} frames; {self.models} trainings, {duration(self.training_seconds)}",
            f"time         {each:.3g} s a call; the reference alone would have taken "
            f"{duration(each * self.evaluations)}, "
            + (f"{duration(saved)} more" if saved >= 0 else f"{duration(-saved)} less than this did"),
            f"threshold    {self.threshold:.3g} eV/Å of forces_std",
        ]
        if self.errors:
            lines.append(
                f"audits       {len(self.errors)} at random: largest error of a force {np.mean(self.errors):.3g} eV/Å "
                f"on average, {max(self.errors):.3g} at most"
            )
        return "\n".join(lines)


def report_of(
    record: Record, evaluations: int, frames: int, model_seconds: float, threshold: float, latest: int
) -> Report:
    """The report on the files of `record`; audits count from the generation `latest` on."""
    seconds = [found for (found,) in record.calls.numbers("seconds")]
    audits = [
        row for row in record.calls.rows if row["why"] == "audit" and row["error"] and int(row["model"]) >= latest
    ]
    return Report(
        evaluations,
        len(record.calls.rows),
        dict(Counter(row["why"] for row in record.calls.rows)),
        frames,
        len(record.changes.rows),
        sum(seconds),
        sum(found for (found,) in record.changes.numbers("seconds")),
        model_seconds,
        tuple(float(row["error"]) for row in audits),
        threshold,
    )
