"""The recording loop: one step, one look at it by the guards, then what is due goes to the files."""

from __future__ import annotations

import sys

from tqdm.auto import tqdm

from painn_ase.files import only_writer
from painn_ase.simulate.run.motion import Motion, Snapshot
from painn_ase.simulate.run.observables import needs
from painn_ase.simulate.run.recorder import Recorder
from painn_ase.simulate.run.restart import Restart, State
from painn_ase.simulate.run.watch import Watch


class RecordedRun:
    """A motion, the watch over it, and its files.

    motion: what moves
    watch: what looks at every step
    files: what is written; None for a run without files
    first: the step that the motion begins at; rows and frames are written from step 0 on
    """

    def __init__(self, motion: Motion, watch: Watch, files: Recorder | None, first: int = 0) -> None:
        self._motion, self._watch, self._files, self._first = motion, watch, files, first
        self._asked = [] if files is None else [(o, interval) for o, interval in files.plan if o.needs]
        self._step = first - 1  # the last step there is

    def run(self, steps: int, before: Restart | None, overwrite: bool, progress: bool | None) -> None:
        """The whole run to step `steps`, from a saved state on if there is one.

        A progress bar shows on a terminal (None), or as `progress` says.
        """
        if self._files is None:
            self._advance_to(steps, None, progress)
            return
        with only_writer(self._files.path), self._files:
            if before is None:
                self._files.begin(overwrite)
            else:
                self._step = before.step
                self._motion.restore(before, self._due(before.step))
                self._files.resume(before, steps)
                self._watch.restore(before)
            self._advance_to(steps, self._files, progress)

    def _advance_to(self, steps: int, files: Recorder | None, progress: bool | None) -> None:
        """To step `steps`, or until the motion has converged, with files and now and then a saved state."""
        hidden = None if progress is None else not progress
        total, done = steps - self._first, max(self._step - self._first, 0)
        bar = tqdm(total=total, initial=done, unit="step", desc=self._motion.label, disable=hidden, file=sys.stderr)
        snapshot = None
        with bar:
            while self._step < steps and not self._motion.converged:
                snapshot = self._advance()
                if files is not None:
                    if self._step >= 0:
                        files.record(snapshot)
                    if files.saved.due:
                        self._save(files)
                if not bar.disable:
                    bar.set_postfix_str(self._motion.note(), refresh=False)
                bar.update(int(self._step > self._first))
        if files is not None:
            if snapshot is not None:
                files.finish(snapshot)
            self._save(files)

    def _advance(self) -> Snapshot:
        self._step += 1
        with self._watch.over(self._step):
            snapshot = self._motion.advance(self._step, self._due(self._step))
            self._watch.inspect(snapshot)
        return snapshot

    def _due(self, step: int) -> set[str]:
        return needs(self._asked, step) | self._watch.needs

    def _save(self, files: Recorder) -> None:
        state = self._motion.state()
        files.save(self._step, State(state.arrays, {**state.values, **self._watch.state()}))
