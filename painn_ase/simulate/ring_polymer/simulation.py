"""One ring-polymer run in time: its state, its files, and how it goes on after it was killed."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from tqdm import tqdm

from painn_ase.errors import InputError
from painn_ase.simulate.replicas import batch
from painn_ase.simulate.replicas.lookout import FAILURE, FLAGGED, Lookout
from painn_ase.simulate.replicas.modes import Ring
from painn_ase.simulate.replicas.motion import RingPolymers
from painn_ase.simulate.replicas.thermostat import THERMOSTATS, Thermostat
from painn_ase.simulate.ring_polymer.beads import BeadFiles, Beads
from painn_ase.simulate.ring_polymer.observables import Moment
from painn_ase.simulate.run.guards import SPREAD, Guards
from painn_ase.simulate.run.observables import Observable
from painn_ase.simulate.run.recorder import Output, Recorder, file
from painn_ase.simulate.run.restart import (
    Restart,
    cut_frames,
    cut_observables,
    generator_state,
    restore_generator,
)


@dataclass(frozen=True)
class Schedule:
    """What is written where and when. The run begins at step `first` <= 0 with its equilibration."""

    path: Path
    plan: list[tuple[Observable, int]]
    output: Output
    beads: Beads | None
    checkpoint: float  # s
    first: int

    @property
    def restart(self) -> Path:
        return file(self.path, ".restart.npz")

    def side(self, name: str) -> Path:
        """A file of frames that guards keep."""
        return file(self.path, f".{name}")

    def files(self, beads: int) -> list[Path]:
        """All files of the run."""
        own = [file(self.path, ".h5"), file(self.path, ".traj"), self.restart, self.side(FAILURE), self.side(FLAGGED)]
        return own + ([] if self.beads is None else self.beads.files(self.path, beads))

    def due(self, step: int) -> set[str]:
        """The calculator's properties that are needed at a step."""
        names = {o.needs for o, interval in self.plan if o.needs and step >= 0 and step % interval == 0}
        return {"forces", *names}


class Simulation:
    """The state of a run and the loop that advances it."""

    def __init__(
        self,
        atoms: Atoms,
        ring: Ring,
        bath: Thermostat,
        schedule: Schedule,
        guards: Guards,
        identity: dict[str, Any],
        seed: int,
    ) -> None:
        self.atoms, self.ring, self.bath, self.schedule = atoms, ring, bath, schedule
        self.identity = identity
        self.lookout = Lookout(guards, guards.limit(ring.temperature, ring.freedom), atoms, schedule.side)
        self._spread = {SPREAD} if guards.max_disagreement is not None else set()
        generator = np.random.default_rng(seed)
        start = THERMOSTATS["pile-l"] if schedule.first < 0 else bath
        self.polymers = RingPolymers(ring, batch.evaluator(atoms), atoms.positions, start, [generator])
        self.step = schedule.first
        self.found: dict[str, np.ndarray] = {}
        self.temperature = np.zeros(1)  # K, of all modes
        self._again = False  # whether the files hold rows of this run already ...
        self._sizes: list[int] | None = None  # ... and the sizes of the files of beads then

    # ---- beginning

    def begin(self) -> None:
        """The first evaluation, and a state that a killed run can return to before anything is recorded."""
        self.found = self._evaluated(self.polymers.start, self.step)
        self._save(None, None)

    def resume(self, steps: int, about: dict[str, Any]) -> None:
        """Takes up the saved state, and cuts the files back to it."""
        restart = Restart.load(self.schedule.restart)
        restart.check(self.identity, self.schedule.restart)
        if restart.step > steps:
            raise InputError(
                f"resume: the run has {restart.step} steps already; expected at least as many, got {steps}"
            )
        memory = {name[7:]: array for name, array in restart.arrays.items() if name.startswith("memory_")}
        self.polymers.evaluate = batch.evaluator(self.atoms, memory)
        self.polymers.restore(restart.arrays)
        restore_generator(self.polymers.generators[0], restart.generators["bath"])
        self.step = restart.step
        self.lookout.restore(restart.values)
        if self.schedule.side(FLAGGED).exists():
            cut_frames(self.schedule.side(FLAGGED), self.step)
        if restart.values["recorded"]:
            self._again = True
            self.polymers.use(self.bath)
            self._sizes = restart.values["sizes"]
            cut_observables(file(self.schedule.path, ".h5"), self.step, about)
            cut_frames(file(self.schedule.path, ".traj"), self.step)
        elif self.step == 0:  # saved before the first row was: its numbers are wanted again
            self.found = self._evaluated(self.polymers.start, 0)

    # ---- time

    def advance(self, steps: int, about: dict[str, Any], progress: bool | None) -> None:
        """Steps until `steps`, with files and now and then a saved state."""
        hidden = None if progress is None else not progress  # None: shown on a terminal only
        total, done = steps - self.schedule.first, self.step - self.schedule.first
        saved = monotonic()
        with (
            ExitStack() as files,
            tqdm(total=total, initial=done, unit="step", desc="RPMD", disable=hidden, file=sys.stderr) as bar,
        ):
            recorder, beads = self._open(files, about) if self._again else (None, None)
            while True:
                if self.step == 0 and recorder is None:
                    self._release()
                    recorder, beads = self._open(files, about)
                    self._record(recorder, beads)
                if self.step == steps:
                    break
                self.found = self._evaluated(self.polymers.step, self.step + 1)
                self.step += 1
                if self.step > 0:
                    self._record(recorder, beads)
                if monotonic() - saved > self.schedule.checkpoint:
                    self._save(recorder, beads)
                    saved = monotonic()
                bar.set_postfix_str(f"{self.temperature[0]:.0f} K", refresh=False)
                bar.update(1)
            self._save(recorder, beads)

    def _evaluated(self, move: Callable[[set[str]], dict[str, np.ndarray]], step: int) -> dict[str, np.ndarray]:
        """What the evaluation at a step found, once the guards have looked at it."""
        with self.lookout.evaluating(step, self.polymers):
            found = move(self.schedule.due(step) | self._spread)
        self.temperature = self.polymers.temperature
        self.lookout.inspect(step, self.polymers, found, self.temperature)
        return found

    def _release(self) -> None:
        """Step 0: the thermostat of the run takes over, and its heat is counted from here."""
        self.polymers.use(self.bath)
        self.polymers.heat[:] = 0.0

    # ---- files

    def _open(self, files: ExitStack, about: dict[str, Any]) -> tuple[Recorder, BeadFiles | None]:
        s = self.schedule
        first = Moment(self.step, self.atoms, self.polymers, self.found)
        recorder = files.enter_context(Recorder(s.path, s.plan, first, about, s.output, resume=self._again))
        if s.beads is None:
            return recorder, None
        return recorder, files.enter_context(BeadFiles(s.beads, s.path, self.atoms, self.ring.beads, self._sizes))

    def _record(self, recorder: Recorder | None, beads: BeadFiles | None) -> None:
        assert recorder is not None
        moment = Moment(self.step, self.atoms, self.polymers, self.found)
        recorder.record(moment)
        if self.step % self.schedule.output.trajectory_every == 0:
            recorder.frame(self._centroid(moment))
        if beads is not None:
            beads.write(self.step, moment.time, self.polymers.positions[0])

    def _centroid(self, moment: Moment) -> Atoms:
        image = self.atoms.copy()
        image.positions = self.polymers.centroids[0]
        image.set_momenta(self.polymers.centroid_velocities[0] * image.get_masses()[:, None], apply_constraint=False)
        image.info |= {"step": self.step, "time_fs": moment.time}
        image.calc = SinglePointCalculator(image, energy=moment.potential, forces=moment.mean("forces"))
        return image

    def _save(self, recorder: Recorder | None, beads: BeadFiles | None) -> None:
        """The rows so far to the disk, then, in one step, the state that vouches for them."""
        if recorder is not None:
            recorder.sync()
        p = self.polymers
        memory = {f"memory_{name}": array for name, array in p.evaluate.memory.items()}
        values = {"recorded": recorder is not None, "sizes": None if beads is None else beads.sync()}
        values |= self.lookout.state
        generators = {"bath": generator_state(p.generators[0])}
        Restart(self.step, self.identity, p.state() | memory, values, generators).save(self.schedule.restart)
