"""Series of several trajectories on disk: one .npy file each, filled frame by frame as they advance together."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from painn_ase.files import storing

FILES = tuple(f"{name}.npy" for name in ("energy", "dipole", "dipole_rate", "polarizability", "velocities"))


class Series:
    """Arrays (trajectories, frames, ...) in a folder; velocities in single precision, all else in double."""

    def __init__(self, folder: Path, frames: int) -> None:
        self._folder, self._frames = folder, frames
        self._open: dict[str, np.ndarray] = {}

    def write(self, name: str, frame: int, rows: np.ndarray) -> None:
        """Puts `rows` (trajectories, ...) into a frame. The file has its full size, and its room, from the start."""
        if name not in self._open:
            path, full = self._path(name), (rows.shape[0], self._frames, *rows.shape[1:])
            if not path.exists():
                _reserve(path, full, np.float32 if name == "velocities" else np.float64)
            self._open[name] = np.lib.format.open_memmap(path, mode="r+")
        self._open[name][:, frame] = rows

    def flush(self) -> None:
        """What was written is on the disk when this returns."""
        for series in self._open.values():
            series.flush()  # type: ignore[attr-defined]

    def read(self, name: str) -> np.ndarray:
        """(trajectories, frames, ...); on disk until it is used."""
        return np.load(self._path(name), mmap_mode="r")

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.npy"


def _reserve(path: Path, shape: tuple[int, ...], dtype: type) -> None:
    """A .npy file of zeros that gets its name when it is whole.

    Its blocks are taken now, because a disk that is full when mapped memory reaches it ends a process without a word.
    """
    temporary = path.with_name(f".{path.name}.new")
    header = {"descr": np.lib.format.dtype_to_descr(np.dtype(dtype)), "fortran_order": False, "shape": shape}
    try:
        with storing(path), open(temporary, "wb") as file:
            np.lib.format.write_array_header_1_0(file, header)
            file.flush()
            size = file.tell() + int(np.prod(shape)) * np.dtype(dtype).itemsize
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size)
            else:
                file.truncate(size)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
