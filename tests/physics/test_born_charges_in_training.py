"""Born charges of a batch are the derivatives of its dipoles, and a loss of them has the gradient it should."""

import numpy as np
import pytest
import torch

from painn_ase.derivatives import evaluate
from painn_ase.graph import batch
from painn_ase.neighbors import graph_of
from painn_ase.response import response
from painn_ase.training.config import Label
from painn_ase.training.data import collate, make_examples
from painn_ase.training.loss import Loss

from helpers.random_models import random_model
from helpers.systems import molecule, triclinic

BORN = "born_effective_charges"
CASES = [
    *(("dipole", name) for name in ("bessel-cosine", "schnet", "tensornet", "ictp")),
    *(("cell_dipole", name) for name in ("bessel-cosine", "tensornet", "ictp")),
]


def model_of(head: str, architecture: str):
    options = {"atomic_dipoles": False} if architecture == "schnet" else {}
    return random_model(architecture, heads={"energy": {}, head: options})


def structures(head: str) -> list:
    made = [molecule(), molecule()] if head == "dipole" else [triclinic(), triclinic()]
    for seed, atoms in enumerate(made):
        atoms.rattle(0.05, seed=seed)
    return made


@pytest.mark.parametrize(("head", "architecture"), CASES)
def test_born_charges_of_a_batch_are_those_of_each_structure_alone(head, architecture):
    """By the pass that training makes, beside the Jacobian of `response`; forces of the same pass are unchanged."""
    model = model_of(head, architecture)
    graphs = [graph_of(atoms, model.cutoff) for atoms in structures(head)]
    found = evaluate(model, batch(graphs), ["forces", BORN])
    alone = torch.cat([response(model, graph, [BORN])[BORN] for graph in graphs])
    assert alone.abs().max() > 1e-4
    torch.testing.assert_close(found[BORN], alone, rtol=1e-9, atol=1e-11)
    torch.testing.assert_close(found["forces"], evaluate(model, batch(graphs), ["forces"])["forces"])


@pytest.mark.parametrize("kind", ["squared", "absolute"])
@pytest.mark.parametrize("head", ["dipole", "cell_dipole"])
def test_the_gradient_of_a_loss_of_born_charges_is_its_slope(head, kind):
    """Central differences of the loss itself along random directions of the weights; one structure has no label."""
    model, rng = model_of(head, "bessel-cosine"), np.random.default_rng(0)
    frames = [*structures(head), structures(head)[0]]
    for atoms in frames[:2]:
        atoms.arrays["bec"] = rng.normal(size=(len(atoms), 9))
    examples = make_examples(frames, {BORN: Label("bec", "e")}, model.cutoff, molecular=model.molecular)
    loss, data = Loss({BORN: 1.0}, {BORN: 0.7}, kind), collate(examples)
    assert int(data.masks[BORN].sum()) == sum(len(atoms) for atoms in frames[:2])
    weights = [p for name, p in model.named_parameters() if not name.startswith("heads.energy")]

    def value(create_graph: bool = False) -> torch.Tensor:
        return loss(evaluate(model, data.graph, [BORN], create_graph=create_graph), data)

    total = value(create_graph=True)
    gradients = torch.autograd.grad(total, weights, allow_unused=True, materialize_grads=True)
    assert float(total.detach()) == pytest.approx(float(value()), rel=1e-12)
    for _ in range(3):
        directions = [torch.from_numpy(rng.normal(size=tuple(w.shape))) for w in weights]
        slope = sum(float((g * d).sum()) for g, d in zip(gradients, directions, strict=True))
        values = []
        for step in (1e-5, -1e-5, 2e-5, -2e-5):
            _move(weights, directions, step)
            values.append(float(value()))
            _move(weights, directions, -step)
        difference = (8 * (values[0] - values[1]) - (values[2] - values[3])) / 12e-5
        assert difference == pytest.approx(slope, rel=1e-6)  # truncation of h⁴, rounding of 1e-16/h


@torch.no_grad()
def _move(weights: list, directions: list, step: float) -> None:
    for weight, direction in zip(weights, directions, strict=True):
        weight += step * direction
