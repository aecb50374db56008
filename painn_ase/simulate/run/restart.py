"""Restart: what a run needs to go on as if it had never stopped, and files cut back to the moment it was saved.

A restart file is NumPy's .npz without pickled objects: arrays, and one JSON text for the rest. It replaces its
predecessor in one step and is written after the rows it vouches for have reached the disk; whatever the other files
hold beyond it is cut off when the run resumes. A process can be killed at any moment.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from ase import Atoms
from ase.io.jsonio import encode
from ase.io.trajectory import Trajectory
from numpy.random import Generator

from painn_ase.errors import InputError
from painn_ase.files import storing, write_atomically
from painn_ase.simulate.run.recorder import divert, unborn

FORMAT = "painn_ase restart 1"
_ROWS_AT_ONCE = 1 << 14
_MARGIN = 1 << 16  # bytes that a rewritten file may need more


@dataclass(frozen=True)
class Restart:
    """The state of a run after `step` steps.

    `identity` says what the run is made of: the same again is the same run. `arrays` and `values` (JSON-able) are the
    state; `generators` the states of random-number generators, by name (see `generator_state`).
    """

    step: int
    identity: Mapping[str, Any]
    arrays: Mapping[str, np.ndarray]
    values: Mapping[str, Any] = field(default_factory=dict)
    generators: Mapping[str, Any] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        """Replaces the file `path` in one step."""
        rest = {name: getattr(self, name) for name in ("step", "identity", "values", "generators")}
        text = json.dumps({"format": FORMAT, **rest}, default=_plain)
        content = io.BytesIO()
        arrays: dict[str, Any] = {f"array_{name}": array for name, array in self.arrays.items()}
        np.savez(content, json=np.array(text), **arrays)
        write_atomically(path, content.getvalue())

    @classmethod
    def load(cls, path: Path) -> Restart:
        """The state in a file; `InputError` if there is none or it is something else."""
        if not path.is_file():
            raise InputError(f"resume: {path} does not exist, so there is no run to continue; start one without resume")
        try:
            with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as data:
                rest = json.loads(str(data["json"]))
                arrays = {name[6:]: data[name] for name in data.files if name.startswith("array_")}
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise InputError(f"{path} is not a restart file of this package: {error}") from None
        found = rest.pop("format", None) if isinstance(rest, dict) else None
        if found != FORMAT:
            raise InputError(f"{path}: expected format {FORMAT!r}; got {found!r}")
        return cls(arrays=arrays, **rest)

    def check(self, identity: Mapping[str, Any], path: Path) -> None:
        """`InputError` that names what differs unless `identity` is that of the saved run."""
        now = json.loads(json.dumps(identity, default=_plain))
        changed = [
            _difference(key, self.identity.get(key), now.get(key))
            for key in dict.fromkeys([*now, *self.identity])
            if key not in now or self.identity.get(key) != now[key]
        ]
        if changed:
            raise InputError(
                f"resume: the run of {path} was begun with other settings ({', '.join(changed)}); repeat the command "
                "it was begun with, or start anew with overwrite=True (--overwrite)"
            )


def _difference(name: str, then: Any, now: Any) -> str:
    """What is said of a setting that changed: both values where they are short."""
    if isinstance(then, (list, dict)) or isinstance(now, (list, dict)):
        return name
    return f"{name} was {then!r}, now {now!r}"


def _plain(value: Any) -> Any:
    """NumPy's numbers and arrays as JSON knows them."""
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} cannot be written to a restart file")


def identity_of(atoms: Atoms) -> dict[str, Any]:
    """The part of a run's identity that is its structure and its calculator."""
    return {
        "calculator": json.loads(encode(atoms.calc.todict())) if hasattr(atoms.calc, "todict") else {},
        "weights": _weights(atoms.calc),
        "symbols": atoms.get_chemical_symbols(),
        "positions": atoms.positions.tolist(),
        "masses": atoms.get_masses().tolist(),
        "cell": atoms.cell.array.tolist(),
        "pbc": atoms.pbc.tolist(),
        "charge": str(atoms.info.get("charge", 0)),
    }


def _weights(calc: Any) -> str | None:
    """A checksum of the networks of a `PaiNNCalculator`: a model's name may come to stand for another one."""
    backend = getattr(calc, "backend", None)
    digest = hashlib.sha256()
    for member in getattr(backend, "members", (backend,)):
        if member is None or not hasattr(member, "model"):
            return None
        for name, tensor in sorted(member.model.state_dict().items()):
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def generator_state(generator: Generator) -> Any:
    """The state of a generator, JSON-able."""
    return json.loads(json.dumps(generator.bit_generator.state, default=_plain))


def restore_generator(generator: Generator, state: Any) -> None:
    """Puts a generator of the same kind back into a state."""
    generator.bit_generator.state = state


# ---- files back to a step


def cut_observables(path: Path, step: int, metadata: Mapping[str, Any] | None = None) -> None:
    """Copies the HDF5 file of a run up to the rows of `step`, for a `Recorder` that resumes to take the copy up.

    A killed writer leaves a file that HDF5 lets nobody append to, and one killed while it opens a file leaves one that
    nobody can read. So the file keeps its name and its rows until the recorder can replace it by one that is readable
    at every moment. `metadata` replaces what the file says about its run.
    """
    temporary = unborn(path)
    with storing(path):
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
        with storing(path):
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
            divert(new.backend.fd.fileno())
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
