"""What the parts of PaiNN are worth, and how other networks compare: the same data and the same CPU time for each.

    python benchmarks/ablation.py [--minutes 20] [--only parts|networks] [--data acac ethanol] [--table]

Every run trains on one thread for `minutes` of CPU time: the number of epochs is found by timing two of them, so that
the learning rate falls to its end within the budget. Each network gets the learning rate that serves it best: that of
LEARNING_RATES with the lowest validation score after trials of an eighth of the budget; test frames take no part. A
run that was stopped continues where it was when the script is called again; finished ones are not repeated. Results go
to runs/ablation/, the table to the screen.
"""

import argparse
import json
import os
import platform
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from painn_ase import PaiNNCalculator, __version__
from painn_ase.backends import NativeBackend
from painn_ase.representations import REPRESENTATIONS
from painn_ase.training import TrainConfig, Trained, parse_config, read_frames, train

ROOT = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("PAINN_ASE_DATA", ROOT.parent / "shared" / "data"))

PAINN: dict[str, Any] = {"kind": "painn", "features": 64, "interactions": 3, "epsilon": 1e-8}  # as published codes
VARIANT = {**PAINN, "kind": "painn_variant"}
PARTS = {
    "PaiNN": PAINN,
    "no vector propagation": {**VARIANT, "vectors": "local"},
    "no scalar product": {**VARIANT, "scalar_product": False},
    "no vectors": {**VARIANT, "vectors": "none"},
}
NETWORKS = {
    "PaiNN": PAINN,
    "PaiNN, cross product": {**VARIANT, "cross_product": True},
    "SchNet": {"kind": "schnet", "features": 128, "interactions": 3},
    "TensorNet": {"kind": "tensornet", "features": 64, "interactions": 2},
    "ICTP": {"kind": "ictp", "output_rank": 0},
}
DATA = {  # training frames, share of them for validation, test frames
    "ethanol": (ROOT / "models/ethanol/data/train.extxyz", 0.1, ROOT / "models/ethanol/data/test.extxyz"),
    "acac": (SHARED / "acac/train_300K.xyz", 0.1, SHARED / "acac/test_MD_300K.xyz"),
    "ethanol_methanol": (SHARED / "ethanol_methanol/train.xyz", 0.1, SHARED / "ethanol_methanol/test_MD.xyz"),
}
LEARNING_RATES = (1e-3, 2.5e-3, 5e-3)
STUDIES: dict[str, tuple[dict[str, dict[str, Any]], tuple[str, ...]]] = {
    "parts": (PARTS, ("ethanol", "acac")),
    "networks": (NETWORKS, ("acac", "ethanol_methanol")),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=20.0, help="CPU time of each training (%(default)s)")
    parser.add_argument("--only", choices=sorted(STUDIES), help="one of the two studies")
    parser.add_argument("--data", nargs="+", choices=sorted(DATA), default=sorted(DATA), help="default: all")
    parser.add_argument(
        "--variants", nargs="+", metavar="NAME", help="rows of the table, e.g. PaiNN ICTP (default: all)"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=ROOT / "runs" / "ablation")
    parser.add_argument("--table", action="store_true", help="only print what is there")
    options = parser.parse_args()
    torch.set_num_threads(1)
    for study, (variants, places) in STUDIES.items():
        if options.only not in (None, study):
            continue
        for data in places:
            if data not in options.data:
                continue
            rows: dict[str, dict[str, Any]] = {}
            for name, representation in variants.items():
                if options.variants and name not in options.variants:
                    continue
                place = f"{data}_{options.minutes:g}min_seed{options.seed}"
                folder = options.output / place / name.replace(",", "").replace(" ", "_")
                if representation["kind"] not in REPRESENTATIONS:
                    print(f"{name}: this version has no {representation['kind']!r}; left out")
                elif options.table:
                    rows |= {name: _read(folder / "result.json")}
                else:
                    rows[name] = run(folder, representation, data, options)
            print(f"\n{study}, {data}, {options.minutes:g} CPU minutes each\n{table(rows)}\n", flush=True)


def run(folder: Path, representation: dict[str, Any], data: str, options: argparse.Namespace) -> dict[str, Any]:
    """The result of one training, from its file if it is there; started or continued otherwise."""
    file, plan_file = folder / "result.json", folder / "plan.json"
    if file.is_file():
        return _read(file)
    config = configure(folder / "run", representation, data, options.seed)
    plan = _read(plan_file) or {**planned(config, epochs_within(config, 60 * options.minutes)), "cpu_seconds": 0.0}
    config = replace(config, optimizer=replace(config.optimizer, learning_rate=plan["learning_rate"]))
    folder.mkdir(parents=True, exist_ok=True)
    trained = train_as_planned(config, plan, plan_file)
    result = {**summary(trained, data), "cpu_minutes": plan["cpu_seconds"] / 60, "representation": representation}
    result |= {"learning_rate": plan["learning_rate"], "validation_scores": plan["validation_scores"]}
    file.write_text(json.dumps(result | machine(), indent=1) + "\n")
    return result


def train_as_planned(config: TrainConfig, plan: dict[str, Any], file: Path) -> Trained:
    """Trains for plan["epochs"], or continues; plan["cpu_seconds"] is kept up to date, also in `file`."""
    resume = (config.run.output / "checkpoint.safetensors").is_file()  # else what was trained before is lost
    spent, start = plan["cpu_seconds"] if resume else 0.0, time.process_time()

    def note(_row: dict[str, float]) -> None:
        plan["cpu_seconds"] = spent + time.process_time() - start
        file.write_text(json.dumps(plan))

    note({})
    config = replace(config, run=replace(config.run, epochs=plan["epochs"]))
    trained = train(config, resume=resume, on_epoch=note)
    if not trained.finished:
        raise SystemExit("interrupted; call again to continue")
    return trained


def configure(output: Path, representation: dict[str, Any], data: str, seed: int) -> TrainConfig:
    """The same training for every network; only the representation differs."""
    frames, validation, test = DATA[data]
    labels = {"energy": {"key": "energy", "unit": "eV"}, "forces": {"key": "forces", "unit": "eV/Å"}}
    split = {"by": "seed", "validation": validation}
    return parse_config(
        {
            "data": {"train": str(frames), "test": str(test), "labels": labels, "split": split},
            "model": {"representation": {"cutoff": 5.0, **representation}, "heads": {"energy": {}}},
            "optimizer": {"learning_rate": 1e-3, "ema": 0.999},
            "schedule": {"kind": "cosine", "warmup": 200, "minimum": 1e-3},
            "run": {"output": str(output), "batch_size": 5, "seed": seed, "threads": 1},
        }
    )


def planned(config: TrainConfig, epochs: int) -> dict[str, Any]:
    """The epochs, the best of LEARNING_RATES after an eighth of them, and the validation scores of all rates."""
    config = without_test(config)
    scores: dict[float, float] = {}
    for rate in LEARNING_RATES:
        found: list[float] = []
        with TemporaryDirectory() as folder:
            optimizer = replace(config.optimizer, learning_rate=rate)
            shorter = replace(config.run, epochs=max(2, epochs // 8), output=Path(folder) / "trial")
            trial = replace(config, optimizer=optimizer, run=shorter)

            def note(row: dict[str, float], found: list[float] = found) -> None:
                found.append(row["validation_score"])

            train(trial, progress=False, on_epoch=note)
        scores[rate] = min(found)
    return {"epochs": epochs, "learning_rate": min(scores, key=scores.__getitem__), "validation_scores": scores}


def without_test(config: TrainConfig) -> TrainConfig:
    """The same without test frames, which take no part in trials, nor their time."""
    return replace(config, data=replace(config.data, test=()))


def epochs_within(config: TrainConfig, seconds: float) -> int:
    """Epochs that fit into the CPU time, from the second and third of a trial of three."""
    ends: list[float] = []
    config = without_test(config)
    with TemporaryDirectory() as folder:
        trial = replace(config, run=replace(config.run, epochs=3, output=Path(folder) / "trial"))
        train(trial, progress=False, on_epoch=lambda _row: ends.append(time.process_time()))
    return max(2, int(seconds / ((ends[2] - ends[0]) / 2)))


def summary(trained: Trained, data: str) -> dict[str, Any]:
    """Errors on the test frames, size, and time of a force call."""
    errors = {e.name: e for e in trained.evaluations["test"].errors}
    atoms = read_frames([DATA[data][2]])[0]
    atoms.calc = None
    result = {
        "energy_mae_meV": errors["energy"].mae,
        "forces_mae_meV_A": errors["forces"].mae,
        "forces_rmse_meV_A": errors["forces"].rmse,
        "parameters": sum(p.numel() for p in trained.model.parameters()),
        "epochs": trained.epochs,
    }
    for backend in ("torch",) if NativeBackend.obstacle(trained.model) else ("torch", "native"):
        calculator = PaiNNCalculator(trained.model, backend=backend, threads=1)

        def call(calculator: PaiNNCalculator = calculator) -> None:
            atoms.positions[0, 0] += 1e-4
            calculator.get_property("forces", atoms)

        result[f"ms_{backend}"] = milliseconds(call)
    return result


def milliseconds(call: Callable[[], None], repeats: int = 30, before: int = 5) -> float:
    """Median CPU time of a call, after those `before` to warm up."""
    times = []
    for _ in range(repeats + before):
        begin = time.process_time()
        call()
        times.append(1e3 * (time.process_time() - begin))
    return float(np.median(times[before:]))


def table(rows: dict[str, dict[str, Any]]) -> str:
    """Markdown; force errors also relative to the first row."""
    head = ["network", "energy MAE (meV)", "force MAE (meV/Å)", "of the first", "force RMSE", "parameters",
            "ms per force call (torch / native)", "epochs", "learning rate", "CPU min"]  # fmt: skip
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    first = next((r["forces_mae_meV_A"] for r in rows.values() if r), None)
    for name, r in rows.items():
        if r:
            native = f"{r['ms_native']:.2f}" if "ms_native" in r else "-"
            cells = [name, f"{r['energy_mae_meV']:.1f}", f"{r['forces_mae_meV_A']:.1f}",
                     f"{r['forces_mae_meV_A'] / first:.2f}", f"{r['forces_rmse_meV_A']:.1f}", f"{r['parameters']:,}",
                     f"{r['ms_torch']:.2f} / {native}", str(r["epochs"]), f"{r['learning_rate']:g}",
                     f"{r['cpu_minutes']:.1f}"]  # fmt: skip
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def machine() -> dict[str, str]:
    """Where and with what the numbers were measured."""
    command = ["git", "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    processor = next(
        (line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine()
    )
    return {
        "machine": processor,
        "versions": f"painn_ase {__version__}, torch {torch.__version__}, python {platform.python_version()}",
        "commit": commit.stdout.strip(),
    }


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text()) if path.is_file() else {}


if __name__ == "__main__":
    main()
