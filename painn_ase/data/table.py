"""Frames as arrays in eV, Å and e, by kind of structure: what the checks of `painn_ase.data.checks` look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms

from painn_ase.data.labels import Label, label_value, periodicity, raw_label
from painn_ase.properties import PROPERTIES


@dataclass(frozen=True)
class Kind:
    """Frames of the same elements in the same order, charge and periodicity; a label that some lack is NaN there."""

    index: np.ndarray  # (frames,) places in the data
    numbers: np.ndarray  # (atoms,)
    positions: np.ndarray  # (frames, atoms, 3) in Å
    cells: np.ndarray  # (frames, 3, 3) in Å; rows
    pbc: np.ndarray  # (3,)
    charge: float  # e, of the whole
    labels: dict[str, np.ndarray]  # by property, (frames, ...) in internal units

    def __len__(self) -> int:
        return len(self.index)

    @property
    def periodic(self) -> bool:
        return bool(self.pbc.any())

    def has(self, *names: str) -> bool:
        return all(name in self.labels for name in names)

    @property
    def volumes(self) -> np.ndarray:
        """(frames,) in Å³."""
        return np.abs(np.linalg.det(self.cells))


def kinds(frames: Sequence[Atoms], labels: Mapping[str, Label]) -> list[Kind]:
    """The frames sorted into kinds, largest first. Raises `InputError` for labels that are no such labels."""
    members: dict[tuple, list[int]] = {}
    for k, atoms in enumerate(frames):
        state = float(atoms.info.get("charge", 0) or 0)
        members.setdefault((tuple(atoms.numbers.tolist()), tuple(periodicity(atoms).tolist()), state), []).append(k)
    found = []
    for (numbers, pbc, charge), index in members.items():
        values: dict[str, np.ndarray] = {}
        for name, label in labels.items():
            rows = [_value(frames[k], name, label, k) for k in index]
            shape = next((row.shape for row in rows if row is not None), None)
            if shape is not None:
                values[name] = np.array([np.full(shape, np.nan) if row is None else row for row in rows])
        found.append(
            Kind(
                np.array(index),
                np.array(numbers),
                np.array([frames[k].positions for k in index]),
                np.array([frames[k].cell.array for k in index]),
                np.array(pbc),
                charge,
                values,
            )
        )
    return sorted(found, key=len, reverse=True)


def _value(atoms: Atoms, name: str, label: Label, index: int) -> np.ndarray | None:
    raw = raw_label(atoms, label)
    if raw is None:
        return None
    value = label_value(name, label, raw, atoms, f"frame {index}")
    return value if PROPERTIES[name].per == "atom" else value[0]
