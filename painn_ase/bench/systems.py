"""The structures and the model that the benchmarks run on."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from ase import Atoms
from ase.build import molecule

from painn_ase.errors import InputError, closest
from painn_ase.graph import AtomicGraph, batch
from painn_ase.model import Model
from painn_ase.neighbors import graph_of

CUTOFF = 5.0  # Å


def random_model(features: int = 128, interactions: int = 3) -> Model:
    """PaiNN with the settings of the paper and Gaussian radial functions, random weights, an energy head."""
    representation = {
        "kind": "painn",
        "features": features,
        "interactions": interactions,
        "cutoff": CUTOFF,
        "radial": {"kind": "gaussian", "count": 20},
    }
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        model = Model.from_config({"representation": representation, "heads": {"energy": {}}, "elements": [1, 6, 8]})
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                torch.nn.init.normal_(parameter, std=0.1)
    return model.eval()


def aspirin() -> Atoms:
    """C9H8O4 with idealised bond lengths."""
    ring = [(1.395 * np.cos(k * np.pi / 3), 1.395 * np.sin(k * np.pi / 3), 0.0) for k in range(6)]
    hydrogens = [(2.48 * np.cos(k * np.pi / 3), 2.48 * np.sin(k * np.pi / 3), 0.0) for k in (2, 3, 4, 5)]
    acid = [("C", (2.88, 0.0, 0.0)), ("O", (3.49, 1.05, 0.1)), ("O", (3.52, -1.17, -0.1)), ("H", (4.48, -1.05, -0.1))]
    ester = [("O", (1.385, 2.399, 0.0)), ("C", (1.835, 3.149, 1.0)), ("O", (2.935, 2.799, 1.45))]
    methyl = [
        ("C", (1.085, 4.299, 1.6)),
        ("H", (0.185, 3.799, 1.95)),
        ("H", (0.785, 5.099, 0.9)),
        ("H", (1.335, 4.899, 2.45)),
    ]
    rest = acid + ester + methyl
    symbols = ["C"] * 6 + ["H"] * 4 + [symbol for symbol, _ in rest]
    return Atoms(symbols, positions=[*ring, *hydrogens, *(place for _, place in rest)])


def water(shape: tuple[int, int, int], seed: int = 0) -> Atoms:
    """A periodic box of so many water molecules along x, y, z at 0.997 g/cm³, turned and displaced at random."""
    rng = np.random.default_rng(seed)
    step = (18.01528 / 6.02214076e23 / 0.997 * 1e24) ** (1 / 3)  # Å
    single = molecule("H2O")
    count = int(np.prod(shape))
    places = np.stack(np.unravel_index(np.arange(count), shape), -1) * step + rng.normal(scale=0.1, size=(count, 3))
    turns = np.linalg.qr(rng.normal(size=(count, 3, 3)))[0]
    positions = (single.positions - single.positions[0]) @ turns + places[:, None]  # (count, 3 atoms, 3)
    return Atoms(np.tile(single.numbers, count), positions.reshape(-1, 3), cell=np.diag(shape) * step, pbc=True)


def beads(graph: AtomicGraph, count: int) -> AtomicGraph:
    """`count` copies of a molecule in one batch, each displaced a little, as the beads of a ring polymer are."""
    generator = torch.Generator().manual_seed(0)
    noise = 0.03 * torch.randn((count, *graph.positions.shape), generator=generator, dtype=torch.float64)
    return batch([replace(graph, positions=graph.positions + noise[k]) for k in range(count)])


SYSTEMS: dict[str, Callable[[], AtomicGraph]] = {
    "ethanol": lambda: graph_of(molecule("CH3CH2OH"), CUTOFF),
    "aspirin": lambda: graph_of(aspirin(), CUTOFF),
    "64 beads": lambda: beads(graph_of(aspirin(), CUTOFF), 64),
    "water 192": lambda: graph_of(water((4, 4, 4)), CUTOFF),
    "water 648": lambda: graph_of(water((6, 6, 6)), CUTOFF),
    "water 3000": lambda: graph_of(water((10, 10, 10)), CUTOFF),
}
"""What makes the graph of a system, by name, from one molecule to 3000 atoms of water."""


def systems(names: Sequence[str] | None = None) -> dict[str, AtomicGraph]:
    """Graphs by name, all of `SYSTEMS` by default; `InputError` for a name it does not hold."""
    chosen = list(SYSTEMS) if names is None else list(names)
    for name in chosen:
        if name not in SYSTEMS:
            have = ", ".join(map(repr, SYSTEMS))
            raise InputError(f"benchmark systems: expected some of {have}; got {name!r}{closest(name, SYSTEMS)}")
    return {name: SYSTEMS[name]() for name in chosen}
