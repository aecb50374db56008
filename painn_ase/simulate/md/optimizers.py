"""ASE's optimisers as a motion, with what they remember from step to step; their own restart files leave out some."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from ase import Atoms
from ase.filters import FrechetCellFilter
from ase.optimize import BFGS, FIRE, LBFGS
from ase.optimize.optimize import Optimizer

from painn_ase.errors import SimulationError
from painn_ase.simulate.md.snapshot import AtomsSnapshot, OneStructure
from painn_ase.simulate.md.state import place, recall_calculator, remind, state_of
from painn_ase.simulate.run.restart import Restart, State

OPTIMIZERS = {"FIRE": FIRE, "BFGS": BFGS, "LBFGS": LBFGS}
_MEMORY = {
    "FIRE": ("vel", "dt", "a", "Nsteps"),
    "BFGS": ("state.hessian", "pos0", "forces0"),
    "LBFGS": ("state.iteration", "state.s", "state.y", "state.rho", "r0", "f0"),
}


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
        return AtomsSnapshot(step, None, self.atoms, self._masses)

    def largest_force(self) -> float:
        """On an atom, or generalised on the cell, in eV/Å."""
        return float(np.linalg.norm(self._target.get_forces(), axis=1).max())

    def state(self) -> State:
        """What `restore` continues from."""
        cell = {}
        if isinstance(self._target, FrechetCellFilter):
            cell["original_cell"] = np.array(self._target.orig_cell)
        return state_of(self.atoms, self._driver, _MEMORY[self.label], cell)

    def restore(self, restart: Restart, due: Collection[str]) -> None:
        """Takes up a saved state."""
        place(self.atoms, restart)
        if isinstance(self._target, FrechetCellFilter):
            self._target.orig_cell = np.array(restart.values["original_cell"])
        recall_calculator(self.atoms, restart)
        if isinstance(self._driver, BFGS) and restart.part("driver"):
            self._driver.update(None, None, None, None)  # makes its state
        remind(self._driver, restart)
        self._driver.nsteps = restart.step
        self.converged = bool(next(self._moves))  # the first one moves nothing

    def note(self) -> str:
        """The largest force."""
        return f"fmax {self.largest_force():.2g} eV/Å"
