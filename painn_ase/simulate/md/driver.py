"""ASE's driver at work: the atoms lent to it, its present state read, saved and brought back."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import BaseCalculator
from ase.constraints import FixCom
from ase.md.md import MolecularDynamics
from ase.units import kB
from numpy.random import Generator

from painn_ase.simulate.md.coupling import Coupling
from painn_ase.simulate.md.evaluation import Together, together
from painn_ase.simulate.md.state import recall_calculator, structure_state
from painn_ase.simulate.run.observables import Moment
from painn_ase.simulate.run.restart import Restart, generator_state, restore_generator


@dataclass(frozen=True)
class Own:
    """What belongs to the user and comes back after the run, while the atoms are lent to the driver."""

    constraints: list
    calc: BaseCalculator
    together: Together

    def frame(self, moment: Moment) -> Atoms:
        """The frame to save, without the run's additions: holding the centre would change a reader's forces."""
        image = moment.atoms.copy()
        image.set_constraint(self.constraints)
        image.info |= {"step": moment.step, "time_fs": moment.time}
        image.calc = self.calc
        return image


@contextmanager
def lent(atoms: Atoms, hold_centre: bool) -> Iterator[Own]:
    """Lends the atoms to a driver: requests go out together, and the centre of mass is held if asked."""
    constraints = list(atoms.constraints)
    calc = atoms.calc
    with together(atoms) as wide:
        if hold_centre:
            atoms.set_constraint([*constraints, FixCom()])
        try:
            yield Own(constraints, calc, wide)
        finally:
            atoms.set_constraint(constraints)


@dataclass(frozen=True)
class Engine:
    """The driver with what is needed to read it, to save it and to bring it back."""

    driver: MolecularDynamics
    bath: Coupling
    freedom: int
    timestep: float
    own: Own
    rng: Generator

    def moment(self, step: int) -> Moment:
        """The present state, which is that of `step`."""
        atoms = self.driver.atoms
        kinetic = float(np.sum(atoms.get_momenta() ** 2 / self.driver.masses)) / 2
        temperature = 2 * kinetic / (self.freedom * kB)
        conserve = partial(self.bath.conserved_energy, self.driver)
        return Moment(step, step * self.timestep, atoms, kinetic, temperature, conserve)

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any], dict[str, Any]]:
        """Arrays, values and generators of a restart."""
        arrays, values = structure_state(self.driver.atoms, self.own.together)
        arrays |= {f"driver {name}": array for name, array in self.bath.state(self.driver).items()}
        return arrays, values, {"bath": generator_state(self.rng)}

    def restore(self, restart: Restart, due: Collection[str]) -> None:
        """Takes up a saved state, at which `due` had been asked of the calculator; the atoms are there (`place`)."""
        self.own.together.due = due
        recall_calculator(self.driver.atoms, self.own.together, restart)
        prefix = "driver "
        state = {n.removeprefix(prefix): a for n, a in restart.arrays.items() if n.startswith(prefix)}
        self.bath.restore(self.driver, state)
        restore_generator(self.rng, restart.generators["bath"])
