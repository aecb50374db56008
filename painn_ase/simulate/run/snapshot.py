"""A system, or its copies, at one step: what observables are read from and what guards look at."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from ase import Atoms

from painn_ase.spectra import dipole_rates
from painn_ase.units import GIGAPASCAL


class Snapshot(ABC):
    """The state of a run at one step, with the forces evaluated there.

    Values are of the whole system; those of a run of several trajectories have a leading axis of trajectories. Where a
    trajectory has beads they are means over its beads or belong to the centroid. `atoms` holds what all copies share.
    """

    step: int
    time: float  # fs
    atoms: Atoms

    # ---- of the whole, for observables

    @property
    @abstractmethod
    def potential(self) -> Any:
        """eV."""

    @property
    @abstractmethod
    def kinetic(self) -> Any:
        """eV."""

    @property
    @abstractmethod
    def temperature(self) -> Any:
        """K."""

    @property
    @abstractmethod
    def conserved(self) -> Any:
        """The energy in eV that the dynamics conserves."""

    @property
    @abstractmethod
    def positions(self) -> np.ndarray:
        """(atoms, 3) in Å."""

    @property
    @abstractmethod
    def velocities(self) -> np.ndarray:
        """(atoms, 3) in Å/fs."""

    @abstractmethod
    def result(self, name: str) -> Any:
        """A property of the calculator, without the share of constraints."""

    @property
    def dipole_rate(self) -> np.ndarray:
        """dμ/dt = Σ Z* v in e·Å/fs."""
        return dipole_rates(self.result("born_effective_charges"), self.velocities)

    @property
    def pressure(self) -> Any:
        """-tr(σ)/3 + 2K/(3V) in GPa: the virial and the share of the motion."""
        virial = -np.mean(self.result("stress")[..., :3], axis=-1)
        return (virial + 2 * self.kinetic / (3 * self.atoms.get_volume())) / GIGAPASCAL

    # ---- of the copies, for guards

    @property
    @abstractmethod
    def copies(self) -> np.ndarray:
        """Positions, (copies, atoms, 3) in Å: the beads of the first trajectory, of the second, ..."""

    @abstractmethod
    def of_copies(self, name: str) -> np.ndarray:
        """A property of the calculator, (copies, ...)."""

    @abstractmethod
    def outside(self) -> dict[int, str]:
        """Copy -> what the model's training data did not cover of it."""

    # ---- for the trajectory file

    @abstractmethod
    def image(self) -> Atoms:
        """The system with its results, `info["step"]` and `info["time_fs"]`."""
