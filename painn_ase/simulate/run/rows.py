"""The HDF5 file of a run: observables in rows. It stays readable after a kill.

Layout: attribute `metadata` (JSON); one extensible dataset per observable in `observables/`, with attributes `unit` and
`interval` (steps between rows; row k belongs to step k * interval); `sync`, a row per sync: its step and the seconds
since the run began. Observables up to the last such step are complete; later rows may be torn by a kill and readers
leave them out. The file is
written in HDF5's single-writer-multiple-reader mode, which orders its writes so that a reader always finds a whole
file: while a run lasts, or after it was killed, open it with `h5py.File(name, "r", swmr=True)`. It gets its name only
once it can be read.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import Any

import h5py
import numpy as np

from painn_ase.errors import InputError, PainnError, StorageError
from painn_ase.files import fsync, storage_error, storage_errors
from painn_ase.simulate.run.frames import redirect_to_void, unfinished_name
from painn_ase.simulate.run.motion import Snapshot
from painn_ase.simulate.run.observables import Observable, Plan
from painn_ase.simulate.run.restart import Restart

FORMAT = "painn_ase observables 2"
VERSION = ("v110", "v110")  # of HDF5's format: the first with single writer and multiple readers
_BUFFER = 4 * 1024**2  # bytes held in memory at most
_OBJECT = 128  # bytes that a row takes beside its numbers
_CACHE = 2**17  # bytes of each dataset that HDF5 keeps, two chunks: its own 8 MB are all of a million numbers
_MARGIN = 1 << 16  # bytes that a rewritten file may need more


class Rows:
    """The observables of a run: rows in memory, and on the disk.

    path: of the file
    plan: observables and their intervals in steps
    about: what the file says of its run, JSON-able
    """

    def __init__(self, path: Path, plan: Plan, about: Mapping[str, Any]) -> None:
        self.paths, self.failed = [path], False
        self._path, self._plan, self._about = path, plan, about
        self._rows: dict[str, list[Any]] = {observable.name: [] for observable, _ in plan}
        self._due = [(observable, interval, self._rows[observable.name]) for observable, interval in plan]
        self._bytes, self._last, self._begin = 0, -1, 0.0

    def cut(self, restart: Restart, is_last: bool) -> None:
        """Copies the file up to the rows of a restart, for `open` to take the copy up.

        A killed writer leaves a file that HDF5 lets nobody append to, and one killed while it opens a file leaves one
        that nobody can read. So the file keeps its name and its rows until it can be replaced by one that is readable
        at every moment.
        """
        with storage_errors(self._path):
            _make_sure_of_room(self._path.parent, self._path.stat().st_size + _MARGIN)
            with (
                h5py.File(self._path, "r", libver=VERSION, swmr=True) as old,
                h5py.File(unfinished_name(self._path), "w", libver=VERSION) as new,
            ):
                new.attrs.update(old.attrs)
                new.attrs["metadata"] = json.dumps(self._about)
                new.create_group("observables", track_order=True)
                syncs = complete_syncs(old)
                syncs = syncs[syncs[:, 0] <= restart.step]
                old.copy("sync", new)
                new["sync"].resize(len(syncs), axis=0)
                new["sync"][:] = syncs
                for name, source in old["observables"].items():
                    count = restart.step // int(source.attrs["interval"]) + 1
                    if len(source) < count:
                        have = f"{self._path}: {name} holds {len(source)}"
                        raise InputError(f"{have} of the {count} rows the restart vouches for")
                    old.copy(source, new["observables"])
                    new["observables"][name].resize(count, axis=0)

    def open(self, first: Snapshot | None) -> None:
        """Begins the file with rows shaped as those of a `first` snapshot; without one, goes on after `cut`."""
        name = unfinished_name(self._path)
        self._begin = monotonic()
        with storage_errors(self._path):
            mode = "w" if first is not None else "r+"
            self._file = h5py.File(name, mode, libver=VERSION, rdcc_nbytes=_CACHE)
        with self._writing():
            if first is not None:
                self._create(first)
            else:
                self._last, seconds = last_sync(self._file)
                self._begin -= seconds
            self._data = {observable.name: self._file["observables"][observable.name] for observable, _ in self._plan}
            self._file.swmr_mode = True  # from here on no new datasets or attributes
            self._file.flush()
            fsync(name)
        os.replace(name, self._path)

    def _create(self, first: Snapshot) -> None:
        self._file.attrs.update({"format": FORMAT, "metadata": json.dumps(self._about)})
        self._file.create_group("observables", track_order=True)
        for observable, interval in self._plan:
            self._dataset(observable, interval, np.shape(observable.read(first)))
        shapes = {"shape": (0, 2), "maxshape": (None, 2), "chunks": (256, 2)}
        sync = self._file.create_dataset("sync", dtype="f8", fillvalue=-1, **shapes)
        sync.attrs["meaning"] = "step up to which observables are complete, seconds since the run began"

    def _dataset(self, observable: Observable, interval: int, shape: tuple[int, ...]) -> None:
        rows = int(np.clip(2**16 // (8 * max(int(np.prod(shape)), 1)), 16, 1024))
        data = self._file.create_dataset(
            f"observables/{observable.name}",
            shape=(0, *shape),
            maxshape=(None, *shape),
            chunks=(rows, *shape),
            dtype=observable.dtype,
        )
        data.attrs.update({"unit": observable.unit, "interval": interval})

    def take(self, snapshot: Snapshot) -> None:
        """The observables due at this step."""
        for observable, interval, rows in self._due:
            if snapshot.step % interval == 0:
                value = observable.read(snapshot)
                rows.append(value if isinstance(value, (float, int)) else np.array(value, observable.dtype))
                self._bytes += _OBJECT + getattr(value, "nbytes", 0)
        self._last = snapshot.step
        if self._bytes > _BUFFER:
            self._write(to_disk=False)

    def sync(self) -> None:
        """Puts the buffered rows on the disk, then the record that declares them complete."""
        self._write(to_disk=True)

    def _write(self, to_disk: bool) -> None:
        with self._writing():
            for name, rows in self._rows.items():
                if rows:
                    _append(self._data[name], np.array(rows, self._data[name].dtype))
                    rows.clear()
            self._bytes = 0
            self._file.flush()
            if to_disk:  # the rows must be on the disk before the record that vouches for them
                fsync(self._path)
            _append(self._file["sync"], np.array([[self._last, monotonic() - self._begin]]))
            self._file.flush()
            if to_disk:
                fsync(self._path)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Raises `StorageError` where writing fails, and lets nothing reach the file from then on."""
        if self.failed:
            raise StorageError(f"{self._path} is closed: writing failed before")
        try:
            yield
        except (OSError, RuntimeError) as error:  # HDF5's are of either kind
            if isinstance(error, PainnError):
                raise
            self.abandon()
            raise storage_error(self._path, error) from error

    def abandon(self) -> None:
        """Lets nothing reach the file from now on."""
        self.failed = True
        redirect_to_void(self._file.id.get_vfd_handle())

    def close(self) -> None:
        """No more rows."""
        self._file.close()


def complete_syncs(data: h5py.File) -> np.ndarray:
    """Step and seconds of the syncs in a file, (syncs, 2); a torn one still holds the fill value, -1."""
    rows = data["sync"][:]
    return np.asarray(rows[(rows >= 0).all(axis=1)])


def last_sync(data: h5py.File) -> tuple[int, float]:
    """Step and seconds of the last sync; (-1, 0) if there is none."""
    rows = complete_syncs(data)
    return (int(rows[-1, 0]), float(rows[-1, 1])) if len(rows) else (-1, 0.0)


def _append(data: h5py.Dataset, rows: np.ndarray) -> None:
    n = len(data)
    data.resize(n + len(rows), axis=0)
    data[n:] = rows


def _make_sure_of_room(folder: Path, size: int) -> None:
    """Raises `OSError` where the disk has no room for another `size` bytes; HDF5 would not survive finding out."""
    with tempfile.TemporaryFile(dir=folder) as trial:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(trial.fileno(), 0, size)
