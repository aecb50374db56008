"""PaiNN's message between atoms, in plain torch and fused into one pass over the pairs."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from painn_ase.nn.fused import Operation, Tensors, fusible, message_form

_BLOCK = 16  # the library's rows are whole multiples of it


def message(
    s: Tensor,
    v: Tensor | None,
    x: Tensor,
    basis: Tensor,
    weight: Tensor,
    units: Tensor,
    centers: Tensor,
    neighbors: Tensor,
) -> tuple[Tensor, Tensor]:
    """What atoms i know after they heard their neighbours j: s_i + Σ_j x_s,j W_s and
    v_i + Σ_j [x_vs,j W_vs r̂_ij + x_vv,j W_vv v_j]; without `v`, all vectors are zero.

    `s` (atoms, F), `v` (atoms, 3, F), `x` = [x_s, x_vs, x_vv] (atoms, 3F), filters W = `basis` (pairs, n) @ `weight`
    (n, 3F), `units` r̂ (pairs, 3).
    """
    atoms, features = s.shape
    fused = (
        features % _BLOCK == 0
        and x.shape == (atoms, 3 * features)
        and weight.shape == (basis.shape[1], 3 * features)
        and fusible(s, x, basis, weight, units)
    )
    return (MESSAGE if fused else plain_message)(s, v, x, basis, weight, units, centers, neighbors)


def plain_message(
    s: Tensor,
    v: Tensor | None,
    x: Tensor,
    basis: Tensor,
    weight: Tensor,
    units: Tensor,
    centers: Tensor,
    neighbors: Tensor,
) -> tuple[Tensor, Tensor]:
    """The same as `message`, readable and on any device."""
    filters = basis @ weight  # (pairs, 3F)
    heard = filters * x.index_select(0, neighbors)  # (pairs, 3F)
    m_s, m_vs, m_vv = heard.split(s.shape[-1], -1)  # (pairs, F) each
    m_v = m_vs[:, None, :] * units[:, :, None]  # (pairs, 3, F)
    if v is None:
        v = m_v.new_zeros(s.shape[0], 3, s.shape[-1])
    else:
        m_v = m_v + m_vv[:, None, :] * v.index_select(0, neighbors)
    return s.index_add(0, centers, m_s), v.index_add(0, centers, m_v)


class _Message(Operation):
    """Derivatives of the form S = Σ_i (s·g + v·G) + Σ_ij [...] of docs/native-kernel.md; g and G belong to s and v."""

    weights, geometry = (4,), (3, 5)

    def plain(self, *inputs: Any) -> Tensors:
        return plain_message(*inputs)

    def value(self, *inputs: Tensor) -> tuple[Tensors, Tensors]:
        s, v, *others = _contiguous(inputs)
        out_g = s.clone()
        out_G = s.new_zeros(s.shape[0], 3, s.shape[1]) if v is None else v.clone()
        message_form(0, v, others, out_g=out_g, out_G=out_G)
        return (out_g, out_G), ()

    def gradient(self, inputs: Tensors, kept: Tensors, g: Tensors, wanted: Sequence[bool]) -> tuple[Tensors, Tensors]:
        s, v, *others = _contiguous(inputs)
        g_s, g_v = _present(g, s)
        out_v = g_v.clone() if wanted[1] else None
        out = _room(others, wanted)
        message_form(1, v, others, g=g_s, G=g_v, out_v=out_v, **out)
        return (g[0] if wanted[0] else None, out_v, *out.values(), None, None), ()

    def second(self, inputs: Tensors, kept: Tensors, g: Tensors, c: Tensors, wanted: Sequence[bool]) -> Tensors:
        s, v, *others = _contiguous(inputs)
        g_s, g_v = _present(g, s)
        c_s, dv, dx, dbasis, dweight, du = _contiguous(c[:6])
        x, _, _, u, _, _ = others
        d = {"dx": _zero(dx, x), "dbasis": dbasis, "dweight": dweight, "du": _zero(du, u)}
        d["dv"] = v if v is None else _zero(dv, v)
        out_v = torch.zeros_like(v) if wanted[1] else None
        out = _room(others, wanted)
        out_g = (torch.zeros_like(s) if c_s is None else c_s.clone()) if wanted[8] else None
        out_G = (torch.zeros_like(g_v) if dv is None else dv.clone()) if wanted[9] else None
        message_form(2, v, others, g=g_s, G=g_v, **d, out_v=out_v, **out, out_g=out_g, out_G=out_G)
        return None, out_v, *out.values(), None, None, out_g, out_G


MESSAGE = _Message()


def _room(others: list[Tensor], wanted: Sequence[bool]) -> dict[str, Tensor | None]:
    """Arrays for the derivatives by x, basis, weight and units; sums start from zero."""
    x, basis, weight, u, _, _ = others
    return {
        "out_x": torch.zeros_like(x) if wanted[2] else None,
        "out_basis": torch.empty_like(basis) if wanted[3] else None,
        "out_weight": torch.zeros_like(weight) if wanted[4] else None,
        "out_u": torch.empty_like(u) if wanted[5] else None,
    }


def _contiguous(tensors: Tensors) -> list:
    return [a if a is None else a.contiguous() for a in tensors]


def _zero(a: Tensor | None, like: Tensor) -> Tensor:
    return torch.zeros_like(like) if a is None else a


def _present(g: Tensors, s: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients of s and v, zero where there are none."""
    g_s, g_v = _contiguous(g)
    return _zero(g_s, s), s.new_zeros(s.shape[0], 3, s.shape[1]) if g_v is None else g_v
