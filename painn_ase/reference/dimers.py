"""Pairs of molecules with a hydrogen bond between them."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.data import covalent_radii
from scipy.spatial.transform import Rotation

from painn_ase.data.identity import unlabelled
from painn_ase.errors import InputError

ELECTRONEGATIVE = (7, 8, 9)  # N, O, F: donors' heavy atoms and acceptors
_DONOR_BOND = 1.25  # times the sum of the covalent radii
_TILT = 30.0  # degrees, largest angle between D-H and H···A
_ROOM = 1.8  # times the sum of the covalent radii, between atoms of the two that are not the bond
_TRIES = 200  # orientations for each pair


def donors(atoms: Atoms) -> list[tuple[int, int]]:
    """(hydrogen, heavy atom) of every hydrogen on N, O or F."""
    distances, radii = atoms.get_all_distances(), covalent_radii[atoms.numbers]
    heavy = np.isin(atoms.numbers, ELECTRONEGATIVE)
    near = (distances < _DONOR_BOND * (radii[:, None] + radii)) & (atoms.numbers == 1)[:, None] & heavy
    return [(int(h), int(d)) for h, d in np.argwhere(near)]


def acceptors(atoms: Atoms) -> list[int]:
    """Every N, O and F."""
    return np.flatnonzero(np.isin(atoms.numbers, ELECTRONEGATIVE)).tolist()


def hydrogen_bonded(
    one: Atoms,
    other: Atoms,
    *,
    count: int,
    rng: np.random.Generator,
    shortest: float = 1.6,
    longest: float = 3.0,
    source: str = "dimer",
) -> list[Atoms]:
    """`count` pairs of molecules, a hydrogen of `one` pointing at an acceptor of `other`; the first comes first.

    one, other: the molecules, which stay rigid
    count: of pairs
    rng: random numbers
    shortest, longest: of the distance H···A in Å, drawn uniformly
    source: info["source"] of the frames

    H···A is up to 30° off the bond D-H, and the acceptor's molecule is turned at random until no other atoms of the two
    are nearer than 1.8 times the sum of their covalent radii; fewer pairs come back where there is no such room.
    Masses are kept, charges added up. Raises `InputError` where no hydrogen bond is possible.
    """
    if count < 1:
        raise InputError(f"sampling: expected a number of frames >= 1; got {count}")
    if one.constraints or other.constraints or one.pbc.any() or other.pbc.any():
        raise InputError("dimers: expected molecules without constraints and periodic boundaries")
    giving, taking = donors(one), acceptors(other)
    if not giving or not taking:
        raise InputError(
            f"dimers: expected a hydrogen on N, O or F in {one.symbols.formula} and an N, O or F in "
            f"{other.symbols.formula}"
        )
    frames = []
    for _ in range(count):
        for _ in range(_TRIES):
            hydrogen, heavy = giving[rng.integers(len(giving))]
            acceptor = taking[rng.integers(len(taking))]
            along = _tilted(one.positions[hydrogen] - one.positions[heavy], rng)
            place = one.positions[hydrogen] + rng.uniform(shortest, longest) * along
            turned = Rotation.random(rng=rng).apply(other.positions - other.positions[acceptor]) + place
            if _room(one, other, turned, hydrogen, acceptor):
                frames.append(_together(one, other, turned, source))
                break
    return frames


def _tilted(axis: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A unit vector, uniform within `_TILT` of the axis."""
    axis = axis / np.linalg.norm(axis)
    cosine = rng.uniform(np.cos(np.radians(_TILT)), 1.0)
    aside = np.cross(axis, rng.normal(size=3))
    return cosine * axis + np.sqrt(1 - cosine**2) * aside / np.linalg.norm(aside)


def _room(one: Atoms, other: Atoms, positions: np.ndarray, hydrogen: int, acceptor: int) -> bool:
    distances = np.linalg.norm(one.positions[:, None] - positions, axis=2)
    distances[hydrogen, acceptor] = np.inf
    radii = covalent_radii[one.numbers][:, None] + covalent_radii[other.numbers]
    return bool((distances > _ROOM * radii).all())


def _together(one: Atoms, other: Atoms, positions: np.ndarray, source: str) -> Atoms:
    second = unlabelled(other)
    second.positions = positions
    pair = unlabelled(one) + second
    pair.info = {"source": source}
    charge = one.info.get("charge", 0) + other.info.get("charge", 0)
    if charge:
        pair.info["charge"] = charge
    unpaired = sum(int(part.info.get("multiplicity", 1)) - 1 for part in (one, other))
    if unpaired:
        pair.info["multiplicity"] = unpaired + 1
    return pair
