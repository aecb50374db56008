"""The recording loop: one step, one look at it by the guards, then what is due goes to the files."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from ase import Atoms
from tqdm.auto import tqdm

from painn_ase.files import make_way, only_writer
from painn_ase.plain import plain
from painn_ase.simulate.run.cut import cut_frames, cut_observables
from painn_ase.simulate.run.observables import Plan, needs
from painn_ase.simulate.run.recorder import Extra, Output, Recorder, file
from painn_ase.simulate.run.restart import Checkpoint, Restart
from painn_ase.simulate.run.snapshot import Snapshot
from painn_ase.simulate.run.watch import Watch


@dataclass(frozen=True)
class State:
    """What brings a motion back: arrays, values that JSON knows, and the states of random-number generators."""

    arrays: Mapping[str, np.ndarray]
    values: Mapping[str, Any] = field(default_factory=dict)
    generators: Mapping[str, Any] = field(default_factory=dict)


class Motion(Protocol):
    """What moves step by step: ASE's integrators, ASE's optimisers, or replicas."""

    label: str  # on the progress bar
    converged: bool  # no step is wanted any more

    def advance(self, step: int, due: Collection[str]) -> Snapshot:
        """The state at `step`, one after the last; the first time, where the motion begins.

        It is evaluated there for the forces and the calculator's properties `due`, all at once.
        """
        ...

    def which(self) -> list[dict[str, int]]:
        """What tells the copies apart (see `Copies`)."""
        ...

    def frames(self) -> Callable[[int], Atoms]:
        """The present frames of the copies (see `Copies`)."""
        ...

    def state(self) -> State:
        """What `restore` continues from, to the last bit."""
        ...

    def restore(self, restart: Restart, due: Collection[str]) -> None:
        """Takes up a saved state, in which the properties `due` had been evaluated."""
        ...

    def note(self) -> str:
        """A figure for the progress bar."""
        ...


@dataclass(frozen=True)
class RunFiles:
    """The files of a run, and what goes into them.

    path: of the run
    plan: observables and their intervals in steps; without any there is no HDF5 file
    about: what the HDF5 file says of its run; converted to what JSON has at once
    output: how often frames are written and files synced
    extra: further files
    """

    path: Path
    plan: Plan
    about: Mapping[str, Any]
    output: Output
    extra: Extra | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "about", plain(self.about))

    @property
    def paths(self) -> list[Path]:
        """All that may be written."""
        rows = [".h5"] if self.plan else []
        frames = [".traj"] if self.output.trajectory_every is not None else []
        names = [file(self.path, end) for end in (*rows, *frames, ".restart.npz", ".failure.traj", ".flagged.traj")]
        return names + ([] if self.extra is None else self.extra.paths)

    def cut(self, restart: Restart, steps: int) -> None:
        """Takes off what a restart does not vouch for, and the last frame of a run that now goes on to `steps`."""
        flagged, every = file(self.path, ".flagged.traj"), self.output.trajectory_every
        if flagged.exists():
            cut_frames(flagged, restart.step)
        if not restart.values["recorded"]:
            return
        if self.plan:
            cut_observables(file(self.path, ".h5"), restart.step, self.about)
        if every is not None:
            cut_frames(file(self.path, ".traj"), restart.step, every if restart.step < steps else 1)

    def open(self, first: Snapshot | None, sizes: list[int] | None = None) -> Recorder:
        """New files, or without a `first` snapshot the old ones, open for rows and frames."""
        return Recorder(self.path, self.plan, first, self.about, self.output, first is None, self.extra, sizes)


class RecordedRun:
    """A motion, the watch over it, and its files.

    motion: what moves
    watch: what looks at every step
    files: what is written; None for a run without files
    saved: the restart file; None for a run without files
    first: the step that the motion begins at; rows and frames are written from step 0 on
    """

    def __init__(
        self, motion: Motion, watch: Watch, files: RunFiles | None, saved: Checkpoint | None, first: int = 0
    ) -> None:
        self.motion, self.watch, self._files, self._saved = motion, watch, files, saved
        self._asked = [] if files is None else [(o, interval) for o, interval in files.plan if o.needs]
        self._first = first
        self._step = first - 1  # the last step there is
        self._sizes: list[int] | None = None  # of further files, when the run was saved
        self._recorder: Recorder | None = None

    def run(self, steps: int, before: Restart | None, overwrite: bool, progress: bool | None) -> None:
        """The whole run to step `steps`, from a saved state on if there is one.

        A progress bar shows on a terminal (None), or as `progress` says.
        """
        with nullcontext() if self._files is None else only_writer(self._files.path):
            self._begin(steps, before, overwrite)
            self._advance_to(steps, progress)

    def _begin(self, steps: int, before: Restart | None, overwrite: bool) -> None:
        """Makes way for the files, or takes up a saved state and cuts the files back to it."""
        if self._files is None or self._saved is None:
            return
        if before is None:
            make_way(self._files.paths, overwrite)
            self._saved.begin()
            return
        self._step = before.step
        self.motion.restore(before, self._due(before.step))
        self._files.cut(before, steps)
        self.watch.restore(before.values)
        self.watch.remember(before.step)
        self._sizes = before.values["sizes"]

    def _advance_to(self, steps: int, progress: bool | None) -> None:
        """To step `steps`, or until the motion has converged, with files and now and then a saved state."""
        hidden = None if progress is None else not progress
        total, done = steps - self._first, max(self._step - self._first, 0)
        bar = tqdm(total=total, initial=done, unit="step", desc=self.motion.label, disable=hidden, file=sys.stderr)
        with bar, ExitStack() as stack:
            if self._step >= 0:
                self._open(stack, None)
            snapshot = None
            while self._step < steps and not self.motion.converged:
                snapshot = self._advance()
                if self._recorder is None and self._step >= 0:
                    self._open(stack, snapshot)
                if self._recorder is not None:
                    self._recorder.record(snapshot)
                if self._saved is not None and self._saved.due:
                    self._save()
                bar.set_postfix_str(self.motion.note(), refresh=False)
                bar.update(int(self._step > self._first))
            if self._recorder is not None and snapshot is not None:
                self._recorder.frame(snapshot)
            self._save()

    def _advance(self) -> Snapshot:
        self._step += 1
        with self.watch.over(self._step):
            snapshot = self.motion.advance(self._step, self._due(self._step))
            self.watch.inspect(snapshot)
        return snapshot

    def _due(self, step: int) -> set[str]:
        return needs(self._asked, step) | self.watch.needs

    def _open(self, stack: ExitStack, first: Snapshot | None) -> None:
        if self._files is not None:
            self._recorder = stack.enter_context(self._files.open(first, self._sizes))

    def _save(self) -> None:
        """The rows so far to the disk, then, in one step, the state that vouches for them."""
        if self._saved is None:
            return
        sizes = None if self._recorder is None else self._recorder.sync()
        state, recorded = self.motion.state(), self._recorder is not None
        values = {**state.values, **self.watch.state(), "recorded": recorded, "sizes": sizes}
        self._saved.save(self._step, state.arrays, values, state.generators)
