"""The learning rate over a run, as plain numbers that a checkpoint can hold."""

import math
from dataclasses import dataclass

from painn_ase.training import config


@dataclass
class LearningRate:
    """Fraction of the learning rate at a step: a linear warm-up times a half cosine or a plateau factor.

    With `minutes` in the schedule the number of steps is what fits into them at the pace so far, and a guess before the
    first epoch has ended.
    """

    schedule: config.Schedule
    total_steps: int
    factor: float = 1.0  # plateau: product of all reductions so far
    best: float = math.inf
    waited: int = 0  # epochs since the best, or minus the epochs left to cool down

    def at(self, step: int) -> float:
        """The fraction at `step`, counted from zero."""
        warm = min(1.0, (step + 1) / self.schedule.warmup) if self.schedule.warmup else 1.0
        if self.schedule.kind == "plateau":
            return warm * self.factor
        progress = max(0, step - self.schedule.warmup) / max(1, self.total_steps - self.schedule.warmup)
        low = self.schedule.minimum
        return warm * (low + (1 - low) * 0.5 * (1 + math.cos(math.pi * min(1.0, progress))))

    def observe(self, loss: float) -> None:
        """Takes note of an epoch's validation score; the plateau schedule reduces its factor after `patience`."""
        if self.schedule.kind != "plateau":
            return
        improved = loss < self.best
        if improved:
            self.best = loss
        if self.waited < 0:  # cooling down
            self.waited += 1
        else:
            self.waited = 0 if improved else self.waited + 1
        if self.waited > self.schedule.patience:
            self.factor = max(self.schedule.minimum, self.factor * self.schedule.factor)
            self.waited = -self.schedule.cooldown

    def keep_pace(self, steps: int, seconds: float) -> None:
        """Takes note that `steps` took so many seconds, all resumed parts together."""
        if self.schedule.minutes:
            self.total_steps = max(steps, round(steps * 60 * self.schedule.minutes / seconds))

    def state(self) -> dict[str, float]:
        state = {"factor": self.factor, "waited": self.waited, "total_steps": self.total_steps}
        return state | ({"best": self.best} if self.best < math.inf else {})  # JSON has no infinity

    def restore(self, state: dict[str, float]) -> None:
        self.factor, self.waited = state["factor"], int(state["waited"])
        self.best = state.get("best", math.inf)
        if self.schedule.minutes:
            self.total_steps = int(state["total_steps"])
