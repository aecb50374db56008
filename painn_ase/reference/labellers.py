"""What can label a structure, and the first of them: a Kohn-Sham level of theory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ase import Atoms

from painn_ase.data import Label
from painn_ase.errors import InputError, closest
from painn_ase.reference import kohn_sham
from painn_ase.reference.level import Level
from painn_ase.reference.wanted import asked, wanted

UNITS = {"energy": "eV", "forces": "eV/Å", "stress": "eV/Å³", "dipole": "e·Å", "polarizability": "Å³"}


def labels_of(names: Iterable[str]) -> dict[str, Label]:
    """Keys and units of labels as `painn_ase.reference.label` writes them, for a training to read."""
    return {name: Label(name, UNITS[name]) for name in names}


@dataclass(frozen=True)
class Models:
    """Trained models, by bundled name or folder, whose mean labels: `label(frames, Models("teacher"), ...)`."""

    names: tuple[str, ...]

    def __init__(self, *names: str) -> None:
        object.__setattr__(self, "names", names)


class Labeller(Protocol):
    """Labels structures one at a time; travels to worker processes by pickling."""

    @property
    def properties(self) -> tuple[str, ...]:
        """Labels of structures that do not name their own."""
        ...

    def recipe(self) -> dict[str, Any]:
        """How the labels are made, JSON-able."""
        ...

    def check(self, frames: Sequence[Atoms]) -> None:
        """Raises `InputError` for what cannot work, before any work is done."""
        ...

    def __call__(self, atoms: Atoms) -> dict[str, Any]:
        """The labels that are `wanted` of a structure, in the units of `UNITS`."""
        ...


@dataclass(frozen=True)
class KohnSham:
    """Labels by `kohn_sham.compute` on `threads` threads."""

    level: Level
    properties: tuple[str, ...]
    threads: int = 1

    def recipe(self) -> dict[str, Any]:
        return self.level.to_dict()

    def check(self, frames: Sequence[Atoms]) -> None:
        names = asked(frames, self.properties)
        check_names(names, kohn_sham.PROPERTIES, "PySCF")
        self.level.check(frames, names)

    def __call__(self, atoms: Atoms) -> dict[str, Any]:
        names = wanted(atoms, self.properties)
        results = kohn_sham.compute(atoms, self.level, names, threads=self.threads)
        return {name: results[name] for name in names}


def check_names(properties: Sequence[str], have: Sequence[str], who: str) -> None:
    """Raises `InputError` if there is no property, or one that `who` does not label."""
    for name in properties:
        if name not in have:
            raise InputError(f"property: {who} labels {', '.join(have)}; got {name!r}{closest(name, have)}")
    if not properties:
        raise InputError(f"properties: expected at least one of {', '.join(have)}")
