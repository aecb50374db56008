"""Random models and batches for tests of the compiled training step, and its gradients beside those of plain torch."""

import copy
from dataclasses import dataclass, field

import numpy as np
import torch
from ase import Atoms
from ase.build import bulk, fcc111, molecule

from painn_ase.derivatives import evaluate
from painn_ase.model import Model
from painn_ase.native.training import LABELS
from painn_ase.native.training import Loss as NativeLoss
from painn_ase.neighbors import graph_of
from painn_ase.training.data import Example, collate
from painn_ase.training.kernel import Kernel
from painn_ase.training.loss import Loss

from helpers.random_models import random_model

SIZES = {"energy": 0.5, "forces": 0.7, "stress": 0.02, "dipole": 0.4, "polarizability": 0.9}


def _rattled(atoms: Atoms, seed: int) -> Atoms:
    atoms.rattle(0.1, seed=seed)
    return atoms


def _slab() -> Atoms:
    slab = fcc111("Si", (1, 2, 2), a=4.3, vacuum=6.0)
    slab.pbc = (True, True, False)
    return slab


SYSTEMS = {
    "molecules": [("CH3CH2OH", 0.0), ("H2O", -1.0), ("CH4", 1.0), ("H2", 0.0), ("O", 0.0)],  # the last has no pairs
    "water": [("H2O", 0.0)],
}


def structures(kind: str, seed: int = 0) -> list[tuple[Atoms, float]]:
    """Structures and their total charges: 'molecules', 'cells' (with self-images), 'slabs', 'apart'."""
    if kind == "cells":
        cells = [bulk("Si", cubic=True), bulk("Si"), bulk("Si") * (1, 1, 2)]
        return [(_rattled(cell, seed + k), 0.0) for k, cell in enumerate(cells)]
    if kind == "slabs":
        return [(_rattled(_slab(), seed), 0.0), (_rattled(_slab(), seed + 1), 0.0)]
    if kind == "apart":  # fragments that do not touch, beside a whole molecule
        far = molecule("CH4")
        far.positions += 20.0
        return [(_rattled(molecule("CH3CH2OH") + far, seed), 0.0), (_rattled(molecule("H2O"), seed + 1), 1.0)]
    return [(_rattled(molecule(name), seed + k), charge) for k, (name, charge) in enumerate(SYSTEMS[kind])]


@dataclass
class Case:
    """A model, examples with random labels, and a loss."""

    model: Model  # float64
    examples: list[Example]
    weights: dict[str, float]
    kind: str = "squared"
    sizes: dict[str, float] = field(default_factory=lambda: SIZES)

    def torch_gradients(self, model: Model | None = None) -> tuple[float, dict[str, torch.Tensor]]:
        """The loss and its gradient by plain torch and automatic differentiation."""
        model = self.model if model is None else model
        batch = collate(self.examples)
        parameters = dict(model.named_parameters())
        predictions = evaluate(model, batch.graph, set(self.weights) & set(batch.labels), create_graph=True)
        loss = Loss(self.weights, {n: self.sizes[n] for n in self.weights}, self.kind)(predictions, batch)
        found = torch.autograd.grad(loss, list(parameters.values()), allow_unused=True)
        zero = {n: torch.zeros_like(p) for n, p in parameters.items()}
        return float(loss.detach()), {n: zero[n] if g is None else g for n, g in zip(parameters, found, strict=True)}

    def kernel(self, dtype=torch.float64, threads: int = 1, instruction_set: str | None = None) -> Kernel:
        """The compiled step with all examples added."""
        model = copy.deepcopy(self.model).to(dtype)
        kernel = Kernel(model, copy.deepcopy(model), threads, instruction_set)
        for example in self.examples:
            kernel.add(example.graph, example.labels)
        return kernel

    @property
    def loss(self) -> NativeLoss:
        weights = tuple(self.weights.get(n, 0.0) for n in LABELS)
        return NativeLoss(weights, tuple(self.sizes[n] for n in LABELS), int(self.kind == "absolute"))

    def kernel_gradients(self, kernel: Kernel) -> tuple[float, dict[str, torch.Tensor]]:
        """The loss and its gradient by the compiled step."""
        loss, _ = kernel.step(range(len(self.examples)), self.loss)
        return loss, {name: view.clone() for name, view in kernel.views(kernel.gradient).items()}


def make_case(
    systems: str,
    weights: dict[str, float],
    kind: str = "squared",
    missing: float = 0.0,
    architecture: str = "bessel-cosine",
    heads: dict | None = None,
    seed: int = 0,
    **options,
) -> Case:
    """A random model, and labels off its predictions by about as much as those are large; each label is left out with
    probability `missing`."""
    needed = {"dipole": "dipole", "polarizability": "polarizability"}
    heads = heads or {"energy": {}} | {needed[n]: {"epsilon": 0.05} for n in weights if n in needed}
    model = random_model(architecture, seed=seed, heads=heads, **{"epsilon": 0.05, **options})
    rng, generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    examples = []
    for atoms, charge in structures(systems, seed):
        graph = graph_of(atoms, model.cutoff, charge=charge)
        labels = {}
        for name, value in evaluate(model, graph, weights).items():
            if name in weights and (rng.uniform() >= missing or not examples):
                noise = torch.randn(value.shape, generator=generator, dtype=torch.float64)
                labels[name] = (
                    value.detach() + SIZES[name] * max(1.0, float(value.detach().square().mean().sqrt())) * noise
                )
        examples.append(Example(graph, labels))
    return Case(model, examples, weights, kind)


def worst_error(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> tuple[float, str]:
    """The largest difference relative to the parameter's largest gradient, and the parameter's name.

    A gradient that vanishes for a reason (the charge that a correction takes away) is rounding in both: below 1e-10
    of the largest of all it is measured by that.
    """
    largest = max(float(g.abs().max()) for g in expected.values())
    errors = {}
    for name, g in expected.items():
        scale = float(g.abs().max())
        errors[name] = float((found[name].double() - g).abs().max()) / (scale if scale > 1e-10 * largest else largest)
    name = max(errors, key=errors.__getitem__)
    return errors[name], name
