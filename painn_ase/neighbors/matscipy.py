"""The default neighbour list: matscipy's linked cells, in time proportional to the number of atoms."""

import numpy as np
from matscipy.neighbours import neighbour_list
from numpy.typing import ArrayLike

from painn_ase.neighbors.base import Pairs
from painn_ase.neighbors.brute_force import BruteForceNeighborList
from painn_ase.neighbors.geometry import Geometry, check_distances, checked

MOST_BINS = 100
"""Along a direction that is not periodic. Atoms beyond the last bin are put into it: slower, never wrong."""


FEW_ATOMS = 300
"""In a periodic cell of more than `MOST_BINS`³ bins, which are emptied one by one, trying all pairs is faster."""


class MatscipyNeighborList:
    """All pairs by matscipy's linked cells; every boundary condition, any number of atoms."""

    name = "matscipy"

    def __call__(self, positions: np.ndarray, cell: np.ndarray, pbc: ArrayLike, cutoff: float) -> Pairs:
        geometry = checked(positions, cell, pbc, cutoff)
        if len(geometry.positions) <= FEW_ATOMS and _bins(geometry, cutoff) > MOST_BINS**3:
            return BruteForceNeighborList()(geometry.positions, geometry.cell, geometry.pbc, cutoff)
        origin, box = _box(geometry.positions, geometry.cell, geometry.pbc, cutoff)
        centers, neighbors, shifts = neighbour_list(
            "ijS", positions=geometry.positions, cell=box, cell_origin=origin, pbc=geometry.pbc, cutoff=float(cutoff)
        )
        pairs = Pairs(centers.astype(np.int64), neighbors.astype(np.int64), shifts.astype(np.int64))
        check_distances(pairs, geometry.positions, geometry.cell)
        return pairs


def _bins(geometry: Geometry, cutoff: float) -> float:
    """How many bins the cell is divided into along its periodic vectors."""
    heights = 1.0 / np.linalg.norm(np.linalg.inv(geometry.cell), axis=0)  # Å, between faces of the cell
    return float(np.prod(np.maximum(heights[geometry.pbc] / cutoff, 1.0)))


def _box(positions: np.ndarray, cell: np.ndarray, pbc: np.ndarray, cutoff: float) -> tuple[np.ndarray, np.ndarray]:
    """Origin (3,) and vectors (3, 3) of a box that holds the atoms: matscipy sorts them into bins of it.

    Where periodic, the vectors are those of the cell. Elsewhere they are fitted to the atoms, so that neither an
    arbitrary cell nor a place far from the origin matters.
    """
    if pbc.all():
        return np.zeros(3), cell
    open_directions = cell[~pbc]  # orthonormal, and orthogonal to the periodic vectors
    along = positions @ open_directions.T  # (atoms, open)
    lowest = along.min(axis=0)
    lengths = np.clip(along.max(axis=0) - lowest, cutoff, MOST_BINS * cutoff)
    box = cell.copy()
    box[~pbc] = lengths[:, None] * open_directions
    return lowest @ open_directions, box
