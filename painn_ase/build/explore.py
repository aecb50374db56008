"""The intended use, run by the committee: dynamics from every conformer, as ring polymers if these are wanted."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.constraints import FixAtoms

from painn_ase.calculator import PaiNNCalculator
from painn_ase.coverage import CoverageWarning
from painn_ase.coverage.copies import CopiesMonitor
from painn_ase.data.identity import unlabelled
from painn_ase.errors import SimulationError
from painn_ase.reference import far_apart
from painn_ase.simulate.replicas.batch import evaluator
from painn_ase.simulate.replicas.modes import Ring
from painn_ase.simulate.replicas.motion import Replicas
from painn_ase.simulate.replicas.thermostat import Thermostat

EVERY = 50.0  # fs between looks
OUTSIDE = "outside"  # info: true where the training data, for one bead at least, end
_SETTLE = 250.0  # fs that are not looked at
_TOO_HOT = 5.0  # times the temperature: a trajectory that heats up so has left physics
_LOOKS = 20  # that `progress` is called after


@dataclass(frozen=True)
class Exploration:
    """What dynamics with the committee met."""

    frames: list[Atoms]  # looked at, with info "source", "trajectory", "time_fs", and OUTSIDE if that is where they lie
    outside: list[str]  # of geometries, all beads among them, how they lie outside of the training data
    looked: int  # geometries that were looked at
    ps: float  # of all trajectories together
    broke: str | None  # why it ended before its time

    @property
    def share(self) -> float:
        """Of geometries outside of the training data."""
        return len(self.outside) / max(1, self.looked)

    def sentence(self) -> str:
        """What happened, in one line."""
        end = f"then it BROKE DOWN: {self.broke}" if self.broke else "without breaking down"
        return f"{self.ps:.3g} ps {end}; {100 * self.share:.2g} % of {self.looked} geometries outside of the data"

    def to_dict(self) -> dict[str, Any]:
        """The figures, JSON-able."""
        first = self.outside[0] if self.outside else None
        return {
            "ps": self.ps,
            "share": self.share,
            "first": first,
            "broke": self.broke,
            "sentence": self.sentence(),
        }


def explore(
    models: Sequence[Path],
    starts: Sequence[Atoms],
    *,
    temperature: float,
    beads: int = 1,
    trajectories: int = 20,
    ps: float = 10.0,
    seed: int = 0,
    look: Callable[[float], bool] = lambda _share: True,
) -> Exploration:
    """Langevin dynamics (PILE-L with beads) of the mean of `models`, all trajectories in lock-step.

    models: the committee
    starts: where trajectories start, in turns
    temperature: in K
    beads: of each ring polymer
    trajectories: number of them
    ps: length of each
    seed: of all random numbers
    look: called with the share that is done; false ends the run

    Ends early when atoms collide, a trajectory heats up beyond `_TOO_HOT` times the temperature, or forces stop being
    finite: `broke` then says so, and the frames before are kept.
    """
    atoms = unlabelled(starts[0])
    atoms.calc = PaiNNCalculator([str(m) for m in models])
    timestep = _timestep(atoms, beads)
    replicas = _replicas(atoms, starts, temperature, beads, trajectories, seed, timestep)
    outside, met = CopiesMonitor(atoms), Exploration([], [], 0, 0.0, None)
    every, steps = round(EVERY / timestep), round(1000 * ps / timestep)
    step, broke = 0, None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CoverageWarning)  # it is counted
        try:
            replicas.start()
            while step < steps and broke is None:
                for _ in range(every):
                    replicas.step()
                step += every
                broke = _broken(replicas, atoms, temperature)
                if broke is None and step * timestep > _SETTLE:
                    positions, forces = _flat(replicas, atoms)
                    strange = outside(positions, forces)
                    met.outside.extend(strange.values())
                    frames = _frames(replicas, starts, temperature, step * timestep, seed)
                    for copy in strange:
                        frames[copy // beads].info[OUTSIDE] = True
                    met.frames.extend(frames)
                    met = replace(met, looked=met.looked + len(positions))
                if step // every % _LOOKS == 0 and not look(step / steps):
                    break
        except SimulationError as error:
            broke = error.reason
    if broke is not None:
        broke = f"after {step * timestep / 1000:.3g} ps: {broke}"
    return replace(met, ps=trajectories * step * timestep / 1000, broke=broke)


def _timestep(atoms: Atoms, beads: int) -> float:
    """In fs: a fortieth of the fastest period or so, by the lightest atom."""
    lightest = float(atoms.get_masses().min())
    if beads > 1:
        return 0.25
    return 0.5 if lightest < 3 else 1.0 if lightest < 30 else 2.0


def _replicas(
    atoms: Atoms, starts: Sequence[Atoms], temperature: float, beads: int, count: int, seed: int, timestep: float
) -> Replicas:
    fixed = np.zeros(len(atoms), dtype=bool)
    for constraint in atoms.constraints:
        if isinstance(constraint, FixAtoms):
            fixed[constraint.index] = True
    ring = Ring(beads, atoms.get_masses(), temperature, timestep, fixed, not fixed.any())
    positions = np.stack([starts[k % len(starts)].positions for k in range(count)])
    everywhere = np.broadcast_to(positions[:, None], (count, beads, len(atoms), 3)).copy()
    generators = [np.random.default_rng(s) for s in np.random.SeedSequence(seed).spawn(count)]
    return Replicas(ring, evaluator(atoms), everywhere, Thermostat(), generators)


def _flat(replicas: Replicas, atoms: Atoms) -> tuple[np.ndarray, np.ndarray]:
    """Positions and forces of all copies."""
    shape = (-1, len(atoms), 3)
    return replicas.positions.reshape(shape), replicas.forces.reshape(shape)


def _broken(replicas: Replicas, atoms: Atoms, temperature: float) -> str | None:
    """What went wrong, if anything did."""
    if not np.isfinite(replicas.forces).all():
        return "forces are no longer finite"
    hottest = float(replicas.temperature.max())
    if hottest > _TOO_HOT * temperature and len(atoms) > 4:
        return f"trajectory {int(replicas.temperature.argmax())} is at {hottest:.0f} K"
    for k, positions in enumerate(replicas.positions):
        for bead in positions:
            frame = unlabelled(atoms)
            frame.set_constraint()
            frame.positions = bead
            if not far_apart([frame]):
                return f"atoms of trajectory {k} collided"
    return None


def _frames(replicas: Replicas, starts: Sequence[Atoms], temperature: float, time: float, seed: int) -> list[Atoms]:
    """One bead of each ring polymer as a frame."""
    rng = np.random.default_rng([seed, round(time)])
    frames = []
    for k, beads in enumerate(replicas.positions):
        frame = unlabelled(starts[k % len(starts)])
        frame.set_constraint()
        frame.positions = beads[rng.integers(len(beads))]
        frame.info |= {"source": f"dynamics_{temperature:g}K", "trajectory": k, "time_fs": time}
        frames.append(frame)
    return frames
