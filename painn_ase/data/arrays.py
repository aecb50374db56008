"""Frames in NumPy archives and HDF5 files as the public data sets have them: MD17, SPICE, ANI, QM7-X and their like.

What they are is told by names and shapes of arrays: one of positions, one of atomic numbers. Everything else becomes
info or arrays of the frames under its own name, in its own unit. Nothing in the files is executed, and no link out of
an HDF5 file is followed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from ase import Atoms
from ase.data import atomic_numbers

from painn_ase.errors import InputError

POSITIONS = ("positions", "R", "coords", "coordinates", "conformations", "geometries", "xyz", "atXYZ", "pos")
NUMBERS = ("numbers", "atomic_numbers", "z", "Z", "nuclear_charges", "species", "atNUM", "charges_nuclear")
CELLS = ("cell", "lattice", "box", "lattices")


def read_npz(path: Path) -> list[Atoms]:
    """All frames of a NumPy archive. Raises `InputError` for one without positions and atomic numbers."""
    with np.load(path, allow_pickle=False) as archive:
        try:
            tables = {name: archive[name] for name in archive.files}
        except ValueError as error:
            raise InputError(f"data: {str(path)!r} holds Python objects, which are not read ({error})") from None
    frames = list(_frames(tables, path.stem))
    if not frames:
        raise InputError(_nothing(path, tables))
    return frames


def read_hdf5(path: Path) -> list[Atoms]:
    """All frames of an HDF5 file, of all groups. Raises `InputError` for a file without any."""
    frames: list[Atoms] = []
    seen: dict[str, Any] = {}
    with h5py.File(path, "r") as file:
        for name, group in _groups(file, ""):
            tables = {}
            for key in group:
                if isinstance(group.get(key, getlink=True), h5py.HardLink) and isinstance(group[key], h5py.Dataset):
                    tables[key] = group[key][()]
            seen |= tables
            frames += _frames(tables, name or path.stem)
    if not frames:
        raise InputError(_nothing(path, seen))
    return frames


def _groups(group: Any, name: str) -> Iterator[tuple[str, Any]]:
    yield name, group
    for key in group:
        if isinstance(group.get(key, getlink=True), h5py.HardLink) and isinstance(group[key], h5py.Group):
            yield from _groups(group[key], f"{name}/{key}" if name else key)


def _frames(tables: Mapping[str, np.ndarray], source: str) -> Iterator[Atoms]:
    """Frames of one table of arrays: (frames, atoms, 3) positions, or (atoms, 3) of a single one."""
    place = next((name for name in POSITIONS if name in tables), None)
    kinds = next((name for name in NUMBERS if name in tables), None)
    if place is None or kinds is None:
        return
    positions = np.asarray(tables[place], dtype=float)
    single = positions.ndim == 2
    positions = positions[None] if single else positions
    count, atoms = positions.shape[:2]
    numbers = _numbers(np.asarray(tables[kinds]))
    numbers = np.broadcast_to(numbers, (count, atoms)) if numbers.ndim == 1 else numbers
    rest = {name: _rows(np.asarray(value), count, single) for name, value in tables.items()
            if name not in (place, kinds)}  # fmt: skip
    for k in range(count):
        kept = numbers[k] > 0  # ragged arrays are filled up with zeros
        frame = Atoms(numbers[k][kept], positions[k][kept], info={"source": source})
        for name, rows in rest.items():
            if rows is None or rows.dtype.kind not in "fiub":
                continue
            value = rows[k]
            if name in CELLS and value.size in (3, 9):
                frame.cell, frame.pbc = value.reshape(3, 3) if value.size == 9 else value, True
            elif value.ndim >= 1 and len(value) == atoms and not (atoms == 3 and value.ndim == 1):
                frame.set_array(name, np.array(value[kept]))
            else:
                frame.info[name] = value.item() if value.size == 1 else np.array(value)
        yield frame


def _rows(value: np.ndarray, count: int, single: bool) -> np.ndarray | None:
    """The array with a row for every frame; None if it has none."""
    if single:
        return value[None]
    return value if value.ndim and len(value) == count else None


def _numbers(kinds: np.ndarray) -> np.ndarray:
    """Atomic numbers from numbers or symbols."""
    if kinds.dtype.kind in "OSU":
        symbols = [s.decode() if isinstance(s, bytes) else str(s) for s in kinds.ravel()]
        return np.array([atomic_numbers[s] for s in symbols]).reshape(kinds.shape)
    return kinds.astype(int)


def _nothing(path: Path, tables: Mapping[str, Any]) -> str:
    held = ", ".join(f"{name} {np.shape(value)}" for name, value in list(tables.items())[:12]) or "nothing"
    return (
        f"data: {str(path)!r} holds no frames: expected positions under {', '.join(POSITIONS)} and atomic numbers "
        f"under {', '.join(NUMBERS)}; it holds {held}"
    )
