"""Kills runs at random moments, takes them up again, and compares their ends with runs that were never killed.

    python tests/kills.py --kills 200 [--of md npt relax rpmd spectra train] [--seed 0] [--json FILE]

prints for each kind the kills, how many of the killed runs went on to the very end of the undisturbed one, and the
files that could not be read after a kill; the exit code is 0 if that is all of them and none.

One process imports everything and runs nothing; what it forks begins within milliseconds and gets a SIGKILL at a
moment drawn evenly from the time an undisturbed run takes. After each kill every file that has its name must be
readable, and nothing that a restart vouches for may be missing. At the end of a history of kills and resumptions all
files must equal those of the undisturbed run, to the last bit. Files are kept in memory where the system has a folder
for that: what a process has written outlives its kill there as on a disk.
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
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

import ase.io
import numpy as np
import torch
from ase.build import bulk, molecule
from ase.calculators.morse import MorsePotential
from safetensors.numpy import load_file

from painn_ase import PaiNNCalculator, load_model
from painn_ase.simulate import MTK, Analysis, Beads, Output, Protocol, relax, run_md, run_rpmd, simulate_spectra
from painn_ase.simulate.run.restart import Restart
from painn_ase.simulate.spectrum import recorded
from painn_ase.structures import read_structure
from painn_ase.training import parse_config, train

from helpers.forks import ended, forked
from helpers.identical import check_same_frames, check_same_run, check_same_state, frames_of, readable
from helpers.stopped import Forgetful

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
            atoms, steps=100, timestep=2.0, ensemble="npt", barostat=MTK(1.0, "full"), path=path,
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


# ---- spectra


def spectra(calculator: PaiNNCalculator) -> Subject:
    """Three trajectories in lock-step, without the report at their end: it only reads, and is made anew each time."""
    protocol = Protocol(trajectories=3, length=0.5, equilibration=0.05, timestep=1.0, every=2)

    def run(path: Path, resume: bool) -> None:
        recorded.analyse = lambda run, plan, facts, *_: facts  # of this process, which is a fork
        where = {"path": path.parent, "protocol": protocol, "analysis": Analysis(180)}
        simulate_spectra(ethanol(calculator), checkpoint=OFTEN, **where, **going_on(resume))

    return dynamics(run)


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


def undisturbed(subject: Subject, folder: Path) -> float:
    """The seconds that a run takes that nobody kills."""
    folder.mkdir(parents=True)
    begin = time.monotonic()
    ended(forked(lambda: subject.run(folder, False), folder), folder)
    return time.monotonic() - begin


@dataclass
class Tally:
    """What happened to the runs of one kind."""

    seconds: float  # that one takes undisturbed
    kills: int = 0
    runs: int = 0  # that were killed, went on, and reached their end
    equal: int = 0  # of these, to the undisturbed one to the last bit
    unreadable: int = 0  # files, or rather first files, after a kill
    faults: list[str] = field(default_factory=list)  # what was wrong


def history(subject: Subject, reference: Path, folder: Path, kills: int, rng: np.random.Generator, t: Tally) -> None:
    """One run, killed up to `kills` times before its end, and compared with the reference."""
    folder.mkdir(parents=True)
    done = 0
    while True:
        child = forked(partial(subject.run, folder, subject.begun(folder)), folder)
        if done < kills:
            time.sleep(rng.uniform(0, t.seconds))
            os.kill(child, signal.SIGKILL)  # one that has ended meanwhile is not reaped yet, and takes no harm
        whole = ended(child, folder)
        try:
            subject.look(folder)
        except Exception:
            t.unreadable += 1
            t.faults.append(traceback.format_exc())
        if whole:
            break
        done += 1
        t.kills += 1
    t.runs += done > 0
    try:
        subject.compare(folder, reference)
        t.equal += done > 0
    except Exception:
        t.faults.append(traceback.format_exc())


def campaign(subjects: dict[str, Subject], kills: int, folder: Path, seed: int) -> dict[str, Tally]:
    """Kills the subjects in turns until there were `kills` of them; what happened, by subject."""
    rng = np.random.default_rng(seed)
    found = {name: Tally(undisturbed(s, folder / name / "reference")) for name, s in subjects.items()}
    histories, most = 0, max(1, min(6, kills // len(subjects)))
    while (left := kills - sum(t.kills for t in found.values())) > 0:
        name = min(found, key=lambda n: found[n].kills)
        place, histories = folder / name / str(histories), histories + 1
        history(subjects[name], folder / name / "reference", place, min(most, left), rng, found[name])
        shutil.rmtree(place)
    return found


def table(found: dict[str, Tally], seconds: float) -> str:
    """The figures, one row per kind."""
    columns = ("kills", "runs", "equal", "unreadable")
    total = {c: sum(getattr(t, c) for t in found.values()) for c in columns}
    rows = [(name, *(getattr(t, c) for c in columns)) for name, t in found.items()] + [("all", *total.values())]
    text = "\n".join("{:<8}{:>7}{:>16}{:>13}{:>18}".format(*row) for row in rows)
    head = f"{'':<8}{'kills':>7}{'resumed to end':>16}{'same bits':>13}{'unreadable files':>18}"
    return f"{head}\n{text}\n{seconds:.0f} s"


def main() -> int:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--kills", type=int, default=200)
    p.add_argument("--of", nargs="+", default=list(KINDS), choices=list(KINDS))
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--folder", type=Path, help="(default: a temporary one, in memory if possible)")
    p.add_argument("--json", type=Path, help="figures go here, too")
    options = p.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    begin, memory = time.monotonic(), Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        calculator = PaiNNCalculator(load_model("ethanol"))
        subjects = {name: KINDS[name](calculator, folder) for name in options.of}
        found = campaign(subjects, options.kills, folder, options.seed)
    print(table(found, time.monotonic() - begin))
    for fault in (fault for t in found.values() for fault in t.faults):
        print(f"\n{fault}", file=sys.stderr)
    if options.json:
        options.json.write_text(json.dumps({name: asdict(t) for name, t in found.items()}, indent=1))
    return int(any(t.faults for t in found.values()))


KINDS: dict[str, Callable[[PaiNNCalculator, Path], Subject]] = {
    "md": lambda calculator, _: md(calculator),
    "npt": lambda calculator, _: npt(),
    "relax": lambda calculator, _: relaxation(calculator),
    "rpmd": lambda calculator, _: rpmd(calculator),
    "spectra": lambda calculator, _: spectra(calculator),
    "train": lambda _, folder: training(folder / "frames.xyz"),
}


if __name__ == "__main__":
    sys.exit(main())
