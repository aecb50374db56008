"""The origin that dipole and polarizability heads measure positions from."""

from torch import Tensor

from painn_ase.errors import InputError
from painn_ase.graph import AtomicGraph


def positions_from_center_of_mass(graph: AtomicGraph, masses: Tensor, what: str) -> Tensor:
    """R_i - R_com of each molecule, (atoms, 3) float64 in Å; `masses` (100,) is the table of atomic masses.

    A dipole Σ q_i r_i (of an ion) and the terms ν⊗r of a polarizability depend on the origin, so the head fixes
    it at the centre of mass. Raises `InputError` for periodic structures, where no position has a meaning of its
    own: the answer would change whenever an atom is wrapped into the cell.
    """
    if bool(graph.pbc.any()):
        raise InputError(
            f"{what} of a periodic structure is not defined by this model: it is built from positions, which are known "
            "only up to lattice vectors. Expected pbc=False in all directions; set atoms.pbc = False if this is a "
            "molecule in a box."
        )
    weights = masses[graph.numbers][:, None]  # (atoms, 1)
    center = graph.sum_atoms(weights * graph.positions) / graph.sum_atoms(weights)  # (structures, 3)
    return graph.positions - center[graph.structures]
