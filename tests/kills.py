"""Kills runs at random moments, takes them up again, and compares their ends with runs that were never killed.

    OMP_NUM_THREADS=1 PYTHONPATH=. python tests/kills.py --kills 200 [--of md npt relax rpmd train] [--seed 0]

One process imports everything and runs nothing; what it forks begins within milliseconds and gets a SIGKILL at a
moment drawn evenly from the time an undisturbed run takes. After each kill every file that has its name must be
readable, and nothing that a restart vouches for may be missing. At the end of a history of kills and resumptions all
files must equal those of the undisturbed run, to the last bit.
"""

import argparse
import csv
import json
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import ase.io
import numpy as np
import torch
from ase.build import bulk, molecule
from ase.calculators.morse import MorsePotential
from identical import check_same_frames, check_same_run, check_same_state, frames_of, readable
from safetensors.numpy import load_file
from stopped import Forgetful

from painn_ase import PaiNNCalculator, load_model
from painn_ase.simulate import MTK, Output, relax, run_md
from painn_ase.simulate.restart import Restart
from painn_ase.simulate.ring_polymer import Beads, run_rpmd
from painn_ase.structures import read_structure
from painn_ase.training import parse_config, train

OFTEN = 0.02  # s between checkpoints, and between syncs: many of each in the life of a run


@dataclass(frozen=True)
class Subject:
    """Something that runs, can be killed, and goes on."""

    run: Callable[[Path, bool], object]  # folder, whether it goes on
    begun: Callable[[Path], bool]  # whether there is a state to go on from
    look: Callable[[Path], object]  # fails where a file cannot be read
    compare: Callable[[Path, Path], None]  # fails where two ends differ


# ---- molecular dynamics


def ethanol(calculator: PaiNNCalculator):
    atoms = read_structure("ethanol")
    atoms.calc = calculator
    return atoms


def dynamics(run: Callable[[Path, bool], object]) -> Subject:
    return Subject(
        lambda folder, resume: run(folder / "run", resume),
        lambda folder: (folder / "run.restart.npz").exists(),
        lambda folder: readable(folder / "run"),
        lambda one, other: check_same_run(one / "run", other / "run"),
    )


def md(calculator: PaiNNCalculator, frames_every: int = 7) -> Subject:
    options = {
        "steps": 300,
        "record": {"dipole": 4, "positions": 3},
        "output": Output(frames_every, OFTEN),
        "checkpoint": OFTEN,
    }
    return dynamics(lambda path, resume: run_md(ethanol(calculator), path=path, **options, **going_on(resume)))


def npt() -> Subject:
    def run(path: Path, resume: bool) -> None:
        atoms = bulk("Cu", cubic=True)
        atoms.calc = Forgetful()
        run_md(
            atoms, steps=200, timestep=2.0, ensemble="npt", barostat=MTK(1.0, "full"), path=path,
            output=Output(5, OFTEN), checkpoint=OFTEN, **going_on(resume),
        )  # fmt: skip

    return dynamics(run)


def rpmd(calculator: PaiNNCalculator, frames_every: int = 10) -> Subject:
    options = {
        "beads": 4, "steps": 200, "timestep": 0.5, "equilibration": 0.02, "thermostat": "trpmd", "every": 2,
        "record": {"dipole": 4}, "save_beads": Beads(every=20), "output": Output(frames_every, OFTEN),
        "checkpoint": OFTEN,
    }  # fmt: skip
    return dynamics(lambda path, resume: run_rpmd(ethanol(calculator), path=path, **options, **going_on(resume)))


def going_on(resume: bool) -> dict:
    return {"resume": resume, "overwrite": not resume, "progress": False}


# ---- relaxation


def relaxation(calculator: PaiNNCalculator) -> Subject:
    def run(folder: Path, resume: bool) -> None:
        atoms = ethanol(calculator)
        atoms.rattle(0.2, seed=2)
        relax(atoms, fmax=1e-3, steps=150, path=folder / "run", checkpoint=OFTEN, **going_on(resume))

    def look(folder: Path) -> None:
        if (folder / "run.traj").exists():
            held = frames_of(folder / "run.traj")[-1].info["step"]
            saved = Restart.load(folder / "run.restart.npz")
            assert not saved.values["recorded"] or saved.step <= held

    def compare(one: Path, other: Path) -> None:
        check_same_frames(one / "run.traj", other / "run.traj")
        check_same_state(one / "run.restart.npz", other / "run.restart.npz")

    return Subject(run, lambda folder: (folder / "run.restart.npz").exists(), look, compare)


# ---- training


def training(frames: Path, on_epoch: Callable[[dict], None] | None = None) -> Subject:
    if not frames.exists():
        write_frames(frames)
    table = {
        "data": {
            "train": str(frames),
            "labels": {"energy": {"key": "E", "unit": "eV"}, "forces": {"key": "F", "unit": "eV/Å"}},
            "split": {"by": "info", "key": "source", "validation": 0.25},
        },
        "model": {"representation": {"kind": "painn", "features": 8, "interactions": 1, "cutoff": 3.0}},
        "optimizer": {"learning_rate": 5e-3, "ema": 0.9},
        "schedule": {"kind": "plateau"},
        "run": {"epochs": 12, "batch_size": 4, "threads": 1, "checkpoint_epochs": 2},
    }

    def run(folder: Path, resume: bool) -> None:
        config = parse_config(table | {"run": table["run"] | {"output": str(folder / "out")}}, folder)
        train(config, resume=resume, progress=False, on_epoch=on_epoch)

    def look(folder: Path) -> None:
        if (folder / "out/checkpoint.safetensors").exists():
            assert len(load_file(folder / "out/checkpoint.safetensors"))
        if (folder / "out/model").exists():
            load_model(folder / "out/model")

    def compare(one: Path, other: Path) -> None:
        for name in ("checkpoint.safetensors", "model/weights.safetensors"):
            a, b = load_file(one / "out" / name), load_file(other / "out" / name)
            assert a.keys() == b.keys()
            for key, value in a.items():
                np.testing.assert_array_equal(value, b[key])
        rows = [list(csv.DictReader((f / "out/log.csv").read_text().splitlines())) for f in (one, other)]
        assert [{**row, "seconds": ""} for row in rows[0]] == [{**row, "seconds": ""} for row in rows[1]]

    return Subject(run, lambda folder: (folder / "out/checkpoint.safetensors").exists(), look, compare)


def write_frames(path: Path) -> None:
    """Twelve rattled water molecules with Morse energies and forces."""
    rng = np.random.default_rng(1)
    frames = []
    for k in range(12):
        atoms = molecule("H2O")
        atoms.rattle(0.08, rng=rng)
        atoms.calc = MorsePotential(epsilon=2.0, rho0=1.5, r0=1.0, rcut1=8.0, rcut2=9.0)
        atoms.info |= {"E": atoms.get_potential_energy(), "source": f"run {k % 4}"}
        atoms.arrays["F"] = atoms.get_forces()
        atoms.calc = None
        frames.append(atoms)
    ase.io.write(path, frames, format="extxyz")


# ---- kills


def forked(subject: Subject, folder: Path, resume: bool) -> int:
    """The process that runs the subject in `folder`."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        with open(folder / "log.txt", "a") as log:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
            try:
                subject.run(folder, resume)
                code = 0
            except BaseException:
                traceback.print_exc(file=log)
    finally:
        os._exit(code)


def ended(child: int, folder: Path) -> bool:
    """Waits for a process; true if it ran to its end, false if it was killed."""
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
        return False
    if os.waitstatus_to_exitcode(status) != 0:
        raise AssertionError(f"a run in {folder} failed:\n{(folder / 'log.txt').read_text()}")
    return True


def undisturbed(subject: Subject, folder: Path) -> float:
    """The seconds that a run takes that nobody kills."""
    folder.mkdir(parents=True)
    begin = time.monotonic()
    ended(forked(subject, folder, resume=False), folder)
    return time.monotonic() - begin


def history(
    subject: Subject, reference: Path, folder: Path, seconds: float, kills: int, rng: np.random.Generator
) -> int:
    """One run, killed up to `kills` times before its end, and compared with the reference; the number of kills."""
    folder.mkdir(parents=True)
    done = 0
    while True:
        child = forked(subject, folder, subject.begun(folder))
        if done < kills:
            time.sleep(rng.uniform(0, seconds))
            os.kill(child, signal.SIGKILL)  # one that has ended meanwhile is not reaped yet, and takes no harm
        if ended(child, folder):
            break
        done += 1
        subject.look(folder)
    subject.look(folder)
    subject.compare(folder, reference)
    return done


def campaign(subjects: dict[str, Subject], kills: int, folder: Path, seed: int) -> dict:
    """Kills the subjects in turns until there were `kills` of them; figures of what happened."""
    rng = np.random.default_rng(seed)
    seconds = {name: undisturbed(subject, folder / name / "reference") for name, subject in subjects.items()}
    counts, histories = dict.fromkeys(subjects, 0), dict.fromkeys(subjects, 0)
    begin, most = time.monotonic(), max(1, min(6, kills // len(subjects)))
    while sum(counts.values()) < kills:
        name = min(counts, key=lambda n: counts[n])
        place = folder / name / str(histories[name])
        left = min(most, kills - sum(counts.values()))
        counts[name] += history(subjects[name], folder / name / "reference", place, seconds[name], left, rng)
        histories[name] += 1
        shutil.rmtree(place)
    return {"kills": counts, "histories": histories, "seconds": time.monotonic() - begin, "undisturbed": seconds}


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--kills", type=int, default=200)
    p.add_argument("--of", nargs="+", default=["md", "npt", "relax", "rpmd", "train"])
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--folder", type=Path, help="(default: a temporary one)")
    options = p.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        calculator = PaiNNCalculator(load_model("ethanol"))
        makers = {
            "md": lambda: md(calculator),
            "npt": npt,
            "relax": lambda: relaxation(calculator),
            "rpmd": lambda: rpmd(calculator),
            "train": lambda: training(folder / "frames.xyz"),
        }
        figures = campaign({name: makers[name]() for name in options.of}, options.kills, folder, options.seed)
    print(json.dumps(figures))


if __name__ == "__main__":
    sys.exit(main())
