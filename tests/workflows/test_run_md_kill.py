"""A run that is killed leaves files that can be read."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from ase.io import read

from painn_ase.errors import InputError
from painn_ase.simulate import Output, Run, run_md

SCRIPT = """
import json, os, sys, traceback
sys.path.insert(0, {tests!r})
from helpers.springs import cluster
from painn_ase.simulate import Output, run_md

for line in sys.stdin:
    path, sync = json.loads(line)
    process = os.fork()
    if process == 0:
        try:
            run_md(cluster(), steps=10_000_000, record={{"dipole": 1, "positions": 3}}, path=path,
                   output=Output(trajectory_every=7, sync=sync))
        except BaseException:
            traceback.print_exc()
        os._exit(1)
    print(process, flush=True)
    sys.stdin.readline()
    print(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), flush=True)
"""


class Nursery:
    """A process that has imported everything and runs nothing; what it forks begins within milliseconds."""

    def __init__(self) -> None:
        root = Path(__file__).parents[2]
        paths = os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")])
        self.process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT.format(tests=str(Path(__file__).parents[1]))],
            env=os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def start(self, path: Path, sync: float) -> int:
        """The number of the process that runs in `path`."""
        self.process.stdin.write(json.dumps([str(path), sync]) + "\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def ended(self) -> int:
        """Waits for the process started last, which keeps its number until then; its exit code."""
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


@pytest.fixture(scope="module")
def nursery():
    nursery = Nursery()
    yield nursery
    nursery.close()


def check(path: Path, reference: Run) -> int:
    """The killed run equals the start of the reference wherever it claims to be complete; returns its last step."""
    run = Run.load(path)
    last = run.summary["steps"]
    assert not run.summary["complete"]
    for name in run.names:
        times, values = run.observables(name)
        _, expected = reference.observables(name)
        n = min(len(values), len(expected))
        assert len(times) == len(values) == last // (3 if name == "positions" else 1) + 1
        assert np.isfinite(values).all()
        assert (values[:n] == expected[:n]).all()
    frames = read(run.trajectory, ":")
    assert [frame.info["step"] for frame in frames] == [7 * i for i in range(len(frames))]
    return last


def wait_for_rows(path: Path) -> None:
    """Until the run, which goes on, can be read for the first time."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            if Run.load(path).summary["steps"] > 20:
                return
        except (InputError, OSError):
            pass
        time.sleep(0.02)
    raise AssertionError("the run wrote nothing within a minute")


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    from helpers.springs import cluster

    record = {"dipole": 1, "positions": 3}
    path = tmp_path_factory.mktemp("reference") / "run"
    return run_md(cluster(), steps=500, record=record, path=path, output=Output(trajectory_every=7))


def kill(nursery: Nursery, path: Path, sync: float, delay: float) -> None:
    process = nursery.start(path, sync)
    try:
        wait_for_rows(path)  # which also shows that a run can be read while it goes on
        time.sleep(delay)
    finally:
        os.kill(process, signal.SIGKILL)
    assert nursery.ended() == -signal.SIGKILL


def test_a_killed_run_is_readable_up_to_its_last_sync(tmp_path, nursery, reference):
    kill(nursery, tmp_path / "killed", sync=0.05, delay=0.3)
    assert check(tmp_path / "killed", reference) > 20


@pytest.mark.slow
def test_kills_at_random_moments_leave_readable_files(tmp_path, nursery, reference):
    """A sync at every step, so that most kills fall into one."""
    rng = np.random.default_rng(0)
    for i in range(40):
        kill(nursery, tmp_path / f"{i}", sync=0.0, delay=rng.uniform(0, 0.3))
        assert check(tmp_path / f"{i}", reference) > 20
