"""The fused operations against plain torch and finite differences: values and derivatives up to the fourth order."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from painn_ase.derivatives import evaluate
from painn_ase.errors import InputError
from painn_ase.graph import batch
from painn_ase.native.library import INSTRUCTION_SET_VARIABLE
from painn_ase.neighbors import graph_of
from painn_ase.nn import fused
from painn_ase.nn.dense import LINEAR, PERCEPTRON
from painn_ase.nn.fused import Operation, fusible, plain_torch, product, without_derivatives_by
from painn_ase.nn.message import MESSAGE, message
from painn_ase.nn.update import GATE, norms

from helpers.native_systems import RUNNABLE
from helpers.random_models import random_model
from helpers.systems import NASTY

pytestmark = pytest.mark.skipif(not RUNNABLE, reason="the compiled library was not built")

CENTERS, NEIGHBORS = torch.tensor([2, 0, 0, 1, 2, 2]), torch.tensor([0, 1, 2, 0, 2, 1])  # in no order, one with itself
N, P, F, RADIAL = 3, 6, 32, 5


def variables(*shapes: tuple[int, ...]) -> list[Tensor]:
    generator = torch.Generator().manual_seed(len(shapes))
    return [torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_() for shape in shapes]


# name -> operation, shapes of its inputs, and what makes all arguments of the inputs
CASES: dict[str, tuple[Operation, Sequence[tuple[int, ...]], Callable]] = {
    "message": (
        MESSAGE,
        [(N, F), (N, 3, F), (N, 3 * F), (P, RADIAL), (RADIAL, 3 * F), (P, 3)],
        lambda *a: (*a, CENTERS, NEIGHBORS),
    ),
    "first message": (
        MESSAGE,
        [(N, F), (N, 3 * F), (P, RADIAL), (RADIAL, 3 * F), (P, 3)],
        lambda s, *a: (s, None, *a, CENTERS, NEIGHBORS),
    ),
    "linear": (LINEAR, [(4, 5), (7, 5), (7,)], lambda *a: a),
    "linear without bias": (LINEAR, [(4, 3, 5), (7, 5)], lambda *a: (*a, None)),
    "perceptron": (PERCEPTRON, [(4, 5), (7, 5), (7,), (3, 7), (3,)], lambda *a: a),
    "norms": (norms(1e-3), [(4, 7), (4, 3, 2 * 19)], lambda *a: a),
    "gate": (GATE, [(4, 19), (4, 3, 19), (4, 3 * 19), (4, 3, 2 * 19)], lambda *a: a),
}


@pytest.fixture(params=RUNNABLE)
def instruction_set(request, monkeypatch) -> Iterator[str]:
    monkeypatch.setenv(INSTRUCTION_SET_VARIABLE, request.param)
    fused.native_functions.cache_clear()
    yield request.param
    fused.native_functions.cache_clear()


def results(value: Tensor | tuple) -> tuple[Tensor, ...]:
    return value if isinstance(value, tuple) else (value,)


def derivatives(function: Callable, inputs: list[Tensor], orders: int) -> list[tuple[Tensor, ...]]:
    """The values, and the gradients of the sum of squares (at first cubes) of what the order before gave."""
    found = [results(function(*inputs))]
    for order in range(orders):
        total = sum((a ** (3 if order == 0 else 2)).sum() for a in found[-1] if a is not None)
        found.append(torch.autograd.grad(total, inputs, create_graph=True, allow_unused=True))
    return found


def assert_close(some: Sequence[Tensor | None], others: Sequence[Tensor | None], relative: float) -> None:
    for a, b in zip(some, others, strict=True):
        if a is None or b is None:
            assert a is b or float((b if a is None else a).abs().max()) == 0  # no influence, or an influence of zero
        elif b.numel():
            assert float((a - b).detach().abs().max()) <= relative * max(1e-3, float(b.detach().abs().max()))


@pytest.mark.parametrize("case", CASES)
def test_derivatives_agree_with_plain_torch_up_to_the_fourth(case, instruction_set):
    """1e-12: a few times rounding, of sums of some hundred terms."""
    operation, shapes, complete = CASES[case]
    inputs = variables(*shapes)
    own = derivatives(lambda *a: operation(*complete(*a)), inputs, 4)
    plain = derivatives(lambda *a: operation.plain(*complete(*a)), inputs, 4)
    for some, others in zip(own, plain, strict=True):
        assert_close(some, others, 1e-12)


@pytest.mark.parametrize("case", CASES)
def test_one_direction_differentiated_first_as_forces_are(case):
    """∂/∂(all inputs) of a function of ∂/∂(one input), and of the value: what training on forces asks for."""
    operation, shapes, complete = CASES[case]
    inputs = variables(*shapes)
    for one in inputs:

        def mixed(function, one=one):
            values = results(function(*complete(*inputs)))
            (first,) = torch.autograd.grad(sum((a**3).sum() for a in values), one, create_graph=True)
            loss = (first**2).sum() + sum((a**2).sum() for a in values)
            return torch.autograd.grad(loss, inputs, allow_unused=True)

        assert_close(mixed(operation), mixed(operation.plain), 1e-12)


@pytest.mark.parametrize("case", CASES)
def test_first_and_second_derivatives_agree_with_finite_differences(case):
    operation, shapes, complete = CASES[case]
    inputs = variables(*shapes)

    def function(*a):
        return operation(*complete(*a))

    assert torch.autograd.gradcheck(function, inputs, fast_mode=True)
    assert torch.autograd.gradgradcheck(function, inputs, fast_mode=True)


@pytest.mark.parametrize("case", CASES)
def test_single_precision_is_rounding_away(case, instruction_set):
    """Second derivatives within some tens of float32's 1.2e-7: they are products of up to a dozen factors."""
    operation, shapes, complete = CASES[case]
    inputs = variables(*shapes)
    singles = [a.detach().float().requires_grad_() for a in inputs]
    own = derivatives(lambda *a: operation(*complete(*a)), singles, 2)
    exact = derivatives(lambda *a: operation.plain(*complete(*a)), inputs, 2)
    for some, others in zip(own, exact, strict=True):
        assert_close([a if a is None else a.double() for a in some], others, 1e-5)


@pytest.mark.parametrize("shape", [(1, 1, 1), (5, 0, 3), (0, 4, 3), (4, 3, 0), (25, 70, 33), (13, 7, 100)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_products_of_any_shape_and_stride(shape, dtype, instruction_set):
    rows, inner, columns = shape
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(s, generator=generator).to(dtype) for s in ((rows, inner), (inner, columns)))
    bias = torch.randn(columns, generator=generator).to(dtype)
    tolerance = {"rtol": 0, "atol": (inner + 1) * 10 * torch.finfo(dtype).eps}
    for left in (a, a.T.contiguous().T, torch.cat([a, a], 1)[:, :inner]):
        for right in (b, b.T.contiguous().T):
            torch.testing.assert_close(product(left, right), left @ right, **tolerance)
            torch.testing.assert_close(product(left, right, bias), left @ right + bias, **tolerance)
            torch.testing.assert_close(product(left, right, out=(a @ b)), 2 * (left @ right), **tolerance)


def structure(name: str):
    """Graphs whose sums over pairs go wrong first."""
    if name == "no atoms":
        graph = graph_of(NASTY["single_atom"](), 4.0)
        per_atom = {key: getattr(graph, key)[:0] for key in ("numbers", "positions", "structures")}
        return replace(graph, **per_atom)
    if name == "batch":
        return batch([graph_of(NASTY[one](), 4.0) for one in ("molecule", "single_atom", "hydrogen")])
    return graph_of(NASTY[name](), 4.0)


@pytest.mark.parametrize("interactions", [1, 3])
@pytest.mark.parametrize(
    "name", ["molecule", "triclinic", "crystal_atom", "single_atom", "hydrogen", "batch", "no atoms"]
)
def test_gradients_of_a_loss_on_forces_agree_with_plain_torch(name, interactions):
    """The whole model, as training differentiates it; 1e-12 of the largest gradient, which sums cannot better."""
    graph = structure(name)
    model = random_model(interactions=interactions)
    parameters = list(model.parameters())
    wanted = ["energy", "forces"] + ([] if bool(graph.pbc.any()) else ["dipole", "polarizability"])

    def gradients():
        found = evaluate(model, graph, wanted, create_graph=True)
        loss = sum(found[key].square().sum() for key in wanted)
        with without_derivatives_by("geometry"):
            return loss, torch.autograd.grad(loss, parameters, allow_unused=True)

    loss, own = gradients()
    with plain_torch():
        plain_loss, plain = gradients()
    assert loss.item() == pytest.approx(plain_loss.item(), rel=1e-12)
    largest = max(float(g.abs().max()) for g in plain if g is not None)
    for a, b in zip(own, plain, strict=True):
        a, b = (torch.zeros(1) if g is None else g for g in (a, b))
        assert float((a - b).abs().max()) <= 1e-12 * largest


def test_the_same_step_gives_the_same_bits():
    graph = structure("batch")
    model = random_model().float()

    def gradients():
        found = evaluate(model, graph, ["energy", "forces"], create_graph=True)
        return torch.autograd.grad(found["forces"].square().sum(), list(model.parameters()), allow_unused=True)

    for a, b in zip(gradients(), gradients(), strict=True):
        assert (a is None and b is None) or torch.equal(a, b)


NAMES = "svxbwu"  # of the message: b and u depend on geometry alone, w on weights


def test_spared_derivatives_are_absent_and_the_others_unchanged():
    operation, shapes, complete = CASES["message"]
    inputs = variables(*shapes)
    value = sum(a.square().sum() for a in operation(*complete(*inputs)))
    full = dict(zip(NAMES, torch.autograd.grad(value, inputs, retain_graph=True), strict=True))
    for what, spared in (("weights", "w"), ("geometry", "bu")):
        with without_derivatives_by(what):
            found = torch.autograd.grad(value, inputs, retain_graph=True, allow_unused=True)
        for name, gradient in zip(NAMES, found, strict=True):
            assert gradient is None if name in spared else torch.equal(gradient, full[name])


def test_pairs_of_other_atoms_are_refused():
    inputs = [a.detach() for a in variables(*CASES["message"][1])]
    with pytest.raises(InputError, match="a pair names another"):
        message(*inputs, CENTERS, NEIGHBORS + 1)


def test_unknown_instruction_sets_are_refused(monkeypatch):
    monkeypatch.setenv(INSTRUCTION_SET_VARIABLE, "mmx")
    fused.native_functions.cache_clear()
    try:
        with pytest.raises(InputError, match="no 'mmx'"):
            product(torch.ones(2, 2), torch.ones(2, 2))
    finally:
        fused.native_functions.cache_clear()


def test_what_the_library_cannot_do_is_left_to_torch():
    one = torch.ones(2)
    assert fusible(one)
    assert fusible(one.double())
    for others in ((one.bfloat16(),), (one.to("meta"),), (one, one.double())):
        assert not fusible(*others)
    with plain_torch():
        assert not fusible(one)
    assert fusible(one)
    torch.set_num_threads(3)
    try:
        assert not fusible(one)
    finally:
        torch.set_num_threads(1)
    s, v, x, basis, weight, units = (a.detach() for a in variables(
        (N, 10), (N, 3, 10), (N, 30), (P, RADIAL), (RADIAL, 30), (P, 3)
    ))  # fmt: skip
    plain = MESSAGE.plain(s, v, x, basis, weight, units, CENTERS, NEIGHBORS)
    for a, b in zip(message(s, v, x, basis, weight, units, CENTERS, NEIGHBORS), plain, strict=True):
        assert torch.equal(a, b)  # ten features are no multiple of sixteen
