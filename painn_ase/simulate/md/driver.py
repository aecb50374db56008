"""ASE's integrators as a motion: the atoms in its hands, saved and brought back."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.abc import GetPropertiesMixin
from ase.calculators.calculator import BaseCalculator

from painn_ase.capabilities import discontinuity, still_learns
from painn_ase.simulate.md.coupling import Conditions, Coupling
from painn_ase.simulate.md.momenta import Freedom
from painn_ase.simulate.md.snapshot import AtomsSnapshot, HeldCentre, OneStructure
from painn_ase.simulate.md.state import recall_calculator, remind, state_of
from painn_ase.simulate.run.restart import Restart, State


class JointRequests(GetPropertiesMixin):
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
def driven(atoms: Atoms, hold_centre: bool) -> Iterator[None]:
    """Hands the atoms to a driver: its requests become `JointRequests`, and the centre of mass is held if asked."""
    constraints, calc = list(atoms.constraints), atoms.calc
    atoms.calc = JointRequests(calc)
    atoms.set_constraint([*constraints, HeldCentre()] if hold_centre else constraints)
    try:
        yield
    finally:
        atoms.set_constraint(constraints)
        atoms.calc = calc


class DriverMotion(OneStructure):
    """Atoms that one of ASE's integrators moves.

    atoms: driven by it (see `driven`), with their initial momenta
    bath: how they are coupled to heat and pressure
    conditions: target temperature, time step, degrees of freedom, random numbers
    freedom: degrees of freedom
    hottest: the higher one of the target and the first temperature, in K; a restart keeps it

    `snapshot` is the state at the last step.
    """

    label = "MD"
    converged = False

    def __init__(self, atoms: Atoms, bath: Coupling, conditions: Conditions, freedom: Freedom, hottest: float) -> None:
        self.atoms, self._bath, self._conditions = atoms, bath, conditions
        self._notes = {"freedom": asdict(freedom), "first_temperature": hottest}
        self._driver = bath.driver(atoms, conditions)
        self._moves = self._driver.irun(steps=np.iinfo(np.int64).max)
        self._requests: JointRequests = atoms.calc
        self._learns = still_learns(atoms.calc)
        self.snapshot = self._at(0)

    def _at(self, step: int) -> AtomsSnapshot:
        count, time = self._conditions.freedom, step * self._conditions.timestep
        return AtomsSnapshot(step, time, self.atoms, self._driver.masses, count, self._conserved)

    def _conserved(self, total: float) -> float | None:
        stepped = discontinuity(self.atoms.calc) if self._learns else 0.0
        return self._bath.conserved_energy(self._driver, total - stepped)

    def advance(self, step: int, due: Collection[str]) -> AtomsSnapshot:
        """The state at `step` (see `Motion`)."""
        self._requests.due = due
        next(self._moves)
        self.snapshot = self._at(step)
        return self.snapshot

    def state(self) -> State:
        """What `restore` continues from."""
        values = self._notes | {"generator": self._conditions.rng.bit_generator.state}
        return state_of(self.atoms, self._driver, self._bath.memory, values)

    def restore(self, restart: Restart, due: Collection[str]) -> None:
        """Takes up a saved state; the atoms are there (`place`)."""
        self._requests.due = due
        recall_calculator(self.atoms, restart, due)
        remind(self._driver, restart)
        self._conditions.rng.bit_generator.state = restart.values["generator"]
        next(self._moves)  # the first one moves nothing

    def note(self) -> str:
        """The temperature."""
        return f"{self.snapshot.temperature:.0f} K"
