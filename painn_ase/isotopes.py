"""The dipole of an ion is measured from its centre of mass: that of its own isotopes, not of the elements.

Heads measure from the centre of the standard masses, whatever isotopes a structure has. The two centres move against
each other when an isotopologue vibrates, and the dipole of an ion of charge Q would gain Q times that motion.
"""

from typing import Any

import numpy as np
from ase import Atoms
from ase.data import atomic_masses
from numpy.typing import NDArray


def centre_shares(atoms: Atoms) -> NDArray[np.float64]:
    """w (atoms,), Σ w = 0: Σ w_i R_i is the centre of the elements' masses less that of the structure's own."""
    standard, own = atomic_masses[atoms.numbers], atoms.get_masses()
    return standard / standard.sum() - own / own.sum()


def about_own_centre(
    values: dict[str, Any], positions: NDArray[np.float64], charge: float, shares: NDArray[np.float64]
) -> dict[str, Any]:
    """A head's results with "dipole" (..., 3) and "born_effective_charges" (atoms, 3, 3) about the own centre of mass.

    positions: (..., atoms, 3) in Å; charge: of the whole, e; shares: of `centre_shares`.
    """
    found = dict(values)
    if "dipole" in found:
        found["dipole"] = found["dipole"] + charge * np.einsum("i,...ia->...a", shares, positions)
    if "born_effective_charges" in found:
        found["born_effective_charges"] = found["born_effective_charges"] + charge * shares[:, None, None] * np.eye(3)
    return found
