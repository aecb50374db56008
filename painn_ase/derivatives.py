"""Forces and stress by one backward pass through the pair vectors, Born effective charges by three."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from painn_ase.errors import InputError
from painn_ase.graph import AtomicGraph
from painn_ase.model import Model
from painn_ase.properties import DERIVED_FROM, known
from painn_ase.representations import AtomFeatures


@dataclass(frozen=True)
class State:
    """What the representation made of one graph: kept to ask further heads without a second network evaluation."""

    vectors: Tensor  # (pairs, 3)
    features: AtomFeatures

    def detached(self) -> "State":
        """The same values without their history (and its memory)."""
        present = {name: value.detach() for name, value in vars(self.features).items() if value is not None}
        return State(self.vectors.detach(), replace(self.features, **present))


def featurize(model: Model, graph: AtomicGraph, *, differentiable: bool) -> State:
    """The representation's state of `graph`; `differentiable` with respect to the pair vectors."""
    vectors = graph.vectors()
    if not differentiable:
        return State(vectors, model.representation(graph, vectors))
    with torch.enable_grad():
        vectors = vectors.detach().requires_grad_()
        return State(vectors, model.representation(graph, vectors))


def evaluate(
    model: Model,
    graph: AtomicGraph,
    properties: Iterable[str],
    *,
    create_graph: bool = False,
    state: State | None = None,
) -> dict[str, Tensor]:
    """Properties of `graph` by name: forces (atoms, 3), stress (structures, 3, 3) and Born charges (atoms, 3, 3) too.

    With g_ij = ∂E/∂r_ij: F_i = Σ_j (g_ij - g_ji), and stress = (1/V) Σ_ij r_ij ⊗ g_ij, tension positive. The energy
    depends on geometry through pair vectors alone, so both follow from one backward pass, whatever the boundary
    conditions. Born effective charges Z*[i, a, b] = ∂μ_a/∂r_ib take three passes, through the positions as well, which
    some dipoles refer to.

    model: representation and heads
    graph: one or several structures
    properties: names from `painn_ase.properties`
    create_graph: keep the derivatives differentiable, for training
    state: what `featurize` made of the same graph; it must be differentiable when derivatives are asked for
    """
    wanted = known(properties)
    missing = wanted - model.learnable
    if missing:
        have = ", ".join(sorted(model.properties))
        raise InputError(f"model {model.name!r} provides {have}; asked for {', '.join(sorted(missing))}")
    derived = wanted & DERIVED_FROM.keys()
    heads = wanted - derived | {DERIVED_FROM[name] for name in derived}
    state = state or featurize(model, graph, differentiable=bool(derived))
    if not derived:
        return model(graph, state.vectors, heads, state.features)
    with torch.enable_grad():
        if "born_effective_charges" in wanted:
            graph = replace(graph, positions=graph.positions.detach().requires_grad_())
        results = model(graph, state.vectors, heads, state.features)
        if "born_effective_charges" in wanted:
            born = _born_effective_charges(graph, state.vectors, results["dipole"], create_graph)
            results["born_effective_charges"] = born
        if wanted & {"forces", "stress"}:
            (gradient,) = torch.autograd.grad(results["energy"].sum(), state.vectors, create_graph=create_graph)
            results["forces"] = forces_from(graph, gradient)
    if "stress" in wanted:
        results["stress"] = _stress(graph, state.vectors.detach(), gradient)
    return results if create_graph else {name: value.detach() for name, value in results.items()}


def forces_from(graph: AtomicGraph, gradient: Tensor) -> Tensor:
    """F_i = Σ over pairs of +g where i is the centre and -g where it is the neighbour, (atoms, 3); g = ∂E/∂r_ij."""
    zero = gradient.new_zeros(graph.n_atoms, 3)
    return zero.index_add(0, graph.centers, gradient).index_add(0, graph.neighbors, gradient, alpha=-1)


def virials_from(graph: AtomicGraph, vectors: Tensor, gradient: Tensor) -> Tensor:
    """Σ r ⊗ g over the pairs of each structure, (structures, 3, 3)."""
    terms = vectors[:, :, None] * gradient[:, None, :]
    zero = gradient.new_zeros(graph.n_structures, 3, 3)
    return zero.index_add(0, graph.structures[graph.centers], terms)


def check_volume(graph: AtomicGraph) -> None:
    """Raises `InputError` where stress has no meaning, because there is no volume to divide by."""
    if not bool(graph.pbc.all()):
        raise InputError(
            "stress is defined only for structures that are periodic in three directions (it is per volume); "
            "expected pbc = (True, True, True)"
        )


def _born_effective_charges(graph: AtomicGraph, vectors: Tensor, dipoles: Tensor, create_graph: bool) -> Tensor:
    """∂μ_a/∂r_ib, (atoms, 3, 3): what the head reads of positions itself, and what pair vectors carry.

    Structures of a batch do not see each other, so that the sum of their dipoles has the derivatives of each.
    """
    if not dipoles.requires_grad:  # atoms without neighbours: nothing depends on where they are
        return dipoles.new_zeros(graph.n_atoms, 3, 3)
    rows = []
    for total in dipoles.sum(dim=0):
        read, carried = torch.autograd.grad(
            total,
            (graph.positions, vectors),
            create_graph=create_graph,
            retain_graph=True,
            allow_unused=True,
            materialize_grads=True,
        )
        rows.append(read - forces_from(graph, carried))
    return torch.stack(rows, dim=1)


def _stress(graph: AtomicGraph, vectors: Tensor, gradient: Tensor) -> Tensor:
    """(1/V) Σ r ⊗ g, (structures, 3, 3), symmetrised against rounding."""
    check_volume(graph)
    stress = virials_from(graph, vectors, gradient) / torch.linalg.det(graph.cells).abs()[:, None, None]
    return 0.5 * (stress + stress.transpose(1, 2))
