"""Every network of the package on the same data for the same CPU time: errors, sizes and speeds in one table per task.

    python benchmarks/networks_equal_minutes.py --minutes 10 [--tasks acac_300K] [--networks PaiNN ENINet] [--seeds 0 1]
    python benchmarks/networks_equal_minutes.py --minutes 10 --table
    python benchmarks/networks_equal_minutes.py --speed --tasks acac_300K

Tasks are those of accuracy_tasks.py, data in PAINN_ASE_DATA (../shared/data). Each training has `minutes` of CPU time
on one thread, and the learning rate, of those of ablation.py, that serves the network best on validation frames after
trials of an eighth of that (or --rate); --epochs gives all the same number of epochs in place of the time. Learning
rate and epochs are found for a network's first seed and hold for all. A network is left out of what no head can make of
its features (SchNet and polarizabilities). Runs that were stopped are continued, finished ones are kept, in
runs/networks/; results go to benchmarks/results/. Several seeds: mean, and standard deviation of the MAE.
"""

import argparse
import json
import os
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ablation import epochs_within, machine, milliseconds, planned, train_as_planned
from accuracy import files
from accuracy_tasks import TASKS

from painn_ase import Model, PaiNNCalculator
from painn_ase.backends import NativeBackend
from painn_ase.errors import InputError
from painn_ase.training import Label, TrainConfig, Trained, parse_config, read_frames
from painn_ase.training.start import new_model

ROOT = Path(__file__).resolve().parents[1]
RUNS, RESULTS = ROOT / "runs" / "networks", ROOT / "benchmarks" / "results"
CHOSEN = ("acac_300K", "ethanol_methanol", "water_monomer", "mlearn_Si")

# one more network is one more line
NETWORKS: dict[str, dict[str, Any]] = {
    "PaiNN": {"kind": "painn", "features": 64},
    "PaiNN, rank 2": {"kind": "painn_variant", "features": 64, "tensor_features": True, "epsilon": 0.05},
    "SchNet": {"kind": "schnet", "features": 128},
    "TensorNet": {"kind": "tensornet", "features": 64},
    "ICTP": {"kind": "ictp"},
    "ACE": {"kind": "mace", "interactions": 1},
    "MACE": {"kind": "mace"},
    "MACE, fusion block": {"kind": "mace", "features": 21, "fusion": [["A", "A"], "A"]},  # about as many parameters
    "Cormorant": {"kind": "cormorant"},
    "Cormorant, fusion block": {"kind": "cormorant", "features": 12, "fusion": ["M", ["F", "M"]]},  # about as many
    "ENINet": {"kind": "eninet", "features": 58, "radial": {"kind": "bessel", "count": 8}, "line_cutoff": 3.5},
    "ENINet without many-body vectors": {
        "kind": "eninet",
        "features": 64,
        "radial": {"kind": "bessel", "count": 8},
        "many_body": False,
    },
    "SchNet in tensor frames": {"kind": "tensor_frames", "network": "schnet", "features": 96},
    "SchNet in frames, scalar messages": {
        "kind": "tensor_frames",
        "network": "schnet",
        "features": 96,
        "vector_channels": 0,
        "tensor_channels": 0,
    },
    "PaiNN in tensor frames": {
        "kind": "tensor_frames",
        "network": "painn",
        "features": 64,
        "radial": {"kind": "bessel", "count": 8},
    },
}
SCALARS_ALONE = ("ictp", "mace", "cormorant", "tensor_frames")  # kinds with an output_rank, which energies do not need
HEADS = {  # for a property: what can provide it, the first that the network's features allow
    "energy": ({"energy": {}},),
    "dipole": ({"dipole": {}}, {"dipole": {"atomic_dipoles": False}}),
    "polarizability": ({"tensor_polarizability": {}}, {"polarizability": {}}),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0, help="CPU time of each training (%(default)s)")
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=CHOSEN, metavar="TASK", help=", ".join(TASKS))
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS), metavar="NAME")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--rate", type=float, help="learning rate of all, in place of the best of each")
    parser.add_argument("--epochs", type=int, help="so many for all, in place of as many as fit into the minutes")
    parser.add_argument("--table", action="store_true", help="only print what is there")
    parser.add_argument("--speed", action="store_true", help="only measure force calls of untrained networks, in turns")
    options = parser.parse_args()
    torch.set_num_threads(1)
    for task in options.tasks:
        if options.speed:
            print(f"\n{TASKS[task].title}\n\n{speeds(task, options.networks)}\n", flush=True)
            continue
        budget = f"{options.epochs}epochs" if options.epochs else f"{options.minutes:g}min"
        stored = RESULTS / f"networks_{task}_{budget}.json"
        rows: dict[str, Any] = json.loads(stored.read_text())["rows"] if stored.is_file() else {}
        for name in () if options.table else options.networks:
            for seed in options.seeds:
                rows[f"{name} / seed {seed}"] = run(name, task, seed, budget, options)
                stored.write_text(json.dumps({"task": task, "budget": budget, "rows": rows}, indent=1) + "\n")
        print(f"\n{TASKS[task].title}, {budget} each\n\n{table(rows)}\n", flush=True)


def run(name: str, task: str, seed: int, budget: str, options: argparse.Namespace) -> dict[str, Any]:
    """The result of one training, from its file if it is there; started or continued otherwise."""
    place = RUNS / f"{task}_{budget}" / name.replace(",", "").replace(" ", "_")
    folder = place / f"seed{seed}"
    result_file, plan_file = folder / "result.json", folder / "plan.json"
    if result_file.is_file():
        return json.loads(result_file.read_text())
    folder.mkdir(parents=True, exist_ok=True)
    config = configure(folder / "run", NETWORKS[name], task, seed)
    if plan_file.is_file():
        plan = json.loads(plan_file.read_text())
    else:
        plan = plan_of(config, place / "plan.json", options) | {"cpu_seconds": 0.0}
    config = replace(config, optimizer=replace(config.optimizer, learning_rate=plan["learning_rate"]))
    trained = train_as_planned(config, plan, plan_file)
    result = summary(trained, config) | {"network": name, "seed": seed, "cpu_minutes": plan["cpu_seconds"] / 60}
    result |= {"learning_rate": plan["learning_rate"], "load": os.getloadavg()[1]} | machine()
    result_file.write_text(json.dumps(result, indent=1) + "\n")
    return result


def plan_of(config: TrainConfig, file: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Epochs and learning rate of a network, from its file or found now."""
    if not file.is_file():
        epochs = options.epochs or epochs_within(config, 60 * options.minutes)
        found = {"epochs": epochs, "learning_rate": options.rate} if options.rate else planned(config, epochs)
        file.write_text(json.dumps(found))
    return json.loads(file.read_text())


def configure(output: Path, representation: dict[str, Any], task: str, seed: int) -> TrainConfig:
    """The same training for every network; only the representation, and heads that its features ask for, differ."""
    about = TASKS[task]
    train, validation, test = (list(map(str, paths)) for paths in files(task, about))
    labels = about.labels
    heads = heads_for(labels, representation)
    if set(heads) == {"energy"} and representation["kind"] in SCALARS_ALONE:
        representation = {**representation, "output_rank": 0}
    split = {"by": "seed", "validation": about.validation or 0.1}
    known = {name for name in labels if name in heads or name in {"forces", "stress"} or f"tensor_{name}" in heads}
    table = {
        "data": {
            "train": train,
            "test": test,
            "labels": {name: vars(label) for name, label in labels.items() if name in known},
            **({"validation": validation} if validation else {"split": split}),
        },
        "model": {"representation": {"cutoff": 5.0, **representation}, "heads": heads},
        "loss": {name: weight for name, weight in vars(about.loss).items() if name in known},
        "optimizer": {"learning_rate": 1e-3, "ema": 0.999},
        "schedule": {"kind": "cosine", "warmup": 50, "minimum": 1e-3},
        "run": {"output": str(output), "batch_size": about.batch, "seed": seed, "threads": 1},
    }
    return parse_config(table)


def heads_for(labels: Iterable[str], representation: dict[str, Any]) -> dict[str, Any]:
    """Heads for the labelled properties, as far as the network's features allow."""
    found: dict[str, Any] = {}
    for name in {"energy" if label in {"forces", "stress"} else label: None for label in labels}:
        for head in HEADS[name]:
            try:
                Model.from_config({"representation": representation, "heads": head, "elements": [1]})
            except InputError:
                continue
            found |= head
            break
    return found


def summary(trained: Trained, config: TrainConfig) -> dict[str, Any]:
    """Errors on the test frames, size, epochs, and CPU time of a call on the first of these frames."""
    labels: dict[str, Label] = config.data.labels
    result: dict[str, Any] = {
        "errors": trained.evaluations["test"].to_dict()["properties"],
        "test_structures": trained.evaluations["test"].structures,
        "parameters": sum(p.numel() for p in trained.model.parameters()),
        "epochs": trained.epochs,
        "representation": trained.model.config["representation"],
    }
    asked = "forces" if "forces" in labels else next(iter(labels))
    result |= {f"ms_{backend}": milliseconds(call) for backend, call in calls(trained.model, config, asked).items()}
    return result


def calls(model: Model, config: TrainConfig, asked: str) -> dict[str, Callable[[], None]]:
    """By backend: what evaluates a property of the first test frame, moved a little each time."""
    atoms = read_frames(list(config.data.test))[0]
    atoms.calc = None
    atoms.pbc &= atoms.cell.array.any(axis=1)  # files of molecules say T without a cell
    native = asked == "forces" and not NativeBackend.obstacle(model)

    def prepared(backend: str) -> Callable[[], None]:
        calculator = PaiNNCalculator(model, backend=backend, threads=1)

        def call() -> None:
            atoms.positions[0, 0] += 1e-4
            calculator.get_property(asked, atoms)

        return call

    return {backend: prepared(backend) for backend in (("torch", "native") if native else ("torch",))}


def speeds(task: str, names: Iterable[str], rounds: int = 15) -> str:
    """Markdown: median CPU time of a force call on the task's first test frame, by untrained networks in turns."""
    prepared: dict[tuple[str, str], Callable[[], None]] = {}
    for name in names:
        config = configure(RUNS / "none", NETWORKS[name], task, 0)
        model = new_model(config, list(range(1, 20)))
        prepared |= {(name, backend): call for backend, call in calls(model, config, "forces").items()}
    times: dict[tuple[str, str], list[float]] = {key: [] for key in prepared}
    for _ in range(rounds + 1):  # the first one warms up
        for key, call in prepared.items():
            times[key].append(milliseconds(call, repeats=1, before=0))
    lines = ["| network | backend | ms per force call |", "|---|---|---|"]
    lines += [f"| {name} | {backend} | {np.median(found[1:]):.2f} |" for (name, backend), found in times.items()]
    return "\n".join(lines)


def table(rows: dict[str, dict[str, Any]]) -> str:
    """Markdown, one line per network in the order of `NETWORKS`: MAE and RMSE of every property, and what they cost."""
    by_name: dict[str, list[dict[str, Any]]] = {name: [] for name in NETWORKS}
    for row in rows.values():
        by_name[row["network"]].append(row)
    units = {name: error["unit"] for row in rows.values() for name, error in row["errors"].items()}
    units.pop("energy" if "stress" in units else "energy per atom", None)  # crystals: per atom, molecules: of all
    head = ["network", *(f"{name} MAE / RMSE ({unit})" for name, unit in units.items()), "parameters",
            "ms per call (torch / native)", "epochs", "learning rate", "CPU min", "seeds"]  # fmt: skip
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for name, several in by_name.items():
        if several:
            first = several[0]
            native = f"{_mean(several, 'ms_native'):.2f}" if "ms_native" in first else "-"
            cells = [name, *(_errors(several, name) for name in units), f"{first['parameters']:,}",
                     f"{_mean(several, 'ms_torch'):.2f} / {native}", f"{_mean(several, 'epochs'):.0f}",
                     f"{first['learning_rate']:g}", f"{_mean(several, 'cpu_minutes'):.1f}",
                     str(len(several))]  # fmt: skip
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _mean(rows: list[dict[str, Any]], name: str) -> float:
    return float(np.mean([row[name] for row in rows]))


def _errors(rows: list[dict[str, Any]], name: str) -> str:
    """MAE, with its standard deviation over several seeds, and RMSE."""
    errors = [row["errors"][name] for row in rows if name in row["errors"]]
    if not errors:
        return "-"
    mae, rmse = ([error[kind] for error in errors] for kind in ("mae", "rmse"))
    spread = f" ± {np.std(mae, ddof=1):.2g}" if len(mae) > 1 else ""
    return f"{np.mean(mae):.3g}{spread} / {np.mean(rmse):.3g}"


if __name__ == "__main__":
    main()
