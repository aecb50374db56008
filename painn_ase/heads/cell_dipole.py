"""The dipole of any structure, up to a constant: what Born charges of a crystal are derivatives of."""

from torch import Tensor

from painn_ase.graph import AtomicGraph
from painn_ase.heads.base import GatedHead
from painn_ase.representations.base import AtomFeatures


class CellDipoleHead(GatedHead):
    """μ = Σ_i μ_atom(v_i) in e·Å: atomic dipoles alone, so that no position and no origin is needed.

    In a periodic cell a dipole is defined up to whole multiples of e times the cell vectors (King-Smith and Vanderbilt
    1993, doi:10.1103/PhysRevB.47.1651). This head returns the branch of its labels: train it on labels of one branch,
    of structures that vibrate about one crystal, less the dipole of the crystal itself where symmetry does not make
    it vanish. The Born effective charges ∂μ/∂r then are what differentiation makes them, free of the constant, and sum
    to zero over the atoms. It ignores the total charge, and atoms that move from cell to cell return to the same μ.
    """

    provides = ("dipole",)

    def forward(self, features: AtomFeatures, graph: AtomicGraph) -> dict[str, Tensor]:
        _, dipoles = self.network(features.scalars, features.vectors)  # (atoms, 3)
        return {"dipole": graph.sum_atoms(dipoles.double() * self.scale)}
