"""Replicas as a motion: they equilibrate, are released at step 0, and are followed from there."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import cached_property
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.units import fs, kB

from painn_ase.coverage.copies import CopiesMonitor
from painn_ase.simulate.replicas import batch
from painn_ase.simulate.replicas.modes import to_beads
from painn_ase.simulate.replicas.motion import Replicas
from painn_ase.simulate.replicas.thermostat import Thermostat
from painn_ase.simulate.run.motion import Snapshot
from painn_ase.simulate.run.restart import Restart, State
from painn_ase.simulate.run.watch import bare
from painn_ase.spectra import dipole_rates


class ReplicaSnapshot(Snapshot):
    """Replicas at one step. Kinetic energy and temperature are those of the centroids.

    step: its number
    motion: of the replicas
    found: what the evaluation of the step gave, (replicas, beads, ...) by name
    """

    def __init__(self, step: int, motion: ReplicaMotion, found: Mapping[str, np.ndarray]) -> None:
        self.atoms, self.replicas, self.found, self._motion = motion.atoms, motion.replicas, found, motion
        self.step, self.time = step, step * self.replicas.ring.timestep

    def rows(self, values: np.ndarray) -> Any:
        """Values (replicas, ...) as they are recorded: those of a run of one replica have no axis of replicas."""
        return values if self._motion.several else values[0]

    @cached_property
    def potential(self) -> Any:
        return self.rows(self.found["energy"].mean(axis=1))

    @cached_property
    def kinetic(self) -> Any:
        v = self.replicas.centroid_velocities
        return self.rows(0.5 * np.einsum("mia,mia,i->m", v, v, self.replicas.ring.masses))

    @cached_property
    def temperature(self) -> Any:
        return 2 * self.kinetic / (self._motion.freedom * kB)

    @cached_property
    def conserved(self) -> Any:
        """(H - heat)/P: what the exact dynamics conserves, per bead as the potential energy is."""
        p = self.replicas
        total = p.kinetic + p.spring_energy + self.found["energy"].sum(axis=1) - p.heat
        return self.rows(total / p.ring.beads)

    @cached_property
    def positions(self) -> np.ndarray:
        return np.asarray(self.rows(self.replicas.centroids))

    @cached_property
    def velocities(self) -> np.ndarray:
        return np.asarray(self.rows(self.replicas.centroid_velocities * fs))

    @property
    def dipole_rate(self) -> np.ndarray:
        rates = dipole_rates(self.found["born_effective_charges"], self.replicas.velocities * fs)
        return np.asarray(self.rows(rates.mean(axis=1)))

    def result(self, name: str) -> Any:
        return self.rows(self.found[name].mean(axis=1))

    @cached_property
    def copies(self) -> np.ndarray:
        return self.replicas.positions.reshape(-1, *self.replicas.shape[2:])

    def of_copies(self, name: str) -> np.ndarray:
        values = self.found[name]
        return values.reshape(-1, *values.shape[2:])

    def outside(self) -> dict[int, str]:
        return self._motion.outside(self.copies, self.of_copies("forces"))

    def image(self) -> Atoms:
        """The centroid of the first replica."""
        image = self.atoms.copy()
        image.positions = self.replicas.centroids[0]
        image.set_momenta(self.replicas.centroid_velocities[0] * image.get_masses()[:, None], apply_constraint=False)
        image.info |= {"step": self.step, "time_fs": self.time}
        energy, forces = float(self.found["energy"][0].mean()), self.found["forces"][0].mean(axis=0)
        image.calc = SinglePointCalculator(image, energy=energy, forces=forces)
        return image


class ReplicaMotion:
    """Replicas that equilibrate before step 0, and are followed from there.

    atoms: what all copies share
    replicas: where they are, with the thermostat of the equilibration
    bath: the thermostat from step 0 on
    freedom: degrees of freedom of a centroid
    label: on the progress bar
    several: whether rows have an axis of trajectories
    release: what happens to the replicas at step 0, beside the change of thermostat
    """

    converged = False
    snapshot_type: type[ReplicaSnapshot] = ReplicaSnapshot

    def __init__(
        self,
        atoms: Atoms,
        replicas: Replicas,
        bath: Thermostat,
        freedom: int,
        label: str,
        several: bool = False,
        release: Callable[[Replicas], None] | None = None,
    ) -> None:
        self.atoms, self.replicas, self._bath, self.freedom = atoms, replicas, bath, freedom
        self.label, self.several, self._release = label, several, release
        self.outside = CopiesMonitor(atoms)
        self._moved = False  # whether the forces where the replicas are have been evaluated
        self._temperature = 0.0

    def advance(self, step: int, due: Collection[str]) -> ReplicaSnapshot:
        """The state at `step` (see `Motion`)."""
        names = ["forces", *sorted(set(due) - {"forces"})]
        found = self.replicas.step(names) if self._moved else self.replicas.start(names)
        self._moved = True
        if step == 0:
            self.replicas.use(self._bath)
            self.replicas.heat[:] = 0.0  # counted from here
            if self._release is not None:
                self._release(self.replicas)
        snapshot = self.snapshot_type(step, self, found)
        self._temperature = float(np.mean(snapshot.temperature))
        return snapshot

    def which(self) -> list[dict[str, int]]:
        """What tells the copies apart (see `Copies`)."""
        trajectories, beads = self.replicas.shape[:2]
        ring = [{"bead": k} for k in range(beads)] if beads > 1 else [{}]
        if trajectories == 1 and beads > 1:
            return ring
        return [{"trajectory": k} | bead for k in range(trajectories) for bead in ring]

    def frames(self) -> Callable[[int], Atoms]:
        """The present frames of the copies (see `Copies`)."""
        p = self.replicas  # positions are a new array in every step; velocities of beads are another Fourier transform
        shape, positions, modes = p.shape, p.positions, p.mode_velocities.copy()

        def frame(copy: int) -> Atoms:
            replica, bead = divmod(copy, shape[1])
            image = bare(self.atoms)
            image.positions = positions[replica, bead]
            velocities = to_beads(modes[replica].reshape(shape[1], -1)).reshape(shape[1:])
            image.set_velocities(velocities[bead])
            return image

        return frame

    def state(self) -> State:
        """What `restore` continues from."""
        memory = {f"memory {name}": array for name, array in self.replicas.evaluate.memory.items()}
        if self.outside.looked is not None:
            memory["outside looked"] = self.outside.looked.copy()
        values = {
            "outside": sorted(self.outside.found.items()),
            "generators": [generator.bit_generator.state for generator in self.replicas.generators],
        }
        return State(self.replicas.state() | memory, values)

    def restore(self, restart: Restart, due: Collection[str]) -> None:
        """Takes up a saved state, without an evaluation."""
        self.replicas.evaluate = batch.evaluator(self.atoms, restart.part("memory"))
        if restart.step >= 0:
            self.replicas.use(self._bath)
        self.replicas.restore(restart.arrays)
        for generator, state in zip(self.replicas.generators, restart.values["generators"], strict=True):
            generator.bit_generator.state = state
        self.outside.found = {int(copy): sentence for copy, sentence in restart.values["outside"]}
        self.outside.looked = restart.part("outside").get("looked")
        self._moved = True

    def note(self) -> str:
        """The mean temperature."""
        return f"{self._temperature:.0f} K"
