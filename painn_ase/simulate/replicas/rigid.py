"""The mechanics of several copies of one system: rotation of the whole, energies.

Positions and momenta are (copies, atoms, 3) in ASE's units.
"""

import numpy as np

# Eigenvalue share below which an axis of a molecule has no moment of inertia: a linear molecule.
_LINEAR = 1e-6


def without_rotation(positions: np.ndarray, momenta: np.ndarray, masses: np.ndarray) -> np.ndarray:
    """The momenta less the rotation of each copy about its centre of mass: I ω = L, m ω×r taken off."""
    arms = positions - np.einsum("i,mia->ma", masses, positions)[:, None] / masses.sum()
    spin = np.cross(arms, momenta).sum(axis=1)
    squares = np.einsum("i,mia,mia->m", masses, arms, arms)
    inertia = squares[:, None, None] * np.eye(3) - np.einsum("i,mia,mib->mab", masses, arms, arms)
    omega = np.einsum("mab,mb->ma", np.linalg.pinv(inertia, rcond=_LINEAR, hermitian=True), spin)
    return momenta - masses[:, None] * np.cross(omega[:, None], arms)


def kinetic_energy(momenta: np.ndarray, masses: np.ndarray) -> np.ndarray:
    """(copies,) in eV."""
    return 0.5 * np.einsum("mia,mia,i->m", momenta, momenta, 1 / masses)


def rotations(positions: np.ndarray, masses: np.ndarray) -> int:
    """Number of axes a molecule can turn about: 3, of a linear one 2, of an atom 0."""
    arms = positions - masses @ positions / masses.sum()
    inertia = np.einsum("i,ia,ia->", masses, arms, arms) * np.eye(3) - (masses[:, None] * arms).T @ arms
    return int(np.linalg.matrix_rank(inertia, tol=_LINEAR * max(np.trace(inertia), 1e-300), hermitian=True))
