"""Accuracy on published data: trains tasks of accuracy_tasks.py within a budget; accuracy_page.py shows the results.

    python benchmarks/accuracy.py acac_300K acac_600K --minutes 20 --features 64 [--resume] [--device cuda]

Minutes are CPU time of the process on a CPU (other work on the machine does not count) and wall time on a GPU. The
number of epochs is chosen by timing two of them, so that the learning rate falls to its end within the budget, and is
kept in the run's folder: --resume continues a run that was stopped. The data lie in PAINN_ASE_DATA (../shared/data).
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import torch
from accuracy_page import KINDS, RESULTS, render, stored_at
from accuracy_tasks import TASKS, Task
from division import divide

from painn_ase import __version__
from painn_ase.files import write_atomically
from painn_ase.training import TrainConfig, evaluate_model, read_frames, train
from painn_ase.training.config import (
    EPSILON,
    Architecture,
    Data,
    Optimizer,
    Run,
    Schedule,
    Split,
    radial_functions,
)
from painn_ase.training.trainer import CHECKPOINT

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "models" / "silicon"))
from prepare import ordered  # noqa: E402

DATA = Path(os.environ.get("PAINN_ASE_DATA", ROOT.parent / "shared" / "data"))
RUNS, LOSSES = ROOT / "runs" / "accuracy", ("squared", "absolute")
SIZES = {"painn": (64, 3), "ictp": (32, 2)}  # features and interactions, unless given
MARKS = (50, 30, 20, 15, 10, 7.5)  # meV/Å: when the force error of the validation frames passed them is reported


def parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description="accuracy on published data")
    parser.add_argument("tasks", nargs="+", choices=TASKS, metavar="TASK", help=", ".join(TASKS))
    parser.add_argument("--minutes", type=float, default=20.0, help="budget of this call per task (%(default)s)")
    parser.add_argument("--kind", choices=KINDS, default="painn", help="network (%(default)s)")
    parser.add_argument("--features", type=int, help="64 of PaiNN, 32 of ICTP unless given")
    parser.add_argument("--interactions", type=int, help="3 of PaiNN, 2 of ICTP unless given")
    parser.add_argument("--max-rank", type=int, default=2, help="of ICTP's harmonics, up to 3 (%(default)s)")
    parser.add_argument("--batch", type=int, help="structures in a step, instead of the task's")
    parser.add_argument("--learning-rate", type=float, default=1e-3, help="at its largest (%(default)s)")
    parser.add_argument("--loss", choices=LOSSES, default="absolute", help="lengths of errors or squares (%(default)s)")
    parser.add_argument("--epochs", type=int, help="instead of as many as fit into the budget")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--resume", action="store_true", help="continue where the budget ended")
    parser.add_argument("--overwrite", action="store_true", help="forget an earlier run")
    return parser


def main(options: argparse.Namespace) -> None:
    """Trains the tasks as the command line says, stores their results, and writes the page anew."""
    for name in options.tasks:
        result = measure(name, options)
        RESULTS.mkdir(parents=True, exist_ok=True)
        path = stored_at(name, options.kind)
        path.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")
        print(f"{path.relative_to(ROOT)}: {result['state']}")
        for property_, e in result["errors"].items():
            print(f"  {property_}: MAE {e['mae']:.4g}, RMSE {e['rmse']:.4g} {e['unit']}")
    render()


def measure(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """Trains one task within the budget and returns its errors on the test frames, with all that led to them."""
    task = TASKS[name]
    network = _network(options, "forces" in task.labels)
    rank = network.get("max_rank", 2)
    sizes = f"F{network['features']}_T{network['interactions']}" + f"_L{rank}" * (rank != 2)
    output = RUNS / f"{name}_{options.kind}_{sizes}_{options.loss}_lr{options.learning_rate:g}_s{options.seed}"
    if options.overwrite and not options.resume and output.is_dir():
        shutil.rmtree(output)
    clock = time.process_time if options.device == "cpu" else time.monotonic
    begin, budget = clock(), 60 * options.minutes
    config = _config(name, task, output, options)
    plan = output / "plan.json"
    if plan.is_file() and not options.resume:
        sys.exit(f"{output} holds a run; continue it with --resume, or --overwrite it")
    if plan.is_file():
        kept = json.loads(plan.read_text())
    else:
        kept = {"epochs": options.epochs or _epochs(config, budget, clock), "minutes": 0.0}
        output.mkdir(parents=True, exist_ok=True)
    epochs, earlier = kept["epochs"], kept["minutes"]
    config = replace(config, run=replace(config.run, epochs=epochs))

    def note(row: dict[str, float]) -> None:
        kept["minutes"] = earlier + (clock() - begin) / 60
        write_atomically(plan, json.dumps(kept))  # in every epoch: minutes of a killed run count, too
        if row and clock() - begin > budget:
            signal.raise_signal(signal.SIGINT)  # the trainer finishes its epoch and saves

    note({})
    trained = train(config, resume=(output / CHECKPOINT).is_file(), on_epoch=note)
    minutes = kept["minutes"]
    test = trained.evaluations.get("test")  # None of an interrupted run
    if test is None:
        test = evaluate_model(trained.model, read_frames(config.data.test), task.labels)
    return {
        "task": name,
        "state": f"{trained.epochs} of {epochs} epochs, {minutes:.1f} min"
        + ("" if trained.finished else "; --resume continues"),
        "finished": trained.finished,
        "epochs": trained.epochs,
        "planned_epochs": epochs,
        "minutes": round(minutes, 2),
        "exchanged": task.exchanged,
        "test_structures": test.structures,
        "errors": test.to_dict()["properties"],
        "training": config.to_dict(),
        "parameters": sum(p.numel() for p in trained.model.parameters()),
        "curve": _curve(output / "log.csv"),
        "passed": _passed(output / "log.csv", minutes),
        "device": options.device,
        **_machine(options.device),
    }


def _config(name: str, task: Task, output: Path, options: argparse.Namespace) -> TrainConfig:
    train_files, validation, test = files(name, task)
    heads: dict[str, Any] = {p: {"epsilon": EPSILON} for p in ("dipole", "polarizability") if p in task.labels}
    if "forces" in task.labels:
        heads = {"energy": {}, **heads}
    return TrainConfig(
        data=Data(train_files, task.labels, validation, test, Split("seed", None, 0, task.validation or 0.1)),
        run=Run(output, batch_size=options.batch or task.batch, seed=options.seed, device=options.device, threads=1),
        model=Architecture(_network(options, "forces" in task.labels), heads),
        loss=replace(task.loss, kind=options.loss),
        optimizer=Optimizer(learning_rate=options.learning_rate, ema=0.999),
        schedule=Schedule("cosine", warmup=200, minimum=1e-3),
        about={"level of theory": task.level, "data": task.split},
    )


def _network(options: argparse.Namespace, scalars_only: bool) -> dict[str, Any]:
    """PaiNN or ICTP of the size asked for (of ICTP with less work where only scalars are read)."""
    features, interactions = SIZES[options.kind]
    sizes = {"features": options.features or features, "interactions": options.interactions or interactions}
    if options.kind == "ictp":
        ranks = {"max_rank": options.max_rank} | ({"output_rank": 0} if scalars_only else {})
        return {"kind": "ictp", **sizes, **ranks}
    return {"kind": "painn", **sizes, "cutoff": 5.0, "radial": radial_functions(5.0), "epsilon": EPSILON}


def files(name: str, task: Task) -> tuple[tuple[Path, ...], tuple[Path, ...], tuple[Path, ...]]:
    """Training, validation and test files; a file without test set is divided into three in the runs' folder, and
    labels that must be put right are, there."""
    source = DATA / task.train
    if not source.is_file():
        sys.exit(f"{source} is absent; PAINN_ASE_DATA names the folder of reference data")
    folder = RUNS / "data"
    folder.mkdir(parents=True, exist_ok=True)
    if task.counts is None:
        assert task.test is not None
        files = [source, DATA / task.test]
        if task.exchanged:
            for k, path in enumerate(files):
                files[k] = folder / path.name
                ase.io.write(files[k], [ordered(atoms) for atoms in ase.io.read(path, ":")], format="extxyz")
        return (files[0],), (), (files[1],)
    paths = [folder / f"{name}_{part}.extxyz" for part in ("train", "validation", "test")]
    divide(source, task.counts, paths)
    return (paths[0],), (paths[1],), (paths[2],)


def _epochs(config: TrainConfig, budget: float, clock: Callable[[], float]) -> int:
    """As many as fit into the budget, from the time of two epochs (the first one, which warms up, left out)."""
    ends: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        trial = replace(config, run=replace(config.run, epochs=3, output=Path(folder) / "trial"))
        begin = clock()
        train(trial, progress=False, on_epoch=lambda row: ends.append(clock()))
        used = clock() - begin
    return max(2, int(0.95 * (budget - used) / ((ends[2] - ends[0]) / 2)))


def _curve(log: Path, points: int = 60) -> dict[str, list[float]]:
    """Columns of the log, thinned to rows evenly spaced in the logarithm of the epoch."""
    with open(log, newline="") as file:
        rows = list(csv.DictReader(file))
    chosen = sorted({min(len(rows) - 1, int(k)) for k in np.geomspace(1, len(rows), points) - 1})
    return {name: [float(rows[k][name]) for k in chosen] for name in rows[0] if rows[0][name]}


def _passed(log: Path, minutes: float) -> dict[str, float]:
    """Minutes after which the validation force MAE first was at or below so many meV/Å; of `minutes` in all."""
    with open(log, newline="") as file:
        rows = list(csv.DictReader(file))
    key = next((name for name in rows[0] if name.startswith("forces MAE")), None)
    if key is None:
        return {}
    first = {mark: next((k for k, row in enumerate(rows, 1) if float(row[key]) <= mark), None) for mark in MARKS}
    return {str(mark): round(minutes * k / len(rows), 2) for mark, k in first.items() if k is not None}


def _machine(device: str) -> dict[str, str]:
    """Processor or accelerator, versions and commit."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    name = next((x.split(":")[1].strip() for x in lines if x.startswith("model name")), platform.machine())
    if device != "cpu":
        name = torch.cuda.get_device_name(device)
    found = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    versions = f"painn_ase {__version__}, torch {torch.__version__}, python {platform.python_version()}"
    return {"machine": name, "versions": versions, "commit": found.stdout.strip()}


if __name__ == "__main__":
    main(parser().parse_args())
