"""Guards: stop a run whose numbers no longer mean anything, and keep the frames that show why."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.io.trajectory import Trajectory

from painn_ase.errors import InputError, PainnError, SimulationError
from painn_ase.simulate.observables import Moment


@dataclass(frozen=True)
class Guards:
    """When a run is stopped. Forces and energies that are not finite always stop it.

    `max_temperature` in K; by default 5000 K or, if larger, (10 + 60/f) times the temperature of the run, f degrees
    of freedom: out of reach of thermal fluctuation even for f = 1. `max_force` in eV/Å, by default unlimited.
    `stop_outside` stops a run that leaves what the model's training data covered (`PaiNNCalculator.outside`).
    """

    max_temperature: float | None = None
    max_force: float | None = None
    stop_outside: bool = False

    def limit(self, temperature: float, freedom: int) -> float:
        """The highest temperature allowed, in K."""
        if self.max_temperature is not None:
            return self.max_temperature
        return max(5000.0, (10 + 60 / freedom) * temperature)

    def check(self, calculator: Any) -> None:
        """Raises `InputError` when the calculator cannot say what these guards would ask it."""
        if self.stop_outside and getattr(calculator, "guard", None) is None:
            raise InputError(
                "stop_outside: this calculator's model does not store what its training data covered, so there is no "
                "telling when a run leaves it; painn_ase's own models do, imported ones do not"
            )


class Watch:
    """Stops a run that has left the region where its numbers mean anything, and keeps the frame before."""

    def __init__(self, guards: Guards, max_temperature: float, dump: Path) -> None:
        self._guards, self._max_temperature, self._dump = guards, max_temperature, dump
        self._good: tuple[int, np.ndarray, np.ndarray, np.ndarray] | None = None

    def inspect(self, moment: Moment) -> None:
        """Raises `SimulationError` if a guard objects; otherwise remembers the frame as the last good one."""
        forces = moment.result("forces")
        if not np.isfinite(forces).all():
            raise SimulationError(f"forces are not finite (atoms {bad(forces)})")
        if not np.isfinite(moment.potential):
            raise SimulationError(f"the potential energy is {moment.potential}")
        if not moment.temperature <= self._max_temperature:
            raise SimulationError(
                f"temperature {moment.temperature:.4g} K above the limit of {self._max_temperature:.4g} K"
            )
        if self._guards.max_force is not None:
            sizes = np.linalg.norm(forces, axis=1)
            if sizes.max() > self._guards.max_force:
                worst = f"force {sizes.max():.4g} eV/Å on atom {sizes.argmax()}"
                raise SimulationError(f"{worst} above the limit of {self._guards.max_force:.4g} eV/Å")
        atoms = moment.atoms
        outside = atoms.calc.outside if self._guards.stop_outside else None
        if outside:
            raise SimulationError(f"outside of what the model was trained on: {outside}")
        self._good = moment.step, atoms.get_positions(), atoms.get_momenta(), atoms.cell.array.copy()

    @contextmanager
    def over(self, atoms: Atoms, step: int) -> Iterator[None]:
        """Turns any failure of a step into a `SimulationError` that names it, with the frames saved."""
        try:
            yield
        except Exception as error:
            self._save(atoms, step)
            good = (
                f"the last good frame (step {self._good[0]}) and the offending one are"
                if self._good
                else "the frame is"
            )
            cause = str(error) if isinstance(error, PainnError) else f"{type(error).__name__}: {error}"
            raise SimulationError(
                f"step {step}: {cause}; {good} in {self._dump}. "
                "Check that the structure is like the training data, or try a shorter timestep."
            ) from (None if isinstance(error, SimulationError) else error)

    def _save(self, atoms: Atoms, step: int) -> None:
        with Trajectory(self._dump, "w") as frames:
            if self._good is not None:
                last, positions, moving, cell = self._good
                image = _bare(atoms, last)
                image.positions, image.cell = positions, cell
                image.set_momenta(moving)
                frames.write(image)
            frames.write(_bare(atoms, step))


def _bare(atoms: Atoms, step: int) -> Atoms:
    image = atoms.copy()
    image.set_constraint()
    image.info["step"] = step
    return image


def bad(rows: np.ndarray) -> str:
    """The first atoms whose rows are not finite."""
    index = np.flatnonzero(~np.isfinite(rows).reshape(len(rows), -1).all(axis=1))
    return ", ".join(map(str, index[:5])) + (", ..." if len(index) > 5 else "")
