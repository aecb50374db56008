"""Checks of structures: equal ones, torn ones, atoms in another order, isolated atoms."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
from ase import Atoms
from ase.data import covalent_radii
from scipy.spatial import cKDTree

from painn_ase.data.finding import Finding
from painn_ase.data.identity import geometry
from painn_ase.data.table import Kind

_EQUAL = 1e-4  # Å, of all distances
_BOND = 1.25  # times the sum of the covalent radii
_COLLIDING = 0.5
_TORN = 2.0
_MOST = 3000  # frames, and atoms of a molecule whose distances are compared


def duplicates(frames: Sequence[Atoms], kinds: Sequence[Kind]) -> Iterator[Finding]:
    """Frames with the geometry of an earlier one, also moved and turned."""
    groups: dict[str, list[int]] = {}
    for k, atoms in enumerate(frames):
        groups.setdefault(geometry(atoms), []).append(k)
    extra = sorted(k for members in groups.values() for k in members[1:])
    if extra:
        yield Finding(
            "duplicates", f"{len(extra)} of {len(frames)} frames repeat the geometry of another", tuple(extra)
        )
    turned: set[int] = set()
    for kind in kinds:
        if kind.periodic or not 2 <= len(kind.numbers) <= 60 or not 2 <= len(kind) <= _MOST:
            continue
        rows, columns = np.triu_indices(len(kind.numbers), 1)
        distances = np.linalg.norm(kind.positions[:, rows] - kind.positions[:, columns], axis=2)
        for first, second in cKDTree(distances).query_pairs(_EQUAL):
            if np.abs(distances[first] - distances[second]).max() < _EQUAL:
                turned.add(int(kind.index[max(first, second)]))
    moved = sorted(turned - set(extra))
    if moved:
        text = f"{len(moved)} frames are others moved, turned or mirrored (all distances equal within {_EQUAL} Å)"
        yield Finding("duplicates", text, tuple(moved))


def isolated(frames: Sequence[Atoms]) -> Iterator[Finding]:
    """Frames of a single atom."""
    alone = tuple(k for k, atoms in enumerate(frames) if len(atoms) == 1 and not atoms.pbc.any())
    if alone and len(alone) < len(frames):
        text = (
            "single atoms among structures: a network learns nothing of bonds from them, and reference energies come "
        )
        yield Finding("isolated atoms", text + "from least squares; leave them out, or keep them on purpose", alone)


def order_of_atoms(frames: Sequence[Atoms]) -> Iterator[Finding]:
    """Compositions whose atoms come in more than one order."""
    orders: dict[str, Counter] = {}
    for atoms in frames:
        orders.setdefault(atoms.symbols.formula.format("hill"), Counter())[tuple(atoms.numbers.tolist())] += 1
    for formula, found in orders.items():
        usual, count = found.most_common(1)[0]
        total = sum(found.values())
        if len(found) > 1 and count >= 0.7 * total:
            others = tuple(
                k
                for k, atoms in enumerate(frames)
                if atoms.symbols.formula.format("hill") == formula and tuple(atoms.numbers.tolist()) != usual
            )
            yield Finding("order", f"{formula}: the elements come in another order than in {count} others", others)


def shuffled(kind: Kind) -> Iterator[Finding]:
    """Molecules that are not bonded as the others of their kind, and atoms that cannot be where they are."""
    count = len(kind.numbers)
    if kind.periodic or count < 3 or len(kind) < 5:
        return
    rows, columns = np.triu_indices(count, 1)
    reach = covalent_radii[kind.numbers[rows]] + covalent_radii[kind.numbers[columns]]
    distances = np.linalg.norm(kind.positions[:, rows] - kind.positions[:, columns], axis=2)
    bonded = distances < _BOND * reach
    usual = bonded.mean(axis=0) > 0.5
    if not usual.any():
        return
    odd = (bonded & usual).sum(axis=1) / usual.sum() < 0.6
    if odd.any() and odd.mean() < 0.4:
        yield Finding(
            "shuffled atoms",
            f"bonds differ from those of the other {int((~odd).sum())} frames of {_formula(kind)}: atoms in another "
            "order than their elements say, or a molecule torn apart",
            tuple(sorted(kind.index[odd].tolist())),
        )
    relative = np.full((len(kind), count, count), np.inf)
    relative[:, rows, columns] = relative[:, columns, rows] = distances / reach
    torn = (relative.min(axis=2) > _TORN).any(axis=1) & ~odd
    if torn.any() and torn.mean() < 0.2:
        yield Finding(
            "torn", f"{_formula(kind)}: an atom far from all others", tuple(sorted(kind.index[torn].tolist()))
        )


def valences(kind: Kind) -> Iterator[Finding]:
    """Hydrogen atoms with several neighbours in most frames: elements and positions do not belong together."""
    hydrogen = np.flatnonzero(kind.numbers == 1)
    if kind.periodic or not len(hydrogen) or len(kind.numbers) < 4:
        return
    away = np.linalg.norm(kind.positions[:, hydrogen, None] - kind.positions[:, None], axis=3)
    reach = _BOND * (covalent_radii[1] + covalent_radii[kind.numbers])
    bonds = (away < reach).sum(axis=2) - 1
    crowded = (bonds > 2).any(axis=1)
    if crowded.any():
        text = "hydrogen atoms have three neighbours or more: elements and positions are not in the same order"
        yield Finding("shuffled atoms", f"{_formula(kind)}: {text}", tuple(sorted(kind.index[crowded].tolist())))


def collisions(kind: Kind) -> Iterator[Finding]:
    """Atoms much closer than bonds are."""
    count = len(kind.numbers)
    if kind.periodic or count < 2 or count > 400:
        return
    rows, columns = np.triu_indices(count, 1)
    reach = _COLLIDING * (covalent_radii[kind.numbers[rows]] + covalent_radii[kind.numbers[columns]])
    distances = np.linalg.norm(kind.positions[:, rows] - kind.positions[:, columns], axis=2)
    bad = (distances < reach).any(axis=1)
    if bad.any():
        every = " in all frames: positions in another unit?" if bad.all() and len(bad) > 1 else ""
        text = f"{_formula(kind)}: atoms closer than {_COLLIDING} of their covalent radii{every}"
        yield Finding("collisions", text, tuple(sorted(kind.index[bad].tolist())))


def _formula(kind: Kind) -> str:
    return Atoms(kind.numbers).symbols.formula.format("hill")
