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
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any, Protocol

import h5py
import numpy as np
from ase import Atoms
from ase.io.trajectory import Trajectory

from painn_ase.errors import PainnError, StorageError
from painn_ase.files import storage_error, storing
from painn_ase.simulate.run.observables import Observable

FORMAT = "painn_ase observables 1"
_BUFFER = 4 * 1024**2  # bytes held in memory at most
_OBJECT = 128  # bytes that a row takes beside its numbers
_CACHE = 2**17  # bytes of each dataset that HDF5 keeps, two chunks: its own 8 MB are all of a million numbers


def file(path: str | os.PathLike, suffix: str) -> Path:
    """`path` with the suffix appended; a dot in the name, as in 'ethanol_0.5fs', is part of the name."""
    return Path(f"{os.fspath(path)}{suffix}")


@dataclass(frozen=True)
class Output:
    """How often files are written: a frame every `trajectory_every` steps, rows to disk every `sync` seconds."""

    trajectory_every: int = 100
    sync: float = 5.0


class Step(Protocol):
    """Anything that the observables of a plan can be read from, at a known step."""

    @property
    def step(self) -> int: ...


def needs(plan: list[tuple[Observable, int]], step: int) -> set[str]:
    """The calculator's properties that the observables of this step are read from."""
    return {observable.needs for observable, interval in plan if observable.needs and step % interval == 0}


class Recorder:
    """Writes the observables and frames of one run. Use it as a context manager.

    With `resume` it appends to the rows and frames that `simulate.run.restart` has cut back to the last complete
    ones, in place of beginning new files.
    """

    def __init__(
        self,
        path: Path,
        plan: list[tuple[Observable, int]],
        first: Step,
        metadata: dict[str, Any],
        output: Output,
        resume: bool = False,
    ) -> None:
        self.output = output
        self._plan = plan
        self._rows: dict[str, list[np.ndarray]] = {observable.name: [] for observable, _ in plan}
        self._bytes = 0
        self._begin = self._synced = monotonic()
        self._last = -1
        self._fresh = True  # something is not on the disk yet
        self._path = file(path, ".h5")
        self._failed = False
        name = unborn(self._path)
        with storing(self._path):
            self._file = h5py.File(name, "r+" if resume else "w", libver=("v110", "v110"), rdcc_nbytes=_CACHE)
        with self._writing(self._path):
            if resume:
                self._reopen()
            else:
                self._create(first, metadata)
            self._sync_step, self._sync_seconds = self._file["sync/step"], self._file["sync/seconds"]
            self._file.swmr_mode = True  # from here on no new datasets or attributes
            self._file.flush()
            _fsync(name)
        os.replace(name, self._path)
        self._frames = Frames(file(path, ".traj"), resume)

    def _create(self, first: Step, metadata: dict[str, Any]) -> None:
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
            dtype="i8" if value.dtype.kind == "i" else "f8",
        )
        data.attrs["unit"] = observable.unit
        data.attrs["interval"] = interval
        return data

    def needs(self, step: int) -> set[str]:
        """The calculator's properties that the observables of this step are read from."""
        return needs(self._plan, step)

    def record(self, moment: Step) -> None:
        """Takes the observables due at this step, and syncs when the wall-clock interval is over."""
        for observable, interval in self._plan:
            if moment.step % interval == 0:
                row = np.array(observable.read(moment))
                self._rows[observable.name].append(row)
                self._bytes += row.nbytes + _OBJECT
        self._last = moment.step
        self._fresh = True
        late = monotonic() - self._synced > self.output.sync
        if late or self._bytes > _BUFFER:
            self.sync(to_disk=late)

    def frame(self, image: Atoms) -> None:
        """Appends a frame, with the results its calculator holds."""
        self._fresh = True
        self._frames.write(image)

    def sync(self, to_disk: bool = True) -> None:
        """Writes the buffered rows, then the record that declares them complete."""
        with self._writing(self._path):
            for name, rows in self._rows.items():
                if rows:
                    _append(self._data[name], np.stack(rows))
                    rows.clear()
            self._bytes = 0
            self._file.flush()
            if to_disk:  # the rows must be on the disk before the record that vouches for them
                _fsync(self._path)
            _append(self._sync_seconds, np.array([monotonic() - self._begin]))
            _append(self._sync_step, np.array([self._last]))
            self._file.flush()
            if to_disk:
                _fsync(self._path)
                self._frames.sync()
                self._synced = monotonic()
                self._fresh = False

    @contextmanager
    def _writing(self, name: Path) -> Iterator[None]:
        """Raises `StorageError` where writing fails, and lets nothing reach the files from then on."""
        if self._failed:
            raise StorageError(f"{name} is closed: writing failed before")
        try:
            yield
        except (OSError, RuntimeError) as error:  # HDF5's are of either kind
            if isinstance(error, PainnError):
                raise
            self._failed = True
            divert(self._file.id.get_vfd_handle())
            if hasattr(self, "_frames"):
                self._frames.abandon()
            raise storage_error(name, error) from error

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, *exception: object) -> None:
        try:
            if self._fresh and not self._failed and not self._frames.failed:
                self.sync()
        finally:
            self._frames.close()
            self._file.close()


class Frames:
    """An ASE trajectory that has its name once it holds a frame, and stays whole when its disk is full."""

    def __init__(self, path: Path, resume: bool = False) -> None:
        self.failed = False
        self._path, self._name = path, path if resume else unborn(path)
        with storing(path):
            self._writer = Trajectory(self._name, "a" if resume else "w")

    def write(self, image: Atoms) -> None:
        """Appends a frame, with the results its calculator holds."""
        if self.failed:
            raise StorageError(f"{self._path} is closed: writing failed before")
        try:
            self._writer.write(image)
        except BaseException as error:  # also Ctrl-C: half a frame must not be written when the file is closed
            self._writer.backend.data.clear()
            if isinstance(error, OSError):
                self.abandon()
                raise storage_error(self._path, error) from error
            raise
        if self._name != self._path:
            os.replace(self._name, self._path)
            self._name = self._path

    def sync(self) -> None:
        """Has the frames so far reach the disk."""
        with storing(self._path):
            _fsync(self._name)

    def abandon(self) -> None:
        """Lets nothing reach the file from now on."""
        self.failed = True
        divert(self._writer.backend.fd.fileno())

    def close(self) -> None:
        """No more frames."""
        try:
            self._writer.close()
        except OSError as error:
            self.abandon()
            self._writer.close()
            raise storage_error(self._path, error) from error


def divert(descriptor: int) -> None:
    """Sends what a library still means to write to a file that is full nowhere instead, so that it can be closed.

    HDF5 does not survive a failed write: it tries again at every opportunity and crashes the process when that ends.
    """
    with os.fdopen(os.memfd_create("nowhere")) if hasattr(os, "memfd_create") else tempfile.TemporaryFile() as nowhere:
        os.dup2(nowhere.fileno(), descriptor)


def unborn(path: Path) -> Path:
    """The name of a file until it can be read."""
    return path.with_name(f".{path.name}.new")


def _append(data: h5py.Dataset, rows: np.ndarray) -> None:
    n = len(data)
    data.resize(n + len(rows), axis=0)
    data[n:] = rows


def _fsync(name: str | os.PathLike) -> None:
    descriptor = os.open(name, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
