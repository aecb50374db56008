"""Trajectory files that have their name once they can be read, and stay whole when the disk is full.

ASE writes a frame before the number that says there is one more.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from ase import Atoms
from ase.io.trajectory import Trajectory

from painn_ase.errors import StorageError
from painn_ase.files import fsync, replacement, storage_error, storage_errors
from painn_ase.simulate.run.motion import Snapshot
from painn_ase.simulate.run.restart import Restart


class Frames:
    """An ASE trajectory with a frame every `every` steps, and of the last one."""

    def __init__(self, path: Path, every: int = 1) -> None:
        self.paths, self.failed = [path], False
        self._path, self._every = path, every
        self._name = path  # until there is a frame another one
        self._last = -1  # step of the last frame

    def cut(self, restart: Restart, is_last: bool) -> None:
        """Takes off later frames; the last one of a run that is to go on, too, unless it was due."""
        cut_frames(self._path, restart.step, 1 if is_last else self._every)

    def open(self, first: Snapshot | None) -> None:
        """Begins the file; without a `first` snapshot, appends to it."""
        self._name = self._path if first is None else unfinished_name(self._path)
        with storage_errors(self._path):
            self._writer = Trajectory(self._name, "a" if first is None else "w")

    def take(self, snapshot: Snapshot) -> None:
        """The frame of a step at which one is due."""
        if snapshot.step % self._every == 0:
            self.finish(snapshot)

    def finish(self, snapshot: Snapshot) -> None:
        """The frame of a step, unless it is there."""
        if snapshot.step != self._last:
            self._last = snapshot.step
            self.write(snapshot.image())

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


def cut_frames(path: Path, step: int, every: int = 1) -> None:
    """Rewrites an ASE trajectory in one step without the frames after `step`, and those at no multiple of `every`."""
    with replacement(path) as temporary, Trajectory(path, "r") as old:
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


def redirect_to_void(descriptor: int) -> None:
    """Sends what a library still means to write to a file that is full nowhere instead, so that it can be closed.

    HDF5 does not survive a failed write: it tries again at every opportunity and crashes the process when that ends.
    """
    with os.fdopen(os.memfd_create("nowhere")) if hasattr(os, "memfd_create") else tempfile.TemporaryFile() as nowhere:
        os.dup2(nowhere.fileno(), descriptor)


def unfinished_name(path: Path) -> Path:
    """The name of a file until it can be read."""
    return path.with_name(f".{path.name}.new")
