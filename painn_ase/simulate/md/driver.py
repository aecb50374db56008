"""ASE's integrators as a motion: the atoms lent to a driver, read, saved and brought back."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import BaseCalculator
from ase.constraints import FixCom
from ase.units import fs, kB

from painn_ase.capabilities import discontinuity
from painn_ase.simulate.md.coupling import Conditions, Coupling
from painn_ase.simulate.md.evaluation import Together, together
from painn_ase.simulate.md.momenta import Freedom
from painn_ase.simulate.md.state import recall_calculator, structure_state
from painn_ase.simulate.run.loop import State
from painn_ase.simulate.run.restart import Restart, generator_state, restore_generator
from painn_ase.simulate.run.snapshot import Snapshot
from painn_ase.simulate.run.watch import bare


@dataclass(frozen=True)
class User:
    """What belongs to the user and comes back after the run, while the atoms are lent to the driver."""

    constraints: list
    calc: BaseCalculator


@contextmanager
def lent(atoms: Atoms, hold_centre: bool) -> Iterator[User]:
    """Lends the atoms to a driver: requests go out together, and the centre of mass is held if asked."""
    user = User(list(atoms.constraints), atoms.calc)
    with together(atoms):
        if hold_centre:
            atoms.set_constraint([*user.constraints, FixCom()])
        try:
            yield user
        finally:
            atoms.set_constraint(user.constraints)


@dataclass(frozen=True)
class AtomsSnapshot(Snapshot):
    """One structure at one step; everything is read from the one evaluation's cache."""

    step: int
    time: float
    atoms: Atoms
    masses: np.ndarray  # (atoms, 1) in amu
    count: int = 1  # degrees of freedom
    conserve: Callable[[float], float | None] | None = None  # total energy -> the energy that the dynamics conserves
    user: User | None = None

    @cached_property
    def potential(self) -> float:
        return float(self.atoms.get_potential_energy())

    @cached_property
    def kinetic(self) -> float:
        return float(np.sum(self.atoms.get_momenta() ** 2 / self.masses)) / 2

    @cached_property
    def temperature(self) -> float:
        return 2 * self.kinetic / (self.count * kB)

    @property
    def conserved(self) -> float | None:
        return None if self.conserve is None else self.conserve(self.potential + self.kinetic)

    @property
    def positions(self) -> np.ndarray:
        return self.atoms.get_positions()

    @property
    def velocities(self) -> np.ndarray:
        return self.atoms.get_velocities() * fs

    def result(self, name: str) -> Any:
        return self.atoms.calc.get_property(name, self.atoms)

    @property
    def copies(self) -> np.ndarray:
        return self.atoms.positions[None]

    def of_copies(self, name: str) -> np.ndarray:
        return np.asarray(self.potential if name == "energy" else self.result(name))[None]

    def outside(self) -> dict[int, str]:
        sentence = self.atoms.calc.outside
        return {0: sentence} if sentence else {}

    def image(self) -> Atoms:
        image = self.atoms.copy()
        image.info["step"] = self.step
        if self.user is None:
            image.calc = self.atoms.calc
        else:  # without the run's additions: holding the centre would change a reader's forces
            image.set_constraint(self.user.constraints)
            image.info["time_fs"] = self.time
            image.calc = self.user.calc
        return image


class OneStructure:
    """What the motions of one `Atoms` share: there are no other copies."""

    atoms: Atoms

    def which(self) -> list[dict[str, int]]:
        """One copy, without a name."""
        return [{}]

    def frames(self) -> Callable[[int], Atoms]:
        """The present frame, without calculator and constraints."""
        atoms = self.atoms
        positions, momenta, cell = atoms.get_positions(), atoms.get_momenta(), atoms.cell.array.copy()

        def frame(copy: int) -> Atoms:
            image = bare(atoms)
            image.positions, image.cell = positions, cell
            image.set_momenta(momenta)
            return image

        return frame


class DriverMotion(OneStructure):
    """Atoms that one of ASE's integrators moves.

    atoms: lent to it (see `lent`), with their initial momenta
    bath: how they are coupled to heat and pressure
    conditions: target temperature, time step, degrees of freedom, random numbers
    freedom: degrees of freedom
    hottest: the higher one of the target and the first temperature, in K; a restart keeps it
    user: what belongs to the user
    """

    label = "MD"
    converged = False

    def __init__(
        self, atoms: Atoms, bath: Coupling, conditions: Conditions, freedom: Freedom, hottest: float, user: User
    ) -> None:
        self.atoms, self._bath, self._conditions, self._user = atoms, bath, conditions, user
        self._notes = {"freedom": asdict(freedom), "first_temperature": hottest}
        self._driver = bath.driver(atoms, conditions)
        self._moves = self._driver.irun(steps=np.iinfo(np.int64).max)
        self._together: Together = atoms.calc
        self._snapshot = self._at(0)

    def _at(self, step: int) -> AtomsSnapshot:
        count, time = self._conditions.freedom, step * self._conditions.timestep
        return AtomsSnapshot(step, time, self.atoms, self._driver.masses, count, self._conserved, self._user)

    def _conserved(self, total: float) -> float | None:
        return self._bath.conserved_energy(self._driver, total - discontinuity(self.atoms.calc))

    def has_conserved_energy(self) -> bool:
        """Whether there is one."""
        return self._snapshot.conserved is not None

    def advance(self, step: int, due: Collection[str]) -> AtomsSnapshot:
        """The state at `step` (see `Motion`)."""
        self._together.due = due
        next(self._moves)
        self._snapshot = self._at(step)
        return self._snapshot

    def state(self) -> State:
        """What `restore` continues from."""
        arrays, values = structure_state(self.atoms, self._together)
        arrays |= {f"driver {name}": array for name, array in self._bath.state(self._driver).items()}
        return State(arrays, values | self._notes, {"bath": generator_state(self._conditions.rng)})

    def restore(self, restart: Restart, due: Collection[str]) -> None:
        """Takes up a saved state; the atoms are there (`place`)."""
        self._together.due = due
        recall_calculator(self.atoms, self._together, restart)
        prefix = "driver "
        state = {n.removeprefix(prefix): a for n, a in restart.arrays.items() if n.startswith(prefix)}
        self._bath.restore(self._driver, state)
        restore_generator(self._conditions.rng, restart.generators["bath"])
        next(self._moves)  # the first one moves nothing

    def note(self) -> str:
        """The temperature."""
        return f"{self._snapshot.temperature:.0f} K"
