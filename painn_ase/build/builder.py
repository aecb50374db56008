"""The build itself: yardstick, first batch, rounds until all criteria hold or the budget ends, and what is left."""

from __future__ import annotations

import tempfile
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

import ase.io
from ase import Atoms

from painn_ase.build import finish, yardstick
from painn_ase.build.batches import Batches
from painn_ase.build.judge import Criterion, believed
from painn_ase.build.plan import AUDITS, Plan, make_plan
from painn_ase.build.pool import choose_driver, proposals
from painn_ase.build.pulse import Pulse
from painn_ase.build.report import CURVE, learning_curve, write_page
from painn_ase.build.request import Request
from painn_ase.build.rounds import Rounds
from painn_ase.build.setup import Setup, seconds_of_call, set_up, timed_frames
from painn_ase.build.state import State, begun
from painn_ase.coverage import CoverageWarning
from painn_ase.errors import InputError
from painn_ase.files import only_writer, write_atomically
from painn_ase.progress import duration
from painn_ase.reference import select
from painn_ase.shown import Shown
from painn_ase.structures import write_frames

_FINISH = 0.1  # of the time, kept for cards and spectra


@dataclass(frozen=True, repr=False)
class Built(Shown):
    """What a build came to."""

    folder: Path
    models: tuple[Path, ...]  # the best member first
    believed: bool  # whether all criteria hold
    criteria: tuple[Criterion, ...]
    frames: int  # that trained
    seconds: float
    report: Path

    @property
    def use(self) -> str:
        """Lines of Python that use the model."""
        names = [str(model) for model in self.models]
        text = repr(names) if len(names) > 1 else repr(names[0])
        return f"from painn_ase import PaiNNCalculator\natoms.calc = PaiNNCalculator({text})"

    def __str__(self) -> str:
        head = "BELIEVE" if self.believed else "NOT YET"
        lines = [f"{head}: {self.folder}, {self.frames} training frames, {duration(self.seconds)}"]
        for c in self.criteria:
            mark = {True: "holds", False: "FAILS", None: "not judged"}[c.holds]
            lines.append(f"  {c.name} {mark}: {c.text}")
        return "\n".join([*lines, f"report: {self.report}", "", self.use])


def dry_run(request: Request) -> str:
    """The plan and its cost, from one timed call; nothing is begun."""
    setup = set_up(request)
    with tempfile.TemporaryDirectory() as folder:
        seconds = seconds_of_call(setup, timed_frames(setup.structures), Path(folder))
    plan = make_plan(setup, seconds or 0.0)
    return "\n".join([*setup.notes, *plan.sentences(setup), "nothing was begun"])


def build(request: Request, *, resume: bool = False, shown: bool = True) -> Built:
    """The model that was asked for, in `request.output`, with its report.

    A folder that holds the same build is gone on with; `resume` insists that it does. `shown` prints what is decided,
    on standard error; `log.txt` has it in any case. Raises `InputError` for what cannot be built, before a label is
    made, and for a folder that holds something else.
    """
    if resume and not begun(request.output):
        raise InputError(f"--resume: {request.output} holds no build to go on with")
    if not begun(request.output) and request.output.exists() and any(request.output.iterdir()):
        raise InputError(f"{request.output} exists and is no build; choose another --output")
    setup = set_up(request)
    request.output.mkdir(parents=True, exist_ok=True)
    with only_writer(request.output / "state.json"):
        state = State(request, shown=shown)
        pulse = Pulse(state, request.hours)
        with pulse.beating(), warnings.catch_warnings():
            warnings.simplefilter("ignore", CoverageWarning)  # whether dynamics leave the data is judged
            try:
                return _Build(setup, state, pulse).run()
            except KeyboardInterrupt:
                state.say("interrupted; the same command goes on")
                raise


class _Build:
    """A build that is under way."""

    def __init__(self, setup: Setup, state: State, pulse: Pulse) -> None:
        self.setup, self.state, self.pulse = setup, state, pulse
        self.request, self.folder = setup.request, state.folder
        self.batches = Batches(self.folder / "batches", setup.reference, setup.labels, setup.processes)
        self.batches.second, self.batches.second_labels = self.request.polarizability, setup.second

    def run(self) -> Built:
        """Everything, from wherever it is."""
        if self.state.found:
            self.state.say(f"going on after {duration(self.state.seconds)}")
        write_atomically(self.folder / "build.toml", self.request.to_toml())
        if not self.state.found:
            for note in self.setup.notes:
                self.state.say(note)
        plan = self._plan()
        frames = self._yardstick(plan)
        pool = self._first_batch(plan)
        rounds = Rounds(self.setup, self.state, plan, self.batches, self.pulse, frames, pool)
        number, criteria, why = self._rounds(rounds)
        return self._finish(rounds, number, criteria, why)

    def _plan(self) -> Plan:
        """Times a call, once."""
        if "seconds_of_call" not in self.state.facts:
            self.pulse.doing("timing the reference")
            if not self.batches.exists(0):
                self.batches.choose(0, timed_frames(self.setup.structures))
            seconds = seconds_of_call(self.setup, self.batches.frames(0), self.batches.folder)
            if seconds is None:  # a kill came between labels and note
                with tempfile.TemporaryDirectory() as folder:
                    extra = [atoms.copy() for atoms in self.setup.structures[:1] * 2]
                    for k, atoms in enumerate(extra):
                        atoms.rattle(0.02, seed=100 + k)
                    seconds = seconds_of_call(self.setup, extra, Path(folder))
            self.state.put(seconds_of_call=seconds)
            for text in make_plan(self.setup, seconds or 0.0).sentences(self.setup):
                self.state.say(text)
        return make_plan(self.setup, self.state.facts["seconds_of_call"])

    def _yardstick(self, plan: Plan) -> list[Atoms]:
        """The labelled frames of the yardstick; none where it is not affordable."""
        if not plan.yardstick or "no_yardstick" in self.state.facts:
            return []
        place = self.folder / "yardstick"
        done = place / "all.extxyz"
        if done.exists():
            return list(ase.io.read(done, ":"))
        self.pulse.doing("yardstick: the reference's minimum and Hessian")
        start, frames, how = self.setup.structures[0], [], ""
        for room, fmax in ((place, yardstick.FMAX), (place / "downhill", yardstick.TIGHT)):
            minimum, how = yardstick.minimum(start, self.setup.reference, room, fmax)
            if not (room / "minimum.extxyz").exists():
                self.state.put(no_yardstick=how)
                self.state.say(f"no yardstick: the reference did not relax the structure ({how})")
                return []
            frames = yardstick.displacements(
                minimum, self.setup.reference, self.setup.labels, room, self.setup.processes
            )
            lower = yardstick.off_saddle(frames)
            if lower is None:
                break
            self.state.say("yardstick: the forces vanish at a saddle point; going on downhill from it")
            start = lower
        if self.setup.second:
            level = str(self.request.polarizability)
            frames = yardstick.with_second(frames, level, self.setup.second, place, self.setup.processes)
        write_frames(done, frames)
        self.state.say(f"yardstick: {len(frames)} frames about the reference's minimum ({how}); they never train")
        return frames

    def _first_batch(self, plan: Plan) -> list[Atoms]:
        """Chooses and labels the first batch from a pool, which is returned."""
        path = self.folder / "pool.extxyz"
        if not self.batches.exists(1):
            driver = choose_driver(self.setup.structures[0], self.setup.reference, plan.seconds, self.setup.scratch)
            self.state.say(f"pool: moved by {driver.name} ({driver.why})")
            self.pulse.doing(f"pool: geometries moved by {driver.name}")
            request = self.request
            pool, quotas = proposals(self.setup.structures, driver, plan.first, request.temperature, request.seed)
            write_frames(path, pool)
            chosen = select(pool, min(plan.first, len(pool)), quotas=quotas or None, seed=request.seed)
            count = self.batches.choose(1, chosen, taken=self._yardstick(plan))
            sources = ", ".join(f"{n} {name.strip('*_')}" for name, n in quotas.items())
            self.state.say(f"first batch: {count} of {len(pool)} geometries" + (f" ({sources})" if sources else ""))
        self.pulse.doing("first batch: labels")
        for outcome in self.batches.label(1):
            if outcome.failed:
                self.state.say(
                    f"first batch: {len(outcome.failed)} frames failed and are left out ({outcome.path}.json)"
                )
        return list(ase.io.read(path, ":"))

    # ---- rounds

    def _rounds(self, rounds: Rounds) -> tuple[int, list[Criterion], str]:
        """Rounds until all holds or the budget ends: the number of the last one, its criteria, and why it was it."""
        number = 1 + sum(bool(r.get("done")) for r in self.state.rounds)
        if number > 1:
            criteria = rounds.judged(number - 1)
            why = self._enough(rounds, number - 1, criteria)
            if why:
                return number - 1, criteria, why
        while True:
            criteria = rounds.run(number)
            for c in criteria:
                mark = {True: "holds", False: "fails", None: "not judged"}[c.holds]
                self.state.say(f"round {number}: {c.name} {mark}: {c.text}")
            why = self._enough(rounds, number, criteria)
            if why:
                return number, criteria, why
            number += 1

    def _enough(self, rounds: Rounds, number: int, criteria: list[Criterion]) -> str:
        """Why this round is the last one; empty if it is not."""
        if believed(criteria):
            return "all criteria hold"
        left = 3600 * self.request.hours * (1 - _FINISH) - self.state.seconds
        needed = self.state.rounds[number - 1]["seconds"]
        if needed > left:
            return f"the budget of {self.request.hours:g} h leaves no time for another round ({duration(needed)})"
        asked = sum(len(self.batches.frames(k)) for k in range(number + 2))
        if self.request.frames and asked + AUDITS > self.request.frames:
            return f"the budget of {self.request.frames} labels is used up ({asked} were asked for)"
        return ""

    # ---- the end

    def _finish(self, rounds: Rounds, number: int, criteria: list[Criterion], why: str) -> Built:
        self.state.say(f"stopped after round {number}: {why}")
        done = self.state.facts.get("finished")
        folders = [self.folder / name for name in done["models"]] if done and done["round"] == number else []
        began, self.pulse.round_seconds = time.monotonic(), None
        if not folders:
            self.pulse.doing("cards")
            folders = finish.place_models(rounds, number)
            finish.write_cards(rounds, number, folders)
            self.state.put(finished={"round": number, "models": [f.name for f in folders]})
        self.pulse.doing("spectra")
        spectra = finish.run_spectra(rounds, number, folders)
        if spectra:
            self.state.say(spectra)
        last = self.state.rounds[number - 1]
        built = Built(
            self.folder,
            tuple(folders),
            believed(criteria),
            tuple(criteria),
            last["frames"],
            self.state.seconds,
            self.folder / "report.html",
        )
        self._report(built, why, spectra)
        self.state.put(finish_seconds=round(time.monotonic() - began, 1))
        self.state.say(f"{'BELIEVE' if built.believed else 'NOT YET'} after {duration(self.state.seconds)}")
        return built

    def _report(self, built: Built, why: str, spectra: str | None) -> None:
        goals = {"forces": self.request.forces, "frequencies": self.request.target}
        curve = learning_curve(self.state.rounds, goals, self.folder / CURVE)
        if curve is None:
            self.state.say("no pictures: pip install 'painn-ase[plot]'")
        pictures = [p for p in (curve, self.folder / finish.PICTURE) if p is not None and p.exists()]
        pictures += sorted((self.folder / finish.SPECTRUM).glob("*.png"))
        marks = {True: "holds", False: "FAILS", None: "not judged"}
        verdict = "BELIEVE" if built.believed else "NOT YET"
        write_page(
            self.folder,
            verdict=f"{verdict}: {self.setup.structures[0].symbols.formula} by {self.request.reference}",
            reasons=[*(f"{c.name} {marks[c.holds]}: {c.text}" for c in built.criteria), why],
            rounds=self.state.rounds,
            facts=[*self.setup.notes, *([spectra] if spectra else [])],
            use=built.use,
            pictures=pictures,
        )
