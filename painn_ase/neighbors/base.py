"""What a neighbour list is: directed pairs, and the one interface that finds them."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike


@dataclass(frozen=True, eq=False)
class Pairs:
    """Directed pairs (i, j, S) closer than a cutoff: r_ij = R_j - R_i + S·h, cell vectors in the rows of h.

    Full: with (i, j, S) comes (j, i, -S). Images of an atom itself (i = j, S ≠ 0) are pairs, the atom itself is
    not. Along directions that are not periodic S is zero.
    """

    centers: np.ndarray  # (pairs,) int64, i, ascending
    neighbors: np.ndarray  # (pairs,) int64, j
    shifts: np.ndarray  # (pairs, 3) int64, S

    def __len__(self) -> int:
        return len(self.centers)

    def vectors(self, positions: np.ndarray, cell: np.ndarray) -> np.ndarray:
        """r_ij in Å, (pairs, 3), for `positions` (atoms, 3) and `cell` (3, 3) in Å."""
        return positions[self.neighbors] - positions[self.centers] + self.shifts @ cell


class NeighborList(Protocol):
    """Finds the pairs of one structure."""

    @property
    def name(self) -> str: ...

    def __call__(self, positions: np.ndarray, cell: np.ndarray, pbc: ArrayLike, cutoff: float) -> Pairs:
        """All pairs closer than `cutoff` Å.

        Positions (atoms, 3) in Å may lie outside the cell. Only cell vectors (rows, Å) along which `pbc` is set
        are read; the others may be anything, zero included. Raises InputError for geometries without a meaning:
        no atoms, values that are not finite, periodic cell vectors that are zero or linearly dependent, two
        atoms in one place.
        """
        ...
