"""The compiled training step against automatic differentiation of plain torch, in float64."""

import copy
from functools import cache

import numpy as np
import pytest
import torch

from painn_ase.derivatives import evaluate
from painn_ase.native.library import why_unavailable
from painn_ase.training.data import collate

from helpers.native_systems import RUNNABLE
from helpers.training_cases import Case, make_case, worst_error

pytestmark = pytest.mark.skipif(why_unavailable() is not None, reason="the compiled library was not built")

ENERGY, FORCES = {"energy": 1.0}, {"forces": 1.0}
BOTH = {"energy": 0.1, "forces": 1.0}
STRESS = {"energy": 0.1, "forces": 1.0, "stress": 0.5}
ALL = {"energy": 0.1, "forces": 1.0, "dipole": 0.3, "polarizability": 0.2}
CHARGES = {"energy": {}, "dipole": {"atomic_dipoles": False, "epsilon": 0.05}, "polarizability": {"epsilon": 0.05}}
REPULSION = {"strength": 0.4, "sigma": 1.1, "power": 6.0}
SHARED = "centered-mollifier-shared"

CASES = {
    **{f"{kind} energy": ("molecules", ENERGY, kind) for kind in ("squared", "absolute")},
    **{f"{kind} forces": ("molecules", FORCES, kind) for kind in ("squared", "absolute")},
    **{f"{kind} energy and forces": ("molecules", BOTH, kind) for kind in ("squared", "absolute")},
    **{f"{kind} stress": ("cells", STRESS, kind) for kind in ("squared", "absolute")},
    **{f"{kind} everything": ("molecules", ALL, kind) for kind in ("squared", "absolute")},
    **{f"{kind} dipole alone": ("molecules", {"dipole": 1.0}, kind) for kind in ("squared", "absolute")},
    "polarizability alone": ("molecules", {"polarizability": 1.0}),
    "stress alone": ("cells", {"stress": 1.0}),
    "energy of cells": ("cells", ENERGY),
    "slabs": ("slabs", BOTH),
    "slabs, absolute": ("slabs", BOTH, "absolute", 0.5),
    "missing labels": ("molecules", ALL, "squared", 0.5),
    "missing labels, absolute": ("molecules", ALL, "absolute", 0.5),
    "missing stress": ("cells", STRESS, "squared", 0.5),
    **{
        f"T = {t}": ("molecules", ALL, "squared", 0.0, "bessel-cosine", None, t, {"interactions": t}) for t in (1, 3, 4)
    },
    "T = 1 cells": ("cells", STRESS, "squared", 0.0, "bessel-cosine", None, 2, {"interactions": 1}),
    "T = 1, dipole alone": ("water", {"dipole": 1.0}, "squared", 0.0, "bessel-cosine", None, 2, {"interactions": 1}),
    "Gaussians, polynomial": ("molecules", ALL, "squared", 0.0, "gaussian-polynomial"),
    "shared, mollifier": ("molecules", ALL, "squared", 0.3, SHARED, None, 5, {"interactions": 3}),
    "shared, cells": ("cells", STRESS, "absolute", 0.0, SHARED, None, 5, {"interactions": 3}),
    "shared, without last vectors": ("molecules", BOTH, "squared", 0.0, SHARED, None, 6, {"interactions": 4}),
    "shared filters": ("molecules", BOTH, "squared", 0.0, "bessel-cosine", None, 7, {"shared_filters": True}),
    "shared interactions": ("cells", STRESS, "squared", 0.0, "bessel-cosine", None, 8, {"shared_interactions": True}),
    "mixing bias": ("molecules", ALL, "squared", 0.0, "bessel-cosine", None, 9, {"mixing_bias": True}),
    "F = 48": ("molecules", ALL, "squared", 0.0, "bessel-cosine", None, 10, {"features": 48, "interactions": 3}),
    "F = 32": ("cells", STRESS, "squared", 0.0, "bessel-cosine", None, 11, {"features": 32, "interactions": 3}),
    "exponential": (
        "molecules", BOTH, "squared", 0.0, "bessel-cosine", None, 12,
        {"radial": {"kind": "exponential_normal", "count": 17}},
    ),
    "small epsilon": ("molecules", BOTH, "squared", 0.0, "bessel-cosine", None, 13, {"epsilon": 1e-8}),
    "repulsion": ("molecules", BOTH, "squared", 0.0, "bessel-cosine", None, 14, {"repulsion": REPULSION}),
    "repulsion, absolute": ("molecules", ALL, "absolute", 0.3, "bessel-cosine", None, 15, {"repulsion": REPULSION}),
    "repulsion in cells": ("cells", STRESS, "squared", 0.0, "bessel-cosine", None, 16, {"repulsion": REPULSION}),
    "repulsion and mean energy": (
        "molecules", BOTH, "squared", 0.0, "bessel-cosine", {"energy": {"mean": True, "mean_references": True}}, 17,
        {"repulsion": REPULSION},
    ),
    "energy without hidden layers": ("molecules", BOTH, "squared", 0.0, "bessel-cosine", {"energy": {"hidden": []}}),
    "energy with two": ("molecules", BOTH, "squared", 0.0, "bessel-cosine", {"energy": {"hidden": [30, 7]}}),
    "mean energy, linear term": (
        "molecules", BOTH, "squared", 0.3, "bessel-cosine",
        {"energy": {"mean": True, "mean_references": True, "linear": True}},
    ),
    "fragments": ("apart", ALL),
    "charges of fragments": ("apart", ALL, "absolute", 0.0, "bessel-cosine", CHARGES),
    "charges": ("molecules", ALL, "squared", 0.3, "bessel-cosine", CHARGES),
    "charges alone, uncorrected": (
        "molecules", {"dipole": 1.0}, "absolute", 0.0, "bessel-cosine",
        {"energy": {}, "dipole": {"atomic_dipoles": False, "charge_correction": False, "epsilon": 0.05}},
    ),
    "dipole without correction": (
        "molecules", {"forces": 1.0, "dipole": 0.3}, "squared", 0.0, "bessel-cosine",
        {"energy": {}, "dipole": {"charge_correction": False, "hidden": [20, 12], "epsilon": 0.05}},
    ),
    "dipole of cells": (
        "cells", {"forces": 1.0, "stress": 0.2, "dipole": 0.3}, "squared", 0.0, "bessel-cosine",
        {"energy": {}, "cell_dipole": {"epsilon": 0.05}},
    ),
    "no energy head": ("molecules", {"dipole": 1.0}, "squared", 0.0, "bessel-cosine", {"dipole": {"epsilon": 0.05}}),
}  # fmt: skip


def case_of(name: str) -> Case:
    systems, weights, *rest = CASES[name]
    defaults = ["squared", 0.0, "bessel-cosine", None, sum(map(ord, name)) % 97, {}]
    kind, missing, architecture, heads, seed, options = [*rest, *defaults[len(rest) :]]
    return make_case(systems, weights, kind, missing, architecture, heads, seed, **options)


@pytest.mark.parametrize("name", CASES)
def test_gradients_are_those_of_automatic_differentiation(name):
    case = case_of(name)
    loss, expected = case.torch_gradients()
    found_loss, found = case.kernel_gradients(case.kernel())
    assert found_loss == pytest.approx(loss, rel=1e-10)
    error, parameter = worst_error(found, expected)
    assert error < 1e-10, parameter


@pytest.mark.parametrize("instruction_set", RUNNABLE)
@pytest.mark.parametrize("name", ["squared everything", "shared, cells", "F = 48", "charges"])
def test_every_instruction_set_has_the_same_gradients(name, instruction_set):
    case = case_of(name)
    _, expected = case.torch_gradients()
    _, found = case.kernel_gradients(case.kernel(instruction_set=instruction_set))
    error, parameter = worst_error(found, expected)
    assert error < 1e-10, parameter


def rounding_error(found: dict[str, torch.Tensor], exact: dict[str, torch.Tensor]) -> float:
    """Length of the difference of two gradients relative to the exact one."""
    whole = torch.cat([g.flatten() for g in exact.values()])
    return float((torch.cat([found[n].double().flatten() for n in exact]) - whole).norm() / whole.norm())


@cache
def rounded(name: str) -> list[tuple[Case, dict[str, torch.Tensor], float]]:
    """The case at eight sets of weights a rounding apart; for each its exact gradient and the error of torch's float32.

    At one set of weights the error is a matter of luck: lengths in the loss make it vary by a factor of twenty.
    """
    found = []
    for seed in range(8):
        case, generator = case_of(name), torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for weights in case.model.parameters():
                noise = torch.randn(weights.shape, generator=generator, dtype=weights.dtype)
                weights.copy_((weights * (1 + 2**-24 * noise)).float())
        _, exact = case.torch_gradients()
        _, single = case.torch_gradients(copy.deepcopy(case.model).float())
        found.append((case, exact, rounding_error(single, exact)))
    return found


@pytest.mark.parametrize("instruction_set", RUNNABLE)
@pytest.mark.parametrize("name", ["squared everything", "absolute energy and forces", "squared stress", "F = 48"])
def test_float32_is_as_good_as_that_of_torch(name, instruction_set):
    ours, theirs = [], []
    for case, exact, error in rounded(name):
        _, found = case.kernel_gradients(case.kernel(torch.float32, instruction_set=instruction_set))
        ours.append(rounding_error(found, exact))
        theirs.append(error)
    rms = [float(np.sqrt(np.mean(np.square(errors)))) for errors in (ours, theirs)]
    assert rms[0] < 2 * rms[1] + 3e-7  # rounding differs by order; both are of the same size


@pytest.mark.parametrize("name", ["squared everything", "absolute energy and forces", "squared stress"])
def test_gradient_is_the_slope_of_the_loss(name):
    """Central differences of the compiled loss itself along a random direction."""
    case = case_of(name)
    kernel = case.kernel()
    members = range(len(case.examples))
    kernel.step(members, case.loss)
    rng = np.random.default_rng(0)
    for _ in range(3):
        direction = torch.zeros_like(kernel.weights)
        for view in kernel.views(direction).values():
            view.copy_(torch.from_numpy(rng.normal(size=tuple(view.shape))))
        kernel.step(members, case.loss)
        slope = float(kernel.gradient @ direction)
        start, step, losses = kernel.weights.clone(), 1e-5, []
        for sign in (1, -1, 2, -2):
            kernel.weights.copy_(start + sign * step * direction)
            kernel.changed()
            losses.append(kernel.step(members, case.loss)[0])
        kernel.weights.copy_(start)
        kernel.changed()
        difference = (8 * (losses[0] - losses[1]) - (losses[2] - losses[3])) / (12 * step)
        assert difference == pytest.approx(slope, rel=1e-6)


@pytest.mark.parametrize(
    "name",
    ["squared everything", "squared stress", "charges", "dipole of cells", "missing labels", "repulsion in cells"],
)
def test_predictions_are_those_of_the_model(name):

    case = case_of(name)
    graph = collate(case.examples).graph
    expected = evaluate(case.model, graph, case.weights)
    for averaged in (False, True):
        found = case.kernel().predict(range(len(case.examples)), list(case.weights), graph.n_atoms, averaged=averaged)
        for name in case.weights:
            torch.testing.assert_close(found[name], expected[name].detach(), rtol=1e-10, atol=1e-11)
