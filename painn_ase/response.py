"""How energy, dipole and polarizability respond to moving the atoms: exact derivatives by automatic differentiation.

They cost a few network evaluations in place of the 6N + 1 of finite differences, and have no step to choose.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace

import torch
from torch import Tensor

from painn_ase.errors import InputError, closest
from painn_ase.graph import AtomicGraph
from painn_ase.model import Model

# name of the derivative -> the property it is a derivative of
RESPONSES = {"hessian": "energy", "born_effective_charges": "dipole", "polarizability_derivatives": "polarizability"}

# Rows of a Jacobian per backward pass times pairs: enough to keep the matrix products busy, and a bound on memory.
_ROWS_TIMES_PAIRS = 4096


def response(model: Model, graph: AtomicGraph, names: Iterable[str]) -> dict[str, Tensor]:
    """Derivatives of one structure's properties with respect to its positions, by name, in float64.

    hessian: H[ia, jb] = ∂²E/∂r_ia ∂r_jb, (3 atoms, 3 atoms) in eV/Å², symmetric; of a periodic structure the one at
        the Γ point, where all images of an atom move together
    born_effective_charges: Z*[i, a, b] = ∂μ_a/∂r_ib, (atoms, 3, 3) in e
    polarizability_derivatives: [i, a, b, c] = ∂α_ab/∂r_ic, (atoms, 3, 3, 3) in e²Å/eV, symmetric in a and b

    The rows are as exact as the precision of `model`; float64 is advised. Sum rules of molecules hold by
    construction: rows of H sum to zero over atoms, ∂α to zero, and Z* to zero even for ions, since dipoles are measured
    from the centre of mass; Q m_i/M added to the diagonals gives those in a frame at rest, which sum to the charge Q.
    Raises `InputError` for unknown names, properties the model lacks, batches, and derivatives of what is undefined
    in a periodic cell.
    """
    wanted = frozenset(names)
    _check(model, graph, wanted)
    positions = graph.positions.detach().clone().requires_grad_()
    moving = replace(graph, positions=positions)
    found: dict[str, Tensor] = {}
    n = graph.n_atoms
    with torch.enable_grad():
        values = model(moving, moving.vectors(), {RESPONSES[name] for name in wanted})
        if "hessian" in wanted:
            (gradient,) = torch.autograd.grad(
                values["energy"].sum(), positions, create_graph=True, allow_unused=True, materialize_grads=True
            )
            hessian = _jacobian(gradient.reshape(-1), positions, graph.n_pairs)
            found["hessian"] = 0.5 * (hessian + hessian.T)  # against rounding
        if "born_effective_charges" in wanted:
            rows = _jacobian(values["dipole"][0], positions, graph.n_pairs)  # (a, ib)
            found["born_effective_charges"] = rows.reshape(3, n, 3).transpose(0, 1).contiguous()
        if "polarizability_derivatives" in wanted:
            a, b = torch.triu_indices(3, 3)
            rows = _jacobian(values["polarizability"][0][a, b], positions, graph.n_pairs)  # (ab, ic)
            tensor = rows.new_empty(n, 3, 3, 3)
            tensor[:, a, b] = tensor[:, b, a] = rows.reshape(6, n, 3).transpose(0, 1)
            found["polarizability_derivatives"] = tensor
    return found


def _jacobian(values: Tensor, positions: Tensor, pairs: int) -> Tensor:
    """∂values/∂positions, (values, 3 atoms); several rows in one batched backward pass."""
    if not values.requires_grad:  # an atom without neighbours: nothing depends on where it is
        return values.new_zeros(len(values), positions.numel())
    rows = []
    for chosen in _chunks(len(values), max(1, _ROWS_TIMES_PAIRS // max(pairs, 1))):
        directions = torch.zeros(len(chosen), len(values), dtype=values.dtype, device=values.device)
        directions[torch.arange(len(chosen)), torch.as_tensor(list(chosen))] = 1.0
        (part,) = torch.autograd.grad(
            values, positions, directions,
            retain_graph=True, is_grads_batched=True, allow_unused=True, materialize_grads=True,
        )  # fmt: skip
        rows.append(part.detach().reshape(len(chosen), -1))
    return torch.cat(rows)


def _chunks(total: int, size: int) -> Iterator[range]:
    for start in range(0, total, size):
        yield range(start, min(start + size, total))


def _check(model: Model, graph: AtomicGraph, wanted: frozenset[str]) -> None:
    for name in wanted:
        if name not in RESPONSES:
            raise InputError(
                f"response: expected some of {', '.join(RESPONSES)}; got {name!r}{closest(name, RESPONSES)}"
            )
        if RESPONSES[name] not in model.properties:
            have = ", ".join(sorted(model.properties))
            raise InputError(f"model {model.name!r} provides {have}; {name} needs {RESPONSES[name]}")
    if graph.n_structures != 1:
        raise InputError(f"response: expected a graph of one structure; got a batch of {graph.n_structures}")
