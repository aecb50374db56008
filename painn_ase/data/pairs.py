"""Near frames, and the work between them: what energies, forces and stress must agree upon."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from painn_ase.data.table import Kind

_NEIGHBORS = 4  # of each frame
_MOST = 3000  # frames


@dataclass(frozen=True)
class Pairs:
    """Pairs (a, b) of frames of one kind; b is turned onto a where nothing is periodic.

    To second order ΔE = forces_work + stress_work: -⟨F⟩·Δr, r being measured in the cell's own coordinates, and
    V⟨σ⟩:ε with the strain ε between the cells.
    """

    a: np.ndarray  # (pairs,) frames
    b: np.ndarray
    distance: np.ndarray  # (pairs,) Å, largest displacement of an atom
    energy: np.ndarray  # (pairs,) E_b - E_a, eV
    forces_work: np.ndarray  # (pairs,) eV
    bend: np.ndarray  # (pairs,) eV, |ΔF·Δr|: the more forces change on the way, the less their mean says
    stress_terms: np.ndarray | None  # (pairs, 6, 6) V⟨σ_k⟩ε_l in Voigt order with ε_4 to ε_6 doubled, eV
    strain: np.ndarray  # (pairs, 6) Voigt, the last three doubled


def near_pairs(kind: Kind) -> Pairs | None:
    """Each frame with those next to it, without equal ones; None if there are not two frames with energy and forces."""
    if not kind.has("energy", "forces"):
        return None
    good = np.isfinite(kind.labels["energy"]) & np.isfinite(kind.labels["forces"]).all(axis=(1, 2))
    chosen = np.flatnonzero(good)[:_MOST]
    if len(chosen) < 2:
        return None
    tree = cKDTree(_coordinates(kind)[chosen])
    count = min(_NEIGHBORS + 1, len(chosen))
    near = tree.query(tree.data, k=count)[1].reshape(len(chosen), count)
    found = {(min(i, j), max(i, j)) for i, row in enumerate(near.tolist()) for j in row if i != j}
    found |= {(i, i + 1) for i in range(len(chosen) - 1)}  # neighbours on a trajectory
    first, second = (chosen[list(column)] for column in zip(*sorted(found), strict=True))
    return _worked_out(kind, first, second)


def _coordinates(kind: Kind) -> np.ndarray:
    """(frames, numbers): what is the same after a rotation; of crystals, positions and cell."""
    if kind.periodic:
        scaled = _scaled(kind)
        away = scaled - scaled[0]
        away -= np.round(away) * kind.pbc
        mean = kind.cells.mean(axis=0) if kind.pbc.all() else kind.cells[0] + np.diag((~kind.pbc).astype(float))
        return np.concatenate([(away @ mean).reshape(len(kind), -1), kind.cells.reshape(len(kind), 9)], axis=1)
    rows, columns = np.triu_indices(len(kind.numbers), 1)
    if len(rows) > 500:
        chosen = np.random.default_rng(0).choice(len(rows), 500, replace=False)
        rows, columns = rows[chosen], columns[chosen]
    return np.linalg.norm(kind.positions[:, rows] - kind.positions[:, columns], axis=2)


def _scaled(kind: Kind) -> np.ndarray:
    """(frames, atoms, 3) in cell vectors; Cartesian along directions that are not periodic."""
    cells = np.where(kind.pbc[:, None], kind.cells, np.eye(3))
    return np.einsum("fia,fab->fib", kind.positions, np.linalg.inv(cells))


def _worked_out(kind: Kind, a: np.ndarray, b: np.ndarray) -> Pairs:
    if kind.periodic:  # cells of other vectors, of the same lattice even, are not a strain apart
        cells = np.where(kind.pbc[:, None], kind.cells, np.eye(3))
        size = np.sqrt(np.abs(np.linalg.det(cells[a]) * np.linalg.det(cells[b])))
        alike = np.abs(np.linalg.det(0.5 * (cells[a] + cells[b]))) > 0.5 * size
        a, b = a[alike], b[alike]
    forces = kind.labels["forces"]
    energy = kind.labels["energy"]
    strain, terms = np.zeros((len(a), 6)), None
    if kind.periodic:
        scaled = _scaled(kind)
        shift = scaled[b] - scaled[a]
        shift -= np.round(shift) * kind.pbc
        moved = np.einsum("pia,pab->pib", shift, 0.5 * (cells[a] + cells[b]))
        forces_b = forces[b]
        stretch = np.linalg.solve(0.5 * (cells[a] + cells[b]), cells[b] - cells[a])  # symmetric to second order
        strain = _voigt(0.5 * (stretch + stretch.transpose(0, 2, 1)), doubled=True)
        if kind.has("stress") and kind.pbc.all():
            weighted = kind.volumes[:, None] * _voigt(kind.labels["stress"])
            terms = 0.5 * (weighted[a] + weighted[b])[:, :, None] * strain[:, None, :]
    else:
        turned, forces_b = _superposed(kind.positions, forces, a, b)
        centered = kind.positions[a] - kind.positions[a].mean(axis=1, keepdims=True)
        moved = turned - centered
    work = -np.einsum("pia,pia->p", 0.5 * (forces[a] + forces_b), moved)
    bend = np.abs(np.einsum("pia,pia->p", forces_b - forces[a], moved))
    distance = np.linalg.norm(moved, axis=2).max(axis=1) if moved.shape[1] else np.zeros(len(a))
    keep = (distance > 1e-5) | (np.abs(strain).max(axis=1) > 1e-6)
    terms = None if terms is None else terms[keep]
    change = (energy[b] - energy[a])[keep]
    return Pairs(a[keep], b[keep], distance[keep], change, work[keep], bend[keep], terms, strain[keep])


def _superposed(
    positions: np.ndarray, forces: np.ndarray, a: np.ndarray, b: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Positions and forces of frames `b` turned onto frames `a`, both about their centres (Kabsch 1976)."""
    onto = positions[a] - positions[a].mean(axis=1, keepdims=True)
    from_ = positions[b] - positions[b].mean(axis=1, keepdims=True)
    left, _, right = np.linalg.svd(np.einsum("pia,pib->pab", from_, onto))
    flip = np.ones((len(a), 3))
    flip[:, 2] = np.sign(np.linalg.det(left @ right))
    rotation = np.einsum("pab,pb,pbc->pac", left, flip, right)
    return from_ @ rotation, forces[b] @ rotation


def _voigt(matrices: np.ndarray, doubled: bool = False) -> np.ndarray:
    """(..., 6): xx, yy, zz, yz, xz, xy."""
    voigt = matrices[..., [0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]
    return voigt * [1, 1, 1, 2, 2, 2] if doubled else voigt
