"""What dipole, polarizability and quadrupole heads refer to: the fragments of a molecule, their charges and centres."""

from dataclasses import dataclass

import torch
from torch import Tensor

from painn_ase.errors import InputError
from painn_ase.graph import AtomicGraph, connected_parts

WHICH_FRAGMENT = (
    "the dipole and quadrupole moment of a charged structure in several fragments that do not touch (no pair of atoms "
    "within the model's cutoff joins them) are not defined by this model: it cannot tell which of them carries the "
    "charge. Evaluate the fragments one by one, each with its own charge"
)


@dataclass(frozen=True)
class Fragments:
    """Parts of molecules that do not touch: no chain of pairs within the cutoff joins atoms of two of them.

    What is conserved or centred is so in each of them: a network sees nothing of what it has no pair with, so the
    properties of two molecules far apart are the sums of what they are alone.
    """

    index: Tensor  # (atoms,) int64, fragment of each atom
    structures: Tensor  # (fragments,) int64, structure that each belongs to

    def sum_atoms(self, values: Tensor) -> Tensor:
        """Sums of `values` (atoms, ...) over the atoms of each fragment, (fragments, ...)."""
        return values.new_zeros((len(self.structures), *values.shape[1:])).index_add(0, self.index, values)

    def from_centers(self, positions: Tensor, masses: Tensor) -> Tensor:
        """R_i - R_com of the atom's fragment, (atoms, 3), for `masses` (atoms,)."""
        weights = masses[:, None]
        centers = self.sum_atoms(weights * positions) / self.sum_atoms(weights)  # (fragments, 3)
        return positions - centers[self.index]

    def neutralized(self, charges: Tensor, totals: Tensor) -> Tensor:
        """`charges` (atoms,) shifted evenly so that each fragment's sum is its share of `totals` (structures,).

        That is the total itself for structures of one fragment, and zero otherwise; see `refuse_ions`.
        """
        counts = self.sum_atoms(torch.ones_like(charges))
        excess = (self.sum_atoms(charges) - totals[self.structures]) / counts  # totals of several fragments are zero
        return charges - excess[self.index]

    def refuse_ions(self, totals: Tensor) -> None:
        """Raises `InputError` if a structure of several fragments has a total charge (structures,)."""
        if len(self.structures) > len(totals) and bool((totals[torch.bincount(self.structures) > 1] != 0).any()):
            raise InputError(WHICH_FRAGMENT)


def fragments(graph: AtomicGraph, cutoff: float, what: str) -> Fragments:
    """The fragments of molecules; pairs at or beyond `cutoff` Å join nothing.

    Raises `InputError` that speaks of `what` for periodic structures, where no position has a meaning of its own: the
    answer would change whenever an atom is wrapped into the cell.
    """
    if bool(graph.pbc.any()):
        raise InputError(
            f"{what} of a periodic structure is not defined by this model: it is built from positions, which are known "
            "only up to lattice vectors. Expected pbc=False in all directions; set atoms.pbc = False if this is a "
            "molecule in a box."
        )
    graph = graph.within(cutoff)
    n = graph.n_atoms
    degrees = torch.bincount(graph.centers, minlength=n)
    most = degrees.new_zeros(graph.n_structures).scatter_reduce(0, graph.structures, degrees, "amax")
    if bool((most + 1 == graph.counts).all()):  # an atom that has all others as neighbours: small molecules
        return whole(graph)
    count, labels = connected_parts(n, graph.centers.cpu().numpy(), graph.neighbors.cpu().numpy())
    index = torch.as_tensor(labels, dtype=torch.int64, device=graph.numbers.device)
    return Fragments(index, index.new_zeros(count).index_put((index,), graph.structures))


def whole(graph: AtomicGraph) -> Fragments:
    """Each structure as one fragment."""
    return Fragments(graph.structures, torch.arange(graph.n_structures, device=graph.numbers.device))
