"""The neighbour list that is obviously right: every pair of atoms in every image that could matter."""

import itertools

import numpy as np
from numpy.typing import ArrayLike

from painn_ase.neighbors.base import Pairs
from painn_ase.neighbors.geometry import check_distances, checked


class BruteForceNeighborList:
    """All pairs by trying all of them: for tests and tiny systems. Time grows as atoms² × images."""

    name = "brute_force"

    def __call__(self, positions: np.ndarray, cell: np.ndarray, pbc: ArrayLike, cutoff: float) -> Pairs:
        geometry = checked(positions, cell, pbc, cutoff)
        x, h = geometry.positions, geometry.cell
        # r = (Δs + S) h with |r| < cutoff, so |Δs_k + S_k| < cutoff |b_k|, where b_k, the columns of h⁻¹, are the
        # reciprocal vectors; and |Δs_k| is at most the spread of the fractional coordinates s = x h⁻¹
        inverse = np.linalg.inv(h)
        spread = np.ptp(x @ inverse, axis=0)
        bounds = np.where(geometry.pbc, np.ceil(spread + cutoff * np.linalg.norm(inverse, axis=0)), 0).astype(int)
        difference = x[None, :, :] - x[:, None, :]  # (i, j, 3)
        found = []
        for shift in itertools.product(*(range(-bound, bound + 1) for bound in bounds)):
            distances = np.linalg.norm(difference + np.array(shift) @ h, axis=2)
            if not any(shift):
                np.fill_diagonal(distances, np.inf)
            i, j = np.nonzero(distances < cutoff)
            found.append((i, j, np.tile(np.array(shift, dtype=np.int64), (len(i), 1))))
        centers, neighbors, shifts = (np.concatenate(parts) for parts in zip(*found, strict=True))
        order = np.argsort(centers, kind="stable")
        pairs = Pairs(centers[order], neighbors[order], shifts[order])
        check_distances(pairs, x, h)
        return pairs
