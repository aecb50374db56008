"""What differs between two structures: the question behind every cached result."""

from typing import Any

import numpy as np
from ase import Atoms

_GEOMETRY = ("positions", "numbers")
_STATE = ("multiplicity", "spin")


def changed_geometry(old: Atoms, new: Atoms) -> list[str]:
    """Which of positions, numbers, cell and pbc differ, compared to the last bit."""
    pairs: list[tuple[str, Any, Any]] = [(name, old.arrays[name], new.arrays[name]) for name in _GEOMETRY]
    pairs += [("cell", old.cell.array, new.cell.array), ("pbc", old.pbc, new.pbc)]
    return [name for name, one, other in pairs if not _same(one, other)]


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
    if any(old.info.get(key) != new.info.get(key) for key in _STATE):
        changes.append("multiplicity")
    return changes


def _same(one: np.ndarray, other: np.ndarray) -> bool:
    """Equal to the last bit; NaN equals nothing, so broken positions are looked at again."""
    return one.shape == other.shape and bool((one == other).all())
