"""Accuracy on published data: one table of tasks, one way to train them within a budget, one page of results.

    python benchmarks/accuracy_acac.py --minutes 20 --features 64 [--resume] [--device cuda]
    python benchmarks/accuracy.py                  # docs/accuracy.md and its figure from benchmarks/results/

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
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import torch

from painn_ase import __version__
from painn_ase.training import Label, TrainConfig, train
from painn_ase.training.config import (
    EPSILON,
    Architecture,
    Data,
    LossWeights,
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
RESULTS, RUNS, PAGE = ROOT / "benchmarks" / "results", ROOT / "runs" / "accuracy", ROOT / "docs" / "accuracy.md"
FIGURE = ROOT / "docs" / "images" / "accuracy_curves.png"
KINDS, LOSSES = ("painn", "ictp"), ("squared", "absolute")
MARKS = (50, 30, 20, 15, 10, 7.5)  # meV/Å: when the force error of the validation frames passed them is reported

_EV = {"energy": Label("energy", "eV"), "forces": Label("forces", "eV/Å")}
_MLEARN = {
    "energy": Label("REF_energy", "eV"),
    "forces": Label("REF_forces", "eV/Å"),
    "stress": Label("REF_stress", "eV/Å³"),
}
_CCSD = {"dipole": Label("mu", "e*Bohr"), "polarizability": Label("alpha", "Bohr^3")}
_QE = {
    "energy": Label("total_energy", "eV"),
    "forces": Label("forces", "eV/Å"),
    "stress": Label("stress", "eV/Å³"),
}


@dataclass(frozen=True)
class Task:
    """Data, how they are split, and what stands beside the result."""

    title: str
    level: str
    labels: dict[str, Label]
    train: str  # file in the data folder
    test: str | None  # file; None: `split` takes the test frames from the training file
    split: str  # in words, for the page
    validation: float  # fraction of the training frames
    counts: tuple[int, int, int] | None = None  # training, validation and test frames of a file that is divided here
    neighbours: tuple[tuple[str, str], ...] = ()  # published values, recalled from the papers
    batch: int = 5
    loss: LossWeights = LossWeights()  # noqa: RUF009  (frozen)
    exchanged: bool = False  # yz and xz of the labelled stresses; put right here (models/silicon/prepare.py)


_RMD17 = (
    ("MACE", "2.1"),
    ("NequIP", "2.8"),
    ("ACE", "7.3"),
    ("PaiNN (MD17)", "10.0"),
)
_ACAC = (("MACE", "5.1"), ("NequIP", "5.9"), ("BOTNet", "6.3"))
_SOLID = LossWeights(energy=0.2, forces=1.0, stress=0.6)
_ANY = "frames drawn at random (permutation of seed 0)"

TASKS = {
    "ethanol_methanol": Task(
        "Ethanol (1000 training frames)",
        "PBE/def2-SVP (ORCA) on rMD17 geometries; BOTNet-datasets",
        _EV, "ethanol_methanol/train.xyz", "ethanol_methanol/test_MD.xyz",
        "train.xyz: 950 training, 50 validation frames by seed 0; test_MD.xyz: 1000 test frames", 0.05,
        neighbours=_RMD17,
    ),
    "acac_300K": Task(
        "Acetylacetone, trained at 300 K",
        "PBE-D3/def2-SVP (ORCA); BOTNet-datasets",
        _EV, "acac/train_300K.xyz", "acac/test_MD_300K.xyz",
        "train_300K.xyz: 450 training, 50 validation frames by seed 0; test_MD_300K.xyz: 650 test frames", 0.1,
        neighbours=_ACAC,
    ),
    "acac_600K": Task(
        "Acetylacetone, trained at 600 K, tested at 300 K",
        "PBE-D3/def2-SVP (ORCA); BOTNet-datasets",
        _EV, "acac/train_600K.xyz", "acac/test_MD_300K.xyz",
        "train_600K.xyz: 450 training, 50 validation frames by seed 0; test_MD_300K.xyz: 650 test frames", 0.1,
    ),
    **{
        f"mlearn_{element}": Task(
            f"Solid {name} (mlearn)", "PBE (VASP); mlearn, Zuo et al. 2020",
            _MLEARN, f"mlearn/{element}_training.extxyz", f"mlearn/{element}_test.extxyz",
            f"{element}_training: 90 % training, 10 % validation frames by seed 0; {element}_test as published", 0.1,
            batch=2, loss=_SOLID, exchanged=element != "Mo",
        )
        for element, name in (("Si", "silicon"), ("Ge", "germanium"), ("Mo", "molybdenum"))
    },
    "water_monomer": Task(
        "Water monomer: dipole and polarizability", "CCSD/d-aug-cc-pVTZ; TENSOAP",
        _CCSD, "water_response/water_monomer_1000.xyz", None,
        f"700 training, 100 validation, 200 test {_ANY}", 0.0, (700, 100, 200), batch=10,
        loss=LossWeights(dipole=1.0, polarizability=1.0),
    ),
    "sio2": Task(
        "α-quartz, 72 atoms", "PBE (Quantum ESPRESSO); allegro-pol, Falletta et al. 2025",
        _QE, "sio2_response/SiO2.xyz", None,
        f"161 training, 20 validation, 20 test {_ANY}; frames of one source, so neighbours in time may be in both", 0.0,
        (161, 20, 20), batch=1, loss=_SOLID,
    ),
}  # fmt: skip


def main(tasks: list[str]) -> None:
    """Trains the tasks as the command line says, stores their results, and writes the page anew."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=20.0, help="budget of this call per task (%(default)s)")
    parser.add_argument("--kind", choices=KINDS, default="painn", help="network (%(default)s)")
    parser.add_argument("--features", type=int, default=64, help="of PaiNN (%(default)s)")
    parser.add_argument("--interactions", type=int, default=3, help="of PaiNN (%(default)s)")
    parser.add_argument("--learning-rate", type=float, default=1e-3, help="at its largest (%(default)s)")
    parser.add_argument("--loss", choices=LOSSES, default="absolute", help="lengths of errors or squares (%(default)s)")
    parser.add_argument("--epochs", type=int, help="instead of as many as fit into the budget")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--resume", action="store_true", help="continue where the budget ended")
    parser.add_argument("--overwrite", action="store_true", help="forget an earlier run")
    options = parser.parse_args()
    for name in tasks:
        result = measure(name, options)
        RESULTS.mkdir(parents=True, exist_ok=True)
        path = _stored(name, options.kind)
        path.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")
        print(f"{path.relative_to(ROOT)}: {result['state']}")
        for property_, e in result["errors"].items():
            print(f"  {property_}: MAE {e['mae']:.4g}, RMSE {e['rmse']:.4g} {e['unit']}")
    render()


def measure(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """Trains one task within the budget and returns its errors on the test frames, with all that led to them."""
    task = TASKS[name]
    sizes = f"F{options.features}_T{options.interactions}" if options.kind == "painn" else "defaults"
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
        plan.write_text(json.dumps(kept))
    epochs = kept["epochs"]
    config = replace(config, run=replace(config.run, epochs=epochs))
    resume = (output / CHECKPOINT).is_file()

    def stop(_row: dict[str, float]) -> None:
        if clock() - begin > budget:
            signal.raise_signal(signal.SIGINT)  # the trainer finishes its epoch and saves

    trained = train(config, resume=resume, on_epoch=stop)
    minutes = kept["minutes"] + (clock() - begin) / 60
    plan.write_text(json.dumps({"epochs": epochs, "minutes": minutes}))
    test = trained.evaluations["test"].to_dict()
    return {
        "task": name,
        "state": f"{trained.epochs} of {epochs} epochs, {minutes:.1f} min"
        + ("" if trained.finished else "; --resume continues"),
        "finished": trained.finished,
        "epochs": trained.epochs,
        "planned_epochs": epochs,
        "minutes": round(minutes, 2),
        "exchanged": task.exchanged,
        "test_structures": test["structures"],
        "errors": test["properties"],
        "training": config.to_dict(),
        "parameters": sum(p.numel() for p in trained.model.parameters()),
        "curve": _curve(output / "log.csv"),
        "passed": _passed(output / "log.csv", minutes),
        "device": options.device,
        **_machine(options.device),
    }


def _config(name: str, task: Task, output: Path, options: argparse.Namespace) -> TrainConfig:
    train_files, validation, test = _files(name, task)
    heads: dict[str, Any] = {p: {"epsilon": EPSILON} for p in ("dipole", "polarizability") if p in task.labels}
    if "forces" in task.labels:
        heads = {"energy": {}, **heads}
    return TrainConfig(
        data=Data(train_files, task.labels, validation, test, Split("seed", None, 0, task.validation or 0.1)),
        run=Run(output, batch_size=task.batch, seed=options.seed, device=options.device, threads=1),
        model=Architecture(_network(options, set(heads) <= {"energy"}), heads),
        loss=replace(task.loss, kind=options.loss),
        optimizer=Optimizer(learning_rate=options.learning_rate, ema=0.999),
        schedule=Schedule("cosine", warmup=200, minimum=1e-3),
        about={"level of theory": task.level, "data": task.split},
    )


def _network(options: argparse.Namespace, scalars_only: bool) -> dict[str, Any]:
    """PaiNN of the size asked for, or ICTP with its defaults (less work where only scalars are read)."""
    if options.kind == "ictp":
        return {"kind": "ictp", **({"output_rank": 0} if scalars_only else {})}
    return {
        "kind": "painn",
        "features": options.features,
        "interactions": options.interactions,
        "cutoff": 5.0,
        "radial": radial_functions(5.0),
        "epsilon": EPSILON,
    }


def _files(name: str, task: Task) -> tuple[tuple[Path, ...], tuple[Path, ...], tuple[Path, ...]]:
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
    frames = ase.io.read(source, ":")
    order = np.random.default_rng(0).permutation(len(frames))
    parts = np.split(order, np.cumsum(task.counts))[:3]
    paths = [folder / f"{name}_{part}.extxyz" for part in ("train", "validation", "test")]
    for path, part in zip(paths, parts, strict=True):
        ase.io.write(path, [frames[k] for k in part], format="extxyz")
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


# ---- the page


def render() -> None:
    """Writes docs/accuracy.md and its figure from the results that are there."""
    results = stored_results()
    PAGE.write_text(page(results))
    if results:
        _draw(results)
    print(f"{PAGE.relative_to(ROOT)}: {len(results)} results")


def stored_results() -> dict[str, Any]:
    """What was measured, by task; of a second network under the task's name and the network's."""
    places = {(name if kind == "painn" else f"{name}, {kind}"): _stored(name, kind) for name in TASKS for kind in KINDS}
    return {key: json.loads(path.read_text()) for key, path in places.items() if path.is_file()}


def _stored(name: str, kind: str) -> Path:
    return RESULTS / f"accuracy_{name}{'' if kind == 'painn' else '_' + kind}.json"


def page(results: dict[str, Any]) -> str:
    """The page, in Markdown."""
    sections = [_section([r for r in results.values() if r["task"] == name]) for name in TASKS]
    parts = [_INTRODUCTION, _summary(results), *(section for section in sections if section)]
    if results:
        parts.append("## Training curves\n\n![validation error by CPU time](images/accuracy_curves.png)")
    missing = [name for name in TASKS if not any(r["task"] == name for r in results.values())]
    if missing:
        parts.append("Not measured yet: " + ", ".join(missing) + ".")
    return "\n\n".join(parts) + "\n"


_INTRODUCTION = """# Accuracy on published data

Models of this package trained from scratch on data of others, and tested on frames they never saw. Every number comes
from a result in `benchmarks/results/`; `python benchmarks/accuracy.py` writes this page from them, and
`python benchmarks/accuracy_<task>.py --minutes 20` makes a result anew. Budgets are CPU minutes on one thread (wall
minutes on a GPU), minutes against the days that published models train for. *Published values are recalled from their
papers, not measured here*, and belong to the data and splits named there, which resemble ours."""


def _summary(results: dict[str, Any]) -> str:
    head = ("task", "energy MAE, meV/atom", "force MAE, meV/Å", "force RMSE, meV/Å", "other MAE", "network", "training")
    rows = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for r in results.values():
        e = r["errors"]
        others = [
            f"{p} {v['mae']:.3g} {v['unit']}" for p, v in e.items() if p in ("stress", "dipole", "polarizability")
        ]
        cells = [TASKS[r["task"]].title, _number(e, "energy per atom", "mae"), _number(e, "forces", "mae")]
        cells += [
            _number(e, "forces", "rmse"),
            ", ".join(others),
            _name(r),
            r["state"],
        ]
        rows.append("| " + " | ".join(cells) + " |")
    return "\n".join(rows)


def _number(errors: dict[str, Any], name: str, kind: str) -> str:
    return f"{errors[name][kind]:.3g}" if name in errors else ""


def _name(r: dict[str, Any]) -> str:
    """The network of a result, in a word or two."""
    network = r["training"]["model"]["representation"]
    sizes = f" (F = {network['features']}, T = {network['interactions']})" if network["kind"] == "painn" else ""
    return {"painn": "PaiNN", "ictp": "ICTP"}[network["kind"]] + sizes


def _section(results: list[dict[str, Any]]) -> str:
    """What was measured for one task, network by network, beside what others published."""
    if not results:
        return ""
    task = TASKS[results[0]["task"]]
    lines = [f"## {task.title}", "", f"{task.level}. {task.split}.", ""]
    for r in results:
        seed, rate = r["training"]["run"]["seed"], r["training"]["optimizer"]["learning_rate"]
        loss = r["training"]["loss"].get("kind", "squared")
        passed = ", ".join(f"{mark} after {minutes:.3g}" for mark, minutes in r.get("passed", {}).items())
        lines.append(
            f"- {_name(r)}: seed {seed}, batches of {task.batch}, learning rate {rate:g}, {loss} loss, {r['state']}, "
            f"{r['parameters']:,} parameters; {r['machine']}, {r['versions']}, commit {r['commit']}"
            + ("; yz and xz of stresses put right in all but elastic frames" if r.get("exchanged") else "")
            + (f"; force MAE of the validation frames, meV/Å, by minutes: {passed}" if passed else "")
        )
    lines += ["", "| network | test error | MAE | RMSE | unit |", "|---|---|---|---|---|"]
    for r in results:
        for p, e in r["errors"].items():
            lines.append(f"| {_name(r)} | {p} | {e['mae']:.4g} | {e['rmse']:.4g} | {e['unit']} |")
    if task.neighbours:
        kind = "RMSE" if results[0]["task"].startswith("acac") else "MAE"
        lines += ["", f"| force {kind}, meV/Å | |", "|---|---|"]
        lines += [f"| this package, {_name(r)} | {r['errors']['forces'][kind.lower()]:.3g} |" for r in results]
        lines += [f"| {who} (recalled from its paper) | {value} |" for who, value in task.neighbours]
    return "\n".join(lines)


_SHORT = {
    "ethanol_methanol": "ethanol",
    "acac_300K": "acetylacetone, 300 K",
    "acac_600K": "acetylacetone, 600 K",
    "mlearn_Si": "Si",
    "mlearn_Ge": "Ge",
    "mlearn_Mo": "Mo",
    "sio2": "SiO₂",
    "water_monomer": "H₂O (CCSD)",
}
_PANELS = {
    "molecules": ("ethanol_methanol", "acac_300K", "acac_600K"),
    "solids": ("mlearn_Si", "mlearn_Ge", "mlearn_Mo", "sio2"),
    "water monomer": ("water_monomer",),
}


def _draw(results: dict[str, Any]) -> None:
    """Validation errors by CPU time: a panel per kind of system, a colour per task, a line style per network."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    figure = Figure(figsize=(9.6, 3.6), dpi=160, layout="constrained")
    FigureCanvasAgg(figure)
    styles = {"PaiNN": "--", "ICTP": "-"}
    for axes, (title, tasks) in zip(figure.subplots(1, len(_PANELS)), _PANELS.items(), strict=True):
        quantity = "polarizability" if title == "water monomer" else "forces"
        unit, factor = ("10⁻³ Å³", 1000) if quantity == "polarizability" else ("meV/Å", 1)
        for k, task in enumerate(tasks):
            for r in (r for r in results.values() if r["task"] == task):
                key = next(name for name in r["curve"] if name.startswith(f"{quantity} MAE"))
                epochs, values = np.array(r["curve"]["epoch"]), factor * np.array(r["curve"][key])
                axes.loglog(
                    r["minutes"] * epochs / epochs[-1],
                    values,
                    styles[_name(r).split()[0]],
                    color=f"C{k}",
                    linewidth=1.3,
                )
            axes.plot([], [], color=f"C{k}", label=_SHORT[task])
        axes.set(title=title, xlabel="CPU minutes", ylabel=f"validation MAE of {quantity} / {unit}")
        networks = [Line2D([], [], color="0.3", linestyle=style, label=name) for name, style in styles.items()]
        handles = axes.get_legend_handles_labels()[0] + networks
        axes.legend(handles=handles, frameon=False, fontsize=7, loc="lower left")
    figure.savefig(FIGURE)


if __name__ == "__main__":
    render()
