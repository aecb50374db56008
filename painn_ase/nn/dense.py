"""Dense layers that know their derivatives: a linear layer, and two of them with silu between."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from painn_ase.native.library import BEND_STEP
from painn_ase.nn.fused import Operation, Tensors, pointwise, product


class _Linear(Operation):
    """x Wᵀ + b of (..., inputs)."""

    weights = (1, 2)

    def plain(self, *inputs: Tensor) -> Tensors:
        return (functional.linear(*inputs),)

    def value(self, *inputs: Tensor) -> tuple[Tensors, Tensors]:
        x, weight, bias = inputs
        return (_rows(product(_matrix(x), weight.T, bias), x),), ()

    def gradient(self, inputs: Tensors, kept: Tensors, g: Tensors, wanted: Sequence[bool]) -> tuple[Tensors, Tensors]:
        x, weight, _ = inputs
        g_y = _matrix(g[0])
        g_x = _rows(product(g_y, weight), x) if wanted[0] else None
        g_weight = product(g_y.T, _matrix(x)) if wanted[1] else None
        return (g_x, g_weight, g_y.sum(0) if wanted[2] else None), ()

    def second(self, inputs: Tensors, kept: Tensors, g: Tensors, c: Tensors, wanted: Sequence[bool]) -> Tensors | None:
        c_x, c_weight, c_bias = c
        if c_x is None or c_weight is not None or c_bias is not None:
            return None
        c_x, weight = _matrix(c_x), inputs[1]
        d_weight = product(_matrix(g[0]).T, c_x) if wanted[1] else None
        return None, d_weight, None, _rows(product(c_x, weight.T), g[0]) if wanted[3] else None


class _Perceptron(Operation):
    """silu(x W₁ᵀ + b₁) W₂ᵀ + b₂ of (rows, inputs)."""

    weights = (1, 2, 3, 4)

    def plain(self, *inputs: Tensor) -> Tensors:
        x, weight_1, bias_1, weight_2, bias_2 = inputs
        return (functional.linear(functional.silu(functional.linear(x, weight_1, bias_1)), weight_2, bias_2),)

    def value(self, *inputs: Tensor) -> tuple[Tensors, Tensors]:
        x, weight_1, bias_1, weight_2, bias_2 = inputs
        h = product(x, weight_1.T, bias_1)
        a = functional.silu(h)
        return (product(a, weight_2.T, bias_2),), (h, a)

    def gradient(self, inputs: Tensors, kept: Tensors, g: Tensors, wanted: Sequence[bool]) -> tuple[Tensors, Tensors]:
        x, weight_1, _, weight_2, _ = inputs
        h, a = kept
        g_y = g[0]
        g_a = product(g_y, weight_2)
        g_h = torch.ops.aten.silu_backward(g_a, h)
        results = (
            product(g_h, weight_1) if wanted[0] else None,
            product(g_h.T, x) if wanted[1] else None,
            g_h.sum(0) if wanted[2] else None,
            product(g_y.T, a) if wanted[3] else None,
            g_y.sum(0) if wanted[4] else None,
        )
        return results, (h, g_a, g_h)

    def second(self, inputs: Tensors, kept: Tensors, g: Tensors, c: Tensors, wanted: Sequence[bool]) -> Tensors | None:
        x, weight_1, _, weight_2, _ = inputs
        h, g_a, g_h = kept
        c_x = c[0]
        if c_x is None or any(one is not None for one in c[1:]):
            return None
        e = product(c_x, weight_1.T)  # D = Σ e ∘ silu'(h) ∘ g_a
        e_a, d_h = torch.empty_like(h), torch.empty_like(h)
        pointwise(BEND_STEP, 2, h.shape[-1], (h, torch.sigmoid(h), e, g_a), (e_a, d_h))
        return (
            product(d_h, weight_1) if wanted[0] else None,
            product(g_h.T, c_x, out=product(d_h.T, x)) if wanted[1] else None,
            d_h.sum(0) if wanted[2] else None,
            product(g[0].T, e_a) if wanted[3] else None,
            None,
            product(e_a, weight_2.T) if wanted[5] else None,
        )


LINEAR, PERCEPTRON = _Linear(), _Perceptron()


def _matrix(x: Tensor) -> Tensor:
    return x.reshape(-1, x.shape[-1])


def _rows(y: Tensor, like: Tensor) -> Tensor:
    return y.view(*like.shape[:-1], y.shape[-1])
