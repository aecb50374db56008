"""PaiNN with less than the paper has, to find out what a part is good for, and with more."""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from painn_ase.errors import InputError, choice
from painn_ase.graph import AtomicGraph
from painn_ase.nn.equivariant import (
    safe_norm,
    scalar_product,
    scaled,
    shortened,
    symmetric_traceless,
    triple_product,
)
from painn_ase.nn.layers import linear, mlp
from painn_ase.representations.base import AtomFeatures
from painn_ase.representations.painn import PaiNN, weight_and_bias

# what `vectors` may be -> number of parts F that a message consists of: x_s, x_vs, x_vv
VECTORS = {"full": 3, "local": 2, "none": 1}


class LocalMessage(nn.Module):
    """A message that carries no vectors: without x_vv for `parts` = 2, scalars alone for 1."""

    def __init__(self, features: int, act: str, parts: int) -> None:
        super().__init__()
        self.context = mlp((features, features, parts * features), act)

    def forward(
        self, s: Tensor, v: Tensor | None, filters: Tensor, units: Tensor, graph: AtomicGraph
    ) -> tuple[Tensor, Tensor | None]:
        i, j = graph.centers, graph.neighbors
        x_s, *x_vs = (filters * self.context(s).index_select(0, j)).split(s.shape[-1], -1)  # (pairs, F) each
        if x_vs:
            v = s.new_zeros(s.shape[0], 3, s.shape[-1]) if v is None else v
            v = v.index_add(0, i, x_vs[0][:, None, :] * units[:, :, None])
        return s.index_add(0, i, x_s), v


class ScalarUpdate(nn.Module):
    """s += a(s): what is left of the update without vectors."""

    def __init__(self, features: int, act: str) -> None:
        super().__init__()
        self.context = mlp((features, features, features), act)

    def forward(self, s: Tensor, v: None) -> tuple[Tensor, None]:
        return s + self.context(s), v


class OtherUpdate(nn.Module):
    """The update without a_sv, or with a_x V̂ × (Û × v) added to v.

    A single cross product would be a pseudovector and make the energy of a molecule differ from that of its mirror
    image. V̂ = V/√(1 + |V|²) keeps the growth linear.
    """

    def __init__(
        self,
        features: int,
        act: str,
        epsilon: float,
        mixing_bias: bool,
        scalar_product: bool,
        cross_product: bool,
    ) -> None:
        super().__init__()
        self.epsilon = epsilon
        self.scalar_product, self.cross_product = scalar_product, cross_product
        self.mix = linear(features, 2 * features, bias=mixing_bias)  # rows: V, then U
        self.context = mlp((2 * features, features, (2 + scalar_product + cross_product) * features), act)

    def forward(self, s: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        big_v, big_u = self.mix(v).chunk(2, -1)  # (atoms, 3, F) each
        a = self.context(torch.cat([s, safe_norm(big_v, self.epsilon)], -1))
        a_ss, a_vv, *more = a.split(s.shape[-1], -1)  # (atoms, F) each
        s, w = s + a_ss, v + scaled(a_vv, big_u)
        if self.scalar_product:
            s = s + more[0] * scalar_product(big_u, big_v)
        if self.cross_product:
            w = w + scaled(more[-1], triple_product(shortened(big_v), shortened(big_u), v))
        return s, w


class TensorMessage(nn.Module):
    """Symmetric traceless tensors from the final scalars and vectors, (atoms, 3, 3, F).

    t_i = Σ_j {r̂_ij ⊗ (x_t r̂_ij + x_tv v_j)} + a_t {U ⊗ V},  [x_t, x_tv] = MLP(s_j) ∘ W(d),  a_t = MLP(s_i)
    with { } the symmetric traceless part. Products of learned directions are what served polarizabilities best in
    Filling, Franzen, Wand 2026 (arXiv:2605.16891); their tensors also travel in every message, these are made once.
    """

    def __init__(self, features: int, act: str, radial: int) -> None:
        super().__init__()
        self.filters = linear(radial, 2 * features)
        self.context = mlp((features, features, 3 * features), act)
        self.mix = linear(features, 2 * features, bias=False)  # rows: V, then U

    def forward(self, s: Tensor, v: Tensor, basis: Tensor, units: Tensor, graph: AtomicGraph) -> Tensor:
        i, j, n = graph.centers, graph.neighbors, s.shape[-1]
        a_t, x = self.context(s).split((n, 2 * n), -1)  # (atoms, F), (atoms, 2F)
        x_t, x_tv = (basis @ weight_and_bias(self.filters) * x.index_select(0, j)).split(n, -1)  # (pairs, F) each
        w = x_t[:, None, :] * units[:, :, None] + x_tv[:, None, :] * v.index_select(0, j)  # (pairs, 3, F)
        sums = w.new_zeros(s.shape[0], 3, 3, n).index_add(0, i, units[:, :, None, None] * w[:, None])
        big_v, big_u = self.mix(v).split(n, -1)
        return symmetric_traceless(sums + scaled(a_t, big_u[:, :, None] * big_v[:, None]))


class PaiNNVariant(PaiNN):
    """PaiNN with less or more than the paper's messages and updates.

    vectors: "local" does without x_vv, so that directions do not travel; "none" without vectors
    scalar_product: False does without a_sv
    cross_product: add a term to the updates (see `OtherUpdate`)
    tensor_features: make features of rank 2 (see `TensorMessage`)
    published: options of `PaiNN`
    """

    def __init__(
        self,
        *,
        vectors: str = "full",
        scalar_product: bool = True,
        cross_product: bool = False,
        tensor_features: bool = False,
        **published: Any,
    ) -> None:
        super().__init__(**published)
        choice("PaiNN vectors", vectors, VECTORS)
        if vectors == "none" and (cross_product or tensor_features or not scalar_product):
            raise InputError(
                "PaiNN: vectors = 'none' leaves none for scalar_product, cross_product and tensor_features"
            )
        self.config |= {
            "vectors": vectors,
            "scalar_product": scalar_product,
            "cross_product": cross_product,
            "tensor_features": tensor_features,
        }
        self.max_rank = 0 if vectors == "none" else 2 if tensor_features else 1
        F, act, parts = self.features, self.config["activation"], VECTORS[vectors]
        if vectors != "full":
            self.filters = nn.ModuleList(linear(self.radial.count, parts * F) for _ in self.filters)
            self.messages = nn.ModuleList(LocalMessage(F, act, parts) for _ in self.messages)
        if vectors == "none":
            self.updates = nn.ModuleList(ScalarUpdate(F, act) for _ in self.updates)
        elif cross_product or not scalar_product:
            more = self.config["epsilon"], self.config["mixing_bias"], scalar_product, cross_product
            self.updates = nn.ModuleList(OtherUpdate(F, act, *more) for _ in self.updates)
        self.tensors = TensorMessage(F, act, self.radial.count) if tensor_features else None

    def forward(self, graph: AtomicGraph, vectors: Tensor) -> AtomFeatures:
        found = super().forward(graph, vectors)
        if self.tensors is None:
            return found
        return replace(found, tensors=self.tensors(found.scalars, found.vectors, *self.pairs(vectors), graph))
