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
from painn_ase.simulate.run.observables import Moment

logger = logging.getLogger(__name__)

SPREAD = "forces_std"  # what committees call their disagreement, eV/Å per atom
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
        if self.max_disagreement is not None and SPREAD not in calculator.implemented_properties:
            raise InputError(
                f"max_disagreement: needs a calculator with {SPREAD}, which several models together provide: "
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
            self._close = close_pairs(guards.min_distance)
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
        guards, atoms = self._guards, moment.atoms
        if not moment.temperature <= self._max_temperature:
            yield "temperature", too_hot(moment.temperature, self._max_temperature)
        if guards.max_force is not None and np.linalg.norm(forces, axis=1).max() > guards.max_force:
            yield "force", too_strong(forces, guards.max_force)
        if self._close is not None:
            sentence = too_close(self._close, atoms.positions, atoms.cell.array, atoms.pbc)
            if sentence:
                yield "distance", sentence
        if guards.max_disagreement is not None:
            spread = moment.result(SPREAD)
            if not spread.max() <= guards.max_disagreement:
                yield "disagreement", at_odds(spread, guards.max_disagreement)
        outside = atoms.calc.outside if guards.stop_outside else None
        if outside:
            yield "outside", f"outside of what the model was trained on: {outside}"

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


# ---- what the guards say


def too_hot(temperature: float, limit: float, whose: str = "") -> str:
    """Of a temperature in K above its limit."""
    return f"temperature {whose}{temperature:.4g} K above the limit of {limit:.4g} K"


def too_strong(forces: np.ndarray, limit: float) -> str:
    """Of forces (atoms, 3) in eV/Å, one above the limit."""
    sizes = np.linalg.norm(forces, axis=1)
    return f"force {sizes.max():.4g} eV/Å on atom {sizes.argmax()} above the limit of {limit:.4g} eV/Å"


def at_odds(spread: np.ndarray, limit: float) -> str:
    """Of a committee's disagreements (atoms,) in eV/Å, one above the limit."""
    worst = f"the models disagree by {spread.max():.4g} eV/Å on the force on atom {spread.argmax()}"
    return f"{worst}, above the limit of {limit:.4g} eV/Å"


def close_pairs(distance: float) -> VerletList:
    """The list that `too_close` looks at, one per system."""
    return VerletList(neighbor_list("matscipy"), distance, _SKIN)


def too_close(pairs: VerletList, positions: np.ndarray, cell: np.ndarray, pbc: np.ndarray) -> str | None:
    """Of the closest pair, if it is closer than the cutoff of `pairs`."""
    near = pairs.update(positions, cell, pbc)
    if not len(near.pairs):
        return None
    distances = np.linalg.norm(near.pairs.vectors(near.positions, cell), axis=1)
    worst = int(distances.argmin())
    if distances[worst] >= pairs.cutoff:
        return None
    return apart(near.pairs.centers[worst], near.pairs.neighbors[worst], distances[worst], pairs.cutoff)


def apart(i: int, j: int, distance: float, limit: float) -> str:
    """Of two atoms closer than the limit, in Å."""
    return f"atoms {i} and {j} are {distance:.3g} Å apart, closer than the limit of {limit:.4g} Å"


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
