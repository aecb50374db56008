"""The trajectories of a protocol: they advance in lock-step, are recorded and guarded, and resume to the last bit."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
from ase import Atoms
from ase.units import kB
from tqdm import tqdm

from painn_ase import rigid
from painn_ase.errors import InputError
from painn_ase.simulate.replicas import batch
from painn_ase.simulate.replicas.lookout import FLAGGED, Lookout
from painn_ase.simulate.replicas.modes import Ring
from painn_ase.simulate.replicas.motion import RingPolymers
from painn_ase.simulate.replicas.thermostat import THERMOSTATS, Thermostat
from painn_ase.simulate.run.guards import SPREAD, Guards
from painn_ase.simulate.run.restart import Restart, cut_frames, generator_state, restore_generator
from painn_ase.simulate.spectrum.protocol import Protocol
from painn_ase.simulate.spectrum.series import Series
from painn_ase.spectra import dipole_rates

STATE = "state.npz"


class Trajectories:
    """The trajectories of a protocol: where they are, and the files that their frames go to.

    `plan` says which series each spectrum is made from; `identity` is what a run must be made of to be resumed.
    """

    def __init__(
        self,
        folder: Path,
        atoms: Atoms,
        protocol: Protocol,
        plan: dict[str, str],
        identity: dict[str, Any],
        guards: Guards,
    ) -> None:
        self.folder, self.atoms, self.protocol, self.plan, self.identity = folder, atoms, protocol, plan, identity
        self.masses = atoms.get_masses()
        self.step, self.seconds = 0, 0.0
        seeds = np.random.SeedSequence(protocol.seed).spawn(protocol.trajectories)
        quantum = protocol.beads > 1
        self.free = THERMOSTATS["trpmd" if quantum else "none"]
        self.polymers = RingPolymers(
            Ring(protocol.beads, self.masses, protocol.temperature, protocol.timestep),
            batch.evaluator(atoms),
            atoms.positions,
            Thermostat(time=1 / protocol.friction),
            [np.random.default_rng(seed) for seed in seeds],
        )
        self.series = Series(folder, protocol.frames)
        spinning = 0 if atoms.pbc.any() or protocol.rotation else rigid.rotations(len(atoms))
        self.freedom = 3 * len(atoms) - 3 - spinning
        self.lookout = Lookout(guards, guards.limit(protocol.temperature, self.freedom), atoms, folder.joinpath)
        self._spread = {SPREAD} if guards.max_disagreement is not None else set()

    # ---- time

    def advance(self, progress: bool | None, checkpoint: float) -> None:
        """Steps to the end, with a checkpoint now and then."""
        total, hidden = self.protocol.steps, None if progress is None else not progress
        if self.step > total:
            return
        saved = begun = monotonic()
        before = self.seconds
        found = self._evaluated(self.polymers.start)
        rings = f" x {self.protocol.beads} beads" if self.protocol.beads > 1 else ""
        label = f"{self.protocol.trajectories} trajectories{rings}"
        with tqdm(total=total, initial=self.step, unit="step", desc=label, disable=hidden, file=sys.stderr) as bar:
            while True:
                if self.step == self.protocol.equilibration_steps:
                    self._release()
                self._record(found)
                self.step += 1
                bar.update(self.step <= total)
                if self.step > total:
                    break
                found = self._evaluated(self.polymers.step)
                if monotonic() - saved > checkpoint:
                    self.seconds = before + monotonic() - begun
                    self.save()
                    saved = monotonic()
        self.seconds = before + monotonic() - begun
        self.save()

    def _evaluated(self, move: Callable[[list[str]], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
        """What the evaluation at this step found, once the guards have looked at it."""
        with self.lookout.evaluating(self.step, self.polymers):
            found = move(self._due(self.step))
        temperatures = 2 * self._centroid_kinetic() / (self.freedom * kB)
        self.lookout.inspect(self.step, self.polymers, found, temperatures)
        return found

    def _release(self) -> None:
        """The beginning of free motion: the bath goes, and a rotation that is to be absent."""
        p = self.polymers
        p.use(self.free)
        if not self.protocol.rotation and not self.atoms.pbc.any():
            momenta = p.centroid_velocities * self.masses[:, None]
            momenta -= rigid.rotation(p.centroids, momenta, self.masses)
            p.set_centroid_velocities(momenta / self.masses[:, None])

    def _centroid_kinetic(self) -> np.ndarray:
        return rigid.kinetic_energy(self.polymers.centroid_velocities * self.masses[:, None], self.masses)

    # ---- frames

    def _frame(self, step: int) -> int | None:
        """The frame that this step is, if it is one."""
        after = step - self.protocol.equilibration_steps
        return after // self.protocol.every if after >= 0 and after % self.protocol.every == 0 else None

    def _due(self, step: int) -> list[str]:
        names = ["forces", *self._spread]
        if self._frame(step) is not None:
            sources = {"dipole": "dipole", "dipole_rate": "born_effective_charges", "polarizability": "polarizability"}
            names += [sources[series] for series in self.plan.values() if series in sources]
        return names

    def _record(self, found: dict[str, np.ndarray]) -> None:
        frame = self._frame(self.step)
        if frame is None:
            return
        p = self.polymers
        rows = {name: values.mean(axis=1) for name, values in found.items()}  # over the beads
        rows["energy"] = np.stack([rows["energy"], self._centroid_kinetic()], axis=1)
        rows["velocities"] = p.centroid_velocities
        if "born_effective_charges" in found:
            rows["dipole_rate"] = dipole_rates(found["born_effective_charges"], p.velocities).mean(axis=1)
        for name in ("energy", *self.plan.values()):
            self.series.write(name, frame, rows[name])

    # ---- rest

    def save(self) -> None:
        """The frames so far, then, in one step, the state that vouches for them."""
        self.series.flush()
        memory = {f"memory_{name}": array for name, array in self.polymers.evaluate.memory.items()}
        generators = {str(k): generator_state(g) for k, g in enumerate(self.polymers.generators)}
        arrays, values = self.polymers.state() | memory, {"seconds": self.seconds} | self.lookout.state
        Restart(self.step, self.identity, arrays, values, generators).save(self.folder / STATE)

    def resume(self) -> None:
        """Takes up the saved state; `InputError` if there is none, or that of another run."""
        path = self.folder / STATE
        if not path.is_file():
            raise InputError(f"resume: {self.folder} holds no run to continue; start one without resume (--resume)")
        state = Restart.load(path)
        state.check(self.identity, path)
        self.step, self.seconds = state.step, float(state.values["seconds"])
        memory = {name[7:]: array for name, array in state.arrays.items() if name.startswith("memory_")}
        self.polymers.evaluate = batch.evaluator(self.atoms, memory)
        self.polymers.restore(state.arrays)
        self.lookout.restore(state.values)
        if (self.folder / FLAGGED).exists():
            cut_frames(self.folder / FLAGGED, self.step)
        if self.step > self.protocol.equilibration_steps:
            self.polymers.use(self.free)
        for k, generator in enumerate(self.polymers.generators):
            restore_generator(generator, state.generators[str(k)])
