"""The rigid motions of a set of atoms: translation, rotation, and whether a molecule is linear.

Positions and momenta are (..., atoms, 3), one system or any number of its copies, masses (atoms,) in amu.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from painn_ase.errors import InputError

Array = NDArray[np.float64]

EVERY_AXIS = np.eye(3)
LINEAR = 0.1
"""Å. A molecule is linear if no atom is further from its axis: a soft bend relaxed to forces of 0.01 eV/Å may be left
so far from straight, and no molecule is known whose equilibrium is bent by less."""

# Share of the largest moment of inertia below which an axis has none: positions are known to some 1e-16 of their size.
_ROUND_OFF = 1e-12


def check_masses(masses: ArrayLike) -> Array:
    """The masses (atoms,) in amu; `InputError` unless each is a finite number above zero."""
    found = np.asarray(masses, dtype=float)
    bad = np.flatnonzero(~(np.isfinite(found) & (found > 0)))
    if found.ndim != 1 or bad.size:
        of = ", ".join(f"{found[k]:g} (atom {k})" for k in bad[:5]) if found.ndim == 1 else f"shape {found.shape}"
        raise InputError(
            f"masses: expected one positive number in amu per atom; got {of}. Set them: atoms.set_masses()"
        )
    return found


def arms(positions: Array, masses: Array) -> Array:
    """Positions relative to the centre of mass."""
    return positions - np.einsum("i,...ia->...a", masses, positions)[..., None, :] / masses.sum()


def inertia(positions: Array, masses: Array) -> Array:
    """Tensor of inertia about the centre of mass, (..., 3, 3) in amu Å²."""
    r = arms(positions, masses)
    squares = np.einsum("i,...ia,...ia->...", masses, r, r)
    return squares[..., None, None] * np.eye(3) - np.einsum("i,...ia,...ib->...ab", masses, r, r)


def angular_momentum(positions: Array, momenta: Array, masses: Array) -> Array:
    """Angular momentum about the centre of mass, (..., 3)."""
    return np.cross(arms(positions, masses), momenta).sum(axis=-2)


def translation(momenta: Array, masses: Array) -> Array:
    """The part of the momenta that moves the whole, (..., atoms, 3)."""
    return masses[:, None] * (momenta.sum(axis=-2, keepdims=True) / masses.sum())


def rotation(positions: Array, momenta: Array, masses: Array, axes: Array = EVERY_AXIS) -> Array:
    """The part of the momenta that turns the whole about its centre of mass: m ω×r with I ω = L, (..., atoms, 3).

    `axes` (axes, 3), orthonormal, are those it may turn about. An axis on which all atoms lie turns nothing.
    """
    spin = angular_momentum(positions, momenta, masses) @ axes.T
    inverse = np.linalg.pinv(axes @ inertia(positions, masses) @ axes.T, rcond=_ROUND_OFF, hermitian=True)
    omega = np.einsum("...ab,...b->...a", inverse, spin) @ axes
    return masses[:, None] * np.cross(omega[..., None, :], arms(positions, masses))


def rotations(atoms: int) -> int:
    """Number of rotations whose absence takes a momentum from so many atoms that move.

    Three, whatever the structure they start from: a linear molecule bends, and its angular momentum along the axis
    stays zero while it does, so its bends share one plane. Two atoms have 2, one has none.
    """
    return {1: 0, 2: 2}.get(atoms, 3)


def kinetic_energy(momenta: Array, masses: Array) -> Array:
    """Σ p²/2m, (...,)."""
    return 0.5 * np.einsum("...ia,...ia,i->...", momenta, momenta, 1 / masses)


def distance_from_axis(positions: Array, masses: Array) -> float:
    """The largest distance of an atom, in Å, from the principal axis of least inertia of one molecule."""
    r = arms(positions, masses)
    axis = np.linalg.eigh(inertia(positions, masses))[1][:, 0]
    return float(np.linalg.norm(r - np.outer(r @ axis, axis), axis=1).max(initial=0.0))


def is_linear(positions: Array, masses: Array) -> bool:
    """Whether one molecule of at least two atoms is linear up to `LINEAR`."""
    return len(masses) > 1 and distance_from_axis(positions, masses) <= LINEAR


def rotation_axes(positions: Array, masses: Array) -> Array:
    """The principal axes that one molecule turns about, (axes, 3): 3, of a linear one 2, of an atom none."""
    if len(masses) == 1:
        return np.zeros((0, 3))
    axes = np.linalg.eigh(inertia(positions, masses))[1].T[::-1]
    return axes[: 2 if is_linear(positions, masses) else 3]
