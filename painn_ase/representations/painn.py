"""PaiNN, the polarizable atom interaction neural network.

K. T. Schütt, O. T. Unke, M. Gastegger, ICML 2021, arXiv:2102.03150 ("the paper" below).
"""

from typing import Any

import torch
from torch import Tensor, nn

from painn_ase.errors import InputError, closest
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
from painn_ase.nn.radial import Repulsion
from painn_ase.representations.base import N_ELEMENTS, AtomFeatures, Representation


def filter_weights(layer: nn.Linear) -> Tensor:
    """[W; b] of a filter's linear layer, (n + 1, parts F)."""
    return torch.cat([layer.weight.T, layer.bias[None]])


class Message(nn.Module):
    """What atom i hears from its neighbours j (the paper's eqs. 7 and 8).

    [x_s, x_vs, x_vv] = φ(s_j) ∘ W(d_ij);  s_i += Σ_j x_s;  v_i += Σ_j [x_vv ∘ v_j + x_vs ∘ r̂_ij]
    """

    def __init__(self, features: int, act: str) -> None:
        super().__init__()
        self.context = mlp((features, features, 3 * features), act)  # φ

    def forward(
        self, s: Tensor, v: Tensor | None, filters: Tensor, units: Tensor, graph: AtomicGraph
    ) -> tuple[Tensor, Tensor]:
        """New scalars (atoms, F) and vectors (atoms, 3, F) from the old; None stands for vectors that are all zero.

        filters: W(d_ij), (pairs, 3F)
        units: r̂_ij, (pairs, 3)
        """
        i, j = graph.centers, graph.neighbors
        x_s, x_vs, x_vv = (self.context(s).index_select(0, j) * filters).chunk(3, -1)  # (pairs, F) each
        m = x_vs[:, None, :] * units[:, :, None]  # (pairs, 3, F)
        if v is None:
            v = m.new_zeros(s.shape[0], 3, s.shape[-1])
        else:
            m = m + x_vv[:, None, :] * v.index_select(0, j)
        return s.index_add(0, i, x_s), v.index_add(0, i, m)


class Update(nn.Module):
    """Mixing of scalars and vectors within each atom (the paper's eqs. 9 and 10).

    V = v·W_V, U = v·W_U;  [a_ss, a_vv, a_sv] = MLP([s, |V|]);  s += a_ss + a_sv <U, V>;  v += a_vv U
    Options leave a_sv out, or add a_x V̂ × (Û × v) to v: a single cross product would be a pseudovector and make the
    energy of a molecule differ from that of its mirror image. V̂ = V/√(1 + |V|²) keeps the growth linear.
    """

    def __init__(
        self,
        features: int,
        act: str,
        epsilon: float,
        mixing_bias: bool = False,
        scalar_product: bool = True,
        cross_product: bool = False,
    ) -> None:
        super().__init__()
        self.epsilon = epsilon
        self.scalar_product, self.cross_product = scalar_product, cross_product
        self.mix = linear(features, 2 * features, bias=mixing_bias)  # rows: V, then U
        self.context = mlp((2 * features, features, (2 + scalar_product + cross_product) * features), act)

    def forward(self, s: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        big_v, big_u = self.mix(v).chunk(2, -1)  # (atoms, 3, F) each
        a = self.context(torch.cat([s, safe_norm(big_v, self.epsilon)], -1))
        a_ss, a_vv, *a = a.split(s.shape[-1], -1)  # (atoms, F) each
        s, w = s + a_ss, v + scaled(a_vv, big_u)
        if self.scalar_product:
            s = s + a[0] * scalar_product(big_u, big_v)
        if self.cross_product:
            w = w + scaled(a[-1], triple_product(shortened(big_v), shortened(big_u), v))
        return s, w


class LocalMessage(nn.Module):
    """A message that carries no vectors: without x_vv for `parts` = 2, scalars alone for 1. For ablations."""

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
    """s += MLP(s): what is left of the update without vectors. For ablations."""

    def __init__(self, features: int, act: str) -> None:
        super().__init__()
        self.context = mlp((features, features, features), act)

    def forward(self, s: Tensor, v: None) -> tuple[Tensor, None]:
        return s + self.context(s), v


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
        x_t, x_tv = (basis @ filter_weights(self.filters) * x.index_select(0, j)).split(n, -1)  # (pairs, F) each
        w = x_t[:, None, :] * units[:, :, None] + x_tv[:, None, :] * v.index_select(0, j)  # (pairs, 3, F)
        sums = w.new_zeros(s.shape[0], 3, 3, n).index_add(0, i, units[:, :, None, None] * w[:, None])
        big_v, big_u = self.mix(v).split(n, -1)
        return symmetric_traceless(sums + scaled(a_t, big_u[:, :, None] * big_v[:, None]))


# what `vectors` may be -> number of parts F that a message consists of: x_s, x_vs, x_vv
VECTORS = {"full": 3, "local": 2, "none": 1}


class PaiNN(Representation):
    """Scalars (atoms, F) and vectors (atoms, 3, F) after T rounds of message and update.

    The filters W(d) = (Linear φ(d)) fc(d) carry the cutoff function after their bias, so every message vanishes at the
    cutoff. Defaults are the paper's.

    features: F
    interactions: T
    cutoff: in Å
    radial, cutoff_function: their kinds and options, as in a configuration
    shared_filters, shared_interactions: one set of weights in all rounds
    activation: name of the activation function
    epsilon: under the root of |V|, which it keeps differentiable at V = 0
    embeddings: rows of the table of elements
    mixing_bias: add a constant to each component of V and U, as some networks elsewhere were trained: such a network is
        NOT invariant under rotations
    repulsion: options of a fixed pair potential beside the network
    vectors: ablation: "local" does without x_vv, so that directions do not travel, "none" without vectors
    scalar_product: ablation: False does without a_sv
    cross_product: add a term to the updates (see `Update`)
    tensor_features: make features of rank 2 (see `TensorMessage`)
    """

    def __init__(
        self,
        features: int = 128,
        interactions: int = 3,
        cutoff: float = 5.0,
        radial: dict[str, Any] | None = None,
        cutoff_function: dict[str, Any] | None = None,
        *,
        shared_filters: bool = False,
        shared_interactions: bool = False,
        activation: str = "silu",
        epsilon: float = 1e-8,
        embeddings: int = N_ELEMENTS,
        mixing_bias: bool = False,
        repulsion: dict[str, float] | None = None,
        vectors: str = "full",
        scalar_product: bool = True,
        cross_product: bool = False,
        tensor_features: bool = False,
    ) -> None:
        super().__init__(
            {
                "features": features,
                "interactions": interactions,
                "cutoff": cutoff,
                "radial": dict(radial or {"kind": "bessel", "count": 20}),
                "cutoff_function": dict(cutoff_function or {"kind": "cosine"}),
                "shared_filters": shared_filters,
                "shared_interactions": shared_interactions,
                "activation": activation,
                "epsilon": epsilon,
                "embeddings": embeddings,
                "mixing_bias": mixing_bias,
                "repulsion": repulsion,
                "vectors": vectors,
                "scalar_product": scalar_product,
                "cross_product": cross_product,
                "tensor_features": tensor_features,
            }
        )
        if vectors not in VECTORS:
            raise InputError(
                f"PaiNN vectors: expected one of {', '.join(VECTORS)}; got {vectors!r}{closest(str(vectors), VECTORS)}"
            )
        if vectors == "none" and (cross_product or tensor_features or not scalar_product):
            raise InputError(
                "PaiNN: vectors = 'none' leaves none for scalar_product, cross_product and tensor_features"
            )
        self.max_rank = 0 if vectors == "none" else 2 if tensor_features else 1
        self.interactions = interactions
        self.embedding = nn.Embedding(embeddings, features)
        self.repulsion = None if repulsion is None else Repulsion(**repulsion)
        n_filters = 1 if shared_filters else interactions
        n_interactions = 1 if shared_interactions else interactions
        parts = VECTORS[vectors]
        self.filters = nn.ModuleList(linear(self.radial.count, parts * features) for _ in range(n_filters))
        self.messages = nn.ModuleList(
            Message(features, activation) if vectors == "full" else LocalMessage(features, activation, parts)
            for _ in range(n_interactions)
        )
        self.updates = nn.ModuleList(
            ScalarUpdate(features, activation)
            if vectors == "none"
            else Update(features, activation, epsilon, mixing_bias, scalar_product, cross_product)
            for _ in range(n_interactions)
        )
        self.tensors = TensorMessage(features, activation, self.radial.count) if tensor_features else None

    def forward(self, graph: AtomicGraph, vectors: Tensor) -> AtomFeatures:
        distances = vectors.square().sum(-1).sqrt()  # (pairs,), in the precision of the geometry
        dtype = self.embedding.weight.dtype
        units = (vectors / distances[:, None]).to(dtype)  # r̂_ij, (pairs, 3)
        repulsion = None
        if self.repulsion is not None:  # in the precision of the geometry
            pairs = self.repulsion(distances)
            repulsion = pairs.new_zeros(graph.n_atoms).index_add(0, graph.centers, pairs)
        distances = distances.to(dtype)
        envelope = self.cutoff_function(distances)[:, None]  # (pairs, 1)
        # W(d) = (φ W + b) fc as one product of matrices, [φ fc, fc] [W; b]: it spares a pass over (pairs, 3F)
        basis = torch.cat([self.radial(distances) * envelope, envelope], 1)  # (pairs, n + 1)
        s = self.embedding(graph.numbers)
        v: Tensor | None = None
        for t in range(self.interactions):
            layer: Any = self.filters[t % len(self.filters)]
            filters = basis @ filter_weights(layer)  # W(d), (pairs, 3F)
            s, v = self.messages[t % len(self.messages)](s, v, filters, units, graph)
            s, v = self.updates[t % len(self.updates)](s, v)
        tensors = None if self.tensors is None else self.tensors(s, v, basis, units, graph)
        return AtomFeatures(scalars=s, vectors=v, tensors=tensors, repulsion=repulsion)
