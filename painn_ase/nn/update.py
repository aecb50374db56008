"""What PaiNN's update does between its dense layers, in plain torch and fused."""

from collections.abc import Sequence
from functools import cache

import torch
from torch import Tensor

from painn_ase.native.library import GATE_STEP, NORMS_STEP
from painn_ase.nn.equivariant import safe_norm, scalar_product, scaled
from painn_ase.nn.fused import Operation, Tensors, fusible, pointwise


def with_norms(s: Tensor, mixed: Tensor, epsilon: float) -> Tensor:
    """[s, |V|] of scalars (atoms, n) and `mixed` = [V, U] (atoms, 3, 2F), (atoms, n + F); |V| = sqrt(Σ_xyz V² + ε) is
    differentiable where V = 0."""
    operation = norms(epsilon)
    return operation(s, mixed) if fusible(s, mixed) else operation.plain(s, mixed)[0]


def gate(s: Tensor, v: Tensor, a: Tensor, mixed: Tensor) -> tuple[Tensor, Tensor]:
    """s + a_ss + a_sv <U, V> and v + a_vv U, with a = [a_ss, a_vv, a_sv] (atoms, 3F) and `mixed` = [V, U]."""
    return GATE(s, v, a, mixed) if fusible(s, v, a, mixed) else GATE.plain(s, v, a, mixed)


class _Norms(Operation):
    def __init__(self, epsilon: float) -> None:
        self.epsilon = epsilon

    def plain(self, *inputs: Tensor) -> Tensors:
        s, mixed = inputs
        big_v, _ = mixed.chunk(2, -1)  # (atoms, 3, F)
        return (torch.cat([s, safe_norm(big_v, self.epsilon)], -1),)

    def value(self, *inputs: Tensor) -> tuple[Tensors, Tensors]:
        s, mixed = (a.contiguous() for a in inputs)
        y = s.new_empty(s.shape[0], s.shape[1] + mixed.shape[2] // 2)
        self._run(0, (s, mixed), (y,))
        return (y,), ()

    def gradient(self, inputs: Tensors, kept: Tensors, g: Tensors, wanted: Sequence[bool]) -> tuple[Tensors, Tensors]:
        s, mixed = inputs
        mixed, g_y = mixed.contiguous(), g[0].contiguous()
        out = torch.empty_like(mixed)
        self._run(1, (s, mixed, g_y), (out,))
        return (g_y[:, : s.shape[1]], out), ()

    def second(self, inputs: Tensors, kept: Tensors, g: Tensors, c: Tensors, wanted: Sequence[bool]) -> Tensors | None:
        s, mixed = inputs
        mixed, g_y = mixed.contiguous(), g[0].contiguous()
        c_s = c[0] if c[0] is None else c[0].contiguous()
        d_y, d_mixed = torch.empty_like(g_y), torch.empty_like(mixed)
        self._run(2, (s, mixed, g_y, c_s, *_filled(c[1:], (mixed,))), (d_y, d_mixed))
        return None, d_mixed, d_y

    def _run(self, order: int, inputs: Tensors, out: Sequence[Tensor]) -> None:
        s, mixed = inputs[:2]
        pointwise(NORMS_STEP, order, mixed.shape[2] // 2, inputs, out, scalars=s.shape[1], epsilon=self.epsilon)


class _Gate(Operation):
    """Multilinear in (a, V, U) and the gradients g of its results."""

    def plain(self, *inputs: Tensor) -> Tensors:
        s, v, a, mixed = inputs
        big_v, big_u = mixed.chunk(2, -1)  # (atoms, 3, F) each
        a_ss, a_vv, a_sv = a.chunk(3, -1)  # (atoms, F) each
        return s + a_ss + a_sv * scalar_product(big_u, big_v), v + scaled(a_vv, big_u)

    def value(self, *inputs: Tensor) -> tuple[Tensors, Tensors]:
        s, v, a, mixed = (one.contiguous() for one in inputs)
        out = torch.empty_like(s), torch.empty_like(v)
        pointwise(GATE_STEP, 0, s.shape[1], (s, v, a, mixed), out)
        return out, ()

    def gradient(self, inputs: Tensors, kept: Tensors, g: Tensors, wanted: Sequence[bool]) -> tuple[Tensors, Tensors]:
        s, v, a, mixed = (one.contiguous() for one in inputs)
        out = torch.empty_like(a), torch.empty_like(mixed)
        pointwise(GATE_STEP, 1, s.shape[1], (None, None, a, mixed, *_filled(g, (s, v))), out)
        return (*g, *out), ()

    def second(self, inputs: Tensors, kept: Tensors, g: Tensors, c: Tensors, wanted: Sequence[bool]) -> Tensors | None:
        s, v, a, mixed = (one.contiguous() for one in inputs)
        out = tuple(torch.empty_like(one) for one in (s, v, a, mixed))
        given = _filled((*g, *c), (s, v, s, v, a, mixed))
        pointwise(GATE_STEP, 2, s.shape[1], (None, None, a, mixed, *given), out)
        d_s, d_v, d_a, d_mixed = out
        return None, None, d_a, d_mixed, d_s, d_v


GATE = _Gate()
norms = cache(_Norms)


def _filled(tensors: Sequence[Tensor | None], like: Sequence[Tensor]) -> list[Tensor]:
    """The tensors, contiguous; zeros where there is none."""
    return [torch.zeros_like(b) if a is None else a.contiguous() for a, b in zip(tensors, like, strict=True)]
