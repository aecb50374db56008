"""One round: train the committee, run the intended dynamics, label what it met, judge."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from painn_ase.build import judge
from painn_ase.build.batches import WHY, Batches
from painn_ase.build.explore import OUTSIDE, Exploration, explore
from painn_ase.build.judge import Criterion
from painn_ase.build.members import Course, train_committee
from painn_ase.build.plan import AUDITS, Plan
from painn_ase.build.pulse import Pulse
from painn_ase.build.setup import Setup, about
from painn_ase.build.state import State
from painn_ase.calculator import PaiNNCalculator
from painn_ase.data.identity import unlabelled
from painn_ase.errors import SimulationError
from painn_ase.model_files import find_model
from painn_ase.reference import select
from painn_ase.reference.labellers import labels_of
from painn_ase.simulate import relax
from painn_ase.training.parts import Task, write_sides

_PAINN = {"kind": "painn", "features": 64, "interactions": 3, "cutoff": 5.0}  # where no model is named to start from
_COLD = 0.2  # times the temperature: frames near the minima, on which frequencies depend
_CEILING = 10.0  # eV/Å of disagreement: a broken geometry, and nothing to learn
_CANDIDATES = 500  # frames that are compared
_TRAJECTORIES, _LENGTH = 20, 10.0  # ps of each
_COLD_LENGTH = 1.0  # ps
_SHORT = 2.5  # ps, where frequencies say already that the round is not the last one
_DYNAMICS_LEAST, _DYNAMICS_SHARE = 60.0, 0.05  # s, and share of the time, that dynamics may take in any case
_FIRST_RATIO = 0.6  # of an error after a doubling of the frames, before it was measured


@dataclass
class Rounds:
    """The rounds of a build; every method goes on from what is on the disk."""

    setup: Setup
    state: State
    plan: Plan
    batches: Batches
    pulse: Pulse
    yardstick: list[Atoms]  # labelled frames; none without one
    pool: list[Atoms] = field(default_factory=list)

    def run(self, number: int) -> list[Criterion]:
        """Trains, explores, labels and judges; what each criterion says."""
        began = time.monotonic()
        self.pulse.round_began = began
        facts = self._facts(number)
        self._train(number, facts)
        models = [Path(self.state.folder / name) for name in facts["members"]]
        if "yardstick" not in facts:
            facts["yardstick"] = [c.to_dict() for c in self._frequencies(number, models)]
            self.state.put()
        batch = number + 1
        if not self.batches.exists(batch) or "exploration" not in facts:
            self._explore(number, models, facts)
        self._label(number, batch, "audit")
        criteria = self._judge(number, models, facts)
        if not judge.believed(criteria):
            self._label(number, batch)
        facts["done"] = True
        facts["seconds"] = round(facts.get("seconds", 0.0) + time.monotonic() - began, 1)
        self.state.put()
        self.pulse.round_seconds = facts["seconds"]
        self.pulse.rounds_left = self._rounds_left()
        return criteria

    def judged(self, number: int) -> list[Criterion]:
        """What each criterion says of a round that is done, by what is asked now."""
        facts, changed = self._facts(number), False
        models = [self.state.folder / name for name in facts["members"]]
        if facts.get("goals") != self._goals():
            facts["yardstick"] = [c.to_dict() for c in self._frequencies(number, models)]
            changed = True
        if self._sure(facts) and not facts.get("long", False) and not facts["exploration"]["broke"]:
            facts["exploration"] = self._hot(number, models, facts).to_dict()  # was short, for want of frequencies
            changed = True
        if not changed:
            return [Criterion(**c) for c in facts["criteria"]]
        criteria = self._judge(number, models, facts)
        self.state.put()
        return criteria

    def _goals(self) -> dict[str, Any]:
        request = self.setup.request
        goals = {"target": request.target, "forces": request.forces, "infrared": request.wants_infrared}
        return goals | {"temperature": request.temperature}

    def _facts(self, number: int) -> dict[str, Any]:
        while len(self.state.rounds) < number:
            self.state.rounds.append({})
        return self.state.rounds[number - 1]

    def _folder(self, number: int) -> Path:
        return self.state.folder / "rounds" / f"{number:02d}"

    def _label(self, number: int, batch: int, why: str | None = None) -> None:
        """Labels of a batch, or of its audits alone: these decide whether the rest is needed."""
        self.pulse.doing(f"round {number}: labels")
        outcome = self.batches.label(batch, why)
        failed = sum(len(done.failed) for done in outcome)
        if failed:
            self.state.say(f"round {number}: {failed} frames failed and are left out; {outcome[0].path}.json says why")

    # ---- train

    def _train(self, number: int, facts: dict[str, Any]) -> None:
        if "members" in facts:
            return
        self._label(number, number)  # what a round that was good enough left out, where more is asked for now
        folder = self._folder(number)
        train, held = self.batches.parts(range(number + 1))
        torn = sum(len(self.batches.labelled(k)) for k in range(number + 1)) - len(train) - len(held)
        if torn:
            self.state.say(f"round {number}: {torn} frames with forces far above the usual ones are left out")
        write_sides(folder, train, held)
        before = [r for r in self.state.rounds[: number - 1] if r.get("anew")]
        anew = not before or len(train) >= 2 * before[-1]["frames"]
        course = Course(len(train), len(train[0]), anew)
        facts |= {"frames": len(train), "held": len(held), "anew": anew}
        self.state.put()
        start = "random weights" if self.setup.request.start is None else self.setup.request.start
        self.state.say(
            f"round {number}: {len(train)} frames train, {len(held)} validate; {course.steps} steps of "
            f"{self.setup.request.committee} networks from {start if anew else 'those of the last round'}"
        )
        labels, model = labels_of(self.setup.learned), {} if self.setup.request.start else {"representation": _PAINN}
        task = Task(folder, len(train), labels, course.batch_size, model, about(self.setup))
        members = [
            task.tables(course.parts(), seed, self._start(number, k, anew), folder / f"member-{seed}")
            for k, seed in enumerate(self._seeds())
        ]
        began, what = time.monotonic(), f"round {number}: training"
        self.pulse.doing(what)
        folders = train_committee(members, self.setup.processes, lambda share: self.pulse.doing(what, share))
        facts["training_seconds"] = round(time.monotonic() - began, 1)
        facts["members"] = [str(f.relative_to(self.state.folder)) for f in folders]
        self.state.put()

    def _seeds(self) -> list[int]:
        return [self.setup.request.seed + k for k in range(self.setup.request.committee)]

    def _start(self, number: int, member: int, anew: bool) -> Path | None:
        """The model folder that a training begins from; None for random weights."""
        if not anew:
            return self.state.folder / self.state.rounds[number - 2]["members"][member]
        given = self.setup.request.start
        return None if given is None else find_model(given)

    # ---- explore

    def _explore(self, number: int, models: list[Path], facts: dict[str, Any]) -> None:
        """Runs the intended dynamics and chooses the next batch from what it met."""
        hot = self._hot(number, models, facts)
        request = self.setup.request
        cold = explore(
            models,
            self._minima(models),
            temperature=_COLD * request.temperature,
            trajectories=_TRAJECTORIES,
            ps=_COLD_LENGTH,
            seed=self._seed(number),
        )
        count = self._count(number, facts)
        self.pulse.doing(f"round {number}: choosing frames")
        chosen = self._choose(number, count, hot, cold, models)
        facts["exploration"] = hot.to_dict()
        self.state.put()
        self.batches.choose(number + 1, chosen, taken=self.yardstick)

    def _hot(self, number: int, models: list[Path], facts: dict[str, Any]) -> Exploration:
        """The intended dynamics: short where frequencies say already that the round is not the last one."""
        request, what = self.setup.request, f"round {number}: dynamics at {self.setup.request.temperature:g} K"
        facts["long"] = self._sure(facts)
        until = time.monotonic() + max(
            _DYNAMICS_LEAST, 1.5 * facts["training_seconds"], _DYNAMICS_SHARE * 3600 * request.hours
        )
        found = explore(
            models,
            self._minima(models),
            temperature=request.temperature,
            beads=request.beads,
            trajectories=_TRAJECTORIES,
            ps=_LENGTH if facts["long"] else _SHORT,
            seed=self._seed(number),
            look=lambda share: self._going(what, share, until),
        )
        self.state.say(f"{what}: {found.sentence()}")
        return found

    def _sure(self, facts: dict[str, Any]) -> bool:
        """Whether the yardstick has nothing against the round."""
        return all(c["holds"] is not False for c in facts["yardstick"])

    def _seed(self, number: int) -> int:
        return 1000 * self.setup.request.seed + number

    def _minima(self, models: list[Path]) -> list[Atoms]:
        """The starting structures, relaxed by the committee as a user would."""
        calculator = PaiNNCalculator([str(m) for m in models])
        found = []
        for atoms in self.setup.structures:
            moving = unlabelled(atoms)
            moving.calc = calculator
            try:
                relax(moving, fmax=0.05, steps=200, optimizer="BFGS", progress=False)
                found.append(unlabelled(moving))
            except SimulationError:
                found.append(unlabelled(atoms))
        return found

    def _going(self, what: str, share: float, until: float) -> bool:
        self.pulse.doing(what, share)
        return time.monotonic() < until

    def _count(self, number: int, facts: dict[str, Any]) -> int:
        count = self.plan.next(facts["frames"] + facts["held"], facts["training_seconds"])
        limit = self.setup.request.frames
        if limit:
            asked = sum(len(self.batches.frames(k)) for k in range(number + 1))
            count = min(count, max(AUDITS, limit - asked))
        return count

    def _choose(self, number: int, count: int, hot: Exploration, cold: Exploration, models: list[Path]) -> list[Atoms]:
        """Random frames of the dynamics, cold ones, some from outside of the data, frames of disagreement: each marked
        with why."""
        seed = self.setup.request.seed + number
        train, held = self.batches.parts(range(number + 1))
        known = [*train, *held]
        audits = min(max(AUDITS, count // 8), len(hot.frames))
        chosen = [*_marked(_drawn(hot.frames, audits, seed), "audit")]
        gentle = max(0, count - audits) // 3
        if gentle and cold.frames:
            picked = select(_thinned(cold.frames), gentle, known=[*known, *chosen])
            chosen += _marked(picked, "cold")
        strange = [atoms for atoms in hot.frames if atoms.info.get(OUTSIDE)]
        chosen += self._outside(strange, (count - len(chosen)) // 2, [*known, *chosen])
        rest = count - len(chosen)
        candidates = _thinned([*hot.frames, *self.pool])
        if rest > 0 and candidates:
            quotas = {"dynamics*": math.ceil(0.7 * rest)} if hot.frames else None
            names = [str(m) for m in models]
            picked = select(
                candidates, rest, models=names, known=[*known, *chosen], quotas=quotas, ceiling=_CEILING, seed=seed
            )
            chosen += _marked(picked, "disagreement")
        return chosen

    def _outside(self, frames: list[Atoms], count: int, known: list[Atoms]) -> list[Atoms]:
        """At most `count` unlike ones of the frames that lie outside of the training data: rare, and among all
        candidates easily passed over, so that dynamics would leave the data for ever."""
        if not frames or count < 1:
            return []
        return _marked(select(_thinned(frames), min(count, len(frames)), known=known), "outside")

    # ---- judge

    def _frequencies(self, number: int, models: list[Path]) -> list[Criterion]:
        """What the yardstick says; it needs no labels."""
        if not self.yardstick:
            return [Criterion("frequencies", None, self.plan.why_not or "the reference did not relax the structure")]
        self.pulse.doing(f"round {number}: frequencies")
        request = self.setup.request
        infrared = request.wants_infrared and "dipole" in self.setup.learned
        return judge.frequencies(models, self.yardstick, request.target, infrared, request.temperature)

    def _judge(self, number: int, models: list[Path], facts: dict[str, Any]) -> list[Criterion]:
        self.pulse.doing(f"round {number}: judging")
        request, criteria = self.setup.request, [Criterion(**c) for c in facts["yardstick"]]
        audit = [atoms for atoms in self.batches.labelled(number + 1) if atoms.info.get(WHY) == "audit"]
        if audit:
            error = judge.force_error(models, audit)
            facts["force_error"] = round(error, 3)
            before = [r for r in self.state.rounds[: number - 1] if "force_error" in r]
            last = (before[-1]["force_error"], before[-1]["frames"]) if before else None
            criteria.append(judge.forces(error, request.forces, last, facts["frames"]))
        else:
            criteria.append(Criterion("forces", False, "no frame of the dynamics could be labelled"))
        criteria.append(judge.dynamics(facts["exploration"]))
        facts |= {"criteria": [c.to_dict() for c in criteria], "goals": self._goals()}
        return criteria

    def _rounds_left(self) -> int | None:
        """How many rounds the force error needs to its goal if it falls as it did; None where nothing tells."""
        errors = [r["force_error"] for r in self.state.rounds if "force_error" in r]
        if not errors or errors[-1] <= self.setup.request.forces:
            return None
        ratio = min(0.95, errors[-1] / errors[-2]) if len(errors) > 1 else _FIRST_RATIO
        return math.ceil(math.log(self.setup.request.forces / errors[-1]) / math.log(ratio))


def _marked(frames: list[Atoms], why: str) -> list[Atoms]:
    for atoms in frames:
        for key in ("selected", "forces_std", OUTSIDE):
            atoms.info.pop(key, None)
        atoms.info[WHY] = why
    return frames


def _thinned(frames: list[Atoms]) -> list[Atoms]:
    """At most `_CANDIDATES` of the frames, evenly."""
    return frames[:: max(1, math.ceil(len(frames) / _CANDIDATES))]


def _drawn(frames: list[Atoms], count: int, seed: int) -> list[Atoms]:
    """`count` of the frames at random: whatever they look like."""
    chosen = np.random.default_rng(seed).permutation(len(frames))[:count]
    return [frames[k].copy() for k in chosen]
