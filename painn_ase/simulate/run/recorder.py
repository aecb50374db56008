"""The files of a run: observables in HDF5, frames in an ASE trajectory. Both stay readable after a kill.

Layout of the HDF5 file: attribute `metadata` (JSON); one extensible dataset per observable in `observables/`, with
attributes `unit` and `interval` (steps between rows; row k belongs to step k * interval); `sync/step` and
`sync/seconds`, one row per sync. Rows up to the last `sync/step` are complete; later ones may be torn by a kill and
readers leave them out. The file is written in HDF5's single-writer-multiple-reader mode, which orders its writes so
that a reader always finds a whole file: while a run lasts, or after it was killed, open it with
`h5py.File(name, "r", swmr=True)`. ASE writes a frame before the number that says there is one more. Both files get
their names only once they can be read.

When the disk is full, nothing more is written: the files stay as they were at the last sync.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any, Protocol

import h5py
import numpy as np

from painn_ase.errors import PainnError, StorageError
from painn_ase.files import storage_error, storage_errors
from painn_ase.simulate.run.frames import Frames, fsync, redirect_to_void, unfinished_name
from painn_ase.simulate.run.observables import Observable, Plan

FORMAT = "painn_ase observables 1"
_BUFFER = 4 * 1024**2  # bytes held in memory at most
_OBJECT = 128  # bytes that a row takes beside its numbers
_CACHE = 2**17  # bytes of each dataset that HDF5 keeps, two chunks: its own 8 MB are all of a million numbers


def file(path: str | os.PathLike, suffix: str) -> Path:
    """`path` with the suffix appended; a dot in the name, as in 'ethanol_0.5fs', is part of the name."""
    return Path(f"{os.fspath(path)}{suffix}")


@dataclass(frozen=True)
class Output:
    """How often files are written: a frame every `trajectory_every` steps (None: never), rows every `sync` seconds."""

    trajectory_every: int | None = 100
    sync: float = 5.0


class Extra(Protocol):
    """Further files of a run that only grow."""

    @property
    def paths(self) -> list[Path]: ...

    def open(self, sizes: list[int] | None) -> None:
        """Begins the files, or cuts them to `sizes` in bytes and goes on."""
        ...

    def write(self, snapshot: Any) -> None:
        """Takes what is due at a step."""
        ...

    def sync(self) -> list[int]:
        """Puts everything on the disk; the sizes of the files then."""
        ...

    def close(self) -> None: ...


class Recorder:
    """Writes the files of one run: observables, frames and what else there is. Use it as a context manager.

    path: of the run
    plan: observables and their intervals in steps; without any there is no HDF5 file
    first: the first snapshot, which shows the shapes of rows
    metadata: what the HDF5 file says of its run, JSON-able
    output: how often frames are written and files synced
    resume: whether to append to files that `simulate.run.cut` has cut back, in place of beginning new ones
    extra: further files
    sizes: of the further files, to which they are cut back
    """

    def __init__(
        self,
        path: Path,
        plan: Plan,
        first: Any,
        metadata: Mapping[str, Any],
        output: Output,
        resume: bool = False,
        extra: Extra | None = None,
        sizes: list[int] | None = None,
    ) -> None:
        self._output, self._extra = output, extra
        self._synced = monotonic()
        self._fresh = True  # something is not on the disk yet
        self._framed = -1  # step of the last frame
        self._rows = _Rows(file(path, ".h5"), plan, first, metadata, resume) if plan else None
        self._frames = None if output.trajectory_every is None else Frames(file(path, ".traj"), resume)
        if extra is not None:
            extra.open(sizes)

    def record(self, snapshot: Any) -> None:
        """Takes what is due at this step, and syncs when the wall-clock interval is over."""
        self._fresh = True
        if self._rows is not None:
            self._rows.take(snapshot)
        every = self._output.trajectory_every
        if every is not None and snapshot.step % every == 0:
            self.frame(snapshot)
        if self._extra is not None:
            self._extra.write(snapshot)
        late = monotonic() - self._synced > self._output.sync
        if late or (self._rows is not None and self._rows.bytes > _BUFFER):
            self.sync(to_disk=late)

    def frame(self, snapshot: Any) -> None:
        """Appends a frame, with the results its calculator holds, unless the last one is of this step."""
        if self._frames is not None and snapshot.step != self._framed:
            self._fresh, self._framed = True, snapshot.step
            self._frames.write(snapshot.image())

    def sync(self, to_disk: bool = True) -> list[int] | None:
        """Writes what is buffered, then the record that declares it complete; sizes of further files."""
        if self._rows is not None:
            with self._together():
                self._rows.write(to_disk)
        if not to_disk:
            return None
        if self._frames is not None:
            self._frames.sync()
        sizes = None if self._extra is None else self._extra.sync()
        self._synced, self._fresh = monotonic(), False
        return sizes

    @contextmanager
    def _together(self) -> Iterator[None]:
        """Nothing reaches the frames either from when the rows cannot be written."""
        try:
            yield
        except StorageError:
            if self._frames is not None:
                self._frames.abandon()
            raise

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, *exception: object) -> None:
        failed = any(part is not None and part.failed for part in (self._rows, self._frames))
        try:
            if self._fresh and not failed:
                self.sync()
        finally:
            for part in (self._frames, self._rows, self._extra):
                if part is not None:
                    part.close()


class _Rows:
    """The HDF5 file: rows in memory, and on the disk."""

    def __init__(self, path: Path, plan: Plan, first: Any, metadata: Mapping[str, Any], resume: bool) -> None:
        self.failed = False
        self.bytes = 0
        self._plan = plan
        self._rows: dict[str, list[np.ndarray]] = {observable.name: [] for observable, _ in plan}
        self._types = {observable.name: np.dtype(observable.dtype) for observable, _ in plan}
        self._begin = monotonic()
        self._last = -1
        self._path = path
        name = unfinished_name(self._path)
        with storage_errors(self._path):
            self._file = h5py.File(name, "r+" if resume else "w", libver=("v110", "v110"), rdcc_nbytes=_CACHE)
        with self._writing(self._path):
            if resume:
                self._reopen()
            else:
                self._create(first, metadata)
            self._sync_step, self._sync_seconds = self._file["sync/step"], self._file["sync/seconds"]
            self._file.swmr_mode = True  # from here on no new datasets or attributes
            self._file.flush()
            fsync(name)
        os.replace(name, self._path)

    def _create(self, first: Any, metadata: Mapping[str, Any]) -> None:
        self._file.attrs["format"] = FORMAT
        self._file.attrs["metadata"] = json.dumps(metadata)
        self._file.create_group("observables", track_order=True)
        self._data = {o.name: self._dataset(o, n, np.asarray(o.read(first))) for o, n in self._plan}
        rows = {"shape": (0,), "maxshape": (None,), "chunks": (256,), "fillvalue": -1}
        self._file.create_dataset("sync/step", dtype="i8", **rows).attrs["meaning"] = (
            "observables up to this step are complete"
        )
        self._file.create_dataset("sync/seconds", dtype="f8", **rows).attrs["unit"] = "s"

    def _reopen(self) -> None:
        self._data = {observable.name: self._file["observables"][observable.name] for observable, _ in self._plan}
        if len(self._file["sync/step"]):
            self._last = int(self._file["sync/step"][-1])
            self._begin -= float(self._file["sync/seconds"][-1])

    def _dataset(self, observable: Observable, interval: int, value: np.ndarray) -> h5py.Dataset:
        rows = int(np.clip(2**16 // (8 * max(value.size, 1)), 16, 1024))
        data = self._file.create_dataset(
            f"observables/{observable.name}",
            shape=(0, *value.shape),
            maxshape=(None, *value.shape),
            chunks=(rows, *value.shape),
            dtype=observable.dtype,
        )
        data.attrs["unit"] = observable.unit
        data.attrs["interval"] = interval
        return data

    def take(self, snapshot: Any) -> None:
        """The observables due at this step."""
        for observable, interval in self._plan:
            if snapshot.step % interval == 0:
                row = np.array(observable.read(snapshot), dtype=self._types[observable.name])
                self._rows[observable.name].append(row)
                self.bytes += row.nbytes + _OBJECT
        self._last = snapshot.step

    def write(self, to_disk: bool) -> None:
        """The buffered rows, then the record that declares them complete."""
        with self._writing(self._path):
            for name, rows in self._rows.items():
                if rows:
                    _append(self._data[name], np.stack(rows))
                    rows.clear()
            self.bytes = 0
            self._file.flush()
            if to_disk:  # the rows must be on the disk before the record that vouches for them
                fsync(self._path)
            _append(self._sync_seconds, np.array([monotonic() - self._begin]))
            _append(self._sync_step, np.array([self._last]))
            self._file.flush()
            if to_disk:
                fsync(self._path)

    @contextmanager
    def _writing(self, name: Path) -> Iterator[None]:
        """Raises `StorageError` where writing fails, and lets nothing reach the file from then on."""
        if self.failed:
            raise StorageError(f"{name} is closed: writing failed before")
        try:
            yield
        except (OSError, RuntimeError) as error:  # HDF5's are of either kind
            if isinstance(error, PainnError):
                raise
            self.failed = True
            redirect_to_void(self._file.id.get_vfd_handle())
            raise storage_error(name, error) from error

    def close(self) -> None:
        self._file.close()


def _append(data: h5py.Dataset, rows: np.ndarray) -> None:
    n = len(data)
    data.resize(n + len(rows), axis=0)
    data[n:] = rows
