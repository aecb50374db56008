"""The watch over a run: the guards look at every step of every copy, act, and keep the frames that show why."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io.trajectory import Trajectory

from painn_ase.capabilities import bad
from painn_ase.errors import PainnError, SimulationError
from painn_ase.properties import FORCES_SPREAD
from painn_ase.simulate.run.close_pairs import ClosePairs
from painn_ase.simulate.run.guards import Guards, GuardWarning
from painn_ase.simulate.run.motion import Motion, Snapshot
from painn_ase.simulate.run.restart import Restart

logger = logging.getLogger(__name__)

HINT = ". Check that the structure is like the training data, or try a shorter timestep"


class _Objection(SimulationError):
    """What a guard says about one copy."""

    def __init__(self, sentence: str, copy: int) -> None:
        super().__init__(sentence)
        self.copy = copy


class Watch:
    """Looks at every step of all copies, and acts on what the guards object to.

    guards: the limits, and what happens beyond them
    hottest: highest temperature allowed, in K
    copies: what moves
    path: of the run; without one no frames are kept. Those of excursions go to <path>.flagged.traj. When the run stops,
        the last good frame of the copy and the offending one go to <path>.failure.traj, or those of all copies where an
        evaluation failed
    what: follows the number of the step in an error
    hint: ends an error, given the step
    """

    def __init__(
        self,
        guards: Guards,
        hottest: float,
        copies: Motion,
        path: str | os.PathLike | None,
        what: str = "",
        hint: Callable[[int], str] = lambda step: HINT,
    ) -> None:
        self._guards, self._hottest, self._copies, self._path = guards, hottest, copies, path
        self._what, self._hint, self._which = what, hint, copies.which()
        self._close: ClosePairs | None = None
        self._good: tuple[int, Callable[[int], Atoms]] | None = None
        self._excursions: set[str] = set()  # guards that object at present, and about which copy

    @property
    def needs(self) -> set[str]:
        """The calculator's properties that are looked at, beside energy and forces."""
        return set() if self._guards.max_disagreement is None else {FORCES_SPREAD}

    def remember(self, step: int) -> None:
        """Takes the present frames for the last good ones."""
        self._good = step, self._copies.frames()

    def last_good(self) -> Atoms | None:
        """The last good frame of the first copy."""
        return None if self._good is None else self._good[1](0)

    # ---- one step

    @contextmanager
    def over(self, step: int) -> Iterator[None]:
        """Turns any failure of a step into a `SimulationError` that names it, with the frames saved."""
        try:
            yield
        except Exception as error:
            copy = error.copy if isinstance(error, _Objection) else 0 if len(self._which) == 1 else None
            cause = str(error) if isinstance(error, PainnError) else f"{type(error).__name__}: {error}"
            where = f"step {step}{self._what}" + ("" if copy is None else self._name(copy))
            kept, frames = self._save(step, copy)
            raise SimulationError(
                f"{where}: {cause}{kept}{self._hint(step)}", reason=cause, step=step, frames=frames
            ) from (None if isinstance(error, SimulationError) else error)

    def inspect(self, snapshot: Snapshot) -> None:
        """Raises `SimulationError` if a guard stops the run; otherwise remembers the frames as the last good ones."""
        forces, energies = snapshot.of_copies("forces"), snapshot.of_copies("energy")
        if not (np.isfinite(forces).all() and np.isfinite(energies).all()):
            raise _not_finite(forces, energies)
        objections = {f"{name} {k}": (sentence, k) for name, k, sentence in self._objections(snapshot, forces)}
        if objections and self._guards.action == "stop":
            raise _Objection(*next(iter(objections.values())))
        for key in objections.keys() - self._excursions:
            self._act(snapshot, *objections[key])
        self._excursions = set(objections)
        self.remember(snapshot.step)

    def _objections(self, snapshot: Snapshot, forces: np.ndarray) -> Iterator[tuple[str, int, str]]:
        """Which guards object, about which copies, and why."""
        guards, temperatures = self._guards, snapshot.temperature
        fine = temperatures <= self._hottest
        if not (fine if isinstance(fine, bool) else fine.all()):
            temperatures = np.atleast_1d(temperatures)
            beads = len(forces) // len(temperatures)
            whose = "temperature of the ring" if beads > 1 else "temperature"
            for k in _where(~(temperatures <= self._hottest)):
                sentence = f"{whose} {temperatures[k]:.4g} K above the limit of {self._hottest:.4g} K"
                yield "temperature", k * beads, sentence
        if guards.max_force is not None:
            squares = np.einsum("cai,cai->ca", forces, forces).max(axis=1)
            for k in _where(squares > guards.max_force**2):
                sizes = np.linalg.norm(forces[k], axis=1)
                worst = f"force {sizes.max():.4g} eV/Å on atom {sizes.argmax()}"
                yield "force", k, f"{worst} above the limit of {guards.max_force:.4g} eV/Å"
        if guards.min_distance is not None:
            if self._close is None:
                self._close = ClosePairs(guards.min_distance, snapshot.atoms)
            for k, sentence in self._close(snapshot.copies):
                yield "distance", k, sentence
        if guards.max_disagreement is not None:
            spread = snapshot.of_copies(FORCES_SPREAD)
            for k in _where(~(spread.max(axis=1) <= guards.max_disagreement)):
                worst = f"{spread[k].max():.4g} eV/Å on the force on atom {spread[k].argmax()}"
                limit = f"above the limit of {guards.max_disagreement:.4g} eV/Å"
                yield "disagreement", k, f"the models disagree by {worst}, {limit}"
        if guards.stop_outside:
            for k, sentence in snapshot.outside().items():
                yield "outside", k, f"outside of what the model was trained on: {sentence}"

    # ---- what follows

    def _act(self, snapshot: Snapshot, sentence: str, copy: int) -> None:
        """The beginning of an excursion that the run survives."""
        image = self._frame(snapshot.step, self._copies.frames(), copy)
        energy, forces = float(snapshot.of_copies("energy")[copy]), snapshot.of_copies("forces")[copy]
        image.calc = SinglePointCalculator(image, energy=energy, forces=forces)
        if self._path is not None:
            with Trajectory(f"{self._path}.flagged.traj", "a") as frames:
                frames.write(image)
        where = f"step {snapshot.step}{self._name(copy)}"
        if callable(self._guards.action):
            logger.info("%s: %s", where, sentence)
            self._guards.action(image, sentence)
        else:
            warnings.warn(f"{where}: {sentence}; the run goes on", GuardWarning, stacklevel=2)

    def _save(self, step: int, copy: int | None) -> tuple[str, Path | None]:
        """Writes the last good frame and the present one of a copy, or those of all; what is said of them, and where.

        Nothing is written without a path, or where nothing can be.
        """
        if self._path is None:
            return "", None
        now, dump = self._copies.frames(), Path(f"{self._path}.failure.traj")
        frames = [self._frame(step, now, k) for k in (range(len(self._which)) if copy is None else (copy,))]
        said = "the frames of all copies are" if copy is None else "the frame is"
        if copy is not None and self._good is not None:
            frames = [self._frame(*self._good, copy), *frames]
            said = f"the last good frame (step {self._good[0]}) and the offending one are"
        try:
            with Trajectory(dump, "w") as out:
                for image in frames:
                    out.write(image)
        except OSError as error:
            return f" (the frames could not be saved: {error})", None
        return f"; {said} in {dump}", dump

    def _frame(self, step: int, frames: Callable[[int], Atoms], copy: int) -> Atoms:
        image = frames(copy)
        image.info |= {"step": step, **self._which[copy]}
        return image

    def _name(self, copy: int) -> str:
        return "".join(f", {name} {number}" for name, number in self._which[copy].items())

    # ---- rest

    def state(self) -> dict[str, Any]:
        """What a resumed run must know to say nothing twice; JSON-able, for `restore`."""
        return {"excursions": sorted(self._excursions)}

    def restore(self, restart: Restart) -> None:
        """Takes up a saved state, whose frames are the last good ones."""
        self._excursions = set(restart.values["excursions"])
        self.remember(restart.step)


def bare(atoms: Atoms) -> Atoms:
    """A copy of the atoms without calculator and constraints."""
    image = atoms.copy()
    image.set_constraint()
    return image


def _not_finite(forces: np.ndarray, energies: np.ndarray) -> _Objection:
    """What is said of the first copy whose numbers mean nothing."""
    for k in _where(~np.isfinite(forces).all(axis=(1, 2))):
        return _Objection(f"forces are not finite (atoms {bad(forces[k])})", k)
    k = _where(~np.isfinite(energies))[0]
    return _Objection(f"the potential energy is {energies[k]}", k)


def _where(mask: np.ndarray) -> list[int]:
    return [int(k) for k in np.flatnonzero(mask)]
