"""One structure that moves: what there is to see of it at each step."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
from ase import Atoms
from ase.constraints import FixCom
from ase.units import fs, kB

from painn_ase.capabilities import results_of
from painn_ase.simulate.run.motion import Snapshot
from painn_ase.simulate.run.watch import bare


class HeldCentre(FixCom):
    """A centre of mass that a run holds: frames do not show it, for it would change the forces of a reader."""


class AtomsSnapshot(Snapshot):
    """One structure at one step; everything is read from the one evaluation, which is asked once whether it is that.

    step: its number
    time: in fs; None where there is no time
    atoms: the structure
    masses: (atoms, 1) in amu
    freedom: degrees of freedom
    conserve: the energy that the dynamics conserves, from the total energy
    """

    def __init__(
        self,
        step: int,
        time: float | None,
        atoms: Atoms,
        masses: np.ndarray,
        freedom: int = 1,
        conserve: Callable[[float], float | None] = lambda total: None,
    ) -> None:
        self.step, self.time, self.atoms = step, time or 0.0, atoms
        self._is_dynamics, self._masses, self._freedom, self._conserve = time is not None, masses, freedom, conserve

    @cached_property
    def potential(self) -> float:
        return float(self.atoms.get_potential_energy())

    @cached_property
    def _results(self) -> tuple[float, dict[str, Any]]:
        """What the calculator has found once it has been asked for the potential energy of this structure."""
        return self.potential, results_of(self.atoms.calc)

    @cached_property
    def kinetic(self) -> float:
        return float(np.sum(self.atoms.get_momenta() ** 2 / self._masses)) / 2

    @cached_property
    def temperature(self) -> float:
        return 2 * self.kinetic / (self._freedom * kB)

    @cached_property
    def conserved(self) -> float | None:
        return self._conserve(self.potential + self.kinetic)

    @cached_property
    def positions(self) -> np.ndarray:
        return self.atoms.get_positions()

    @cached_property
    def velocities(self) -> np.ndarray:
        return self.atoms.get_velocities() * fs

    def result(self, name: str) -> Any:
        found = self._results[1].get(name)
        return self.atoms.calc.get_property(name, self.atoms) if found is None else found

    @cached_property
    def copies(self) -> np.ndarray:
        return self.atoms.positions[None]

    def of_copies(self, name: str) -> np.ndarray:
        return np.asarray(self.potential if name == "energy" else self.result(name))[None]

    def outside(self) -> dict[int, str]:
        sentence = self.atoms.calc.outside
        return {0: sentence} if sentence else {}

    def image(self) -> Atoms:
        image = self.atoms.copy()
        image.set_constraint([one for one in image.constraints if not isinstance(one, HeldCentre)])
        image.info["step"] = self.step
        if self._is_dynamics:
            image.info["time_fs"] = self.time
        image.calc = self.atoms.calc
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
