"""A full disk ends a run with a sentence; what was saved is intact, and with room again it goes on to the same end."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]


def environment(folder: Path) -> dict[str, str]:
    paths = os.pathsep.join([str(TESTS.parent), str(TESTS), os.environ.get("PYTHONPATH", "")])
    return os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "TMPDIR": str(folder)}


@pytest.mark.skipif(sys.platform != "linux", reason="mounting in a namespace of one's own is Linux's")
@pytest.mark.parametrize("subject", ["md", *(pytest.param(name, marks=pytest.mark.slow) for name in ("rpmd", "train"))])
def test_a_full_disk_ends_a_run_that_goes_on_when_there_is_room(subject, tmp_path):
    """On a tmpfs inside a user namespace, where mounting needs no privilege."""
    disk, elsewhere = tmp_path / "disk", tmp_path / "elsewhere"
    disk.mkdir()
    elsewhere.mkdir()
    mount = f"mount -t tmpfs -o size=64m tmpfs {disk} && mount -t tmpfs tmpfs {elsewhere}"
    trial = subprocess.run(["unshare", "-rm", "sh", "-c", mount], capture_output=True, text=True, check=False)
    if trial.returncode:
        pytest.skip(f"no small file system can be mounted here: {trial.stderr.strip()}")
    script = [sys.executable, str(TESTS / "full_disk.py"), subject, str(disk)]
    command = ["unshare", "-rm", "sh", "-c", f'{mount} && exec "$@"', "sh", *script]
    result = subprocess.run(command, capture_output=True, text=True, check=False, env=environment(elsewhere))
    assert result.returncode == 0, result.stdout + result.stderr
