"""Time of a training step, compiled against torch, in turns in one process.

    python benchmarks/training_step.py [--seconds 20] [--threads 1] [--systems ethanol-128 ...] [--json result.json]

A step is what `painn-ase train` does for one batch of energies and forces: the gradient of the loss by all weights,
clipping, AdamW, the average. Beside it stand the floor, which is the arithmetic alone at the speed of the core's vector
units (docs/training-step.md), and a force call of the inference kernel on the same structures. With one thread times
are CPU times, which a busy machine distorts least; with more, wall times.
"""

import argparse
import copy
import itertools
import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase import Atoms
from ase.build import bulk, molecule

from painn_ase.backends import NativeBackend
from painn_ase.bench.speed import describe_machine
from painn_ase.bench.systems import CUTOFF, aspirin, random_model, water
from painn_ase.graph import AtomicGraph
from painn_ase.model import Model
from painn_ase.native.library import vector_rate
from painn_ase.neighbors import graph_of
from painn_ase.threads import torch_threads
from painn_ase.training.average import AveragedModel
from painn_ase.training.compiled import CompiledStep
from painn_ase.training.config import Optimizer
from painn_ase.training.data import Example, collate
from painn_ase.training.loss import Loss
from painn_ase.training.memory import memory_kept
from painn_ase.training.torch_step import TorchStep

SYSTEMS = {  # structures in a batch, features, interactions, radial functions
    "ethanol-128": (10, 128, 3, 20),
    "ethanol-64": (10, 64, 3, 20),
    "ethanol-40": (40, 128, 3, 20),
    "aspirin": (10, 128, 3, 20),
    "silicon": (2, 32, 2, 12),
    "water": (1, 128, 3, 20),
}
PAIR, FILTERS = 85, 6  # multiply-adds per F, directed pair and layer; the second times the radial functions


def structure(name: str, seed: int) -> Atoms:
    """A displaced copy of the system called `name`."""
    if name == "silicon":
        atoms = bulk("Si", cubic=True) * 2
        del atoms[0]  # a vacancy
    elif name == "water":
        return water((4, 4, 4), seed)
    else:
        atoms = aspirin() if name == "aspirin" else molecule("CH3CH2OH")
    atoms.rattle(0.05, seed=seed)
    return atoms


def model_of(features: int, interactions: int, radial: int) -> Model:
    """A PaiNN with random weights and an energy head."""
    representation = {
        "kind": "painn",
        "features": features,
        "interactions": interactions,
        "cutoff": CUTOFF,
        "radial": {"kind": "bessel", "count": radial},
        "epsilon": 0.05,
    }
    torch.manual_seed(0)
    return Model.from_config({"representation": representation, "heads": {"energy": {}}, "elements": [1, 6, 8, 14]})


def floor(graph: AtomicGraph, features: int, interactions: int, radial: int) -> float:
    """Milliseconds that the multiply-adds of one step take at least, on one core."""
    dense = 6 * (15 * interactions - 4.5) * features**2 * graph.n_atoms
    pairs = (PAIR + FILTERS * (radial + 1)) * features * interactions * graph.n_pairs
    return 1e3 * (dense + pairs) / vector_rate()


def contestants(name: str, threads: int) -> tuple[AtomicGraph, dict[str, Callable[[], object]]]:
    """The batch, and what takes turns on it: steps by torch and compiled, a force call by the inference kernel."""
    count, *sizes = SYSTEMS[name]
    model = model_of(*sizes)
    examples = []
    for seed in range(count):
        graph = graph_of(structure(name, seed), CUTOFF)
        labels = {"energy": torch.zeros(1), "forces": torch.zeros(graph.n_atoms, 3)}
        examples.append(Example(graph, {key: value.double() for key, value in labels.items()}))
    loss = Loss({"energy": 0.1, "forces": 1.0}, {"energy": 1.0, "forces": 1.0})
    batch = collate(examples)
    ways: dict[str, Any] = {}
    for kind in (TorchStep, CompiledStep):
        own = copy.deepcopy(model)
        more = (threads,) if kind is CompiledStep else ()
        ways[kind.name] = kind(own, AveragedModel(own, 0.999), loss, Optimizer(), *more)
        ways[kind.name].set_examples(examples, examples[:1], 1)
    native = NativeBackend(model, threads=threads)
    moved = itertools.cycle(replace(batch.graph, positions=batch.graph.positions + 1e-9 * k) for k in (1, 2))
    everything = np.arange(count)
    return batch.graph, {
        "torch": lambda: ways["torch"].step_on(batch, 1e-4, 1),
        "compiled": lambda: ways["compiled"].step(everything, 1e-4, 1),
        "force call": lambda: native.evaluate(next(moved), ["energy", "forces"]),
    }


def fastest(turns: dict[str, Callable[[], object]], seconds: float, clock: Callable[[], float]) -> dict[str, float]:
    """Milliseconds of the fastest run of each, in turns."""
    best = dict.fromkeys(turns, float("inf"))
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for name, run in turns.items():
            run()  # warms the caches up for the others
            for _ in range(3):
                start = clock()
                run()
                best[name] = min(best[name], 1e3 * (clock() - start))
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20.0, help="per system")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=list(SYSTEMS))
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    clock = time.process_time if options.threads == 1 else time.perf_counter
    found: dict[str, dict[str, float]] = {}
    with torch_threads(options.threads), memory_kept():
        machine = describe_machine(random_model(16, 1), 0.5)
        print(f"{machine['cpu']}; {machine['versions']}; {options.threads} threads, fastest step in ms\n")
        columns = ("torch", "compiled", "force call", "floor")
        head = "".join(f"{c:>12}" for c in columns)
        print(f"{'batch':<14}{'atoms':>6}{'pairs':>8}{head}{'torch/compiled':>16}{'compiled/call':>15}")
        for name in options.systems:
            graph, turns = contestants(name, options.threads)
            row = {"atoms": graph.n_atoms, "pairs": graph.n_pairs, **fastest(turns, options.seconds, clock)}
            row["floor"] = floor(graph, *SYSTEMS[name][1:]) / options.threads
            found[name] = row
            times = "".join(f"{row[c]:>12.2f}" for c in columns)
            ratios = f"{row['torch'] / row['compiled']:>15.2f}x{row['compiled'] / row['force call']:>14.2f}x"
            print(f"{name:<14}{row['atoms']:>6}{row['pairs']:>8}{times}{ratios}", flush=True)
    if options.json:
        options.json.write_text(json.dumps({"machine": machine, "threads": options.threads, "ms": found}, indent=1))


if __name__ == "__main__":
    main()
