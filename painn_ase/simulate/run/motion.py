"""What moves step by step, and what there is to see of it at each step."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection
from typing import Any, Protocol

import numpy as np
from ase import Atoms

from painn_ase.simulate.run.restart import Restart, State
from painn_ase.spectra import dipole_rates
from painn_ase.units import GIGAPASCAL


class Snapshot(ABC):
    """The state of a run at one step, with the forces evaluated there: what observables are read from.

    Values are of the whole system; those of a run of several trajectories have a leading axis of trajectories. Where a
    trajectory has beads they are means over its beads or belong to the centroid. What guards look at are the copies:
    the beads of the first trajectory, of the second, and so on.
    """

    step: int
    time: float  # fs
    atoms: Atoms  # what all copies share
    potential: Any  # eV
    kinetic: Any  # eV
    temperature: Any  # K
    conserved: Any  # the energy in eV that the dynamics conserves
    positions: Any  # (atoms, 3) in Å
    velocities: Any  # (atoms, 3) in Å/fs
    copies: Any  # positions, (copies, atoms, 3) in Å

    @abstractmethod
    def result(self, name: str) -> Any:
        """A property of the calculator, without the share of constraints."""

    @property
    def dipole_rate(self) -> np.ndarray:
        """dμ/dt = Σ Z* v in e·Å/fs."""
        return dipole_rates(self.result("born_effective_charges"), self.velocities)

    @property
    def pressure(self) -> Any:
        """In GPa; see `pressure`."""
        return pressure(self.kinetic, self.result("stress"), self.atoms.get_volume()) / GIGAPASCAL

    @abstractmethod
    def of_copies(self, name: str) -> np.ndarray:
        """A property of the calculator, (copies, ...)."""

    @abstractmethod
    def outside(self) -> dict[int, str]:
        """Copy -> what the model's training data did not cover of it."""

    @abstractmethod
    def image(self) -> Atoms:
        """A frame: the system with its results, `info["step"]` and `info["time_fs"]`."""


def pressure(kinetic: Any, stress: np.ndarray, volume: Any) -> Any:
    """2K/(3V) - tr(σ)/3 in eV/Å³: the share of the motion and the virial, of a stress (..., 6).

    With the centroid virial K of rings it is the derivative of the free energy by the volume when centroids follow the
    cell and the rings keep their size.
    """
    return 2 * kinetic / (3 * volume) - np.mean(stress[..., :3], axis=-1)


class Motion(Protocol):
    """What moves step by step: ASE's integrators, ASE's optimisers, or replicas."""

    label: str  # on the progress bar
    converged: bool  # no step is wanted any more

    def advance(self, step: int, due: Collection[str]) -> Snapshot:
        """The state at `step`, one after the last; the first time, where the motion begins.

        It is evaluated there for the forces and the calculator's properties `due`, all at once.
        """
        ...

    def which(self) -> list[dict[str, int]]:
        """What tells the copies apart: trajectory and bead where there are several; a list with {} for one system."""
        ...

    def frames(self) -> Callable[[int], Atoms]:
        """The present frame of a copy, which the function returned goes on to give when the copies have moved on."""
        ...

    def state(self) -> State:
        """What `restore` continues from, to the last bit."""
        ...

    def restore(self, restart: Restart, due: Collection[str]) -> None:
        """Takes up a saved state, in which the properties `due` had been evaluated."""
        ...

    def note(self) -> str:
        """A figure for the progress bar."""
        ...
