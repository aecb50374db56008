"""A model and what is added to its energy, such as a dispersion correction, as one calculator."""

from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import BaseCalculator, PropertyNotImplementedError
from ase.stress import full_3x3_to_voigt_6_stress

from painn_ase.errors import InputError
from painn_ase.properties import SPREAD

OF_THE_ENERGY = frozenset({"energy", "free_energy", "energies", "forces", "stress", "stresses"})
_OF_THE_MODEL = ("coverage", "outside", "memory", "recall", "charge_of", "centred_charge")


class CorrectedCalculator(BaseCalculator):
    """Sums of calculators that keep the dipole: `CorrectedCalculator(PaiNNCalculator("ethanol"), DFTD3())`.

    calculator: the model, any ASE calculator
    corrections: ASE calculators, at least one, whose energies, forces and stress are added to it

    ASE's `SumCalculator` provides only what all of its parts do, so a dispersion correction would hide the dipole. Here
    energies, forces and stress are sums over all parts and absent where one lacks them; any other property is the sum
    over those parts that have it: who has no dipole adds none. Spreads (`forces_std`) do not add up and are absent if
    several parts have them. Results are in ASE's units and shapes. What guards and restarts ask a model is answered by
    `calculator`.
    """

    def __init__(self, calculator: Any, *corrections: Any) -> None:
        """Takes the calculators; they are evaluated in this order and keep their caches."""
        if not corrections:
            raise InputError("corrections: expected at least one calculator to add; got none")
        super().__init__()
        self.calculator, self.corrections = calculator, corrections
        self._sources: dict[str, list[Any]] = {}
        for part in (calculator, *corrections):
            for name in part.implemented_properties:
                self._sources.setdefault(name, []).append(part)
        for name, parts in list(self._sources.items()):
            if (name in OF_THE_ENERGY and len(parts) <= len(corrections)) or (name.endswith(SPREAD) and len(parts) > 1):
                del self._sources[name]
        self.implemented_properties = sorted(self._sources)

    def _get_name(self) -> str:
        return "corrected"

    def __getattr__(self, name: str) -> Any:
        if name in _OF_THE_MODEL:
            return getattr(self.calculator, name)
        raise AttributeError(f"{type(self).__name__!r} has no attribute {name!r}")

    def todict(self) -> dict[str, Any]:
        """Names and parameters of the parts, for the files of ASE."""
        parts = (self.calculator, *self.corrections)
        return {"parts": [{"calculator": part.name, "parameters": part.todict()} for part in parts]}

    def check_state(self, atoms: Atoms, tol: float = 1e-15) -> list[str]:
        """What differs from the structure of the results, as any of the parts sees it."""
        changes = list(super().check_state(atoms, tol))
        for part in (self.calculator, *self.corrections):
            changes += part.check_state(atoms)
        return list(dict.fromkeys(changes))

    def get_property(self, name: str, atoms: Atoms | None = None, allow_calculation: bool = True) -> Any:
        """The property `name`; None if it would have to be calculated and may not."""
        atoms = self.atoms if atoms is None else atoms
        if name not in self._sources:
            have = ", ".join(self.implemented_properties)
            raise PropertyNotImplementedError(f"the corrected calculator provides {have}; it has no {name}")
        if atoms is None:
            raise InputError("expected Atoms; got none. Attach the calculator first: atoms.calc = calculator")
        if self.check_state(atoms):
            self.results, self.atoms = {}, None
            if not allow_calculation:
                return None
            for part in self._sources.get("energy", ()):
                part.get_property("energy", atoms)  # all parts know the structure from here on
            self.atoms = atoms.copy()
        values = [part.get_property(name, atoms, allow_calculation) for part in self._sources[name]]
        if any(value is None for value in values):
            return None
        if name == "stress":
            values = [full_3x3_to_voigt_6_stress(one) if np.ndim(one) == 2 else one for one in values]
        self.results[name] = sum(values[1:], start=values[0])
        return self.results[name].copy() if isinstance(self.results[name], np.ndarray) else self.results[name]

    def calculate(self, atoms: Atoms, properties: Any, system_changes: Any = ()) -> None:
        """Fills `results` with `properties` of `atoms`."""
        for name in properties:
            self.get_property(name, atoms)
