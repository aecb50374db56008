"""Neighbour lists behind one interface, and the Verlet skin that saves building them."""

from collections.abc import Callable

from painn_ase.errors import choice
from painn_ase.neighbors.base import NeighborList, Pairs
from painn_ase.neighbors.brute_force import BruteForceNeighborList
from painn_ase.neighbors.builder import GraphBuilder, excess_multiplicity, graph_of, total_charge
from painn_ase.neighbors.geometry import check_distances
from painn_ase.neighbors.matscipy import MatscipyNeighborList
from painn_ase.neighbors.replicas import ReplicasBuilder
from painn_ase.neighbors.torch_cluster import TorchClusterNeighborList
from painn_ase.neighbors.verlet import Neighborhood, VerletList

NEIGHBOR_LISTS: dict[str, Callable[[], NeighborList]] = {
    "matscipy": MatscipyNeighborList,
    "torch_cluster": TorchClusterNeighborList,
    "brute_force": BruteForceNeighborList,
}


def neighbor_list(name: str = "matscipy") -> NeighborList:
    """The neighbour list of that name: 'matscipy' (default), 'torch_cluster' (molecules) or 'brute_force' (slow).

    Raises InputError for an unknown name and MissingPackageError if the list needs a package that is absent.
    """
    return NEIGHBOR_LISTS[choice("neighbors", name, NEIGHBOR_LISTS)]()


__all__ = [
    "NEIGHBOR_LISTS",
    "GraphBuilder",
    "NeighborList",
    "Neighborhood",
    "Pairs",
    "ReplicasBuilder",
    "VerletList",
    "check_distances",
    "excess_multiplicity",
    "graph_of",
    "neighbor_list",
    "total_charge",
]
