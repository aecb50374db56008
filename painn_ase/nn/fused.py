"""Operations that know their own first and second derivatives, and the compiled library that makes them fast.

Training on forces differentiates twice. Automatic differentiation of plain torch does that by hundreds of small
operations on intermediate arrays; an `Operation` is one step of the graph at every order. Derivatives are exact, and
beyond the second they are those of the plain form.
"""

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from ctypes import byref
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from painn_ase.errors import InputError
from painn_ase.native.library import (
    INSTRUCTION_SET_VARIABLE,
    NO_MEMORY,
    NO_SUCH_SET,
    Matrix,
    MessageForm,
    Pointwise,
    library,
    why_unavailable,
)

WIDTHS = {torch.float32: 4, torch.float64: 8}
Tensors = tuple[Any, ...]  # of Tensor or None
_MANY_THREADS = 2
_plain: ContextVar[bool] = ContextVar("plain", default=False)
_spared: ContextVar[str] = ContextVar("spared", default="nothing")


@contextmanager
def plain_torch() -> Iterator[None]:
    """Inside the block, networks are evaluated by plain torch operations: the reference of the fused ones.

    Needed where torch transforms what it differentiates (`torch.func`, `is_grads_batched`), and to compare.
    """
    token = _plain.set(True)
    try:
        yield
    finally:
        _plain.reset(token)


@contextmanager
def without_derivatives_by(what: str) -> Iterator[None]:
    """Inside the block, derivatives by the "weights" or by the "geometry" (pair vectors) are not computed.

    For a backward pass that asks only for the others: torch itself does not tell a function what it is run for.
    """
    token = _spared.set(what)
    try:
        yield
    finally:
        _spared.reset(token)


def fusible(*tensors: Tensor) -> bool:
    """True where the compiled library can stand in for torch: one precision, float32 or float64, on the CPU, if it was
    built. It computes on one thread, which is as fast as two of torch's: where torch may use more, torch does."""
    first = tensors[0].dtype
    return (
        first in WIDTHS
        and all(a.dtype == first and a.device.type == "cpu" for a in tensors)
        and torch.get_num_threads() <= _MANY_THREADS
        and not _plain.get()
        and _available()
    )


class Operation(ABC):
    """A function of tensors with its derivatives. Inputs and gradients may be None: not there, or zero.

    `value` returns its results and what `gradient` may use of its work, `gradient` the same for `second`. Derivatives
    that are not `wanted` may be None.
    """

    weights: tuple[int, ...] = ()  # places of inputs that depend on nothing but weights
    geometry: tuple[int, ...] = ()  # and of those that depend on nothing but pair vectors

    @abstractmethod
    def plain(self, *inputs: Tensor) -> Tensors:
        """The function in plain torch."""

    @abstractmethod
    def value(self, *inputs: Tensor) -> tuple[Tensors, Tensors]: ...

    @abstractmethod
    def gradient(self, inputs: Tensors, kept: Tensors, g: Tensors, wanted: Sequence[bool]) -> tuple[Tensors, Tensors]:
        """∂S/∂inputs of S = Σ g · results."""

    @abstractmethod
    def second(self, inputs: Tensors, kept: Tensors, g: Tensors, c: Tensors, wanted: Sequence[bool]) -> Tensors | None:
        """∂D/∂(inputs, g) of D = Σ c · ∂S/∂inputs; None where the plain form is to be differentiated."""

    def wanted(self, needed: Sequence[bool]) -> list[bool]:
        """Which of the `needed` derivatives are asked for in this block of code."""
        wanted = list(needed)
        for k in getattr(self, _spared.get(), ()):
            wanted[k] = False
        return wanted

    def __call__(self, *inputs: Tensor | None) -> Any:
        return _Value.apply(self, *inputs)


class _Value(Function):
    @staticmethod
    def forward(ctx: Any, operation: Any, *inputs: Any) -> Any:
        results, kept = operation.value(*inputs)
        ctx.operation, ctx.count = operation, len(inputs)
        ctx.save_for_backward(*inputs, *kept)
        ctx.set_materialize_grads(False)
        return results if len(results) > 1 else results[0]

    @staticmethod
    def backward(ctx: Any, *g: Any) -> Any:
        if all(one is None for one in g):
            return (None,) * (ctx.count + 1)
        saved, wanted = ctx.saved_tensors, ctx.operation.wanted(ctx.needs_input_grad[1:])
        inputs, kept = saved[: ctx.count], saved[ctx.count :]
        if torch.is_grad_enabled():
            found = _Gradient.apply(ctx.operation, ctx.count, kept, wanted, *inputs, *g)
        else:  # the last derivative need not be recorded
            found, _ = ctx.operation.gradient(inputs, kept, g, wanted)
        return None, *_only(found, wanted)


class _Gradient(Function):
    @staticmethod
    def forward(ctx: Any, operation: Any, count: int, kept: Any, wanted: Any, *tensors: Any) -> Any:
        results, kept = operation.gradient(tensors[:count], kept, tensors[count:], wanted)
        ctx.operation, ctx.count, ctx.total = operation, count, len(tensors)
        ctx.save_for_backward(*tensors, *kept)
        ctx.set_materialize_grads(False)
        return results

    @staticmethod
    def backward(ctx: Any, *c: Any) -> Any:
        if all(one is None for one in c):
            return (None,) * (ctx.total + 4)
        saved, wanted = ctx.saved_tensors, ctx.operation.wanted(ctx.needs_input_grad[4:])
        tensors, kept = saved[: ctx.total], saved[ctx.total :]
        if torch.is_grad_enabled():
            found = _Second.apply(ctx.operation, ctx.count, kept, wanted, *tensors, *c)
        else:
            found = _second(ctx.operation, tensors[: ctx.count], kept, tensors[ctx.count :], c, wanted)
        return None, None, None, None, *_only(found, wanted)


class _Second(Function):
    @staticmethod
    def forward(ctx: Any, operation: Any, count: int, kept: Any, wanted: Any, *tensors: Any) -> Any:
        ctx.operation, ctx.count = operation, count
        ctx.save_for_backward(*tensors)
        ctx.set_materialize_grads(False)
        return _second(operation, tensors[:count], kept, tensors[count:-count], tensors[-count:], wanted)

    @staticmethod
    def backward(ctx: Any, *cotangents: Any) -> Any:
        create_graph, count = torch.is_grad_enabled(), ctx.count
        own = _variables(ctx.saved_tensors)
        with torch.enable_grad():
            second = _plain_second(ctx.operation, own[:count], own[count:-count], own[-count:], True)
            third = _derivatives(second, own, cotangents, create_graph)
        return None, None, None, None, *third


def _only(found: Tensors, wanted: Sequence[bool]) -> Tensors:
    return tuple([a if want else None for a, want in zip(found, wanted, strict=True)])


def _second(
    operation: Operation, inputs: Tensors, kept: Tensors, g: Tensors, c: Tensors, wanted: Sequence[bool]
) -> Tensors:
    found = operation.second(inputs, kept, g, c, wanted)
    return _plain_second(operation, inputs, g, c, False) if found is None else found


def _plain_second(operation: Operation, inputs: Tensors, g: Tensors, c: Tensors, create_graph: bool) -> Tensors:
    """What `Operation.second` returns, by automatic differentiation of the plain form."""
    with torch.enable_grad():
        inputs, g = (inputs, g) if create_graph else (_variables(inputs), _variables(g))
        first = _derivatives(operation.plain(*inputs), inputs, g, True)
        return _derivatives(first, (*inputs, *g), c, create_graph)


def _variables(tensors: Tensors) -> Tensors:
    """The tensors as variables of their own: derivatives stop at them and do not run on into what made them."""
    return tuple(
        a
        if a is None or not a.is_floating_point()
        else a.view_as(a)
        if a.requires_grad
        else a.detach().requires_grad_()
        for a in tensors
    )


def _derivatives(values: Tensors, variables: Tensors, weights: Tensors, create_graph: bool) -> Tensors:
    """∂(Σ weights · values)/∂variables, None for what is not a variable or has no influence."""
    terms = [
        (a, b) for a, b in zip(values, weights, strict=True) if a is not None and b is not None and a.requires_grad
    ]
    own = [a for a in variables if a is not None and a.requires_grad]
    if not terms:
        return (None,) * len(variables)
    found = iter(
        torch.autograd.grad(
            [a for a, _ in terms], own, [b for _, b in terms], create_graph=create_graph, allow_unused=True
        )
    )
    return tuple(next(found) if a is not None and a.requires_grad else None for a in variables)


@cache
def native_functions() -> tuple[Any, bytes]:
    """The library and the instruction set that the environment asks for, looked up once: calls are many and short."""
    return library(), os.environ.get(INSTRUCTION_SET_VARIABLE, "").encode()


@cache
def _available() -> bool:
    return why_unavailable() is None


def _check(failure: int, what: str) -> None:
    """Raises what a nonzero result of the library means."""
    if failure == NO_MEMORY:
        raise MemoryError(f"no memory for {what}")
    if failure == NO_SUCH_SET:
        wanted = native_functions()[1].decode()
        raise InputError(f"{INSTRUCTION_SET_VARIABLE}: this machine has no {wanted!r}; expected another, or none")
    if failure:
        raise InputError(f"{what}: expected pairs of the graph's own atoms; a pair names another one")


def product(a: Tensor, b: Tensor, bias: Tensor | None = None, out: Tensor | None = None) -> Tensor:
    """a @ b (+ bias) of two matrices; added to `out` if given. One thread of the compiled library."""
    if a.shape[1] != b.shape[0]:
        raise ValueError(f"product of matrices: shapes {tuple(a.shape)} and {tuple(b.shape)} do not fit")
    accumulate = out is not None
    if out is None:
        out = a.new_empty(a.shape[0], b.shape[1])
    matrix = Matrix(
        WIDTHS[a.dtype], accumulate, a.shape[0], b.shape[1], a.shape[1],
        a.data_ptr(), *a.stride(), b.data_ptr(), *b.stride(), None if bias is None else bias.data_ptr(), out.data_ptr(),
    )  # fmt: skip
    native, instruction_set = native_functions()
    _check(native.painn_matrix(byref(matrix), instruction_set), "a product of matrices")
    return out


def message_form(order: int, v: Tensor | None, others: Sequence[Tensor], **arrays: Tensor | None) -> None:
    """One derivative of the message's form, of contiguous arrays; names as in `painn_ase.native.library.MessageForm`.

    `others` are x, basis, weight, u, centers, neighbors.
    """
    x, basis, weight, u, centers, neighbors = others
    form = MessageForm(
        order, WIDTHS[x.dtype], x.shape[1] // 3, basis.shape[1], x.shape[0], basis.shape[0],
        *(a if a is None else a.data_ptr() for a in (centers, neighbors, x, basis, weight, v, u)),
        **{name: array.data_ptr() for name, array in arrays.items() if array is not None},
    )  # fmt: skip
    native, instruction_set = native_functions()
    _check(native.painn_message_form(byref(form), instruction_set), "a message")


def pointwise(
    kind: int,
    order: int,
    features: int,
    inputs: Sequence[Tensor | None],
    out: Sequence[Tensor],
    scalars: int = 0,
    epsilon: float = 0.0,
) -> None:
    """A step between dense layers, of contiguous arrays (atoms, ..., F) in the order of csrc/pointwise.hpp."""
    call = Pointwise(
        kind, order, WIDTHS[out[0].dtype], out[0].shape[0], features, scalars, epsilon,
        tuple(a if a is None else a.data_ptr() for a in inputs), tuple(a.data_ptr() for a in out),
    )  # fmt: skip
    native, instruction_set = native_functions()
    _check(native.painn_pointwise(byref(call), instruction_set), "an update")
