"""Tensors of any order from atom features, and the two properties made of them: quadrupole and hyperpolarizability."""

from collections.abc import Sequence
from itertools import combinations, product

import torch
from torch import Tensor, nn

from painn_ase.errors import InputError
from painn_ase.graph import AtomicGraph
from painn_ase.heads.base import Head
from painn_ase.heads.frame import fragments, whole
from painn_ase.nn.cartesian import stf, symmetrized
from painn_ase.nn.layers import GatedEquivariantNetwork, halving, linear
from painn_ase.representations.base import AtomFeatures

Groups = tuple[tuple[int, ...], ...]


class TensorReadout(nn.Module):
    """A tensor of order M per atom, (atoms, 3, ..., 3), from vectors ν and scalars λ that gated blocks make.

    Σ_k λ_k ν_k,1 ⊗ … ⊗ ν_k,M  (PaiNN paper, eq. 13, k = 1 … rank)
    + for each pair of indices (a, b): Σ_k (λ_k δ_ab + [t_k]_ab) ν_k,1 ⊗ … ⊗ ν_k,M-2
    The second line is needed where all vectors of a molecule lie in its plane, and so would all of T: water. t are
    combinations of the features of rank 2, used with `tensors`. `groups` are the indices that may be permuted, as in
    ((0, 1, 2),) for all three and ((1, 2),) for the last two; see `symmetric`.
    """

    def __init__(
        self, features: int, order: int, rank: int, groups: Groups, activation: str, epsilon: float, tensors: bool
    ) -> None:
        super().__init__()
        if not (1 <= order <= 4 and 1 <= rank <= 256):
            raise InputError(f"tensor head: expected order 1 to 4 and rank 1 to 256; got {order} and {rank}")
        self.order, self.rank, self.tensors = order, rank, tensors
        self.pairs = _distinct_pairs(order, groups)
        # scalars and vectors: of the first line, then of each pair those that go with δ, then those with t
        blocks = len(self.pairs) * (2 if tensors else 1)
        self.scalars, self.vectors = rank * (1 + blocks), rank * (order + blocks * max(0, order - 2))
        outputs = max(self.scalars, self.vectors)
        self.network = GatedEquivariantNetwork((features, max(features // 2, 1), outputs), activation, epsilon)
        self.mix = linear(features, rank * len(self.pairs), bias=False) if tensors and self.pairs else None

    def forward(self, features: AtomFeatures) -> Tensor:
        scalars, vectors = self.network(features.scalars, features.vectors)
        scalars = scalars.reshape(len(scalars), -1)[:, : self.scalars].unflatten(1, (-1, self.rank))
        vectors = vectors.reshape(len(vectors), 3, -1)[:, :, : self.vectors].unflatten(2, (-1, self.rank))
        gates, nu = list(scalars.unbind(1)), list(vectors.unbind(2))  # (atoms, R), (atoms, 3, R)
        total = _outer([nu.pop() for _ in range(self.order)], gates.pop())
        rest = max(0, self.order - 2)
        delta = torch.eye(3, dtype=scalars.dtype, device=scalars.device)[:, :, None]
        for a, b in self.pairs:
            term = _outer([delta.expand(len(scalars), 3, 3, self.rank), *(nu.pop() for _ in range(rest))], gates.pop())
            total = total + term.movedim((1, 2), (1 + a, 1 + b))
        if self.mix is not None:
            for (a, b), t in zip(self.pairs, self.mix(features.tensors).split(self.rank, -1), strict=True):
                term = _outer([t, *(nu.pop() for _ in range(rest))], gates.pop())
                total = total + term.movedim((1, 2), (1 + a, 1 + b))
        return total


def _outer(factors: Sequence[Tensor], gates: Tensor) -> Tensor:
    """Σ_k λ_k x_k ⊗ y_k ⊗ …, (atoms, 3, ..., 3), of factors (atoms, 3, ..., R) and gates (atoms, R)."""
    result = gates
    for factor in factors:
        inner = factor.ndim - 2
        result = result.reshape(*result.shape[:-1], *[1] * inner, result.shape[-1]) * factor.reshape(
            factor.shape[0], *[1] * (result.ndim - 2), *factor.shape[1:]
        )
    return result.sum(-1) / gates.shape[-1] ** 0.5


def _distinct_pairs(order: int, groups: Groups) -> list[tuple[int, int]]:
    """Pairs of the indices 0 … order-1, one of those that a permutation within the groups makes equal."""
    owner = {index: group for group in groups for index in group}
    kinds = {(owner.get(a, a), owner.get(b, b)): (a, b) for a, b in reversed(list(combinations(range(order), 2)))}
    return sorted(kinds.values())


def symmetric(tensors: Tensor, groups: Groups, order: int) -> Tensor:
    """The mean over permutations of the last `order` axes within `groups`, symmetric to the last bit.

    Rounding depends on the order of a sum, so each component is read from the one that stands for its class.
    """
    mean = symmetrized(tensors, groups, order)
    representatives = []
    for index in product(range(3), repeat=order):
        canonical = list(index)
        for group in groups:
            for place, value in zip(group, sorted(index[k] for k in group), strict=True):
                canonical[place] = value
        flat = 0
        for value in canonical:
            flat = 3 * flat + value
        representatives.append(flat)
    chosen = torch.tensor(representatives, device=tensors.device)
    return mean.flatten(-order).index_select(-1, chosen).reshape(tensors.shape)


class HyperpolarizabilityHead(Head):
    """β = Σ_i T(i), static first hyperpolarizability ∂²μ/∂E² in e³Å³/eV², symmetric in all indices to the last bit.

    T is a `TensorReadout` of order 3. Nothing is measured from an origin: β does not depend on one, and that of a
    periodic structure is a property of its cell.

    features: F of the representation
    rank: number of terms in the sum over products of vectors
    tensors: whether the features of rank 2 take part
    activation: name of the activation function
    epsilon: of |V| in the gated blocks
    """

    def __init__(
        self, features: int, rank: int = 16, tensors: bool = False, activation: str = "silu", epsilon: float = 1e-8
    ) -> None:
        super().__init__()
        self.config = {"rank": rank, "tensors": tensors, "activation": activation, "epsilon": epsilon}
        self.required_rank = 2 if tensors else 1
        self.provides = ("hyperpolarizability",)
        self.groups: Groups = ((0, 1, 2),)
        self.readout = TensorReadout(features, 3, rank, self.groups, activation, epsilon, tensors)

    def forward(self, features: AtomFeatures, graph: AtomicGraph) -> dict[str, Tensor]:
        atomic = self.readout(features).double() * self.scale  # (atoms, 3, 3, 3)
        return {"hyperpolarizability": symmetric(graph.sum_atoms(atomic), self.groups, 3)}


class QuadrupoleHead(Head):
    """Θ = Σ_i [T(i) + 3/2 stf(q_i r_i r_i + 2 μ_i r_i)] in e·Å², the traceless quadrupole ½ Σ q (3 r r - r² 1).

    r_i is measured from the centre of mass, to which the quadrupole of an ion or of a molecule with a dipole refers;
    so translations change nothing, and periodic structures are refused. T is a `TensorReadout` of order 2, the
    charges q_i sum to the total charge, stf is the symmetric traceless part. As in the dipole, charges and atomic
    dipoles have no meaning of their own. Fragments that do not touch are neutral each (ions of several are refused, see
    `Fragments`), so that the shift of origin makes the whole of the parts: Θ = Σ_f [Θ_f + 3 stf(μ_f d_f)] with d_f from
    the common centre of mass to that of fragment f.

    features: F of the representation
    rank: number of terms in the sum over products of vectors
    tensors: whether the features of rank 2 take part
    activation: name of the activation function
    epsilon: of |V| in the gated blocks
    """

    molecular = True

    def __init__(
        self, features: int, rank: int = 16, tensors: bool = False, activation: str = "silu", epsilon: float = 1e-8
    ) -> None:
        super().__init__()
        self.config = {"rank": rank, "tensors": tensors, "activation": activation, "epsilon": epsilon}
        self.required_rank = 2 if tensors else 1
        self.provides = ("quadrupole",)
        self.readout = TensorReadout(features, 2, rank, ((0, 1),), activation, epsilon, tensors)
        self.network = GatedEquivariantNetwork(halving(features, 1), activation, epsilon)

    def forward(self, features: AtomFeatures, graph: AtomicGraph) -> dict[str, Tensor]:
        parts = fragments(graph, self.cutoff, "the quadrupole moment")
        parts.refuse_ions(graph.charges)
        r = whole(graph).from_centers(graph.positions, self.masses[graph.numbers])
        charges, dipoles = self.network(features.scalars, features.vectors)  # (atoms,), (atoms, 3)
        charges = charges.double() * self.scale + self.references[graph.numbers]
        charges = parts.neutralized(charges, graph.charges)
        arms = charges[:, None] * r + 2.0 * dipoles.double() * self.scale
        atomic = self.readout(features).double() * self.scale + 1.5 * arms[:, :, None] * r[:, None, :]
        return {"quadrupole": symmetric(stf(graph.sum_atoms(atomic), 2), ((0, 1),), 2)}
