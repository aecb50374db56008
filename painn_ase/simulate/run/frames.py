"""Trajectory files that have their name once they can be read, and stay whole when the disk is full."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from ase import Atoms
from ase.io.trajectory import Trajectory

from painn_ase.errors import StorageError
from painn_ase.files import storage_error, storage_errors


class Frames:
    """An ASE trajectory that has its name once it holds a frame, and stays whole when its disk is full."""

    def __init__(self, path: Path, resume: bool = False) -> None:
        self.failed = False
        self._path, self._name = path, path if resume else unfinished_name(path)
        with storage_errors(path):
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
        with storage_errors(self._path):
            fsync(self._name)

    def abandon(self) -> None:
        """Lets nothing reach the file from now on."""
        self.failed = True
        redirect_to_void(self._writer.backend.fd.fileno())

    def close(self) -> None:
        """No more frames."""
        try:
            self._writer.close()
        except OSError as error:
            self.abandon()
            self._writer.close()
            raise storage_error(self._path, error) from error


def redirect_to_void(descriptor: int) -> None:
    """Sends what a library still means to write to a file that is full nowhere instead, so that it can be closed.

    HDF5 does not survive a failed write: it tries again at every opportunity and crashes the process when that ends.
    """
    with os.fdopen(os.memfd_create("nowhere")) if hasattr(os, "memfd_create") else tempfile.TemporaryFile() as nowhere:
        os.dup2(nowhere.fileno(), descriptor)


def unfinished_name(path: Path) -> Path:
    """The name of a file until it can be read."""
    return path.with_name(f".{path.name}.new")


def fsync(name: str | os.PathLike) -> None:
    """Has what was written to a file reach the disk."""
    descriptor = os.open(name, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
