"""Guards over copies of one system that advance together: trajectories, and the beads of each."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io.trajectory import Trajectory

from painn_ase.errors import PainnError, SimulationError
from painn_ase.neighbors import neighbor_list
from painn_ase.simulate.replicas.modes import to_beads
from painn_ase.simulate.replicas.motion import RingPolymers
from painn_ase.simulate.run.guards import (
    SPREAD,
    Guards,
    GuardWarning,
    apart,
    at_odds,
    bad,
    bare,
    too_hot,
    too_strong,
)

FAILURE, FLAGGED = "failure.traj", "flagged.traj"
_RESERVE = 0.6  # Å that atoms may move before close pairs are listed anew
_ALIKE = 8  # beads of a ring that one of them speaks for
_HINT = ". Check that the structure is like the training data, or try a shorter timestep"


class Lookout:
    """Looks at every step of all copies and acts on what the guards object to, as `Watch` does for one system.

    The geometry of a copy is compared with the training data once in `Guard.EVERY` steps, of a bead in `_ALIKE` times
    as many, since those of a ring are alike; forces are in each. Frames of excursions go to flagged.traj; when the run
    stops, the last good frame of the copy and the offending one go to failure.traj, each where `place` says. Frames
    know their step, trajectory and bead.
    """

    def __init__(self, guards: Guards, hottest: float, atoms: Atoms, place: Callable[[str], Path]) -> None:
        self._guards, self._hottest, self._atoms, self._place = guards, hottest, atoms, place
        self._close: _Close | None = None
        self._strange: dict[int, str] = {}  # what was outside of the training data when last looked at, by copy
        self._excursions: set[str] = set()  # guards that object at present, and about which copy
        self._good: tuple[int, np.ndarray, np.ndarray] | None = None  # step, positions, velocities of the modes

    # ---- one step

    def inspect(self, step: int, p: RingPolymers, found: Mapping[str, np.ndarray], temperatures: np.ndarray) -> None:
        """Raises `SimulationError` if a guard stops the run; otherwise remembers the frames as the last good ones.

        `found` is what the evaluation at this step gave, (trajectories, beads, ...); `temperatures` (trajectories,)
        in K are those that the limit is for.
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
        # positions are a new array in every step; velocities of the beads would be another Fourier transform
        self._good = step, p.positions, p.mode_velocities.copy()

    def _objections(
        self, step: int, positions: np.ndarray, flat: Mapping[str, np.ndarray], temperatures: np.ndarray, beads: int
    ) -> Iterator[tuple[str, int, str]]:
        """Which guards object about which copies, and why."""
        guards, forces = self._guards, flat["forces"]
        for k in _where(~(temperatures <= self._hottest)):
            yield "temperature", k * beads, too_hot(temperatures[k], self._hottest, "of the ring " * (beads > 1))
        if guards.max_force is not None:
            squares = np.einsum("cai,cai->ca", forces, forces).max(axis=1)
            for k in _where(squares > guards.max_force**2):
                yield "force", k, too_strong(forces[k], guards.max_force)
        if guards.max_disagreement is not None:
            spread = flat[SPREAD]
            for k in _where(~(spread.max(axis=1) <= guards.max_disagreement)):
                yield "disagreement", k, at_odds(spread[k], guards.max_disagreement)
        if guards.min_distance is not None:
            if self._close is None:
                self._close = _Close(guards.min_distance, self._atoms)
            for k, sentence in self._close(positions):
                yield "distance", k, sentence
        if guards.stop_outside:
            interval, copies = self._atoms.calc.guard.EVERY * min(beads, _ALIKE), len(positions)
            turns = (step - np.arange(copies) * interval // copies) % interval  # evenly over the interval
            for k, sentence in self._outside(_where(turns == 0), positions, forces):
                yield "outside", k, f"outside of what the model was trained on: {sentence}"

    def _outside(self, chosen: Iterable[int], positions: np.ndarray, forces: np.ndarray) -> Iterator[tuple[int, str]]:
        """Which copies are outside of the training data, by the geometry of those chosen now, and the forces of all."""
        for k in chosen:
            self._strange.pop(k, None)
            sentence = self._geometry(positions[k])
            if sentence:
                self._strange[k] = sentence
        strange = dict(self._strange)
        for coverage in self._atoms.calc.guard.coverages:
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
            last, positions, modes = self._good
            velocities = to_beads(modes.reshape(*p.shape[:2], -1)).reshape(p.shape)
            good = self._image(last, positions, velocities, copy)
            kept = self._kept([good, image], f"the last good frame (step {last}) and the offending one are")
        return SimulationError(f"step {step}, {_which(image)}: {sentence}{kept}{_HINT}")

    def _kept(self, frames: list[Atoms], which: str) -> str:
        """Writes frames that show why a run stopped; what is said of them."""
        path = self._place(FAILURE)
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
        with Trajectory(self._place(FLAGGED), "a") as frames:
            frames.write(image)
        if callable(self._guards.action):
            self._guards.action(image, sentence)
        else:
            where = f"step {image.info['step']}, {_which(image)}"
            warnings.warn(f"{where}: {sentence}; the run goes on", GuardWarning, stacklevel=2)

    def _frame(self, step: int, p: RingPolymers, copy: int) -> Atoms:
        return self._image(step, p.positions, p.velocities, copy)

    def _image(self, step: int, positions: np.ndarray, velocities: np.ndarray, copy: int) -> Atoms:
        (trajectories, beads), (trajectory, bead) = positions.shape[:2], divmod(copy, positions.shape[1])
        image = bare(self._atoms, step)
        image.positions = positions[trajectory, bead]
        image.set_velocities(velocities[trajectory, bead])
        if trajectories > 1 or beads == 1:
            image.info["trajectory"] = trajectory
        if beads > 1:
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


class _Close:
    """The pairs of atoms closer than `limit` Å in many copies of one system, with a list of candidates for each.

    A list holds the pairs within limit + 2 `_RESERVE` and is good until an atom of the copy has moved by `_RESERVE`.
    All candidates of all copies are measured at once: a Python loop over 64 beads would cost as much as their network.
    """

    def __init__(self, limit: float, atoms: Atoms) -> None:
        self._limit, self._cell, self._pbc = limit, atoms.cell.array, atoms.pbc
        self._reference = np.empty((0, len(atoms), 3))
        self._lists: list[tuple[np.ndarray, ...]] = []  # of each copy: centers, neighbors, offsets
        self._all: tuple[np.ndarray, ...] = ()  # the same of all copies, atoms counted through, and the copies

    def __call__(self, positions: np.ndarray) -> Iterator[tuple[int, str]]:
        """Of the closest pair of each copy that has one, from `positions` (copies, atoms, 3)."""
        self._update(positions)
        centers, neighbors, offsets, copies = self._all
        x = positions.reshape(-1, 3)
        vectors = x[neighbors] - x[centers] + offsets
        squares = np.einsum("pi,pi->p", vectors, vectors)
        close = np.flatnonzero(squares < self._limit**2)
        for k in np.unique(copies[close]) if close.size else ():
            mine = close[copies[close] == k]
            worst = mine[squares[mine].argmin()]
            atoms = positions.shape[1]
            i, j = centers[worst] - k * atoms, neighbors[worst] - k * atoms
            yield int(k), apart(i, j, np.sqrt(squares[worst]), self._limit)

    def _update(self, positions: np.ndarray) -> None:
        if not self._lists:
            self._reference = np.full(positions.shape, np.inf)
            self._lists = [()] * len(positions)
        moved = positions - self._reference
        far = np.flatnonzero(~(np.einsum("cai,cai->ca", moved, moved).max(axis=1) <= _RESERVE**2))
        for k in far:
            pairs = neighbor_list("matscipy")(positions[k], self._cell, self._pbc, self._limit + 2 * _RESERVE)
            once = pairs.centers <= pairs.neighbors
            offsets = pairs.shifts[once] @ self._cell
            self._lists[k] = pairs.centers[once], pairs.neighbors[once], offsets
            self._reference[k] = positions[k]
        if far.size:
            counts = [len(centers) for centers, _, _ in self._lists]
            copies = np.repeat(np.arange(len(counts)), counts)
            centers, neighbors, offsets = (np.concatenate(parts) for parts in zip(*self._lists, strict=True))
            first = copies * positions.shape[1]
            self._all = centers + first, neighbors + first, offsets, copies


def _where(mask: np.ndarray) -> list[int]:
    return [int(k) for k in np.flatnonzero(mask)]


def _not_finite(forces: np.ndarray, energies: np.ndarray) -> Iterator[tuple[int, str]]:
    """The copies whose numbers mean nothing, and why."""
    for k in _where(~np.isfinite(forces).all(axis=(1, 2))):
        yield k, f"forces are not finite (atoms {bad(forces[k])})"
    for k in _where(~np.isfinite(energies)):
        yield k, f"the potential energy is {energies[k]}"


def _which(image: Atoms) -> str:
    """Which copy a frame is of."""
    return ", ".join(f"{name} {image.info[name]}" for name in ("trajectory", "bead") if name in image.info)
