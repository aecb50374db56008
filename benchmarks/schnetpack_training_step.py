"""Time of a training step: SchNetPack's own and the compiled one on one thread and two, in turns in one process.

    python benchmarks/schnetpack_training_step.py [--systems ethanol-128 ...] [--seconds 30] [--json result.json]

A step is the gradient of a loss of energies and forces by all weights, and AdamW; ours clips and averages besides.
SchNetPack's is made as its `AtomisticTask` and configuration md17 make it, on one thread, which suits it best here,
with the neighbour lists of the batch put together before and without Lightning's loop, logs and metrics: what is left
out would make it slower. Both train a PaiNN of the same sizes in float32 on the same structures and random labels.
On one thread times are CPU times of the fastest step; one thread against two are wall times, for which the machine
should be idle. Needs the environment of schnetpack_step.py (docs/performance.md).
"""

import argparse
import json
import logging
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from time import perf_counter, process_time

import numpy as np
import torch
from ase import Atoms
from training_step import SYSTEMS, fastest, floor, model_of, structure

from painn_ase.bench.speed import describe_machine
from painn_ase.bench.systems import CUTOFF, random_model
from painn_ase.graph import AtomicGraph
from painn_ase.neighbors import graph_of
from painn_ase.threads import torch_threads
from painn_ase.training.average import AveragedModel
from painn_ase.training.compiled import CompiledStep
from painn_ase.training.config import Optimizer
from painn_ase.training.data import Example, collate
from painn_ase.training.loss import Loss
from painn_ase.training.memory import memory_kept

RATE = 1e-5  # learning rate: the weights stay ordinary numbers however often the step is made


def labels_of(structures: list[Atoms]) -> list[dict[str, torch.Tensor]]:
    """A random energy (1,) and forces (atoms, 3) for each structure, float64."""
    rng = np.random.default_rng(0)
    draws = [(rng.normal(size=1), rng.normal(size=(len(atoms), 3))) for atoms in structures]
    return [{"energy": torch.from_numpy(e), "forces": torch.from_numpy(f)} for e, f in draws]


def own_steps(structures: list[Atoms], name: str, threads: int) -> tuple[AtomicGraph, Callable[[], object]]:
    """The batch, and a compiled step on it."""
    model = model_of(*SYSTEMS[name][1:])
    graphs = [graph_of(atoms, CUTOFF) for atoms in structures]
    examples = [Example(g, labels) for g, labels in zip(graphs, labels_of(structures), strict=True)]
    loss = Loss({"energy": 0.1, "forces": 1.0}, {"energy": 1.0, "forces": 1.0})
    way = CompiledStep(model, AveragedModel(model, 0.999), loss, Optimizer(), threads)
    way.set_examples(examples, examples[:1], 1)
    everything = np.arange(len(examples))
    return collate(examples).graph, lambda: way.step(everything, RATE, 1)


def schnetpack_steps(structures: list[Atoms], name: str) -> Callable[[], object]:
    """A step as SchNetPack's task makes it."""
    import schnetpack as spk
    from schnetpack.task import AtomisticTask, ModelOutput

    _, features, interactions, radial = SYSTEMS[name]
    torch.manual_seed(0)
    potential = spk.model.NeuralNetworkPotential(
        representation=spk.representation.PaiNN(
            n_atom_basis=features,
            n_interactions=interactions,
            radial_basis=spk.nn.GaussianRBF(n_rbf=radial, cutoff=CUTOFF),
            cutoff_fn=spk.nn.CosineCutoff(CUTOFF),
        ),
        input_modules=[spk.atomistic.PairwiseDistances()],
        output_modules=[
            spk.atomistic.Atomwise(n_in=features, output_key="energy"),
            spk.atomistic.Forces(energy_key="energy", force_key="forces"),
        ],
    )
    outputs = [
        ModelOutput(key, loss_fn=torch.nn.MSELoss(), loss_weight=weight, metrics={})
        for key, weight in (("energy", 0.01), ("forces", 0.99))
    ]
    warnings.filterwarnings("ignore", message="Attribute 'model' is an instance")
    task = AtomisticTask(potential, outputs, torch.optim.AdamW, {"lr": RATE})
    optimizer = torch.optim.AdamW(task.parameters(), lr=RATE)
    converter = spk.interfaces.AtomsConverter(spk.transform.MatScipyNeighborList(CUTOFF), dtype=torch.float32)
    batch = converter(structures)
    labels = labels_of(structures)
    targets = {key: torch.cat([of[key] for of in labels]).float() for key in ("energy", "forces")}

    def step() -> None:
        inputs = {key: value.detach() for key, value in batch.items()}  # the model marks positions and adds vectors
        loss = task.loss_fn(task.predict_without_postprocessing(inputs), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def measure(name: str, seconds: float) -> dict[str, float]:
    """Milliseconds: CPU times of SchNetPack's step and the compiled one, the floor, and walls of one thread and two."""
    structures = [structure(name, seed) for seed in range(SYSTEMS[name][0])]
    graph, one = own_steps(structures, name, 1)
    two = own_steps(structures, name, 2)[1]
    row = fastest({"schnetpack": schnetpack_steps(structures, name), "compiled": one}, seconds / 2, process_time)
    return row | fastest({"1": one, "2": two}, seconds / 2, perf_counter) | {"floor": floor(graph, *SYSTEMS[name][1:])}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=["ethanol-128", "ethanol-64", "aspirin"])
    parser.add_argument("--seconds", type=float, default=30.0, help="per system")
    parser.add_argument("--json", type=Path, help="also write the numbers here")
    options = parser.parse_args()
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    found: dict[str, dict[str, float]] = {}
    with torch_threads(1), memory_kept():
        machine = describe_machine(random_model(16, 1), 0.5)
        print(f"{machine['cpu']}; {machine['versions']}; SchNetPack {version('schnetpack')}; fastest step in ms\n")
        head = ("SchNetPack", "compiled", "floor", "ratio", "1 thread", "2 threads", "ratio")
        print(f"{'batch':<14}" + "".join(f"{word:>11}" for word in head))
        for name in options.systems:
            found[name] = row = measure(name, options.seconds)
            times = "".join(f"{row[key]:>11.2f}" for key in ("schnetpack", "compiled", "floor"))
            walls = "".join(f"{row[key]:>11.2f}" for key in ("1", "2"))
            peer, two = row["schnetpack"] / row["compiled"], row["1"] / row["2"]
            print(f"{name:<14}{times}{peer:>10.1f}x{walls}{two:>10.2f}x", flush=True)
    if options.json:
        options.json.write_text(json.dumps({"machine": machine, "ms": found}, indent=1))


if __name__ == "__main__":
    main()
