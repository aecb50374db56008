"""What differs between two structures: the question behind every cached result."""

import numpy as np
from ase import Atoms

_GEOMETRY = ("positions", "numbers")


def changed_geometry(old: Atoms, new: Atoms) -> list[str]:
    """Which of positions, numbers, cell and pbc differ, compared to the last bit."""
    changes = []  # one after the other: this is asked several times in every step of dynamics
    for name in _GEOMETRY:
        if not _same(old.arrays[name], new.arrays[name]):
            changes.append(name)  # noqa: PERF401
    if not _same(old.cell.array, new.cell.array):
        changes.append("cell")
    if not _same(old.pbc, new.pbc):
        changes.append("pbc")
    return changes


def changed_state(old: Atoms, new: Atoms, *, charge_in_info: bool, charged: bool) -> list[str]:
    """Which of charge, masses and multiplicity differ, as far as results depend on them.

    charge_in_info: the total charge is that of `info`
    charged: the structure is an ion, whose dipole is measured from the centre of its masses
    """
    changes = []
    if charge_in_info and old.info.get("charge") != new.info.get("charge"):
        changes.append("charge")
    if charged and not np.array_equal(old.get_masses(), new.get_masses()):
        changes.append("masses")
    before, now = old.info, new.info
    if before.get("multiplicity") != now.get("multiplicity") or before.get("spin") != now.get("spin"):
        changes.append("multiplicity")
    return changes


def _same(one: np.ndarray, other: np.ndarray) -> bool:
    """Equal to the last bit; NaN equals nothing, so broken positions are looked at again."""
    return one.shape == other.shape and bool((one == other).all())
