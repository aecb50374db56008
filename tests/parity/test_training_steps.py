"""Runs of the compiled training step beside those of torch, and their independence of threads."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import molecule

from painn_ase.derivatives import evaluate
from painn_ase.native.library import why_unavailable
from painn_ase.neighbors import graph_of
from painn_ase.training.average import AveragedModel
from painn_ase.training.compiled import CompiledStep
from painn_ase.training.config import Optimizer
from painn_ase.training.data import Example
from painn_ase.training.loss import Loss
from painn_ase.training.torch_step import TorchStep

from helpers.native_systems import water_box
from helpers.random_models import random_model
from helpers.training_cases import Case, make_case, worst_error

pytestmark = pytest.mark.skipif(why_unavailable() is not None, reason="the compiled library was not built")

ALL = {"energy": 0.1, "forces": 1.0, "dipole": 0.3, "polarizability": 0.2}


def labelled(structures: list[Atoms], features: int = 32, **options) -> Case:
    """Structures with energies and forces off what a model says: by a third of it, so that rounding stays rounding."""
    model = random_model(heads={"energy": {}}, features=features, interactions=3, epsilon=0.05, **options)
    generator = torch.Generator().manual_seed(0)
    examples = []
    for atoms in structures:
        graph = graph_of(atoms, model.cutoff)
        found = evaluate(model, graph, ["energy", "forces"])
        noise = {n: torch.randn(v.shape, generator=generator, dtype=torch.float64) for n, v in found.items()}
        sizes = {n: max(1.0, float(v.square().mean().sqrt())) for n, v in found.items()}
        labels = {n: (found[n] + 0.3 * sizes[n] * noise[n]).detach() for n in ("energy", "forces")}
        examples.append(Example(graph, labels))
    return Case(model, examples, {"energy": 0.1, "forces": 1.0})


def mixed() -> list[Atoms]:
    """From two atoms to six hundred pairs and more, so that every way of sharing work out is taken."""
    names = ["H2", "H2O", "CH3CH2OH", "CH4", "C2H6", "CH3OH", "H2O2"]
    return [*(molecule(name) for name in names), water_box(3), *(water_box(2, seed) for seed in range(3))]


def ways(case: Case, settings: Optimizer, dtype=torch.float64, threads: int = 1) -> list[CompiledStep | TorchStep]:
    loss = Loss(case.weights, {n: case.sizes[n] for n in case.weights}, case.kind)
    found = []
    for kind in (TorchStep, CompiledStep):
        model = copy.deepcopy(case.model).to(dtype)
        more = (threads,) if kind is CompiledStep else ()
        way = kind(model, AveragedModel(model, settings.ema), loss, settings, *more)
        way.set_examples(case.examples, case.examples[:3], 2)
        found.append(way)
    return found


@pytest.mark.parametrize("missing", [0.0, 0.6])
def test_steps_are_those_of_the_torch_trainer(missing):
    """Clipping, decay, moments and averages included; with labels missing, heads rest in batches that have none."""
    case = make_case("molecules", ALL, missing=missing, seed=4)
    by_torch, compiled = ways(case, Optimizer(gradient_norm=1.0, ema=0.9))
    rng = np.random.default_rng(0)
    for number in range(1, 13):
        indices = rng.choice(len(case.examples), 2, replace=False)
        losses = [float(way.step(indices, 1e-3, number)) for way in (by_torch, compiled)]
        assert losses[1] == pytest.approx(losses[0], rel=1e-9)
    for (name, expected), found in zip(by_torch.model.named_parameters(), compiled.model.parameters(), strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-9, msg=name)
    averages = zip(by_torch.average.model.parameters(), compiled.average.model.parameters(), strict=True)
    for expected, found in averages:
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-9)
    expected, found = by_torch.validate(), compiled.validate()
    for name in expected:
        np.testing.assert_allclose(found[name].predicted, expected[name].predicted, rtol=1e-7, atol=1e-8)


def test_moments_of_either_way_serve_the_other():
    case = make_case("molecules", ALL, seed=5)
    by_torch, compiled = ways(case, Optimizer())
    for number in range(1, 4):
        by_torch.step(np.array([0, 1]), 1e-3, number)
    with torch.no_grad():
        for ours, theirs in zip(compiled.model.parameters(), by_torch.model.parameters(), strict=True):
            ours.copy_(theirs)
    compiled.restore(by_torch.moments())
    losses = [way.step(np.array([1, 2]), 1e-3, 4) for way in (by_torch, compiled)]
    losses = [float(way.step(np.array([1, 2]), 1e-3, 5)) for way in (by_torch, compiled)]
    assert losses[1] == pytest.approx(losses[0], rel=1e-9)
    assert set(compiled.moments()) == set(by_torch.moments())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_any_number_of_threads_gives_the_same_bits(dtype):
    case = labelled(mixed())
    runs = []
    for threads in (1, 2, 3, 7):
        _, way = ways(case, Optimizer(), dtype, threads)
        losses = [way.step(np.arange(len(case.examples)), 1e-3, number) for number in (1, 2)]
        predicted = way.kernel.predict(
            range(len(case.examples)), ["energy", "forces"], sum(e.graph.n_atoms for e in case.examples)
        )
        runs.append((losses, way.kernel.weights.clone(), way.kernel.average.clone(), *predicted.values()))
    for run in runs[1:]:
        assert run[0] == runs[0][0]
        assert all(torch.equal(a, b) for a, b in zip(run[1:], runs[0][1:], strict=True))


def test_large_structures_have_the_gradients_of_plain_torch():
    """Filters are remade where they would not fit, and pairs are worked off in several chunks."""
    case = labelled([water_box(3)], features=16)
    assert case.examples[0].graph.n_pairs > 1200
    _, expected = case.torch_gradients()
    for threads in (1, 2):
        error, name = worst_error(case.kernel_gradients(case.kernel(threads=threads))[1], expected)
        assert error < 1e-10, name


def test_a_batch_in_several_waves_has_the_gradient_of_the_whole():
    case = labelled([molecule("CH3CH2OH")], features=16)
    kernel = case.kernel()
    _, once = case.kernel_gradients(kernel)
    loss, _ = kernel.step([0] * 250, case.loss)  # 2250 atoms
    for name, view in kernel.views(kernel.gradient).items():
        torch.testing.assert_close(view, once[name], rtol=1e-9, atol=1e-12, msg=name)
    assert loss == pytest.approx(case.kernel_gradients(kernel)[0], rel=1e-11)


def test_an_example_that_is_visited_twice_is_kept_once():
    case = labelled([molecule("H2O"), molecule("CH4")], features=16)
    case = replace(case, examples=[case.examples[0], case.examples[1], case.examples[0]])
    _, way = ways(case, Optimizer())
    assert way.kernel.count == 2
    assert list(way.numbers) == [0, 1, 0]
