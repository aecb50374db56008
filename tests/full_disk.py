"""Fills a small disk under a run, makes room, and has the run go on; started by test_full_disk.py.

    python tests/full_disk.py SUBJECT FOLDER

FOLDER must be a mount point of a tmpfs that this process may remount, as root of a user namespace.
"""

import json
import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import torch
from kills import Subject, md, rpmd, training

from painn_ase import PaiNNCalculator, load_model
from painn_ase.cli import main as command_line
from painn_ase.errors import StorageError

from helpers.forks import OUTPUT, ended, forked
from helpers.identical import check_same_run, readable

REFUSAL = "cannot be written: No space left on device"
SHARE = 0.8  # of the space that a whole run takes


class Disk:
    """A tmpfs whose size can be changed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def resize(self, size: int) -> None:
        subprocess.run(["mount", "-o", f"remount,size={size}", self.folder], check=True)


def shortage(files: list[Path]) -> int:
    """A size in bytes that these files of a whole run do not fit in."""
    return int(SHARE * sum(path.stat().st_blocks * 512 for path in files))


def refused(action: Callable[[], object], folder: Path) -> None:
    """What a process says that runs out of room in `action`; it must end by itself, with an error of ours."""

    def run() -> None:
        try:
            action()
        except StorageError as error:
            print(f"refused: {error}", flush=True)
            return
        raise AssertionError("the disk was never full")

    log = folder / OUTPUT
    begin = log.stat().st_size if log.exists() else 0
    ended(forked(run, folder), folder)
    said = log.read_text()[begin:]
    assert "refused: " in said, said
    assert REFUSAL in said, said
    assert "--resume" in said, said
    assert "Exception ignored" not in said, said


def dynamics(subject: Subject, disk: Disk, elsewhere: Path) -> dict:
    """Stopped by a full disk, refused while it is full, resumed when there is room."""
    whole, logs = elsewhere / "whole", elsewhere / "logs"
    for folder in (whole, logs):
        folder.mkdir(parents=True)
    ended(forked(lambda: subject.run(whole, False), whole), whole)
    disk.resize(shortage([p for p in whole.iterdir() if p.name.startswith("run")]))
    refused(lambda: subject.run(disk.folder, False), logs)
    last = readable(disk.folder / "run")
    assert last >= 0
    refused(lambda: subject.run(disk.folder, True), logs)  # still no room
    assert readable(disk.folder / "run") <= last
    disk.resize(1 << 26)
    ended(forked(lambda: subject.run(disk.folder, True), disk.folder), disk.folder)
    subject.compare(disk.folder, whole)
    assert not [p.name for p in disk.folder.iterdir() if p.name.startswith(".")]
    for path in disk.folder.iterdir():
        path.unlink()
    return {"stopped at": last}


def at_the_command_line(words: list[str], disk: Disk, elsewhere: Path) -> dict:
    """The same with `painn-ase`: one sentence on stderr, exit code 1, and --resume."""
    folder = elsewhere / "cli"
    folder.mkdir()

    def verb(path: Path, *more: str) -> int:
        def run() -> None:
            print(f"code {command_line([*words, '--output', str(path), *more])}", flush=True)

        before = len((folder / OUTPUT).read_text()) if (folder / OUTPUT).exists() else 0
        ended(forked(run, folder), folder)
        said = (folder / OUTPUT).read_text()[before:]
        assert "Traceback" not in said, said
        code = int(said.rpartition("code ")[2])
        assert (code == 1) == (REFUSAL in said), said
        return code

    whole, path = folder / "whole", disk.folder / "cli"
    assert verb(whole) == 0
    disk.resize(shortage([p for p in folder.iterdir() if p.name.startswith("whole")]))
    assert verb(path) == 1
    disk.resize(1 << 26)
    assert verb(path, "--resume") == 0
    check_same_run(path, whole)
    return {"code": 1}


def learning(frames: Path, disk: Disk, elsewhere: Path) -> dict:
    """Another file fills the disk while a network is trained."""
    subject, whole, logs = training(frames), elsewhere / "whole", elsewhere / "logs"
    for folder in (whole, logs):
        folder.mkdir(parents=True)
    ended(forked(lambda: subject.run(whole, False), whole), whole)
    ballast = disk.folder / "ballast"

    def fill(row: dict) -> None:
        if row["epoch"] != 5:
            return
        disk.resize(1 << 20)
        with open(ballast, "wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(4096))

    refused(lambda: training(frames, fill).run(disk.folder, False), logs)
    subject.look(disk.folder)
    ballast.unlink()
    ended(forked(lambda: subject.run(disk.folder, True), disk.folder), disk.folder)
    subject.compare(disk.folder, whole)
    return {}


def main() -> None:
    name, disk = sys.argv[1], Disk(Path(sys.argv[2]))
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    elsewhere = Path(os.environ["TMPDIR"])
    calculator = PaiNNCalculator(load_model("ethanol"))
    words = {
        "md": ["md", "ethanol", "--steps", "150", "--record", "dipole", "positions", "--frames-every", "1"],
        "rpmd": ["rpmd", "ethanol", "--beads", "4", "--steps", "80", "--timestep", "0.5", "--equilibration", "0.005",
                 "--every", "1", "--frames-every", "1", "--record", "dipole"],
    }  # fmt: skip
    figures: dict = {}
    if name == "train":
        figures |= learning(elsewhere / "frames.xyz", disk, elsewhere)
    else:
        subject = {"md": md, "rpmd": rpmd}[name](calculator, frames_every=1)
        figures |= dynamics(subject, disk, elsewhere)
        figures |= at_the_command_line(words[name], disk, elsewhere)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
