"""What the tests of the native kernel share: graphs with a skin, a water box, and the scale rounding is relative to."""

import numpy as np
import torch
from ase import Atoms
from ase.build import molecule

from painn_ase.graph import AtomicGraph
from painn_ase.native.library import INSTRUCTION_SETS, library, why_unavailable

if why_unavailable() is None:
    RUNNABLE = [name for name in INSTRUCTION_SETS if library().painn_instruction_set(name.encode())]
else:
    RUNNABLE = []


def water_box(edge: int, seed: int = 0) -> Atoms:
    """edge³ water molecules at 0.997 g/cm³, turned and displaced at random, periodic."""
    rng = np.random.default_rng(seed)
    step = (18.01528 / 6.02214076e23 / 0.997 * 1e24) ** (1 / 3)  # Å
    single = molecule("H2O")
    single.positions -= single.positions[0]
    box = Atoms(cell=np.eye(3) * edge * step, pbc=True)
    for place in np.ndindex(edge, edge, edge):
        turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
        positions = single.positions @ turn + np.array(place) * step + rng.normal(scale=0.1, size=3)
        box += Atoms(single.numbers, positions)
    return box


def pulled(graph: AtomicGraph, seed: int = 0, by: float = 0.02) -> AtomicGraph:
    """The same topology (the same tensor objects) with positions moved by about `by` Å."""
    from dataclasses import replace

    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(graph.positions.shape, generator=generator, dtype=torch.float64)
    return replace(graph, positions=graph.positions + by * noise)
