"""PaiNN, the polarizable atom interaction neural network.

K. T. Schütt, O. T. Unke, M. Gastegger, ICML 2021, arXiv:2102.03150 ("the paper" below).
"""

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from painn_ase.errors import InputError
from painn_ase.graph import AtomicGraph
from painn_ase.nn.layers import linear, mlp, safe_norm
from painn_ase.nn.radial import Repulsion, build_cutoff, build_radial
from painn_ase.representations.base import N_ELEMENTS, AtomFeatures, Representation


class Message(nn.Module):
    """What atom i hears from its neighbours j (the paper's eqs. 7 and 8).

    [x_s, x_vs, x_vv] = MLP(s_j) ∘ W(d);  Δs_i = Σ_j x_s;  Δv_i = Σ_j [x_vs r̂_ij + x_vv v_j]
    """

    def __init__(self, features: int, act: str) -> None:
        super().__init__()
        self.context = mlp((features, features, 3 * features), act)

    def forward(
        self, s: Tensor, v: Tensor | None, filters: Tensor, units: Tensor, graph: AtomicGraph
    ) -> tuple[Tensor, Tensor]:
        i, j = graph.centers, graph.neighbors
        x = filters * self.context(s).index_select(0, j)  # (pairs, 3F)
        x_s, x_vs, x_vv = x.split(s.shape[-1], -1)  # (pairs, F) each
        m_v = x_vs[:, None, :] * units[:, :, None]  # (pairs, 3, F)
        if v is None:  # before the first message every vector is zero
            v = m_v.new_zeros(s.shape[0], 3, s.shape[-1])
        else:
            m_v = m_v + x_vv[:, None, :] * v.index_select(0, j)
        return s.index_add(0, i, x_s), v.index_add(0, i, m_v)


class Update(nn.Module):
    """Mixing of scalars and vectors within each atom (the paper's eqs. 9 and 10).

    V = v·W_V, U = v·W_U;  [a_ss, a_vv, a_sv] = MLP([s, |V|]);  s += a_ss + a_sv <U, V>;  v += a_vv U
    """

    def __init__(self, features: int, act: str, epsilon: float, mixing_bias: bool = False) -> None:
        super().__init__()
        self.epsilon = epsilon
        self.mix = linear(features, 2 * features, bias=mixing_bias)  # rows: V, then U
        self.context = mlp((2 * features, features, 3 * features), act)

    def forward(self, s: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        big_v, big_u = self.mix(v).split(s.shape[-1], -1)  # (atoms, 3, F) each
        a = self.context(torch.cat([s, safe_norm(big_v, self.epsilon)], -1))
        a_ss, a_vv, a_sv = a.split(s.shape[-1], -1)  # (atoms, F) each
        return s + a_ss + a_sv * (big_u * big_v).sum(1), v + a_vv[:, None, :] * big_u


class PaiNN(Representation):
    """Scalars (atoms, F) and vectors (atoms, 3, F) after T rounds of message and update.

    `interactions` is T. The filters W(d) = (Linear φ(d)) fc(d) carry the cutoff function after their bias, so
    every message vanishes at the cutoff. `shared_filters` and `shared_interactions` use one set of weights in
    all rounds. `epsilon` keeps |V| differentiable at V = 0. `mixing_bias` adds a constant to each component of V and
    U, as some networks elsewhere were trained: such a network is NOT invariant under rotations. `repulsion` are the
    options of a fixed pair potential beside the network. The defaults are the paper's.
    """

    max_rank: ClassVar[int] = 1

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
    ) -> None:
        super().__init__()
        radial = dict(radial or {"kind": "bessel", "count": 20})
        cutoff_function = dict(cutoff_function or {"kind": "cosine"})
        _check_size("features", features, 1, 4096)
        _check_size("interactions", interactions, 1, 64)
        _check_size("embeddings", embeddings, 1, 120)
        if not 0 < cutoff <= 100:
            raise InputError(f"PaiNN cutoff: expected 0 < cutoff <= 100 Å; got {cutoff}")
        self.config = {
            "features": features,
            "interactions": interactions,
            "cutoff": cutoff,
            "radial": radial,
            "cutoff_function": cutoff_function,
            "shared_filters": shared_filters,
            "shared_interactions": shared_interactions,
            "activation": activation,
            "epsilon": epsilon,
            "embeddings": embeddings,
            "mixing_bias": mixing_bias,
            "repulsion": repulsion,
        }
        self.features, self.interactions, self.cutoff = features, interactions, cutoff
        self.embedding = nn.Embedding(embeddings, features)
        # in the precision of the weights, so that the network is the same function after any later cast
        self.radial = build_radial(radial, cutoff).to(self.embedding.weight.dtype)
        self.cutoff_function = build_cutoff(cutoff_function, cutoff)
        self.repulsion = None if repulsion is None else Repulsion(**repulsion)
        n_filters = 1 if shared_filters else interactions
        n_interactions = 1 if shared_interactions else interactions
        self.filters = nn.ModuleList(linear(self.radial.count, 3 * features) for _ in range(n_filters))
        self.messages = nn.ModuleList(Message(features, activation) for _ in range(n_interactions))
        self.updates = nn.ModuleList(Update(features, activation, epsilon, mixing_bias) for _ in range(n_interactions))

    def forward(self, graph: AtomicGraph, vectors: Tensor) -> AtomFeatures:
        distances = vectors.square().sum(-1).sqrt()  # (pairs,), in the precision of the geometry
        dtype = self.embedding.weight.dtype
        units = (vectors / distances[:, None]).to(dtype)  # r̂_ij, (pairs, 3)
        repulsion = None
        if self.repulsion is not None:  # in the precision of the geometry
            pairs = self.repulsion(distances)
            repulsion = pairs.new_zeros(graph.n_atoms).index_add(0, graph.centers, pairs)
        distances = distances.to(dtype)
        basis = self.radial(distances)  # (pairs, n)
        envelope = self.cutoff_function(distances)[:, None]  # (pairs, 1)
        s = self.embedding(graph.numbers)
        v: Tensor | None = None
        for t in range(self.interactions):
            filters = self.filters[t % len(self.filters)](basis) * envelope  # (pairs, 3F)
            s, v = self.messages[t % len(self.messages)](s, v, filters, units, graph)
            s, v = self.updates[t % len(self.updates)](s, v)
        return AtomFeatures(scalars=s, vectors=v, repulsion=repulsion)


def _check_size(name: str, value: int, low: int, high: int) -> None:
    if not isinstance(value, int) or not low <= value <= high:
        raise InputError(f"PaiNN {name}: expected a whole number from {low} to {high}; got {value!r}")
