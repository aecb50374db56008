"""Guards: say when a run's numbers no longer mean anything, and keep the frames that show why."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io.trajectory import Trajectory

from painn_ase.errors import InputError, PainnError, SimulationError
from painn_ase.neighbors import VerletList, neighbor_list
from painn_ase.simulate.observables import Moment

logger = logging.getLogger(__name__)

_SPREAD = "forces_std"  # what committees call their disagreement, eV/Å per atom
_SKIN = 0.5  # Å, reserve of the list of close pairs


class GuardWarning(UserWarning):
    """A run went where a guard objects, and goes on."""


@dataclass(frozen=True)
class Guards:
    """What a run must not do. Forces and energies that are not finite always stop it.

    `max_temperature` in K; by default 5000 K or, if larger, (10 + 60/f) times the temperature of the run, f degrees
    of freedom: out of reach of thermal fluctuation even for f = 1. `max_force` in eV/Å, by default unlimited.
    `stop_outside` objects to leaving what the model's training data covered (`PaiNNCalculator.outside`): pairs closer
    than any in them, forces far above, unknown environments. `min_distance` in Å is for pairs of any elements and
    with any calculator. `max_disagreement` in eV/Å is for committees: the largest `forces_std` of an atom.

    `action` says what an objection does: "stop" ends the run; "warn" says it (`GuardWarning`) and goes on; a function
    is called with a copy of the frame, results attached, and the sentence, to label it, say, and the run goes on
    unless it raises. The last two happen when an excursion begins, not at each of its steps, and their frames are
    appended to `<path>.flagged.traj`.
    """

    max_temperature: float | None = None
    max_force: float | None = None
    stop_outside: bool = False
    min_distance: float | None = None
    max_disagreement: float | None = None
    action: Literal["stop", "warn"] | Callable[[Atoms, str], Any] = "stop"

    def limit(self, temperature: float, freedom: int) -> float:
        """The highest temperature allowed, in K."""
        if self.max_temperature is not None:
            return self.max_temperature
        return max(5000.0, (10 + 60 / freedom) * temperature)

    def check(self, calculator: Any) -> None:
        """Raises `InputError` for impossible limits, and for what the calculator cannot say."""
        units = {"max_temperature": "K", "max_force": "eV/Å", "min_distance": "Å", "max_disagreement": "eV/Å"}
        for name, unit in units.items():
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise InputError(f"{name}: expected a positive number of {unit}; got {value!r}")
        if self.action not in ("stop", "warn") and not callable(self.action):
            raise InputError(f"action of Guards: expected 'stop', 'warn' or a function; got {self.action!r}")
        if self.stop_outside and getattr(calculator, "guard", None) is None:
            raise InputError(
                "stop_outside: this calculator's model does not store what its training data covered, so there is no "
                "telling when a run leaves it; painn_ase's own models do, imported ones do not"
            )
        if self.max_disagreement is not None and _SPREAD not in calculator.implemented_properties:
            raise InputError(
                f"max_disagreement: needs a calculator with {_SPREAD}, which several models together provide: "
                "PaiNNCalculator([...]), or --ensemble"
            )


class Watch:
    """Looks at every step of a run, acts on what the guards object to, and keeps the frames of it.

    `path` is that of the run; without one no frames are kept. `what` (follows the step) and `hint` (comes last) are
    parts of the message of an error.
    """

    def __init__(self, guards: Guards, max_temperature: float, path: Path | None, what: str, hint: str) -> None:
        self._guards, self._max_temperature = guards, max_temperature
        self._path, self._what, self.hint = path, what, hint
        self._good: tuple[int, np.ndarray, np.ndarray, np.ndarray] | None = None
        self._close: VerletList | None = None
        if guards.min_distance is not None:
            self._close = VerletList(neighbor_list("matscipy"), guards.min_distance, _SKIN)
        self.excursions: set[str] = set()  # the guards that object at present

    def inspect(self, moment: Moment) -> None:
        """Raises `SimulationError` if a guard stops the run; otherwise remembers the frame as the last good one."""
        forces = moment.result("forces")
        if not np.isfinite(forces).all():
            raise SimulationError(f"forces are not finite (atoms {bad(forces)})")
        if not np.isfinite(moment.potential):
            raise SimulationError(f"the potential energy is {moment.potential}")
        objections = dict(self._objections(moment, forces))
        if objections and self._guards.action == "stop":
            raise SimulationError(next(iter(objections.values())))
        for name in objections.keys() - self.excursions:
            self._act(moment, objections[name])
        self.excursions = set(objections)
        atoms = moment.atoms
        self._good = moment.step, atoms.get_positions(), atoms.get_momenta(), atoms.cell.array.copy()

    def _objections(self, moment: Moment, forces: np.ndarray) -> Iterator[tuple[str, str]]:
        """Which guards object, and why."""
        guards = self._guards
        if not moment.temperature <= self._max_temperature:
            limit = f"above the limit of {self._max_temperature:.4g} K"
            yield "temperature", f"temperature {moment.temperature:.4g} K {limit}"
        if guards.max_force is not None:
            sizes = np.linalg.norm(forces, axis=1)
            if sizes.max() > guards.max_force:
                worst = f"force {sizes.max():.4g} eV/Å on atom {sizes.argmax()}"
                yield "force", f"{worst} above the limit of {guards.max_force:.4g} eV/Å"
        if self._close is not None:
            yield from self._too_close(moment.atoms)
        if guards.max_disagreement is not None:
            spread = moment.result(_SPREAD)
            if not spread.max() <= guards.max_disagreement:
                worst = f"the models disagree by {spread.max():.4g} eV/Å on the force on atom {spread.argmax()}"
                yield "disagreement", f"{worst}, above the limit of {guards.max_disagreement:.4g} eV/Å"
        outside = moment.atoms.calc.outside if guards.stop_outside else None
        if outside:
            yield "outside", f"outside of what the model was trained on: {outside}"

    def _too_close(self, atoms: Atoms) -> Iterator[tuple[str, str]]:
        assert self._close is not None
        near = self._close.update(atoms.positions, atoms.cell.array, atoms.pbc)
        if not len(near.pairs):
            return
        distances = np.linalg.norm(near.pairs.vectors(near.positions, atoms.cell.array), axis=1)
        worst = int(distances.argmin())
        if distances[worst] < self._close.cutoff:
            i, j = near.pairs.centers[worst], near.pairs.neighbors[worst]
            limit = f"closer than the limit of {self._close.cutoff:.4g} Å"
            yield "distance", f"atoms {i} and {j} are {distances[worst]:.3g} Å apart, {limit}"

    def _act(self, moment: Moment, sentence: str) -> None:
        """The beginning of an excursion that the run survives."""
        image = bare(moment.atoms, moment.step)
        image.calc = SinglePointCalculator(image, energy=moment.potential, forces=moment.result("forces"))
        if self._path is not None:
            with Trajectory(f"{self._path}.flagged.traj", "a") as frames:
                frames.write(image)
        if callable(self._guards.action):
            logger.info("step %d: %s", moment.step, sentence)
            self._guards.action(image, sentence)
        else:
            warnings.warn(f"step {moment.step}: {sentence}; the run goes on", GuardWarning, stacklevel=2)

    @contextmanager
    def over(self, atoms: Atoms, step: int) -> Iterator[None]:
        """Turns any failure of a step into a `SimulationError` that names it, with the frames saved."""
        try:
            yield
        except Exception as error:
            cause = str(error) if isinstance(error, PainnError) else f"{type(error).__name__}: {error}"
            raise SimulationError(f"step {step}{self._what}: {cause}{self._save(atoms, step)}{self.hint}") from (
                None if isinstance(error, SimulationError) else error
            )

    def _save(self, atoms: Atoms, step: int) -> str:
        """Writes the last good frame and the present one; what is said of them."""
        if self._path is None:
            return ""
        dump = Path(f"{self._path}.failure.traj")
        try:
            with Trajectory(dump, "w") as frames:
                if self._good is not None:
                    last, positions, moving, cell = self._good
                    image = bare(atoms, last)
                    image.positions, image.cell = positions, cell
                    image.set_momenta(moving)
                    frames.write(image)
                frames.write(bare(atoms, step))
        except OSError as error:
            return f" (the frames could not be saved: {error})"
        good = f"the last good frame (step {self._good[0]}) and the offending one are" if self._good else "the frame is"
        return f"; {good} in {dump}"


def bare(atoms: Atoms, step: int) -> Atoms:
    """A copy of the atoms without calculator and constraints that knows its step."""
    image = atoms.copy()
    image.set_constraint()
    image.info["step"] = step
    return image


def bad(rows: np.ndarray) -> str:
    """The first atoms whose rows are not finite."""
    index = np.flatnonzero(~np.isfinite(rows).reshape(len(rows), -1).all(axis=1))
    return ", ".join(map(str, index[:5])) + (", ..." if len(index) > 5 else "")
