"""Replicas as a motion: they equilibrate, are released at step 0, and are followed from there."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import cached_property
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.units import fs, kB

from painn_ase.coverage.copies import Outside
from painn_ase.simulate.replicas import batch
from painn_ase.simulate.replicas.modes import to_beads
from painn_ase.simulate.replicas.motion import Replicas
from painn_ase.simulate.replicas.thermostat import Thermostat
from painn_ase.simulate.run.loop import State
from painn_ase.simulate.run.restart import Restart, generator_state, restore_generator
from painn_ase.simulate.run.snapshot import Snapshot
from painn_ase.simulate.run.watch import bare
from painn_ase.spectra import dipole_rates


class ReplicaSnapshot(Snapshot):
    """Replicas at one step. Kinetic energy and temperature are those of the centroids.

    step: its number
    atoms: what all copies share
    replicas: where they are
    found: what the evaluation of the step gave, (replicas, beads, ...) by name
    freedom: degrees of freedom of a centroid
    several: whether values have an axis of trajectories; without it the first replica is the run
    outside: what compares the copies with the training data
    """

    def __init__(
        self,
        step: int,
        atoms: Atoms,
        replicas: Replicas,
        found: Mapping[str, np.ndarray],
        freedom: int,
        several: bool,
        outside: Outside,
    ) -> None:
        self.step, self.time = step, step * replicas.ring.timestep
        self.atoms, self.replicas, self.found, self._freedom = atoms, replicas, found, freedom
        self._several, self._outside = several, outside

    def rows(self, values: np.ndarray) -> Any:
        """Values (replicas, ...) as they are recorded."""
        return values if self._several else values[0]

    @property
    def potential(self) -> Any:
        return self.rows(self.found["energy"].mean(axis=1))

    @cached_property
    def kinetic(self) -> Any:
        v = self.replicas.centroid_velocities
        return self.rows(0.5 * np.einsum("mia,mia,i->m", v, v, self.replicas.ring.masses))

    @cached_property
    def temperature(self) -> Any:
        return 2 * self.kinetic / (self._freedom * kB)

    @property
    def conserved(self) -> Any:
        """(H - heat)/P: what the exact dynamics conserves, per bead as the potential energy is."""
        p = self.replicas
        total = p.kinetic + p.spring_energy + self.found["energy"].sum(axis=1) - p.heat
        return self.rows(total / p.ring.beads)

    @property
    def positions(self) -> np.ndarray:
        return np.asarray(self.rows(self.replicas.centroids))

    @property
    def velocities(self) -> np.ndarray:
        return np.asarray(self.rows(self.replicas.centroid_velocities * fs))

    @property
    def dipole_rate(self) -> np.ndarray:
        rates = dipole_rates(self.found["born_effective_charges"], self.replicas.velocities * fs)
        return np.asarray(self.rows(rates.mean(axis=1)))

    def result(self, name: str) -> Any:
        return self.rows(self.found[name].mean(axis=1))

    @property
    def copies(self) -> np.ndarray:
        return self.replicas.positions.reshape(-1, *self.replicas.shape[2:])

    def of_copies(self, name: str) -> np.ndarray:
        values = self.found[name]
        return values.reshape(-1, *values.shape[2:])

    def outside(self) -> dict[int, str]:
        return self._outside(self.copies, self.of_copies("forces"))

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
        self.atoms, self.replicas, self._bath, self._freedom = atoms, replicas, bath, freedom
        self.label, self._several, self._release = label, several, release
        self._outside = Outside(atoms)
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
        snapshot = self.snapshot_type(
            step, self.atoms, self.replicas, found, self._freedom, self._several, self._outside
        )
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
        memory = {f"memory_{name}": array for name, array in self.replicas.evaluate.memory.items()}
        if self._outside.looked is not None:
            memory["outside_looked"] = self._outside.looked.copy()
        generators = {str(k): generator_state(g) for k, g in enumerate(self.replicas.generators)}
        return State(self.replicas.state() | memory, {"outside": sorted(self._outside.found.items())}, generators)

    def restore(self, restart: Restart, due: Collection[str]) -> None:
        """Takes up a saved state, without an evaluation."""
        memory = {name[7:]: array for name, array in restart.arrays.items() if name.startswith("memory_")}
        self.replicas.evaluate = batch.evaluator(self.atoms, memory)
        if restart.step >= 0:
            self.replicas.use(self._bath)
        self.replicas.restore(restart.arrays)
        for k, generator in enumerate(self.replicas.generators):
            restore_generator(generator, restart.generators[str(k)])
        self._outside.found = {int(copy): sentence for copy, sentence in restart.values["outside"]}
        looked = restart.arrays.get("outside_looked")
        self._outside.looked = None if looked is None else looked.copy()
        self._moved = True

    def note(self) -> str:
        """The mean temperature."""
        return f"{self._temperature:.0f} K"
