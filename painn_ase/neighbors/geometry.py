"""The border of the neighbour lists: what a usable geometry is, and errors for those that are not."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from painn_ase.errors import InputError, positive
from painn_ase.neighbors.base import Pairs

COINCIDENT = 1e-3
"""Atoms closer than this, in Å, are one atom given twice: nuclei never come within a hundred times as much."""

FARTHEST = 1e8
"""Å. Farther from the origin float64 resolves positions to no better than 1e-8 Å, and forces come out as noise."""

SHORTEST_CELL_VECTOR = 0.1
"""Å. Below this a cutoff sphere holds millions of images and the input is surely not in Å."""

FLATTEST_CELL = 1e-6
"""Smallest singular value of the periodic unit vectors at which they still count as linearly independent."""


@dataclass(frozen=True, eq=False)
class Geometry:
    """A geometry that a neighbour list can work on. Lengths in Å."""

    positions: np.ndarray  # (atoms, 3) float64, finite and resolved
    cell: np.ndarray  # (3, 3) float64, invertible; unit vectors orthogonal to the rest where not periodic
    pbc: np.ndarray  # (3,) bool


def checked(
    positions: np.ndarray,
    cell: np.ndarray,
    pbc: ArrayLike,
    cutoff: float,
) -> Geometry:
    """The geometry, with cell vectors that are not periodic replaced by orthogonal unit vectors.

    Raises InputError for a geometry or a cutoff (Å) for which a neighbour list has no meaning.
    """
    positions = np.asarray(positions, dtype=np.float64)
    if positions.size == 0:
        raise InputError("expected at least one atom; the structure is empty")
    if positions.ndim != 2 or positions.shape[1] != 3:
        raise InputError(f"positions: expected shape (atoms, 3); got {positions.shape}")
    positive("cutoff", cutoff, "Å")
    usable = np.abs(positions) < FARTHEST  # False for NaN
    if not usable.all():
        atoms = np.flatnonzero(~usable.all(axis=1))
        shown = ", ".join(map(str, atoms[:5])) + (", ..." if len(atoms) > 5 else "")
        raise InputError(
            f"positions: expected numbers below {FARTHEST:.0e} Å; {len(atoms)} of {len(positions)} atoms are at NaN, "
            f"infinity or beyond (atoms {shown}). The simulation or the file broke in the structure before this one"
        )
    pbc = np.array(np.broadcast_to(np.asarray(pbc, dtype=bool), 3))
    return Geometry(positions, complete_cell(cell, pbc), pbc)


def complete_cell(cell: np.ndarray, pbc: np.ndarray) -> np.ndarray:
    """The cell (3, 3) with vectors that are not periodic replaced by unit vectors orthogonal to all others.

    Raises InputError if the periodic ones do not span as many directions as there are.
    """
    if not pbc.any():
        return np.eye(3)
    cell = np.asarray(cell, dtype=np.float64)
    if cell.shape != (3, 3):
        raise InputError(f"cell: expected three vectors in rows, shape (3, 3); got {cell.shape}")
    for k in np.flatnonzero(pbc):
        if not np.isfinite(cell[k]).all():
            raise InputError(f"pbc is set along cell vector {k}, which is not finite: {cell[k].tolist()}")
        if not cell[k].any():
            raise InputError(f"pbc is set along cell vector {k}, which is zero; set pbc=False there or give a cell")
        if np.linalg.norm(cell[k]) < SHORTEST_CELL_VECTOR:
            raise InputError(
                f"pbc is set along cell vector {k}, which is {np.linalg.norm(cell[k]):.2g} Å long; "
                f"expected at least {SHORTEST_CELL_VECTOR} Å. Is the cell given in Å?"
            )
    periodic = cell[pbc]
    _, singular, directions = np.linalg.svd(periodic / np.linalg.norm(periodic, axis=1, keepdims=True))
    if singular[-1] < FLATTEST_CELL:
        raise InputError(
            f"pbc is set along cell vectors {', '.join(map(str, np.flatnonzero(pbc)))}, which are linearly "
            f"dependent: {periodic.tolist()}; expected vectors in different directions"
        )
    complete = np.empty((3, 3))
    complete[pbc] = periodic
    complete[~pbc] = directions[len(periodic) :]
    return complete


def check_distances(pairs: Pairs, positions: np.ndarray, cell: np.ndarray) -> None:
    """Raises InputError, naming the atoms, if two atoms (or an atom and an image) are in the same place."""
    if len(pairs) == 0:
        return
    vectors = pairs.vectors(positions, cell)
    squares = np.einsum("pi,pi->p", vectors, vectors)
    closest = int(squares.argmin())
    if squares[closest] >= COINCIDENT**2:
        return
    i, j, shift = int(pairs.centers[closest]), int(pairs.neighbors[closest]), pairs.shifts[closest]
    image = f" (periodic image {tuple(map(int, shift))})" if shift.any() else ""
    raise InputError(
        f"atoms {i} and {j}{image} are {np.sqrt(squares[closest]):.1e} Å apart; expected at least {COINCIDENT} Å. "
        "Remove one of them or move them apart"
    )
