"""Files of a run cut back to the step that a restart vouches for."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from ase.io.trajectory import Trajectory

from painn_ase.errors import InputError
from painn_ase.files import storage_errors
from painn_ase.simulate.run.frames import redirect_to_void, unfinished_name

_ROWS_AT_ONCE = 1 << 14
_MARGIN = 1 << 16  # bytes that a rewritten file may need more


def cut_observables(path: Path, step: int, metadata: Mapping[str, Any] | None = None) -> None:
    """Copies the HDF5 file of a run up to the rows of `step`, for a `Recorder` that resumes to take the copy up.

    A killed writer leaves a file that HDF5 lets nobody append to, and one killed while it opens a file leaves one that
    nobody can read. So the file keeps its name and its rows until the recorder can replace it by one that is readable
    at every moment. `metadata` replaces what the file says about its run.
    """
    temporary = unfinished_name(path)
    with storage_errors(path):
        _make_sure_of_room(path.parent, path.stat().st_size + _MARGIN)
        with (
            h5py.File(path, "r", libver=("v110", "v110"), swmr=True) as old,
            h5py.File(temporary, "w", libver=("v110", "v110")) as new,
        ):
            _cut(old, new, step, metadata)


def _make_sure_of_room(folder: Path, size: int) -> None:
    """Raises `OSError` where the disk has no room for another `size` bytes; HDF5 would not survive finding out."""
    with tempfile.TemporaryFile(dir=folder) as trial:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(trial.fileno(), 0, size)


def _cut(old: h5py.File, new: h5py.File, step: int, metadata: Mapping[str, Any] | None) -> None:
    for name, value in old.attrs.items():
        new.attrs[name] = value
    if metadata is not None:
        new.attrs["metadata"] = json.dumps(metadata)
    steps, seconds = old["sync/step"][:], old["sync/seconds"][:]
    n = min(len(steps), len(seconds))
    whole = np.flatnonzero((steps[:n] >= 0) & (steps[:n] <= step) & (seconds[:n] >= 0))
    for name in ("step", "seconds"):
        _copy_rows(old["sync"], new.require_group("sync"), name, whole)
    observables = new.create_group("observables", track_order=True)
    for name, data in old["observables"].items():
        _copy_rows(old["observables"], observables, name, step // int(data.attrs["interval"]) + 1)


@contextmanager
def _replacing(temporary: Path, path: Path) -> Iterator[None]:
    """`temporary`, written inside the block, takes the place of `path` in one step; it vanishes if that fails."""
    try:
        with storage_errors(path):
            yield
            with open(temporary, "rb") as file:
                os.fsync(file.fileno())
            os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _copy_rows(old: h5py.Group, new: h5py.Group, name: str, rows: int | np.ndarray) -> None:
    """The first `rows` of a dataset, or those of an array of indices."""
    source = old[name]
    count = rows if isinstance(rows, int) else len(rows)
    if isinstance(rows, int) and len(source) < rows:
        raise InputError(
            f"{source.file.filename}: {name} holds {len(source)} of the {rows} rows the restart vouches for"
        )
    data = new.create_dataset(
        name,
        shape=(count, *source.shape[1:]),
        maxshape=source.maxshape,
        chunks=source.chunks,
        dtype=source.dtype,
        fillvalue=source.fillvalue,
    )
    for key, value in source.attrs.items():
        data.attrs[key] = value
    for begin in range(0, count, _ROWS_AT_ONCE):
        end = min(begin + _ROWS_AT_ONCE, count)
        data[begin:end] = source[begin:end] if isinstance(rows, int) else source[:][rows[begin:end]]


def cut_frames(path: Path, step: int, every: int = 1) -> None:
    """Rewrites an ASE trajectory without the frames after `step` (their `info["step"]`).

    Frames at other steps than multiples of `every` go too: that is the last one of a run that is to go on.
    """
    temporary = path.with_name(f".{path.name}.cut")
    with _replacing(temporary, path), Trajectory(path, "r") as old:
        new = Trajectory(temporary, "w")
        try:
            for image in old:
                if image.info["step"] > step:
                    break
                if image.info["step"] % every == 0:
                    new.write(image)
        except OSError:
            redirect_to_void(new.backend.fd.fileno())
            raise
        finally:
            new.close()


def cut_text(path: Path, size: int) -> None:
    """Shortens a file that only grows to the `size` in bytes it had when the restart was saved."""
    have = path.stat().st_size if path.is_file() else 0
    if have < size:
        raise InputError(f"resume: {path} holds {have} bytes; {size} had been written when the restart was saved")
    if path.is_file():
        os.truncate(path, size)
