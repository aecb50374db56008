"""Geometries along single bonds of a molecule: turned about them, stretched and compressed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.data import covalent_radii
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from painn_ase.data.identity import unlabelled
from painn_ase.errors import InputError

BONDED = 1.25  # times the sum of the covalent radii
DOUBLE = 1.6  # bond order above which nothing turns: 1.44 for an amide's C-N, 1.82 for ethene
_PAULING = 0.3  # Å: order = exp((single length - length)/0.3), Pauling, J. Am. Chem. Soc. 69, 542 (1947)
_STRAIGHT = np.radians(170.0)  # a larger angle at an end of a bond leaves no dihedral


@dataclass(frozen=True)
class Bond:
    """A bond whose two sides no other bond joins."""

    i: int
    j: int
    moving: np.ndarray  # indices of the atoms on the side of j, the smaller one
    turns: bool  # whether turning `moving` about the bond is a torsion


def open_bonds(atoms: Atoms) -> list[Bond]:
    """Bonds of a molecule that belong to no ring, by distances.

    They turn where both ends have another neighbour off the axis, and where the length says that the bond is no double
    one; conjugated bonds and amides turn.
    """
    if atoms.pbc.any() or len(atoms) < 2:
        raise InputError("bonds: expected a molecule of two or more atoms, without periodic boundaries")
    distances = atoms.get_all_distances()
    radii = covalent_radii[atoms.numbers]
    joined = np.triu(distances < BONDED * (radii[:, None] + radii), 1)
    pairs = np.argwhere(joined)
    parts = _pieces(pairs, len(atoms))[0]
    found = []
    for number, (i, j) in enumerate(pairs.tolist()):
        rest, piece = _pieces(np.delete(pairs, number, axis=0), len(atoms))
        if rest == parts:  # a ring holds the sides together
            continue
        if np.sum(piece == piece[j]) > np.sum(piece == piece[i]):
            i, j = j, i
        order = np.exp((radii[i] + radii[j] - distances[i, j]) / _PAULING)
        both = joined | joined.T
        turns = order < DOUBLE and _bent(atoms, both, i, j) and _bent(atoms, both, j, i)
        found.append(Bond(i, j, np.flatnonzero(piece == piece[j]), bool(turns)))
    return found


def scan_torsions(atoms: Atoms, *, points: int, source: str = "torsion") -> list[Atoms]:
    """Frames turned about every bond that turns, `points` a bond: by 360°/(points + 1), twice that, and so on.

    All lengths and angles stay; what collides is for `far_apart` to leave out. info["source"] ends with the bond. The
    bonds of a molecule that is one rigid piece are none, and so are its frames.
    """
    _check(atoms, points)
    return [
        _moved(atoms, bond, _turned(atoms, bond, 2 * np.pi * k / (points + 1)), source)
        for bond in open_bonds(atoms)
        if bond.turns
        for k in range(1, points + 1)
    ]


def stretch_bonds(
    atoms: Atoms, *, points: int, shortest: float = 0.85, longest: float = 1.5, source: str = "stretch"
) -> list[Atoms]:
    """Frames with every bond outside of rings at `points` equally spaced multiples of its length.

    atoms: the minimum
    points: for each bond
    shortest: the first multiple
    longest: the last one
    source: info["source"] of the frames begins with it

    The smaller side moves as a whole along the bond.
    """
    _check(atoms, points)
    frames = []
    for bond in open_bonds(atoms):
        along = atoms.positions[bond.j] - atoms.positions[bond.i]
        for multiple in np.linspace(shortest, longest, points):
            moved = atoms.positions.copy()
            moved[bond.moving] += (multiple - 1) * along
            frames.append(_moved(atoms, bond, moved, source))
    return frames


def _turned(atoms: Atoms, bond: Bond, angle: float) -> np.ndarray:
    """Positions (atoms, 3) with the moving side turned by `angle` (rad): Rodrigues' formula."""
    moved, origin = atoms.positions.copy(), atoms.positions[bond.j]
    axis = origin - atoms.positions[bond.i]
    axis = axis / np.linalg.norm(axis)
    arms = moved[bond.moving] - origin
    along = (arms @ axis)[:, None] * axis
    moved[bond.moving] = origin + along + np.cos(angle) * (arms - along) + np.sin(angle) * np.cross(axis, arms)
    return moved


def _moved(atoms: Atoms, bond: Bond, positions: np.ndarray, source: str) -> Atoms:
    frame = unlabelled(atoms)
    frame.positions = positions
    frame.info["source"] = f"{source}_{bond.i}-{bond.j}"
    return frame


def _bent(atoms: Atoms, joined: np.ndarray, end: int, other: int) -> bool:
    """Whether atom `end` of the bond to `other` has a further neighbour off the axis."""
    axis = atoms.positions[other] - atoms.positions[end]
    return any(angle < _STRAIGHT for angle in _angles(axis, atoms.positions[end], _others(atoms, joined, end, other)))


def _others(atoms: Atoms, joined: np.ndarray, end: int, other: int) -> Sequence[np.ndarray]:
    return [atoms.positions[k] for k in np.flatnonzero(joined[end]) if k != other]


def _angles(axis: np.ndarray, origin: np.ndarray, points: Sequence[np.ndarray]) -> Iterator[float]:
    for point in points:
        arm = point - origin
        yield float(np.arccos(np.clip(axis @ arm / np.linalg.norm(axis) / np.linalg.norm(arm), -1, 1)))


def _pieces(pairs: np.ndarray, count: int) -> tuple[int, np.ndarray]:
    """How many connected pieces the bonds make, and the piece of each atom."""
    graph = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    return connected_components(graph, directed=False)


def _check(atoms: Atoms, points: int) -> None:
    if points < 1:
        raise InputError(f"sampling: expected a number of frames >= 1; got {points}")
    if atoms.constraints:
        raise InputError(
            "sampling: torsions and stretched bonds move half a molecule; the structure has constraints. Take them "
            "off, or ask for dynamics alone (--md), which obeys them"
        )
