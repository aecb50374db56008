"""Forces and stress by one backward pass through the pair vectors."""

from collections.abc import Iterable

import torch
from torch import Tensor

from painn_ase.errors import InputError
from painn_ase.graph import AtomicGraph
from painn_ase.model import Model
from painn_ase.properties import known
from painn_ase.representations import AtomFeatures

_FROM_ENERGY = frozenset({"forces", "stress"})


def evaluate(
    model: Model,
    graph: AtomicGraph,
    properties: Iterable[str],
    *,
    create_graph: bool = False,
    features: AtomFeatures | None = None,
) -> dict[str, Tensor]:
    """Properties of `graph` by name, forces (atoms, 3) and stress (structures, 3, 3) included.

    With g_ij = ∂E/∂r_ij: F_i = Σ_j (g_ij - g_ji), and stress = (1/V) Σ_ij r_ij ⊗ g_ij, tension positive. The energy
    depends on geometry through pair vectors alone, so both follow from one backward pass, whatever the boundary
    conditions. `create_graph` keeps the derivatives differentiable (for training). `features` spares the
    representation when no derivative is asked for.
    """
    wanted = known(properties)
    missing = wanted - model.properties
    if missing:
        have = ", ".join(sorted(model.properties))
        raise InputError(f"model {model.name!r} provides {have}; asked for {', '.join(sorted(missing))}")
    derived = wanted & _FROM_ENERGY
    heads = wanted - _FROM_ENERGY | ({"energy"} if derived else set())
    if not derived:
        return model(graph, graph.vectors(), heads, features)
    with torch.enable_grad():
        vectors = graph.vectors().detach().requires_grad_()
        results = model(graph, vectors, heads)
        (gradient,) = torch.autograd.grad(results["energy"].sum(), vectors, create_graph=create_graph)
    results["forces"] = _forces(graph, gradient)
    if "stress" in wanted:
        results["stress"] = _stress(graph, vectors.detach(), gradient)
    return results if create_graph else {name: value.detach() for name, value in results.items()}


def _forces(graph: AtomicGraph, gradient: Tensor) -> Tensor:
    """F_i = Σ over pairs of +g where i is the centre and -g where it is the neighbour, (atoms, 3)."""
    zero = gradient.new_zeros(graph.n_atoms, 3)
    return zero.index_add(0, graph.centers, gradient).index_add(0, graph.neighbors, gradient, alpha=-1)


def _stress(graph: AtomicGraph, vectors: Tensor, gradient: Tensor) -> Tensor:
    """(1/V) Σ r ⊗ g, (structures, 3, 3), symmetrised against rounding; NaN-free refusal where V is undefined."""
    if not bool(graph.pbc.all()):
        raise InputError(
            "stress is defined only for structures that are periodic in three directions (it is per volume); "
            "expected pbc = (True, True, True)"
        )
    virial = gradient.new_zeros(graph.n_structures, 3, 3).index_add(
        0, graph.structures[graph.centers], vectors[:, :, None] * gradient[:, None, :]
    )
    stress = virial / torch.linalg.det(graph.cells).abs()[:, None, None]
    return 0.5 * (stress + stress.transpose(1, 2))
