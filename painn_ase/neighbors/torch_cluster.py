"""Neighbour lists from torch-cluster's radius_graph (optional): molecules only, and never truncated."""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from painn_ase.errors import InputError, MissingPackageError, PainnError
from painn_ase.neighbors.base import Pairs
from painn_ase.neighbors.geometry import check_distances, checked


class TorchClusterNeighborList:
    """All pairs by torch_cluster.radius_graph, which knows no periodic boundaries: those raise InputError.

    radius_graph silently keeps at most `max_num_neighbors` (32 by default) neighbours of an atom, and not the same
    ones in both directions. Here the limit is the number of atoms, and a list that is incomplete all the same
    raises PainnError.
    """

    name = "torch_cluster"

    def __init__(self) -> None:
        _radius_graph()  # a missing package is reported now, not at the first structure

    def __call__(self, positions: np.ndarray, cell: np.ndarray, pbc: ArrayLike, cutoff: float) -> Pairs:
        import torch

        geometry = checked(positions, cell, pbc, cutoff)
        if geometry.pbc.any():
            raise InputError(
                f"neighbors='torch_cluster' knows no periodic boundaries; got pbc={geometry.pbc.tolist()}. "
                "Use neighbors='matscipy', or set pbc=False"
            )
        n = len(geometry.positions)
        edges = _radius_graph()(torch.tensor(geometry.positions), float(cutoff), loop=False, max_num_neighbors=n)
        neighbors, centers = edges.numpy().astype(np.int64)  # the flow is from neighbour to centre
        order = np.lexsort((neighbors, centers))
        pairs = Pairs(centers[order], neighbors[order], np.zeros((len(order), 3), dtype=np.int64))
        _check_complete(pairs, n)
        check_distances(pairs, geometry.positions, geometry.cell)
        return pairs


def _radius_graph() -> Callable:
    try:
        from torch_cluster import radius_graph
    except ImportError as error:
        raise MissingPackageError("torch-cluster", "neighbors='torch_cluster'", "torch-cluster") from error
    return radius_graph


def _check_complete(pairs: Pairs, n: int) -> None:
    """Raises PainnError if some atom's neighbours reach the limit n, or a pair lacks its reverse."""
    forward = pairs.centers * n + pairs.neighbors  # ascending, as the list is sorted by both
    backward = np.sort(pairs.neighbors * n + pairs.centers)
    most = int(np.bincount(pairs.centers, minlength=1).max())
    if most >= n or not np.array_equal(forward, backward):
        raise PainnError(
            f"torch-cluster returned an incomplete neighbour list ({len(pairs)} pairs, at most {most} neighbours of "
            f"{n} atoms, some pairs in one direction only); use neighbors='matscipy'"
        )
