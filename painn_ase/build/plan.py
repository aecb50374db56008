"""How many frames, how long: decided from the cost of a call, and said before it is spent."""

from __future__ import annotations

from dataclasses import dataclass

from painn_ase.build.members import Course
from painn_ase.build.request import Request
from painn_ase.build.setup import Setup
from painn_ase.build.yardstick import calls
from painn_ase.progress import duration

AUDITS = 20  # random frames of a round, labelled before they can train
_FIRST = (60, 400)  # least and most frames of the first batch
_FIRST_SHARE = 0.1  # of the time, for the first batch
_ROUND = 40  # frames of a later batch at least
_YARDSTICK_SHARE = 0.2  # of the time, for the yardstick at most
_STEP = 45e-6  # s an atom of a batch and step of training; an estimate until the first training has been timed


@dataclass(frozen=True)
class Plan:
    """Cost of a call, sizes of batches, and what they take."""

    request: Request
    atoms: int
    processes: int
    seconds: float  # a call of the reference
    yardstick_calls: int
    yardstick: bool  # whether it is affordable and defined
    why_not: str  # if it is not

    @property
    def first(self) -> int:
        """Frames of the first batch."""
        least, most = _FIRST
        fit = _FIRST_SHARE * 3600 * self.request.hours * self.processes / self.seconds
        return self._capped(round(min(most, max(least, fit))))

    def next(self, frames: int, training: float) -> int:
        """Frames of the next batch, by the number there are and the seconds that a round of training takes.

        Labels may take as long as the training, but no batch more than doubles the frames.
        """
        equal = training * self.processes / self.seconds
        return round(min(max(frames, _ROUND), max(_ROUND, equal)))

    def _capped(self, frames: int) -> int:
        return min(frames, self.request.frames) if self.request.frames else frames

    def labelling(self, frames: int) -> float:
        """Seconds that labels of so many frames take."""
        return frames * self.seconds / self.processes

    def training(self, frames: int, anew: bool = True) -> float:
        """Seconds that a committee takes to train, roughly."""
        course = Course(frames, self.atoms, anew)
        waves = -(-self.request.committee // self.processes)
        return waves * course.steps * course.batch_size * self.atoms * _STEP

    def sentences(self, setup: Setup) -> list[str]:
        """The plan and its cost, to be printed."""
        r, first = self.request, self.first
        yardstick = (
            f"yardstick: minimum and Hessian of {r.reference}, about {self.yardstick_calls} calls, "
            f"{duration(self._yardstick_seconds())}; never trained on"
            if self.yardstick
            else f"no yardstick: {self.why_not}"
        )
        budget = f"{r.hours:g} h" + (f" or {r.frames} labels" if r.frames else "")
        beads = f", ring polymers of {r.beads} beads" if r.beads > 1 else ""
        round_ = self.labelling(self.next(first, self.training(first)))
        return [
            f"a call of {r.reference} takes {self.seconds:.3g} s; {self.processes} at a time",
            yardstick,
            f"first batch: {first} frames, {duration(self.labelling(first))}; then rounds of training "
            f"({r.committee} networks, some {duration(self.training(first))}), dynamics at "
            f"{r.temperature:g} K{beads}, and labels (some {duration(round_)})",
            f"it ends when frequencies deviate by {r.target:g} cm⁻¹ on average and {3 * r.target:g} at most, forces by "
            f"{r.forces:g} meV/Å, and dynamics stay inside of the data; or after {budget}",
        ]

    def _yardstick_seconds(self) -> float:
        moving = min(self.yardstick_calls, 25)
        return self.seconds * (moving + (self.yardstick_calls - moving) / self.processes)


def make_plan(setup: Setup, seconds: float) -> Plan:
    """The plan for a call that takes so many seconds."""
    atoms, request = setup.structures[0], setup.request
    needed = calls(atoms)
    why_not = ""
    plan = Plan(request, len(atoms), setup.processes, max(seconds, 1e-4), needed, True, "")
    if atoms.pbc.any():
        why_not = "frequencies of a periodic structure are not compared"
    elif atoms.constraints:
        why_not = "atoms are fixed, and the yardstick is of a free molecule"
    elif plan._yardstick_seconds() > _YARDSTICK_SHARE * 3600 * request.hours:
        why_not = (
            f"{needed} calls would take {duration(plan._yardstick_seconds())}, more than "
            f"{100 * _YARDSTICK_SHARE:g} % of the time"
        )
    return Plan(request, len(atoms), setup.processes, max(seconds, 1e-4), needed, not why_not, why_not)
