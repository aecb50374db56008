"""PaiNN, the polarizable atom interaction neural network.

K. T. Schütt, O. T. Unke, M. Gastegger, ICML 2021, arXiv:2102.03150 ("the paper" below; its figure 2 shows the parts).
"""

from typing import Any

import torch
from torch import Tensor, nn

from painn_ase.graph import AtomicGraph
from painn_ase.nn.equivariant import safe_norm, scalar_product, scaled
from painn_ase.nn.layers import linear, mlp
from painn_ase.nn.radial import Repulsion
from painn_ase.representations.base import N_ELEMENTS, AtomFeatures, Representation


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

    [a_ss, a_vv, a_sv] = a(s, |V v|);  s += a_ss + a_sv ∘ <U v, V v>;  v += a_vv ∘ U v
    """

    def __init__(self, features: int, act: str, epsilon: float, mixing_bias: bool = False) -> None:
        super().__init__()
        self.epsilon = epsilon
        self.mix = linear(features, 2 * features, bias=mixing_bias)  # rows: V, then U
        self.context = mlp((2 * features, features, 3 * features), act)  # a

    def forward(self, s: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        big_v, big_u = self.mix(v).chunk(2, -1)  # V v and U v, (atoms, 3, F) each
        a = self.context(torch.cat([s, safe_norm(big_v, self.epsilon)], -1))
        a_ss, a_vv, a_sv = a.chunk(3, -1)  # (atoms, F) each
        return s + a_ss + a_sv * scalar_product(big_u, big_v), v + scaled(a_vv, big_u)


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
    epsilon: under the root of |V v|, which it keeps differentiable at V v = 0
    embeddings: rows of the table of elements
    mixing_bias: add a constant to each component of V v and U v, as some networks elsewhere were trained: such a
        network is NOT invariant under rotations
    repulsion: options of a fixed pair potential beside the network
    """

    max_rank = 1

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
            }
        )
        self.interactions = interactions
        self.embedding = nn.Embedding(embeddings, features)
        self.repulsion = None if repulsion is None else Repulsion(**repulsion)
        n_filters = 1 if shared_filters else interactions
        n_interactions = 1 if shared_interactions else interactions
        self.filters = nn.ModuleList(linear(self.radial.count, 3 * features) for _ in range(n_filters))
        self.messages = nn.ModuleList(Message(features, activation) for _ in range(n_interactions))
        self.updates = nn.ModuleList(Update(features, activation, epsilon, mixing_bias) for _ in range(n_interactions))

    def forward(self, graph: AtomicGraph, vectors: Tensor) -> AtomFeatures:
        basis, units = self.pairs(vectors)
        s: Tensor = self.embedding(graph.numbers)
        v: Tensor | None = None
        for t in range(self.interactions):
            filters = basis @ weight_and_bias(self.filters[t % len(self.filters)])  # W(d), (pairs, 3F)
            s, v = self.messages[t % len(self.messages)](s, v, filters, units, graph)
            s, v = self.updates[t % len(self.updates)](s, v)
        return AtomFeatures(scalars=s, vectors=v, repulsion=self.repulsive_energies(graph, vectors))

    def pairs(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """What messages know of a pair: [φ(d) fc(d), fc(d)], (pairs, n + 1), and r̂_ij, (pairs, 3).

        W(d) = (φ W + b) fc is then one product of matrices, [φ fc, fc] [W; b]: it spares a pass over (pairs, 3F).
        """
        distances = vectors.square().sum(-1).sqrt()  # (pairs,), in the precision of the geometry
        dtype = self.embedding.weight.dtype
        units = (vectors / distances[:, None]).to(dtype)
        distances = distances.to(dtype)
        envelope = self.cutoff_function(distances)[:, None]  # (pairs, 1)
        return torch.cat([self.radial(distances) * envelope, envelope], 1), units

    def repulsive_energies(self, graph: AtomicGraph, vectors: Tensor) -> Tensor | None:
        """(atoms,) eV in the precision of the geometry, if there is such a potential."""
        if self.repulsion is None:
            return None
        pairs = self.repulsion(vectors.square().sum(-1).sqrt())
        return pairs.new_zeros(graph.n_atoms).index_add(0, graph.centers, pairs)


def weight_and_bias(layer: Any) -> Tensor:
    """[W; b] of a linear layer of n inputs, (n + 1, outputs)."""
    return torch.cat([layer.weight.T, layer.bias[None]])
