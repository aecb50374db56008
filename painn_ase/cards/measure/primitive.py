"""The primitive cell of a crystal that is given as a supercell."""

from __future__ import annotations

from itertools import product

import numpy as np
from ase import Atoms
from ase.geometry import minkowski_reduce

from painn_ase.errors import InputError


def primitive_cell(atoms: Atoms, *, tolerance: float = 0.01) -> Atoms:
    """The smallest cell that repeats to the crystal `atoms`, its vectors as short as possible, in the same orientation.

    Atoms that a translation maps onto each other within `tolerance` Å count as the same; the first of them is kept.
    Raises `InputError` for structures that are not periodic in three directions.
    """
    if not (atoms.pbc.all() and atoms.cell.rank == 3 and len(atoms)):
        raise InputError(
            f"primitive cell: expected atoms periodic along all three vectors; got pbc={atoms.pbc.tolist()}"
        )
    translations = _translations(atoms, tolerance)
    cell, _ = minkowski_reduce(atoms.cell.array)
    grid = np.array(list(product((-1, 0, 1), repeat=3))) @ cell
    inside = translations - np.round(translations @ np.linalg.inv(cell)) @ cell
    vectors = (inside[:, None, :] + grid[None, :, :]).reshape(-1, 3)
    # the shortest independent vectors of a lattice in three dimensions are a basis of it (Minkowski)
    basis = np.empty((0, 3))
    for vector in vectors[np.argsort(np.linalg.norm(vectors, axis=1), kind="stable")]:
        if np.linalg.matrix_rank(np.vstack([basis, vector]), tol=tolerance) > len(basis):
            basis = np.vstack([basis, vector])
    if np.linalg.det(basis) < 0:
        basis = -basis
    return _folded(atoms, basis, len(translations), tolerance)


def _translations(atoms: Atoms, tolerance: float) -> np.ndarray:
    """(translations, 3) in Å that map the crystal onto itself, the zero vector first, modulo its cell."""
    numbers, cell = atoms.numbers, atoms.cell.array
    scaled = atoms.get_scaled_positions()
    kinds, counts = np.unique(numbers, return_counts=True)
    rare = np.flatnonzero(numbers == kinds[counts.argmin()])
    found = [np.zeros(3)]
    for other in rare[1:]:
        shift = scaled[other] - scaled[rare[0]]
        difference = scaled[:, None, :] + shift - scaled[None, :, :]
        difference -= np.round(difference)
        near = np.linalg.norm(difference @ cell, axis=-1) < tolerance
        if (near & (numbers[:, None] == numbers[None, :])).any(axis=1).all():
            found.append(shift)
    return np.array(found) @ cell


def _folded(atoms: Atoms, basis: np.ndarray, copies: int, tolerance: float) -> Atoms:
    """The atoms that remain when those which a vector of `basis` takes onto each other are one."""
    small = atoms.copy()
    small.set_constraint()
    small.set_cell(basis)
    small.wrap(eps=tolerance / np.linalg.norm(basis, axis=1).max())
    kept: list[int] = []
    for i in range(len(small)):
        distances = small.get_distances(i, kept, mic=True) if kept else np.array([np.inf])
        if distances.min() > 2 * tolerance:
            kept.append(i)
    if len(kept) * copies != len(atoms):
        raise InputError(
            f"primitive cell: {copies} translations of {len(atoms)} atoms leave {len(kept)}; the structure repeats "
            f"within {tolerance:g} Å only in part. Relax it first"
        )
    return small[kept]
