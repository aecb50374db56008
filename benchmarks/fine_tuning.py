"""What a general model is worth as the start of a training: few frames, from its weights and from random ones.

    python benchmarks/fine_tuning.py --start organic [--folder runs/fine-tuning] [--frames 10 30 100] [--seeds 0 1 2]
    python benchmarks/fine_tuning.py --table

Formamide, acetamide and glycine: 100 frames to train on and 40 others to test, dynamics at 300 and 500 K and
quantum-harmonic amplitudes at 300 K (GFN2-xTB) of one or two conformers, labelled with PBE0/def2-TZVP (PySCF). Both
trainings are the same network, with the same steps; learning rates are 5e-4 from the model and 2e-3 from random
weights, neither searched for. A fifth of the training frames validates. Frames, labels and trainings that are there are
not made again; results go to benchmarks/results/. Needs the extras `reference` and `smiles`.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ablation import machine
from ase import Atoms

from painn_ase.data import Label
from painn_ase.model_files import find_model, load_model
from painn_ase.reference import Level, Plan, gfn2_xtb, label, sample
from painn_ase.smiles import from_smiles
from painn_ase.structures import write_frames
from painn_ase.training import evaluate_model, parse_config, read_frames, train

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "fine_tuning.json"
MOLECULES = {"formamide": "NC=O", "acetamide": "CC(N)=O", "glycine": "NCC(=O)O"}
LEVEL = Level("pbe0", "def2-tzvp", grid=2, scf_tolerance=1e-8)
LABELS = {"energy": Label("energy", "eV"), "forces": Label("forces", "eV/Å")}
TRAIN, TEST = 100, 40  # frames
STEPS = 2000
RATES = {"start": 5e-4, "random": 2e-3}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--start", default="organic", help="bundled name or folder (%(default)s)")
    parser.add_argument("--folder", type=Path, default=ROOT / "runs" / "fine-tuning")
    parser.add_argument("--molecules", nargs="+", choices=MOLECULES, default=list(MOLECULES))
    parser.add_argument("--frames", nargs="+", type=int, default=[10, 30, 100])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--labels", action="store_true", help="only label")
    parser.add_argument("--table", action="store_true", help="only print what is there")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows: dict[str, Any] = json.loads(RESULTS.read_text())["rows"] if RESULTS.is_file() else {}
    for name in () if options.table else options.molecules:
        frames = labelled(options.folder / f"{name}.extxyz", MOLECULES[name])
        for count in () if options.labels else options.frames:
            for seed in options.seeds:
                for kind in RATES:
                    place = options.folder / f"{Path(options.start).name}-{name}-{count}-{seed}-{kind}"
                    key = f"{Path(options.start).name} / {name} / {count} / {seed} / {kind}"
                    if key not in rows:
                        rows[key] = trained(frames, count, seed, options.start, kind, place)
                        RESULTS.write_text(json.dumps({"rows": rows} | machine(), indent=1) + "\n")
    print(table(rows))


def labelled(path: Path, smiles: str) -> list[Atoms]:
    """All frames of a molecule, in an order drawn once; the last are the test."""
    path.parent.mkdir(parents=True, exist_ok=True)
    plan = Plan(md=40, temperatures=(300.0, 500.0), quantum=60)
    frames = sample(from_smiles(smiles, 2), gfn2_xtb, plan, seed=0)
    order = np.random.default_rng(0).permutation(len(frames))[: TRAIN + TEST]
    label([frames[k] for k in order], LEVEL, path)
    return read_frames([path])


def trained(frames: list[Atoms], count: int, seed: int, start: str, kind: str, place: Path) -> dict[str, Any]:
    """Errors on the test frames of a training with `count` frames, drawn by the seed, and what it took."""
    order = np.random.default_rng(seed).permutation(TRAIN)[:count]
    chosen, held = [frames[k] for k in order], count // 5
    place.mkdir(parents=True, exist_ok=True)
    write_frames(place / "train.extxyz", chosen[held:])
    write_frames(place / "validation.extxyz", chosen[:held])
    began = time.process_time()
    model = train(parse_config(configured(count - held, seed, start, kind), place), progress=False).model
    seconds = time.process_time() - began
    errors = evaluate_model(model, frames[TRAIN:], LABELS).comparisons
    return {"mae": errors["forces"].error().mae, "energy": errors["energy"].error().mae, "cpu_seconds": seconds}


def configured(count: int, seed: int, start: str, kind: str) -> dict[str, Any]:
    """A training of `STEPS` steps; from random weights of the same network where `kind` says so."""
    batch = min(5, count)
    visits = max(1, 50 * batch // count)  # of a frame in an epoch, so that validation is a small part
    begin = {"start": str(find_model(start))} if kind == "start" else {}
    model = {} if begin else {"representation": load_model(start).config["representation"]}
    return {
        "data": {
            "train": "train.extxyz",
            "validation": "validation.extxyz",
            "labels": {name: vars(label) for name, label in LABELS.items()},
            "repeat": {"train.extxyz": visits},
        },
        "model": model,
        "loss": {"kind": "absolute"},
        "optimizer": {"learning_rate": RATES[kind], "gradient_norm": 1.0, "ema": 0.99},
        "schedule": {"warmup": 100},
        "run": {
            "output": "run",
            "epochs": max(1, round(STEPS * batch / (visits * count))),
            "batch_size": batch,
            "seed": seed,
            "threads": 1,
            **begin,
        },
    }


def table(rows: dict[str, Any]) -> str:
    """Mean absolute errors of forces, mean and spread of the seeds, as Markdown."""
    groups: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for key, row in rows.items():
        start, name, count, _, kind = key.split(" / ")
        groups.setdefault((start, name, count, kind), []).append(row)
    lines = ["| start | molecule | frames | from it | from random weights | CPU s |", "|---|---|---|---|---|---|"]
    for (start, name, count, kind), members in groups.items():
        if kind == "start":
            sides = [groups.get((start, name, count, side), []) for side in RATES]
            cells = [f"{np.mean(m):.1f} ± {np.std(m):.1f}" for m in ([row["mae"] for row in s] for s in sides) if m]
            seconds = np.mean([row["cpu_seconds"] for row in members])
            lines.append(f"| {start} | {name} | {count} | {' | '.join(cells)} | {seconds:.0f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
