"""Phonons of a crystal from the forces of displaced supercells.

ASE's `Phonons` gives each pair of atoms to one cell of the supercell. Halfway around it two or more images are equally
far, and its frequencies between the wave vectors of the supercell are then not those of a crystal with its symmetry;
here the images share the force constant (Parlinski, Li and Kawazoe, Phys. Rev. Lett. 78, 4063 (1997),
doi:10.1103/PhysRevLett.78.4063). At wave vectors of the supercell both are the same, and a test compares them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike

from painn_ase.errors import InputError
from painn_ase.spectra.harmonic import wavenumbers

_SAME = 1e-4  # Å: images whose distances differ by less are equally far


@dataclass(frozen=True, eq=False)
class Phonons:
    """The harmonic lattice of a crystal; `phonons` makes it."""

    atoms: Atoms  # the primitive cell, without calculator
    repeats: tuple[int, int, int]  # of the supercell
    force_constants: np.ndarray  # (atoms, 3, cells, atoms, 3) in eV/Å²: of an atom of the first cell with all others
    displacement: float  # Å

    def dynamical_matrix(self, q: ArrayLike) -> np.ndarray:
        """(3 atoms, 3 atoms) in eV/Å²/amu at the wave vector `q` in units of the reciprocal cell vectors (no 2π)."""
        n = len(self.atoms)
        wave = 2 * np.pi * self.atoms.cell.reciprocal().array.T @ np.asarray(q, dtype=float)
        first, cell, second, vectors, share = self._images
        terms = (share * np.exp(1j * vectors @ wave))[:, None, None] * self.force_constants[first, :, cell, second, :]
        matrix = np.zeros((n, n, 3, 3), dtype=complex)
        np.add.at(matrix, (first, second), terms)
        root = np.repeat(np.sqrt(self.atoms.get_masses()), 3)
        flat = matrix.transpose(0, 2, 1, 3).reshape(3 * n, 3 * n) / np.outer(root, root)
        return 0.5 * (flat + flat.conj().T)

    def frequencies(self, q: ArrayLike) -> np.ndarray:
        """(..., 3 atoms) in cm⁻¹, ascending, negative for imaginary ones, at wave vectors `q` (..., 3)."""
        points = np.asarray(q, dtype=float)
        squares = [np.linalg.eigvalsh(self.dynamical_matrix(point)) for point in points.reshape(-1, 3)]
        return wavenumbers(np.array(squares)).reshape(*points.shape[:-1], 3 * len(self.atoms))

    @cached_property
    def mesh(self) -> np.ndarray:
        """(points, 3) wave vectors of the supercell but Γ: there the forces alone say what the frequencies are."""
        points = np.array(list(product(*(np.arange(n) / n for n in self.repeats))))
        return points[1:]

    @cached_property
    def _images(self) -> tuple[np.ndarray, ...]:
        """Pairs (first atom, cell, second atom) with the vector to each nearest image and the share it gets."""
        supercell = self.atoms.cell.array * np.array(self.repeats)[:, None]
        shifts = np.array(list(product((-2, -1, 0, 1, 2), repeat=3))) @ supercell
        cells = np.array(list(product(*map(range, self.repeats)))) @ self.atoms.cell.array
        r = self.atoms.positions
        vectors = cells[None, :, None, :] + r[None, None, :, :] - r[:, None, None, :]  # (first, cell, second, 3)
        images = vectors[..., None, :] + shifts
        lengths = np.linalg.norm(images, axis=-1)
        nearest = lengths < lengths.min(axis=-1, keepdims=True) + _SAME
        first, cell, second, image = np.nonzero(nearest)
        share = 1.0 / nearest.sum(axis=-1)[first, cell, second]
        return first, cell, second, images[first, cell, second, image], share


def phonons(atoms: Atoms, repeats: Sequence[int], *, displacement: float = 0.01) -> Phonons:
    """Phonons of a relaxed primitive cell, from central differences of the forces in a supercell of `repeats` cells.

    Every atom of one cell is displaced by `displacement` Å to both sides along x, y and z. The force constants of an
    atom sum to zero (its own takes the rest), as the energy does not change when the crystal moves as a whole. Raises
    `InputError` for structures that are not periodic in three directions.
    """
    if not (atoms.pbc.all() and atoms.cell.rank == 3):
        raise InputError(f"phonons need a cell periodic along all three vectors; got pbc={atoms.pbc.tolist()}")
    bare = atoms.copy()
    bare.set_constraint()
    n, cells = len(bare), int(np.prod(repeats))
    values = np.zeros((n, 3, cells, n, 3))
    for i, a in product(range(n), range(3)):
        forces = []
        for sign in (1, -1):
            moved = bare.repeat(tuple(repeats))
            moved.positions[i, a] += sign * displacement
            moved.calc = atoms.calc
            forces.append(moved.get_forces())
        values[i, a] = (-(forces[0] - forces[1]) / (2 * displacement)).reshape(cells, n, 3)
    for i in range(n):
        values[i, :, 0, i, :] -= values[i].sum(axis=(1, 2))
    return Phonons(bare, (int(repeats[0]), int(repeats[1]), int(repeats[2])), values, displacement)


def zone_boundary() -> np.ndarray:
    """(7, 3) wave vectors on the boundary of the first Brillouin zone: halves of reciprocal cell vectors and sums of
    them. In the primitive cell of an fcc lattice these are X and L."""
    return np.array(list(product((0.0, 0.5), repeat=3)))[1:]
