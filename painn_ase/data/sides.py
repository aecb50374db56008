"""Which labelled frames train and which validate where frames keep coming: decided once, by their geometries."""

from __future__ import annotations

from collections.abc import Sequence

from ase import Atoms

from painn_ase.data.identity import geometry

HELD = 8  # one geometry in so many validates


def validates(atoms: Atoms, every: int = HELD) -> bool:
    """Whether a frame is of those, one geometry in `every`, that never train."""
    return int(geometry(atoms), 16) % every == 0


def sides(frames: Sequence[Atoms], every: int = HELD) -> tuple[list[Atoms], list[Atoms]]:
    """Frames that train, and those that validate. A frame stays on its side for ever, however many follow.

    The first frame trains and the second validates, so that no side is empty; one alone does both. `every` as for
    `validates`.
    """
    found: tuple[list[Atoms], list[Atoms]] = ([], [])
    for number, atoms in enumerate(frames):
        held = number == 1 if number < 2 else validates(atoms, every)
        found[held].append(atoms)
    return found[0], found[1] or found[0]
