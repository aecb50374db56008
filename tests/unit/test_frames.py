"""Trajectory files of runs stay whole when writing fails."""

import errno
import os
from types import SimpleNamespace

import pytest
from ase.build import molecule
from ase.io import read

from painn_ase.errors import StorageError
from painn_ase.simulate.run.frames import Frames


def test_a_failed_write_ends_the_file_and_leaves_the_frames_before_it(tmp_path, monkeypatch):
    path = tmp_path / "run.traj"
    frames = Frames(path)
    frames.open(SimpleNamespace())
    assert not path.exists()
    frames.write(molecule("H2O"))
    frames.sync()
    assert len(read(path, ":")) == 1

    def full(image):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(frames._writer, "write", full)
    with pytest.raises(StorageError, match=r"run\.traj"):
        frames.write(molecule("H2O"))
    with pytest.raises(StorageError, match="writing failed before"):
        frames.write(molecule("H2O"))
    frames.close()
    assert len(read(path, ":")) == 1


def test_an_interrupt_within_a_frame_leaves_the_file_open_and_whole(tmp_path, monkeypatch):
    frames = Frames(tmp_path / "run.traj")
    frames.open(SimpleNamespace())
    frames.write(molecule("H2O"))
    writer = frames._writer.write

    def interrupted(image):
        raise KeyboardInterrupt

    monkeypatch.setattr(frames._writer, "write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        frames.write(molecule("H2O"))
    monkeypatch.setattr(frames._writer, "write", writer)
    frames.write(molecule("H2O"))
    frames.close()
    assert len(read(tmp_path / "run.traj", ":")) == 2
