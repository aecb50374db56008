"""TensorNet: one 3x3 matrix per atom and channel, handled through its trace, antisymmetric and symmetric parts.

G. Simeon, G. De Fabritiis, NeurIPS 2023, arXiv:2306.06482 ("the paper" below); its O(3) variant.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from painn_ase.graph import AtomicGraph
from painn_ase.nn.equivariant import contraction, outer_product, scalar_product, scaled, symmetric_traceless
from painn_ase.nn.layers import activation, linear, mlp
from painn_ase.representations.base import N_ELEMENTS, AtomFeatures, Representation


@dataclass(frozen=True)
class Matrices:
    """X = i 1 + [a]ₓ + S, 3x3 matrices per atom (or pair) and channel by their irreducible parts; [a]ₓ b = a × b.

    Under a reflection R, i stays, a becomes R a and S becomes R S Rᵀ: in X the antisymmetric part, made of ε and the
    vector a, then has the sign that transposition gives it. So a is an ordinary (polar) vector, fit for dipoles,
    as long as only products that commute with transposition are used, such as XY + YX.
    """

    i: Tensor  # (atoms, F), tr X / 3
    a: Tensor  # (atoms, 3, F)
    s: Tensor  # (atoms, 3, 3, F), symmetric and traceless

    def __add__(self, other: "Matrices") -> "Matrices":
        return Matrices(self.i + other.i, self.a + other.a, self.s + other.s)

    def scaled(self, i: Tensor, a: Tensor, s: Tensor) -> "Matrices":
        """Each part times its own factor, (atoms, F) or (atoms, 1)."""
        return Matrices(i * self.i, scaled(a, self.a), scaled(s, self.s))

    def squares(self) -> tuple[Tensor, Tensor, Tensor]:
        """Squared Frobenius norms of the three parts, (atoms, F) each: 3 i², 2 |a|², S : S."""
        return 3.0 * self.i.square(), 2.0 * scalar_product(self.a, self.a), scalar_product(self.s, self.s)

    def normalized(self) -> "Matrices":
        """X / (‖X‖² + 1): shorter than one, smooth at zero."""
        i, a, s = self.squares()
        factor = 1.0 / (i + a + s + 1.0)
        return self.scaled(factor, factor, factor)


def anticommutator(x: Matrices, y: Matrices) -> Matrices:
    """XY + YX by parts.

    i: 2 i j - 4/3 a·b + 2/3 S:T;  a: 2 (i b + j a) - S b - T a;  S: 2 (i T + j S) + 2 {a⊗b} + 2 {S T}
    for X = i 1 + [a]ₓ + S and Y = j 1 + [b]ₓ + T, with { } the symmetric traceless part.
    """
    product = (x.s[:, :, :, None] * y.s[:, None]).sum(2)  # S T, (atoms, 3, 3, F)
    return Matrices(
        2.0 * x.i * y.i - 4.0 / 3.0 * scalar_product(x.a, y.a) + 2.0 / 3.0 * scalar_product(x.s, y.s),
        2.0 * (scaled(x.i, y.a) + scaled(y.i, x.a)) - contraction(x.s, y.a) - contraction(y.s, x.a),
        2.0 * (scaled(x.i, y.s) + scaled(y.i, x.s) + outer_product(x.a, y.a) + symmetric_traceless(product)),
    )


class Mixing(nn.Module):
    """Linear combinations over the channels, W_I, W_A and W_S for the three parts; no bias."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.i, self.a, self.s = (linear(features, features, bias=False) for _ in range(3))

    def forward(self, x: Matrices) -> Matrices:
        return Matrices(self.i(x.i), self.a(x.a), self.s(x.s))


def gates(sizes: tuple[int, ...], act: str) -> nn.Sequential:
    """Layers of the given sizes with the activation after each, the last one too."""
    return nn.Sequential(*mlp(sizes, act), activation(act))


class Embedding(nn.Module):
    """Matrices of the atoms from their neighbours (the paper's section 3, embedding).

    X_ij = fc Z_ij (f_I 1 + f_A [r̂]ₓ + f_S (r̂r̂ᵀ - 1/3)) with f linear in φ(d) and Z_ij in both embeddings;
    X_i = Σ_j X_ij;  [g_I, g_A, g_S] = MLP(LayerNorm ‖X‖²);  X <- g_I W_I i + g_A W_A a + g_S W_S S
    """

    def __init__(self, features: int, radial: int, act: str, embeddings: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(embeddings, features)
        self.pairs = linear(features, 2 * features)  # rows: of the centre, then of the neighbour
        self.filters = linear(radial, 3 * features)
        self.norm = nn.LayerNorm(features)
        self.gates = gates((features, 2 * features, 3 * features), act)
        self.mixing = Mixing(features)

    def forward(self, basis: Tensor, envelope: Tensor, units: Tensor, graph: AtomicGraph) -> Matrices:
        n = self.embedding.embedding_dim
        z_i, z_j = self.pairs(self.embedding(graph.numbers)).split(n, -1)  # (atoms, F) each
        z_ij = (z_i.index_select(0, graph.centers) + z_j.index_select(0, graph.neighbors)) * envelope  # (pairs, F)
        f_i, f_a, f_s = self.filters(basis).split(n, -1)  # (pairs, F) each
        u = units[:, :, None]  # r̂, (pairs, 3, 1)
        one = Matrices(f_i * z_ij, scaled(f_a * z_ij, u), scaled(f_s * z_ij, outer_product(u, u)))
        x = _summed(one, graph)
        g = self.gates(self.norm(sum(x.squares())))  # (atoms, 3F)
        return self.mixing(x).scaled(*g.split(n, -1))


class Interaction(nn.Module):
    """One round of messages between matrices (the paper's section 3, interaction).

    X <- X / (‖X‖² + 1);  Y = mixed X;  M_i = Σ_j (f_I i_j 1 + f_A [a_j]ₓ + f_S S_j) with f = MLP(φ(d)) fc;
    Y <- (Y M + M Y) / (‖Y M + M Y‖² + 1), mixed;  X <- X + Y + Y²
    """

    def __init__(self, features: int, radial: int, act: str) -> None:
        super().__init__()
        self.filters = gates((radial, features, 2 * features, 3 * features), act)
        self.before = Mixing(features)
        self.after = Mixing(features)

    def forward(self, x: Matrices, basis: Tensor, envelope: Tensor, graph: AtomicGraph) -> Matrices:
        f = (self.filters(basis) * envelope).split(x.i.shape[-1], -1)  # (pairs, F) three times
        x = x.normalized()
        y, j = self.before(x), graph.neighbors
        of_neighbors = Matrices(y.i.index_select(0, j), y.a.index_select(0, j), y.s.index_select(0, j))
        message = _summed(of_neighbors.scaled(*f), graph)
        y = self.after(anticommutator(y, message).normalized())
        square = anticommutator(y, y)  # 2 Y²
        half = torch.full_like(y.i[:, :1], 0.5)
        return x + y + square.scaled(half, half, half)


def _summed(pairs: Matrices, graph: AtomicGraph) -> Matrices:
    """Sums over the neighbours of each atom."""

    def sums(values: Tensor) -> Tensor:
        return values.new_zeros(graph.n_atoms, *values.shape[1:]).index_add(0, graph.centers, values)

    return Matrices(sums(pairs.i), sums(pairs.a), sums(pairs.s))


class TensorNet(Representation):
    """Scalars (atoms, F) from the norms of the final matrices, vectors from their antisymmetric, tensors from their
    symmetric traceless parts.

    features: F
    interactions: rounds after the embedding, which by itself is one
    cutoff: in Å
    radial, cutoff_function: their kinds and options, as in a configuration
    activation: name of the activation function
    embeddings: rows of the table of elements

    Defaults are the paper's for
    rMD17, but for the cutoff (4.5 Å there). Its radial functions matter: with 32 Bessel functions an untrained network
    has forces ten times as large, and trains worse.
    """

    max_rank: int = 2

    def __init__(
        self,
        features: int = 128,
        interactions: int = 2,
        cutoff: float = 5.0,
        radial: dict[str, Any] | None = None,
        cutoff_function: dict[str, Any] | None = None,
        *,
        activation: str = "silu",
        embeddings: int = N_ELEMENTS,
    ) -> None:
        super().__init__(
            {
                "features": features,
                "interactions": interactions,
                "cutoff": cutoff,
                "radial": dict(radial or {"kind": "exponential_normal", "count": 32}),
                "cutoff_function": dict(cutoff_function or {"kind": "cosine"}),
                "activation": activation,
                "embeddings": embeddings,
            }
        )
        self.first = Embedding(features, self.radial.count, activation, embeddings)
        self.interactions = nn.ModuleList(
            Interaction(features, self.radial.count, activation) for _ in range(interactions)
        )
        self.norm = nn.LayerNorm(3 * features)
        self.readout = gates((3 * features, features), activation)

    def forward(self, graph: AtomicGraph, vectors: Tensor) -> AtomFeatures:
        distances = vectors.square().sum(-1).sqrt()  # (pairs,), in the precision of the geometry
        dtype = self.norm.weight.dtype
        units = (vectors / distances[:, None]).to(dtype)  # r̂_ij, (pairs, 3)
        distances = distances.to(dtype)
        basis = self.radial(distances)  # (pairs, n)
        envelope = self.cutoff_function(distances)[:, None]  # (pairs, 1)
        x = self.first(basis, envelope, units, graph)
        for interaction in self.interactions:
            x = interaction(x, basis, envelope, graph)
        scalars = self.readout(self.norm(torch.cat(x.squares(), -1)))  # (atoms, F)
        return AtomFeatures(scalars=scalars, vectors=x.a, tensors=x.s)
