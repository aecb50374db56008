"""What the benchmarks of response properties share: data divided once, training within a budget, relative errors.

A run lies in runs/<name>/; a run that was stopped continues where it was when its script is called again.
"""

import argparse
import csv
import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ablation import epochs_within, machine, train_as_planned
from division import divide

from painn_ase.training import TrainConfig, Trained, parse_config
from painn_ase.training.evaluate import Comparison

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("PAINN_ASE_DATA", ROOT.parent / "shared" / "data"))
RESULTS, RUNS = ROOT / "benchmarks" / "results", ROOT / "runs"

NETWORKS: dict[str, dict[str, Any]] = {
    "ictp": {"kind": "ictp", "features": 32},
    "painn": {"kind": "painn_variant", "features": 64, "interactions": 3, "tensor_features": True},
    "tensornet": {"kind": "tensornet", "features": 32, "interactions": 2},
}


@dataclass(frozen=True)
class Study:
    """A file of frames, how many of them train, validate and test (drawn by seed 0), and the training as a table."""

    name: str
    source: str  # in the folder of reference data
    counts: tuple[int, int, int]
    table: dict[str, Any]  # labels, heads, loss, ... of a training configuration
    learning_rates: dict[str, float]  # by network


def arguments(description: str | None) -> argparse.Namespace:
    """The command line of a benchmark."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=20.0, help="CPU time of the training (%(default)s)")
    parser.add_argument("--network", choices=sorted(NETWORKS), default="ictp", help="(%(default)s)")
    parser.add_argument("--features", type=int, help="in place of the network's default")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def run(study: Study, options: argparse.Namespace, more: Callable[[Trained, Path], dict[str, Any]]) -> dict[str, Any]:
    """Trains within the budget, or continues; stores and returns the result. `more` adds to it from the test file."""
    torch.set_num_threads(1)
    folder = RUNS / f"{study.name}_{options.network}_{options.minutes:g}min_seed{options.seed}"
    folder.mkdir(parents=True, exist_ok=True)
    files = divided(study, folder)
    config = configure(study, options, files, folder)
    plan_file = folder / "plan.json"
    plan = json.loads(plan_file.read_text()) if plan_file.is_file() else {}
    plan = plan or {"epochs": epochs_within(config, 60 * options.minutes), "cpu_seconds": 0.0}
    trained = train_as_planned(config, plan, plan_file)
    comparisons = trained.evaluations["test"].comparisons
    result = {
        "study": study.name,
        "network": config.model.representation,
        "heads": config.model.heads,
        "frames": dict(zip(("training", "validation", "test"), study.counts, strict=True)),
        "parameters": sum(p.numel() for p in trained.model.parameters()),
        "epochs": trained.epochs,
        "cpu_minutes": round(plan["cpu_seconds"] / 60, 2),
        "errors": {name: errors(comparison) for name, comparison in comparisons.items()},
        **more(trained, files[2]),
        "curve": curve(config.run.output / "log.csv"),
        **machine(),
    }
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"{study.name}_{options.network}.json"
    path.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    print(f"{path.relative_to(ROOT)}: {trained.epochs} epochs, {result['cpu_minutes']} CPU minutes")
    return result


def errors(comparison: Comparison) -> dict[str, Any]:
    """MAE and RMSE of the components in internal units; RMSE also relative to the labels' standard deviation.

    That is about each component's own mean over the frames, so that a constant part (of a polarizability, the same in
    all frames) does not count as something learned.
    """
    difference = comparison.predicted - comparison.reference
    spread = np.sqrt(comparison.reference.var(axis=0).mean())
    rmse = np.sqrt(np.square(difference).mean())
    return {"mae": float(np.abs(difference).mean()), "rmse": float(rmse), "relative_rmse": float(rmse / spread)}


def divided(study: Study, folder: Path) -> tuple[Path, Path, Path]:
    """Files of the training, validation and test frames."""
    paths = tuple(folder / f"{part}.extxyz" for part in ("train", "validation", "test"))
    if not all(path.is_file() for path in paths):
        source = DATA / study.source
        if not source.is_file():
            sys.exit(f"{source} is absent; PAINN_ASE_DATA names the folder of reference data")
        divide(source, study.counts, paths)
    return paths  # type: ignore[return-value]


def configure(study: Study, options: argparse.Namespace, files: tuple[Path, ...], folder: Path) -> TrainConfig:
    """The training configuration of the network that the command line names."""
    representation = NETWORKS[options.network] | study.table["representation"]
    if options.features:
        representation |= {"features": options.features}
    return parse_config(
        {
            "data": {
                "train": str(files[0]),
                "validation": str(files[1]),
                "test": str(files[2]),
                "labels": study.table["labels"],
            },
            "model": {"representation": representation, "heads": study.table["heads"]},
            "loss": study.table["loss"],
            "optimizer": {"learning_rate": study.learning_rates[options.network], "ema": 0.999},
            "schedule": {"kind": "cosine", "warmup": 200, "minimum": 1e-3},
            "run": {
                "output": str(folder / "run"),
                "batch_size": study.table["batch_size"],
                "seed": options.seed,
                "threads": 1,
                "checkpoint_seconds": 60.0,
            },
        }
    )


def curve(log: Path, points: int = 60) -> dict[str, list[float]]:
    """Columns of the log, thinned to rows evenly spaced in the logarithm of the epoch."""
    with open(log, newline="") as file:
        rows = list(csv.DictReader(file))
    chosen = sorted({min(len(rows), round(k)) - 1 for k in np.geomspace(1, len(rows), points)})
    return {name: [float(rows[k][name]) for k in chosen] for name in rows[0] if rows[0][name]}


def report(result: dict[str, Any], units: dict[str, tuple[str, float]]) -> None:
    """Prints the errors as a table; `units` are those to show, and the factors to them."""
    print("| property | RMSE | unit | of the labels' standard deviation |\n|---|---|---|---|")
    for name, e in result["errors"].items():
        unit, factor = units[name]
        print(f"| {name} | {factor * e['rmse']:.4g} | {unit} | {100 * e['relative_rmse']:.2f} % |")


def judge(name: str, found: float, aim: float, unit: str) -> None:
    """Says whether an error is as small as aimed for."""
    print(f"{name}: {found:.3g} {unit}, aim {aim:g} {unit}: {'reached' if found <= aim else 'missed'}")
