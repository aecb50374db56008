"""ASE's optimisers as a motion, with what they remember from step to step; their own restart files leave out some."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from ase import Atoms
from ase.filters import FrechetCellFilter
from ase.optimize import BFGS, FIRE, LBFGS
from ase.optimize.optimize import Optimizer

from painn_ase.errors import SimulationError
from painn_ase.simulate.md.driver import AtomsSnapshot, OneStructure
from painn_ase.simulate.md.evaluation import Together
from painn_ase.simulate.md.state import place, recall_calculator, structure_state
from painn_ase.simulate.run.loop import State
from painn_ase.simulate.run.restart import Restart

OPTIMIZERS = {"FIRE": FIRE, "BFGS": BFGS, "LBFGS": LBFGS}


class OptimizerMotion(OneStructure):
    """Atoms, and perhaps their cell, that one of ASE's optimisers moves downhill.

    driver: the optimiser
    target: what it moves: the atoms or a filter of them
    fmax: the largest force that ends the relaxation, in eV/Å
    """

    def __init__(self, driver: Optimizer, target: Atoms | FrechetCellFilter, fmax: float) -> None:
        self.atoms: Atoms = next(iter(target.iterimages()))
        self.label = type(driver).__name__
        self.converged = False
        self._driver, self._target, self._masses = driver, target, self.atoms.get_masses()[:, None]
        self._moves = driver.irun(fmax=fmax, steps=np.iinfo(np.int64).max)

    def advance(self, step: int, due: Collection[str]) -> AtomsSnapshot:
        """The state at `step` (see `Motion`)."""
        self.converged = bool(next(self._moves))
        good = np.isfinite(self.atoms.get_forces()).all()  # of others the watch says which atoms have them
        if good and not np.isfinite(self.largest_force()):
            raise SimulationError("the generalised forces on the cell are not finite")
        return AtomsSnapshot(step, 0.0, self.atoms, self._masses)

    def largest_force(self) -> float:
        """On an atom, or generalised on the cell, in eV/Å."""
        return float(np.linalg.norm(self._target.get_forces(), axis=1).max())

    def state(self) -> State:
        """What `restore` continues from."""
        arrays, values = structure_state(self.atoms, self.atoms.calc)
        memory, numbers = optimizer_state(self._driver)
        if isinstance(self._target, FrechetCellFilter):
            arrays["original_cell"] = np.array(self._target.orig_cell)
        return State(arrays | memory, values | {"optimizer": numbers})

    def restore(self, restart: Restart, due: Collection[str]) -> None:
        """Takes up a saved state."""
        place(self.atoms, restart)
        if isinstance(self._target, FrechetCellFilter):
            self._target.orig_cell = restart.arrays["original_cell"]
        recall_calculator(self.atoms, Together(self.atoms.calc), restart)
        restore_optimizer(self._driver, restart.arrays, restart.values["optimizer"])
        self._driver.nsteps = restart.step
        self.converged = bool(next(self._moves))  # the first one moves nothing

    def note(self) -> str:
        """The largest force."""
        return f"fmax {self.largest_force():.2g} eV/Å"


def optimizer_state(driver: Any) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Arrays and numbers that bring an optimiser back (`restore_optimizer`)."""
    if isinstance(driver, FIRE):
        numbers = {name: getattr(driver, name) for name in ("dt", "a", "Nsteps")}
        return {} if driver.vel is None else {"velocities": driver.vel}, numbers
    if isinstance(driver, LBFGS):
        state = driver.state
        arrays = {"s": np.array(state.s), "y": np.array(state.y), "rho": np.array(state.rho)}
        last = {} if driver.r0 is None else {"r0": driver.r0, "f0": driver.f0}
        return arrays | last, {"iteration": state.iteration}
    if driver.state is None:
        return {}, {}
    return {"hessian": driver.state.hessian, "pos0": driver.pos0, "forces0": driver.forces0}, {}


def restore_optimizer(driver: Any, arrays: Mapping[str, np.ndarray], numbers: Mapping[str, Any]) -> None:
    """Gives a new optimiser the state of an earlier one."""
    if isinstance(driver, FIRE):
        driver.vel = arrays["velocities"].copy() if "velocities" in arrays else None
        driver.dt, driver.a, driver.Nsteps = numbers["dt"], numbers["a"], numbers["Nsteps"]
    elif isinstance(driver, LBFGS):
        state = driver.state
        state.iteration = numbers["iteration"]
        # rows of their own, as before, because how they lie in memory can decide over the last bit of a dot product
        state.s, state.y, state.rho = ([row.copy() for row in arrays[name]] for name in ("s", "y", "rho"))
        if "r0" in arrays:
            driver.r0, driver.f0 = arrays["r0"].copy(), arrays["f0"].copy()
    elif "hessian" in arrays:
        driver.H0 = arrays["hessian"].copy()
        driver.update(None, None, None, None)  # makes its state of H0
        driver.pos0, driver.forces0 = arrays["pos0"].copy(), arrays["forces0"].copy()
