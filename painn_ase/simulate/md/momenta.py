"""Initial momenta, and the number of degrees of freedom that carry heat."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.units import kB
from numpy.random import Generator

from painn_ase.errors import InputError

logger = logging.getLogger(__name__)

# Share of the kinetic energy below which a rigid motion counts as absent: far above round-off, far below one mode.
_ABSENT = 1e-6


@dataclass(frozen=True)
class Freedom:
    """Degrees of freedom of a run: T = 2 K / (count kB)."""

    count: int
    hold_centre: bool  # a random bath would kick the centre of mass; it is to be held
    origin: str  # where the momenta come from, in words


def prepare(atoms: Atoms, temperature: float, rng: Generator, keeps_angular_momentum: bool) -> Freedom:
    """Gives the atoms their initial momenta and counts the degrees of freedom that carry heat.

    Momenta already there are kept. Otherwise they are drawn from the Maxwell-Boltzmann distribution at `temperature`
    (K); without constraints the translation of the whole is projected out, and for molecules the rotation too if
    the dynamics would conserve it. A projection leaves the other modes canonical, so nothing is rescaled.
    A rigid motion that is absent and stays absent is not counted.
    """
    given = atoms.has("momenta") and bool(np.any(atoms.get_momenta()))
    free = len(atoms) > 1 and not atoms.constraints
    spins = free and not atoms.pbc.any() and keeps_angular_momentum
    if given:
        if not np.isfinite(atoms.get_momenta()).all():
            raise InputError("the structure's momenta are not finite; remove them: del atoms.arrays['momenta']")
        origin = "kept from the structure"
        atoms.set_momenta(atoms.get_momenta())  # constraints may remove a part
    elif temperature > 0:
        origin = f"drawn at {temperature:g} K"
        draw = rng.standard_normal((len(atoms), 3))
        atoms.set_momenta(draw * np.sqrt(kB * temperature * atoms.get_masses())[:, None])
    else:
        origin = "zero"
        atoms.set_momenta(np.zeros((len(atoms), 3)))

    hold = free and not keeps_angular_momentum
    if free and (hold or not given):
        atoms.set_momenta(atoms.get_momenta() - _translation(atoms))
    if spins and not given:
        atoms.set_momenta(atoms.get_momenta() - _rotation(atoms))
    logger.info("momenta %s", origin)
    return Freedom(_count(atoms, free, spins), hold, origin)


def _count(atoms: Atoms, free: bool, spins: bool) -> int:
    count = atoms.get_number_of_degrees_of_freedom()
    if free and _absent(atoms, _translation(atoms), "a total momentum"):
        count -= 3
    if spins and _absent(atoms, _rotation(atoms), "an angular momentum"):
        count -= int(np.linalg.matrix_rank(_inertia(atoms), tol=1e-6 * np.trace(_inertia(atoms)), hermitian=True))
    if count < 1:
        raise InputError(f"the constraints leave {count} degrees of freedom; molecular dynamics needs at least one")
    return count


def _absent(atoms: Atoms, rigid: np.ndarray, name: str) -> bool:
    masses = atoms.get_masses()[:, None]
    share = np.sum(rigid**2 / masses) / max(np.sum(atoms.get_momenta() ** 2 / masses), np.finfo(float).tiny)
    if share >= _ABSENT:
        logger.warning("the structure's momenta hold %s with %.2g of the kinetic energy; it stays", name, share)
    return bool(share < _ABSENT)


def _translation(atoms: Atoms) -> np.ndarray:
    """The part of the momenta that moves the whole."""
    masses = atoms.get_masses()
    return masses[:, None] * (atoms.get_momenta().sum(axis=0) / masses.sum())


def _rotation(atoms: Atoms) -> np.ndarray:
    """The part of the momenta that turns the whole: m ω x r with I ω = L; an axis without inertia has none."""
    arms = atoms.get_positions() - atoms.get_center_of_mass()
    spin = np.cross(arms, atoms.get_momenta() - _translation(atoms)).sum(axis=0)
    omega = np.linalg.pinv(_inertia(atoms), rcond=1e-6, hermitian=True) @ spin
    return atoms.get_masses()[:, None] * np.cross(omega, arms)


def _inertia(atoms: Atoms) -> np.ndarray:
    arms = atoms.get_positions() - atoms.get_center_of_mass()
    masses = atoms.get_masses()
    return np.sum(masses * np.sum(arms**2, axis=1)) * np.eye(3) - (masses[:, None] * arms).T @ arms
