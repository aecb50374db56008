"""What can label a structure: a Kohn-Sham level of theory, or any ASE calculator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from ase import Atoms
from ase.calculators.calculator import BaseCalculator

from painn_ase.errors import InputError, closest
from painn_ase.reference import kohn_sham
from painn_ase.reference.level import Level

UNITS = {"energy": "eV", "forces": "eV/Å", "stress": "eV/Å³", "dipole": "e·Å", "polarizability": "Å³"}


@dataclass(frozen=True)
class Models:
    """Trained models, by bundled name or folder, whose mean labels: `label(frames, Models("teacher"), ...)`."""

    names: tuple[str, ...]

    def __init__(self, *names: str) -> None:
        object.__setattr__(self, "names", names)


class Labeller(Protocol):
    """Labels structures one at a time; travels to worker processes by pickling."""

    def recipe(self) -> dict[str, Any]:
        """How the labels are made, JSON-able."""
        ...

    def check(self, frames: Sequence[Atoms]) -> None:
        """Raises `InputError` for what cannot work, before any work is done."""
        ...

    def __call__(self, atoms: Atoms) -> dict[str, Any]:
        """The labels of a structure in the units of `UNITS`."""
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
        _check_names(self.properties, kohn_sham.PROPERTIES, "PySCF")
        self.level.check(frames, self.properties)

    def __call__(self, atoms: Atoms) -> dict[str, Any]:
        results = kohn_sham.compute(atoms, self.level, self.properties, threads=self.threads)
        return {name: results[name] for name in self.properties}


@dataclass
class FromCalculator:
    """Labels by the ASE calculator that `factory` makes, once per process.

    Polarizabilities are not taken from calculators: they agree on no unit, and those of semiempirical methods are no
    reference (GFN2-xTB gives 0.37 Å³ for water instead of 1.41).
    """

    factory: Callable[[], BaseCalculator]
    properties: tuple[str, ...]
    _made: BaseCalculator | None = field(default=None, repr=False)

    def recipe(self) -> dict[str, Any]:
        calculator = self._calculator()
        parameters = getattr(calculator, "parameters", {})
        return {"engine": type(calculator).__name__, "parameters": {k: repr(v) for k, v in parameters.items()}}

    def check(self, frames: Sequence[Atoms]) -> None:
        if "polarizability" in self.properties:
            raise InputError("polarizability: expected a level of theory such as pbe0/def2-svpd; got a calculator")
        have = self._calculator().implemented_properties
        _check_names(self.properties, [name for name in UNITS if name in have], type(self._calculator()).__name__)

    def __call__(self, atoms: Atoms) -> dict[str, Any]:
        atoms = atoms.copy()
        atoms.calc = self._calculator()
        return {name: np.array(atoms.calc.get_property(name, atoms)) for name in self.properties}

    def _calculator(self) -> BaseCalculator:
        if self._made is None:
            self._made = self.factory()
        return self._made

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_made": None}


def _check_names(properties: Sequence[str], have: Sequence[str], who: str) -> None:
    for name in properties:
        if name not in have:
            raise InputError(f"property: {who} labels {', '.join(have)}; got {name!r}{closest(name, have)}")
    if not properties:
        raise InputError(f"properties: expected at least one of {', '.join(have)}")
