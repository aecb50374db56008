"""Guards over copies of one system that advance together: trajectories, and the beads of each."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io.trajectory import Trajectory

from painn_ase.errors import PainnError, SimulationError
from painn_ase.neighbors import VerletList, neighbor_list
from painn_ase.simulate.guards import (
    SPREAD,
    Guards,
    GuardWarning,
    at_odds,
    bad,
    bare,
    close_pairs,
    too_close,
    too_hot,
    too_strong,
)
from painn_ase.simulate.ring_polymer.motion import RingPolymers

FAILURE, FLAGGED = "failure.traj", "flagged.traj"
_HINT = ". Check that the structure is like the training data, or try a shorter timestep"


class Lookout:
    """Looks at every step of all copies and acts on what the guards object to, as `Watch` does for one system.

    The geometry of a copy is compared with the training data once in `Guard.EVERY` steps, its forces in each. Frames of
    excursions go to `<folder>/flagged.traj`; when the run stops, the last good frame of the copy and the offending one
    go to `<folder>/failure.traj`. Frames know their step, trajectory and bead.
    """

    def __init__(self, guards: Guards, hottest: float, atoms: Atoms, folder: Path) -> None:
        self._guards, self._hottest, self._atoms, self._folder = guards, hottest, atoms, folder
        self._close: list[VerletList] = []
        self._strange: dict[int, str] = {}  # what was outside of the training data when last looked at, by copy
        self._excursions: set[str] = set()  # guards that object at present, and about which copy
        self._good: tuple[int, np.ndarray, np.ndarray] | None = None  # step, positions, velocities

    # ---- one step

    def inspect(self, step: int, p: RingPolymers, found: Mapping[str, np.ndarray], temperatures: np.ndarray) -> None:
        """Raises `SimulationError` if a guard stops the run; otherwise remembers the frames as the last good ones.

        `found` is what the evaluation at this step gave, (trajectories, beads, ...); `temperatures` (trajectories,)
        in K are those of the centroids.
        """
        atoms = len(self._atoms)
        flat = {name: value.reshape(-1, *value.shape[2:]) for name, value in found.items()}
        positions = p.positions.reshape(-1, atoms, 3)
        for copy, sentence in _not_finite(flat["forces"], flat["energy"]):
            raise self._stopped(step, p, copy, sentence)
        objections = {
            f"{name} {copy}": (copy, sentence)
            for name, copy, sentence in self._objections(step, positions, flat, temperatures, p.ring.beads)
        }
        if objections and self._guards.action == "stop":
            raise self._stopped(step, p, *next(iter(objections.values())))
        for key in objections.keys() - self._excursions:
            copy, sentence = objections[key]
            self._act(self._frame(step, p, copy), flat["energy"][copy], flat["forces"][copy], sentence)
        self._excursions = set(objections)
        self._good = step, p.positions, p.velocities  # both are new arrays in every step

    def _objections(
        self, step: int, positions: np.ndarray, flat: Mapping[str, np.ndarray], temperatures: np.ndarray, beads: int
    ) -> Iterator[tuple[str, int, str]]:
        """Which guards object about which copies, and why."""
        guards, forces = self._guards, flat["forces"]
        for k in _where(~(temperatures <= self._hottest)):
            yield "temperature", k * beads, too_hot(temperatures[k], self._hottest)
        if guards.max_force is not None:
            sizes = np.linalg.norm(forces, axis=2).max(axis=1)
            for k in _where(sizes > guards.max_force):
                yield "force", k, too_strong(forces[k], guards.max_force)
        if guards.max_disagreement is not None:
            spread = flat[SPREAD]
            for k in _where(~(spread.max(axis=1) <= guards.max_disagreement)):
                yield "disagreement", k, at_odds(spread[k], guards.max_disagreement)
        if guards.min_distance is not None:
            if not self._close:
                self._close = [close_pairs(guards.min_distance) for _ in positions]
            for k, (pairs, x) in enumerate(zip(self._close, positions, strict=True)):
                sentence = too_close(pairs, x, self._atoms.cell.array, self._atoms.pbc)
                if sentence:
                    yield "distance", k, sentence
        if guards.stop_outside:
            for k, sentence in self._outside(step, positions, forces):
                yield "outside", k, f"outside of what the model was trained on: {sentence}"

    def _outside(self, step: int, positions: np.ndarray, forces: np.ndarray) -> Iterator[tuple[int, str]]:
        guard = self._atoms.calc.guard
        for k in range(step % guard.EVERY, len(positions), guard.EVERY):
            self._strange.pop(k, None)
            sentence = self._geometry(positions[k])
            if sentence:
                self._strange[k] = sentence
        strange = dict(self._strange)
        for coverage in guard.coverages:
            if coverage.forces(forces.reshape(-1, 3)):
                strange |= {k: sentence for k, one in enumerate(forces) if (sentence := coverage.forces(one))}
        yield from sorted(strange.items())

    def _geometry(self, positions: np.ndarray) -> str | None:
        """What the training data of a model did not cover of a geometry."""
        coverages = self._atoms.calc.guard.coverages
        cell = self._atoms.cell.array
        pairs = neighbor_list("matscipy")(positions, cell, self._atoms.pbc, max(c.cutoff for c in coverages))
        distances = np.linalg.norm(pairs.vectors(positions, cell), axis=1)
        arrays = self._atoms.numbers, pairs.centers, pairs.neighbors, distances
        return next((sentence for sentence in (c.geometry(*arrays) for c in coverages) if sentence), None)

    # ---- what follows

    @contextmanager
    def evaluating(self, step: int, p: RingPolymers) -> Iterator[None]:
        """Turns an error of the evaluation at a step into a `SimulationError` that names it, all copies saved."""
        try:
            yield
        except PainnError as error:
            frames = [self._frame(step, p, copy) for copy in range(p.shape[0] * p.shape[1])]
            kept = self._kept(frames, "the frames of all copies are")
            raise SimulationError(f"step {step}: {error}{kept}{_HINT}") from None

    def _stopped(self, step: int, p: RingPolymers, copy: int, sentence: str) -> SimulationError:
        image = self._frame(step, p, copy)
        if self._good is None:
            kept = self._kept([image], "the frame is")
        else:
            last, positions, velocities = self._good
            good = self._image(last, positions, velocities, copy)
            kept = self._kept([good, image], f"the last good frame (step {last}) and the offending one are")
        return SimulationError(f"step {step}, {_place(image)}: {sentence}{kept}{_HINT}")

    def _kept(self, frames: list[Atoms], which: str) -> str:
        """Writes frames that show why a run stopped; what is said of them."""
        path = self._folder / FAILURE
        try:
            with Trajectory(path, "w") as out:
                for image in frames:
                    out.write(image)
        except OSError as error:
            return f" (the frames could not be saved: {error})"
        return f"; {which} in {path}"

    def _act(self, image: Atoms, energy: float, forces: np.ndarray, sentence: str) -> None:
        """The beginning of an excursion that the run survives."""
        image.calc = SinglePointCalculator(image, energy=float(energy), forces=forces)
        with Trajectory(self._folder / FLAGGED, "a") as frames:
            frames.write(image)
        if callable(self._guards.action):
            self._guards.action(image, sentence)
        else:
            where = f"step {image.info['step']}, {_place(image)}"
            warnings.warn(f"{where}: {sentence}; the run goes on", GuardWarning, stacklevel=2)

    def _frame(self, step: int, p: RingPolymers, copy: int) -> Atoms:
        return self._image(step, p.positions, p.velocities, copy)

    def _image(self, step: int, positions: np.ndarray, velocities: np.ndarray, copy: int) -> Atoms:
        trajectory, bead = divmod(copy, positions.shape[1])
        image = bare(self._atoms, step)
        image.positions = positions[trajectory, bead]
        image.set_velocities(velocities[trajectory, bead])
        image.info["trajectory"] = trajectory
        if positions.shape[1] > 1:
            image.info["bead"] = bead
        return image

    # ---- rest

    @property
    def state(self) -> dict[str, Any]:
        """What a resumed run must know to say nothing twice; JSON-able, for `restore`."""
        return {"excursions": sorted(self._excursions), "strange": sorted(self._strange.items())}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Takes up a `state`."""
        self._excursions = set(state.get("excursions", ()))
        self._strange = {int(copy): sentence for copy, sentence in state.get("strange", ())}


def _where(mask: np.ndarray) -> list[int]:
    return [int(k) for k in np.flatnonzero(mask)]


def _not_finite(forces: np.ndarray, energies: np.ndarray) -> Iterator[tuple[int, str]]:
    """The copies whose numbers mean nothing, and why."""
    for k in _where(~np.isfinite(forces).all(axis=(1, 2))):
        yield k, f"forces are not finite (atoms {bad(forces[k])})"
    for k in _where(~np.isfinite(energies)):
        yield k, f"the potential energy is {energies[k]}"


def _place(image: Atoms) -> str:
    """Which copy a frame is of."""
    bead = f", bead {image.info['bead']}" if "bead" in image.info else ""
    return f"trajectory {image.info['trajectory']}{bead}"
