"""Kills builds at random moments, goes on with them, and counts the calls of the reference.

    python tests/build_kills.py --kills 30 [--seed 0]

prints how often builds were killed and in which of their parts, and how many labels were lost or made twice; the exit
code is 0 if there were none and every build ended as one that nobody killed.
"""

import argparse
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import ase.io
import numpy as np
import torch

from painn_ase.build import build

from helpers.forks import ended, forked
from helpers.small_builds import WATER, calls, exactly, quickly, request


def child(folder: Path) -> int:
    """A process that builds in `folder`."""

    def run() -> None:
        os.chdir(folder)
        build(request(), shown=False)

    return forked(run, folder)


def history(folder: Path, seconds: float, kills: int, rng: np.random.Generator) -> list[str]:
    """One build, killed up to `kills` times; what was the last line of its log at each kill."""
    killed: list[str] = []
    while True:
        pid = child(folder)
        if len(killed) < kills:
            time.sleep(rng.uniform(0, seconds))
            os.kill(pid, signal.SIGKILL)
        if ended(pid, folder):
            return killed
        log = folder / "water" / "log.txt"
        killed.append(log.read_text().splitlines()[-1][20:60] if log.exists() else "before the log")


def faults(folder: Path, kills: int) -> list[str]:
    """Labels that were asked for and are missing, and those that were made more than once.

    A call that was under way when a kill came is made again: one for each kill at most.
    """
    found, have = [], []
    for chosen in sorted((folder / "water" / "batches").glob("??.extxyz")):
        wanted = ase.io.read(chosen, ":")
        labelled = ase.io.read(chosen.with_name(chosen.stem + ".labelled.extxyz"), ":")
        have += [exactly(atoms) for atoms in labelled]
        if len(wanted) != len(labelled):
            found.append(f"{chosen.name}: {len(wanted)} frames asked for, {len(labelled)} labelled")
    if len(set(have)) != len(have):
        found.append(f"{len(have) - len(set(have))} labels are there twice")
    made = Counter(calls(folder))
    again = sum(made[name] - 1 for name in have)
    if again > kills:
        found.append(f"{again} calls for labels were made again after {kills} kills")
    return found


def main() -> int:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--kills", type=int, default=30)
    p.add_argument("--seed", type=int, default=0)
    options = p.parse_args()
    torch.set_num_threads(1)
    quickly(setattr)
    rng = np.random.default_rng(options.seed)
    with tempfile.TemporaryDirectory() as place:
        whole = Path(place, "whole")
        prepare(whole)
        begin = time.monotonic()
        ended(child(whole), whole)
        seconds = time.monotonic() - begin
        expected, number, kills, wrong = frames(whole), 0, Counter(), faults(whole, 0)
        while sum(kills.values()) < options.kills:
            folder = Path(place, str(number))
            prepare(folder)
            number += 1
            came = history(folder, seconds, min(6, options.kills - sum(kills.values())), rng)
            kills.update(came)
            wrong += faults(folder, len(came))
            if frames(folder) != expected:
                wrong.append(f"build {number} labelled {frames(folder)} frames, and {expected} without kills")
    print(f"{sum(kills.values())} kills of {number} builds; undisturbed {seconds:.0f} s")
    for what, count in kills.most_common():
        print(f"{count:4d} after: {what}")
    print(f"{len(wrong)} faults", *wrong[:20], sep="\n")
    return int(bool(wrong))


def frames(folder: Path) -> list[int]:
    return [len(ase.io.read(path, ":")) for path in sorted((folder / "water/batches").glob("*.labelled.extxyz"))]


def prepare(folder: Path) -> None:
    folder.mkdir()
    (folder / "water.xyz").write_text(WATER)


if __name__ == "__main__":
    sys.exit(main())
