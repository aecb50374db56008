"""Time of a training step, fused operations against plain torch, in turns in one process; one thread.

    python benchmarks/training_step.py [--seconds 20] [--batch 10 40] [--json result.json]

A step is what `painn-ase train` does for one batch: energy, forces and the other labels, the gradient of the loss by
all weights, the optimiser, the average. The bundled ethanol model, and silicon where PAINN_ASE_DATA has the data.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from painn_ase.bench.speed import describe_machine
from painn_ase.bench.systems import random_model
from painn_ase.nn.fused import plain_torch
from painn_ase.training import load_config
from painn_ase.training.data import Batch, collate
from painn_ase.training.run import memory_kept
from painn_ase.training.trainer import _Run

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("PAINN_ASE_DATA", ROOT.parent / "shared" / "data"))


def systems(folder: Path, sizes: list[int]) -> Iterator[tuple[str, _Run, Batch]]:
    """Name, training run and one batch of each system whose data are at hand; ethanol in batches of these `sizes`."""
    ethanol = load_config(ROOT / "models" / "ethanol" / "train.toml")
    silicon = load_config(ROOT / "models" / "silicon" / "train.toml")
    mlearn = DATA / "mlearn"
    silicon = replace(
        silicon,
        data=replace(silicon.data, train=(mlearn / "Si_training.extxyz",), test=(mlearn / "Si_test.extxyz",)),
    )
    for name, config, batches in (("ethanol", ethanol, sizes), ("silicon", silicon, [silicon.run.batch_size])):
        missing = [path for path in config.data.train if not path.is_file()]
        if missing:
            print(f"{name} is left out: {missing[0]} is absent")
            continue
        run = _Run(replace(config, run=replace(config.run, output=folder / name, step="torch")), False)
        for size in batches:
            yield f"{size} {name}", run, collate(run.examples[:size])


def fastest(run: _Run, batch: Batch, seconds: float) -> dict[str, float]:
    """Milliseconds of CPU time of the fastest step in each way, in turns."""
    ways: dict[str, Any] = {"plain": plain_torch, "fused": nullcontext}
    best = dict.fromkeys(ways, float("inf"))
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for name, way in ways.items():
            with way():
                run.way.step_on(batch, 1e-4, 1)  # warms the caches up for the others
                for _ in range(3):
                    start = time.process_time()
                    run.way.step_on(batch, 1e-4, 1)
                    best[name] = min(best[name], 1e3 * (time.process_time() - start))
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20.0, help="per system")
    parser.add_argument("--batch", type=int, nargs="+", default=[10, 40], help="of ethanol")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    machine = describe_machine(random_model(16, 1), 0.5)
    print(f"{machine['cpu']}; {machine['versions']}; one thread, CPU time of the fastest step in ms\n")
    found: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        at_hand = list(systems(Path(folder), options.batch))
        # all without memory kept first: malloc cannot be brought back to its defaults
        for memory, suffix in ((nullcontext, ""), (memory_kept, ", memory kept")):
            with memory():
                for name, run, batch in at_hand:
                    row = found.setdefault(name, {"atoms": batch.graph.n_atoms, "pairs": batch.graph.n_pairs})
                    times = fastest(run, batch, options.seconds / 2)
                    row.update({way + suffix: ms for way, ms in times.items()})
    ways = ("plain", "fused", "plain, memory kept", "fused, memory kept")
    print(f"{'batch':<12}{'atoms':>6}{'pairs':>8}" + "".join(f"{way:>20}" for way in ways) + f"{'ratio':>8}")
    for name, row in found.items():
        ratio = row["plain"] / row["fused, memory kept"]
        times = "".join(f"{row[way]:>20.2f}" for way in ways)
        print(f"{name:<12}{row['atoms']:>6}{row['pairs']:>8}{times}{ratio:>7.2f}x")
    if options.json:
        options.json.write_text(json.dumps({"machine": machine, "ms": found}, indent=1))


if __name__ == "__main__":
    main()
