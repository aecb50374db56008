"""One evaluation per step: what a step will need is asked for together."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.abc import GetPropertiesMixin
from ase.calculators.calculator import BaseCalculator

from painn_ase.capabilities import remembering


class Together(GetPropertiesMixin):
    """Stands before a calculator and widens the first request on a new structure to the properties in `due`.

    ASE's integrators ask for the forces only. A calculator that evaluates expensive properties on request would
    evaluate a second time when they are recorded; asked for all at once, it can share the work.
    """

    def __init__(self, calc: BaseCalculator) -> None:
        self._calc = calc
        self.due: Collection[str] = ()

    def get_property(self, name: str, atoms: Atoms | None = None, allow_calculation: bool = True) -> Any:
        calc = self._calc
        if self.due and allow_calculation and atoms is not None and name in calc.implemented_properties:
            changes = calc.check_state(atoms)
            if changes:  # as BaseCalculator.get_property does, with more than one name
                calc.results = {}
                calc.atoms = atoms.copy()
                calc.calculate(atoms, list(dict.fromkeys([name, *self.due])), changes)
        return calc.get_property(name, atoms, allow_calculation)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._calc, name)


@contextmanager
def together(atoms: Atoms) -> Iterator[Together]:
    """Puts a `Together` before the calculator of the atoms while the context lasts."""
    own = atoms.calc
    atoms.calc = Together(own)
    try:
        yield atoms.calc
    finally:
        atoms.calc = own


def remember(calc: Any) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """What a calculator's numbers depend on beside the structure, as arrays and as JSON; both empty for most.

    Calculators that have something to remember have `memory` and `recall`, as `PaiNNCalculator` does. All others are
    taken to be functions of the structure alone.
    """
    remembers = remembering(calc)
    memory = remembers.memory if remembers else {}
    arrays = {name: value for name, value in memory.items() if isinstance(value, np.ndarray)}
    return arrays, {name: value for name, value in memory.items() if name not in arrays}


def recall(together: Together, atoms: Atoms, arrays: Mapping[str, np.ndarray], values: Mapping[str, Any]) -> None:
    """Evaluates the atoms for the forces and what is due, as the calculator did that `remember` looked at."""
    names = list(dict.fromkeys(["forces", *together.due]))
    if arrays or values:
        together.recall(atoms, {**arrays, **values}, names)
    together.get_property("forces", atoms)
