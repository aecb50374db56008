"""The files of a run: observables, frames, and the state to go on from. They stay readable after a kill.

When the disk is full, nothing more is written: the files stay as they were at the last sync.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any, Protocol

from painn_ase.errors import StorageError, positive, whole
from painn_ase.files import make_way
from painn_ase.plain import plain
from painn_ase.simulate.run.frames import Frames, cut_frames
from painn_ase.simulate.run.motion import Snapshot
from painn_ase.simulate.run.observables import Plan
from painn_ase.simulate.run.restart import Checkpoint, Restart, State, file
from painn_ase.simulate.run.rows import Rows


@dataclass(frozen=True)
class Output:
    """How often files are written: a frame every `trajectory_every` steps (None: never), rows every `sync` seconds."""

    trajectory_every: int | None = 100
    sync: float = 5.0

    def __post_init__(self) -> None:
        if self.trajectory_every is not None:
            whole("trajectory_every of Output", self.trajectory_every, 1)
        positive("sync of Output", self.sync, "s", zero=True)


class Part(Protocol):
    """Files of a run that only grow: rows, frames, or beads."""

    paths: list[Path]
    failed: bool  # nothing can be written any more

    def cut(self, restart: Restart, is_last: bool) -> None:
        """Takes off what a restart does not vouch for; `is_last` if its step is the last one that the run will have."""

    def open(self, first: Snapshot | None) -> None:
        """Begins the files with the `first` snapshot; without one goes on with those that were cut."""

    def take(self, snapshot: Snapshot) -> None:
        """What is due at a step."""

    def sync(self) -> None:
        """Puts everything on the disk."""

    def abandon(self) -> None:
        """Lets nothing reach the files from now on."""

    def close(self) -> None:
        """Nothing more will be written."""


class Recorder:
    """Writes the files of one run. As a context manager it opens files with the first snapshot and closes them.

    path: of the run
    plan: observables and their intervals in steps; without any there is no HDF5 file
    about: what the HDF5 file says of its run; converted to what JSON has at once
    output: how often frames are written and files synced
    saved: the restart file
    beads: further files, which are cut to the sizes they had
    results: files made from the run, which a new run removes
    """

    def __init__(
        self,
        path: Path,
        plan: Plan,
        about: Mapping[str, Any],
        output: Output,
        saved: Checkpoint,
        beads: Part | None = None,
        results: Sequence[Path] = (),
    ) -> None:
        self.path, self.plan, self.saved, self._interval, self._results = path, plan, saved, output.sync, results
        every = output.trajectory_every
        rows = Rows(file(path, ".h5"), plan, plain(about)) if plan else None
        self._frames = None if every is None else Frames(file(path, ".traj"), every)
        self._parts: list[Part] = [part for part in (rows, self._frames, beads) if part is not None]
        self._growing = [] if beads is None else beads.paths
        self._flagged = file(path, ".flagged.traj")
        self._opened: list[Part] = []
        self._fresh = False  # something is not on the disk yet
        self._synced = 0.0

    @property
    def paths(self) -> list[Path]:
        """All files that may be written."""
        kept = [path for part in self._parts for path in part.paths]
        return [*kept, self.saved.path, self._flagged, file(self.path, ".failure.traj")]

    def begin(self, overwrite: bool) -> None:
        """Makes way for new files, and saves a state to return to before anything is recorded."""
        make_way([*self.paths, *self._results], overwrite, "continue the run with resume=True (--resume), ")
        self.saved.save(0, State({}, {"recorded": False}))

    def resume(self, restart: Restart, steps: int) -> None:
        """Takes off what a restart does not vouch for, and the last frame of a run that now goes on to `steps`."""
        if self._flagged.exists():
            cut_frames(self._flagged, restart.step)
        if restart.values["recorded"]:
            for part in self._parts:
                part.cut(restart, restart.step == steps)
            self._begin(None)

    def _begin(self, first: Snapshot | None) -> None:
        self._synced = monotonic()
        for part in self._parts:
            part.open(first)
            self._opened.append(part)

    def record(self, snapshot: Snapshot) -> None:
        """Takes what is due at this step, and syncs when the wall-clock interval is over."""
        if not self._opened:
            self._begin(snapshot)
        self._fresh = True
        with self._all_or_none():
            for part in self._parts:
                part.take(snapshot)
        if monotonic() - self._synced > self._interval:
            self.sync()

    def finish(self, snapshot: Snapshot) -> None:
        """The last step of the run, of which there is a frame even if none is due."""
        self._fresh = True
        if self._frames in self._opened:
            self._frames.finish(snapshot)

    def sync(self) -> None:
        """Puts everything on the disk: rows first, for where they cannot go, frames must not."""
        with self._all_or_none():
            for part in self._opened:
                part.sync()
        self._synced, self._fresh = monotonic(), False

    @contextmanager
    def _all_or_none(self) -> Iterator[None]:
        """Where one file cannot be written, none is any more."""
        try:
            yield
        except StorageError:
            for part in self._opened:
                if not part.failed:
                    part.abandon()
            raise

    def save(self, step: int, state: State) -> None:
        """What is recorded so far to the disk, then, in one step, the state that vouches for it."""
        self.sync()
        recorded = bool(self._opened)
        sizes = [path.stat().st_size for path in self._growing] if recorded else []
        self.saved.save(step, State(state.arrays, {**state.values, "recorded": recorded, "sizes": sizes}))

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, *exception: object) -> None:
        try:
            if self._fresh and not any(part.failed for part in self._opened):
                self.sync()
        finally:
            for part in self._opened:
                part.close()
