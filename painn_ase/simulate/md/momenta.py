"""Initial momenta, and the number of degrees of freedom that carry heat."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.units import kB
from numpy.random import Generator

from painn_ase import rigid
from painn_ase.errors import InputError

logger = logging.getLogger(__name__)

# Share of what one degree of freedom has of the kinetic energy, below which a rigid motion counts as absent.
_ABSENT = 1e-3
# Share of the moments of inertia that an axis is given at least, about what thermal bends give a linear molecule.
_BENT = 1e-3
_SMALL = 1e-12  # share of the largest moment of inertia below which an axis has none


@dataclass(frozen=True)
class Freedom:
    """Degrees of freedom of a run: T = 2 K / (count kB)."""

    count: int
    hold_centre: bool  # a random bath would kick the centre of mass; it is to be held
    turns: bool  # the whole has an angular momentum, or may take one up
    origin: str  # where the momenta come from, in words


def prepare(atoms: Atoms, temperature: float, rng: Generator, keeps_angular_momentum: bool) -> Freedom:
    """Gives the atoms their initial momenta and counts the degrees of freedom that carry heat.

    Momenta already there are kept. Otherwise they are drawn from the Maxwell-Boltzmann distribution at `temperature`
    (K); without constraints the translation of the whole is projected out, and the rotations too that the dynamics
    would conserve: all of a molecule, that of a wire about its axis. A projection leaves the other modes canonical, so
    nothing is rescaled. A rigid motion that is absent and stays absent is not counted. Absent angular momentum takes
    three of a molecule, linear or not (`rigid.rotations`).
    """
    given = atoms.has("momenta") and bool(np.any(atoms.get_momenta()))
    free = len(atoms) > 1 and not atoms.constraints
    axes = _axes(atoms) if free and keeps_angular_momentum else np.zeros((0, 3))
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
        atoms.set_momenta(atoms.get_momenta() - rigid.translation(atoms.get_momenta(), atoms.get_masses()))
    if len(axes) and not given:
        _stop_turning(atoms, axes, rng)
    logger.info("momenta %s", origin)
    count, turns = _count(atoms, free, axes)
    return Freedom(count, hold, turns, origin)


def _axes(atoms: Atoms) -> np.ndarray:
    """The axes about which turning the whole costs nothing, (axes, 3): all of a molecule, one of a wire."""
    if not atoms.pbc.any():
        return rigid.EVERY_AXIS
    if atoms.pbc.sum() > 1:
        return np.zeros((0, 3))
    along = atoms.cell.array[atoms.pbc]
    return along / np.linalg.norm(along)


def _stop_turning(atoms: Atoms, axes: np.ndarray, rng: Generator) -> None:
    """Takes the rotation about `axes` off the momenta.

    Where all atoms lie on one of them they have no angular momentum along it, whatever their momenta are. The bends
    then swing in one plane; it is drawn here, and what would leave it is taken off, as from a molecule bent ever so
    slightly.
    """
    x, p, masses = atoms.get_positions(), atoms.get_momenta(), atoms.get_masses()
    p -= rigid.rotation(x, p, masses, axes)
    moments, directions = np.linalg.eigh(axes @ rigid.inertia(x, masses) @ axes.T)
    line = directions[:, 0] @ axes
    if moments[0] <= _SMALL * np.trace(rigid.inertia(x, masses)):
        bend = rng.standard_normal(p.shape) * np.sqrt(masses)[:, None]  # m times a displacement
        bend -= np.outer(bend @ line, line) + rigid.translation(bend, masses)
        bend -= rigid.rotation(x, bend, masses, axes)
        across = np.cross(line, bend)
        weight = np.sum(across**2 / masses[:, None])
        if weight > _SMALL * masses.sum():  # two atoms have no bend
            p -= across * (np.sum(across * p / masses[:, None]) / weight)
    atoms.set_momenta(p)


def _count(atoms: Atoms, free: bool, axes: np.ndarray) -> tuple[int, bool]:
    """Degrees of freedom, and whether the whole turns or may."""
    count, turns = int(atoms.get_number_of_degrees_of_freedom()), True
    if free:
        x, p, masses = atoms.get_positions(), atoms.get_momenta(), atoms.get_masses()
        one = float(rigid.kinetic_energy(p, masses)) / count
        drift = rigid.translation(p, masses)
        if _absent(float(rigid.kinetic_energy(drift, masses)), one, "a total momentum"):
            count -= 3
        if len(axes) and _absent(_spin_energy(x, p - drift, masses, axes), one, "an angular momentum"):
            turns = False
            count -= min(len(axes), rigid.rotations(len(atoms)))
    if count < 1:
        raise InputError(f"the constraints leave {count} degrees of freedom; molecular dynamics needs at least one")
    return count, turns


def _spin_energy(x: np.ndarray, p: np.ndarray, masses: np.ndarray, axes: np.ndarray) -> float:
    """Kinetic energy of the rotation about `axes`, an almost straight molecule taken as bent as it will be."""
    moments, directions = np.linalg.eigh(axes @ rigid.inertia(x, masses) @ axes.T)
    spin = rigid.angular_momentum(x, p, masses) @ axes.T @ directions
    floor = max(_BENT * np.trace(rigid.inertia(x, masses)), np.finfo(float).tiny)
    return float(0.5 * np.sum(spin**2 / np.maximum(moments, floor)))


def _absent(energy: float, one: float, name: str) -> bool:
    """Whether a rigid motion with this kinetic energy is absent, where `one` is the share of a degree of freedom."""
    share = energy / max(one, np.finfo(float).tiny)
    if share >= _ABSENT:
        logger.warning("the structure's momenta hold %s, %.2g times the energy of one mode; it stays", name, share)
    return bool(share < _ABSENT)
