"""Runs that are killed at random moments leave readable files and end as if nothing had happened; see kills.py.

The large campaign: python tests/kills.py --kills 200
"""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ase.io import Trajectory

from painn_ase.simulate import Output, run_md

from helpers.springs import cluster

TESTS = Path(__file__).parents[1]
KILLS = int(os.environ.get("PAINN_ASE_KILLS", "30"))


def campaign(kills: int, subjects: list[str], folder: Path) -> dict:
    """Figures by kind; fails where a file was unreadable or an end differed."""
    paths = os.pathsep.join([str(TESTS.parent), str(TESTS), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, str(TESTS / "kills.py"), "--kills", str(kills), "--json", str(folder / "figures.json")]
    environment = os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    result = subprocess.run([*command, "--of", *subjects], capture_output=True, text=True, check=False, env=environment)
    assert result.returncode == 0, result.stdout + result.stderr
    print(result.stdout)
    figures = json.loads((folder / "figures.json").read_text())
    for found in figures.values():
        assert found["equal"] == found["runs"]
        assert found["unreadable"] == 0
    return {kind: found["kills"] for kind, found in figures.items()}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_killed_dynamics_resumes_to_the_last_bit(tmp_path):
    assert campaign(3, ["md"], tmp_path) == {"md": 3}


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_whatever_is_killed_resumes_to_the_last_bit(tmp_path):
    kills = campaign(KILLS, ["md", "npt", "relax", "rpmd", "spectra", "train"], tmp_path)
    assert sum(kills.values()) == KILLS
    assert min(kills.values()) > 0


class Journal(io.RawIOBase):
    """A file in memory that notes every write to it, as the system would see them."""

    def __init__(self) -> None:
        self.content, self.at = bytearray(), 0
        self.writes: list[tuple[int, bytes]] = []

    def writable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        self.at = offset + (0, self.at, len(self.content))[whence]
        return self.at

    def readinto(self, buffer) -> int:
        chunk = self.content[self.at : self.at + len(buffer)]
        buffer[: len(chunk)] = chunk
        self.at += len(chunk)
        return len(chunk)

    def write(self, data) -> int:
        data = bytes(data)
        self.writes.append((self.at, data))
        self.content[self.at : self.at + len(data)] = data
        self.at += len(data)
        return len(data)


def test_a_trajectory_is_readable_after_a_kill_at_any_byte():
    """Every prefix of what reaches the system holds all frames whose writing had ended, and no torn one.

    Numbers of eight bytes in the header are aligned, so the system writes them in one piece. Fifty frames, because
    the table of their places is moved when it is full, at 1 and 42.
    """
    journal = Journal()
    stream = io.BufferedRandom(journal)
    atoms = cluster()
    ends = []
    with Trajectory(stream, "w") as frames:
        for k in range(50):
            atoms.positions[0, 0] = k
            atoms.info["step"] = k
            frames.write(atoms)
            ends.append(len(journal.writes))
    rng = np.random.default_rng(0)
    content, seen = bytearray(), 0
    for n, (offset, data) in enumerate(journal.writes):
        torn = [] if len(data) == 8 else sorted(set(rng.integers(0, len(data), 3).tolist()))
        for size in [*torn, len(data)]:
            state = content.copy()
            state[offset : offset + size] = data[:size]
            complete = sum(end <= n for end in ends)
            if complete:  # before that the file does not have its name yet
                with Trajectory(io.BytesIO(bytes(state))) as frames:
                    assert complete <= len(frames) <= complete + 1
                    assert [frames[i].positions[0, 0] for i in (0, len(frames) - 1)] == [0, len(frames) - 1]
                    seen += 1
        content[offset : offset + len(data)] = data
    assert seen > 250


def test_files_get_their_names_when_they_can_be_read(tmp_path, monkeypatch):
    """Nothing under the names of a run is ever unreadable, not even in its first moments."""
    names = []
    replace = os.replace

    def look(old, new):
        names.append((Path(old).name, Path(new).name, Path(new).exists()))
        replace(old, new)

    monkeypatch.setattr(os, "replace", look)
    run_md(cluster(), steps=3, path=tmp_path / "run", output=Output(1))
    renamed = {old: (new, existed) for old, new, existed in names if old.endswith(".new")}
    assert renamed == {".run.h5.new": ("run.h5", False), ".run.traj.new": ("run.traj", False)}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["run.h5", "run.restart.npz", "run.traj"]
