"""The motion of ring polymers: BAOAB in normal modes, one evaluation of the forces per step."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from ase.units import fs
from numpy.random import Generator

from painn_ase.simulate.replicas.batch import Evaluator
from painn_ase.simulate.replicas.modes import Ring, to_beads, to_modes
from painn_ase.simulate.replicas.thermostat import Thermostat, rescaling_factor


class Replicas:
    """Independent ring polymers ("replicas") of one system, which advance together; with one bead, classical copies.

    A step is B A O A B (Leimkuhler and Matthews 2013, doi:10.1063/1.4802990; for ring polymers Liu, Li and Liu 2016,
    doi:10.1063/1.4954990): half a kick by the forces, half of the free motion of the ring, the bath, the other halves.
    Every replica has a generator of its own and is computed apart from the others: it takes the same path in any
    company. Arrays are in ASE's units, (replicas, beads or modes, atoms, 3).
    """

    def __init__(
        self,
        ring: Ring,
        evaluate: Evaluator,
        positions: np.ndarray,
        thermostat: Thermostat,
        generators: Sequence[Generator],
    ) -> None:
        """`positions` are (atoms, 3), where all beads begin, or (replicas, beads, atoms, 3)."""
        self.ring, self.evaluate, self.generators = ring, evaluate, list(generators)
        self.shape = (len(generators), ring.beads, len(ring.masses), 3)
        self._flat = (*self.shape[:2], 3 * self.shape[2])
        self._masses = np.repeat(ring.masses, 3)
        free = np.repeat(ring.free, 3)
        self._half_kick = free * 0.5 * ring.timestep * fs / self._masses
        self._thermal = free * np.sqrt(ring.energy / self._masses)  # of the velocity of a mode
        self._whole, self._half = ring.rotation(1.0), ring.rotation(0.5)
        self._kick = np.zeros(self._flat)
        self._noise, self._old = np.empty(self._flat), np.empty(self._flat)
        self.use(thermostat)
        self._put(np.broadcast_to(positions, self.shape))
        self._v = self._draw() * self._thermal
        if ring.centred:
            self._centre()
        self.heat = np.zeros(self.shape[0])  # eV that the thermostat has brought in, by replica
        self.forces = np.zeros(self.shape)  # on the beads

    def use(self, thermostat: Thermostat) -> None:
        """From now on this thermostat acts."""
        self.thermostat = thermostat
        frictions = thermostat.frictions(self.ring)[:, None]
        dt = self.ring.timestep * fs
        self._keep = np.exp(-frictions * dt)
        self._stir = np.sqrt(-np.expm1(-2 * frictions * dt)) * self._thermal
        self._damped = bool(frictions.any())
        self._rescaled = thermostat.centroid == "rescaling"

    # ---- time

    def start(self, names: Collection[str] = ("forces",)) -> dict[str, np.ndarray]:
        """The forces where the beads are now, with the properties `names`: the first evaluation of a run."""
        return self._evaluate(names)

    def step(self, names: Collection[str] = ("forces",)) -> dict[str, np.ndarray]:
        """One step; what the evaluation at its end found, by name, each (replicas, beads, ...)."""
        self._v += self._kick
        if self._damped or self._rescaled:
            self._drift(*self._half)
            self._bath()
            self._drift(*self._half)
        else:
            self._drift(*self._whole)
        self.positions = to_beads(self._q).reshape(self.shape)
        found = self._evaluate(names)
        self._v += self._kick
        return found

    def _drift(self, cos: np.ndarray, over: np.ndarray, under: np.ndarray) -> None:
        np.multiply(under, self._q, out=self._old)
        np.multiply(cos, self._q, out=self._q)
        self._q += over * self._v
        np.multiply(cos, self._v, out=self._v)
        self._v += self._old

    def _bath(self) -> None:
        self.heat -= self._kinetic(self._v)
        if self._damped:
            np.multiply(self._keep, self._v, out=self._v)
            noise = self._draw()
            noise *= self._stir
            self._v += noise
            if self.ring.centred and self.thermostat.centroid == "langevin":
                self._centre()
        if self._rescaled:
            self._rescale()
        self.heat += self._kinetic(self._v)

    def _rescale(self) -> None:
        freedom = self.ring.centroid_freedom
        decay = np.exp(-self.ring.timestep / self.thermostat.time)
        for k, rng in enumerate(self.generators):
            centroid = self._v[k, 0]
            kinetic = 0.5 * float(self._masses @ centroid**2)
            centroid *= rescaling_factor(kinetic, 0.5 * freedom * self.ring.energy, freedom, decay, rng)

    def _draw(self) -> np.ndarray:
        for rng, noise in zip(self.generators, self._noise, strict=True):
            rng.standard_normal(out=noise)
        return self._noise

    def _centre(self) -> None:
        """Takes the motion of the centre of mass off the centroid."""
        centroid = self._v[:, 0].reshape(-1, *self.shape[2:])
        share = self.ring.masses / self.ring.masses.sum()
        centroid -= np.einsum("a,rai->ri", share, centroid)[:, None]

    def _evaluate(self, names: Collection[str]) -> dict[str, np.ndarray]:
        copies = self.shape[0] * self.shape[1]
        found = self.evaluate(self.positions.reshape(copies, *self.shape[2:]), names)
        found = {name: value.reshape(*self.shape[:2], *value.shape[1:]) for name, value in found.items()}
        self.forces = found["forces"]
        self._pull()
        return found

    def _pull(self) -> None:
        """What half a time step of the present forces adds to the velocities of the modes."""
        np.multiply(to_modes(self.forces.reshape(self._flat)), self._half_kick, out=self._kick)

    def _put(self, positions: np.ndarray) -> None:
        self._q = to_modes(positions.reshape(self._flat))
        self.positions = to_beads(self._q).reshape(self.shape)

    # ---- what it is now

    @property
    def modes(self) -> np.ndarray:
        """q̃, the coordinates of the normal modes."""
        return self._q.reshape(self.shape)

    @property
    def mode_velocities(self) -> np.ndarray:
        """dq̃/dt."""
        return self._v.reshape(self.shape)

    @property
    def velocities(self) -> np.ndarray:
        """Velocities of the beads."""
        return to_beads(self._v).reshape(self.shape)

    @property
    def centroids(self) -> np.ndarray:
        """Means of the beads, (replicas, atoms, 3)."""
        return self.modes[:, 0] / np.sqrt(self.ring.beads)

    @property
    def centroid_velocities(self) -> np.ndarray:
        """(replicas, atoms, 3)."""
        return self.mode_velocities[:, 0] / np.sqrt(self.ring.beads)

    def set_centroid_velocities(self, velocities: np.ndarray) -> None:
        """Replaces the velocities of the centroids, (replicas, atoms, 3)."""
        self.mode_velocities[:, 0] = velocities * np.sqrt(self.ring.beads)

    @property
    def kinetic(self) -> np.ndarray:
        """Kinetic energy of all modes, (replicas,) in eV; its mean is freedom · P kB T/2, a matter of definition."""
        return self._kinetic(self._v)

    @property
    def temperature(self) -> np.ndarray:
        """2 kinetic / (freedom P kB), (replicas,) in K: whether the thermostat does its duty."""
        return 2 * self.kinetic / self.ring.freedom * (self.ring.temperature / self.ring.energy)

    @property
    def spring_energy(self) -> np.ndarray:
        """Σ ½ m ω_k² q̃_k², (replicas,) in eV."""
        return 0.5 * np.einsum("k,rkd,d->r", self.ring.frequencies**2, self._q**2, self._masses)

    def _kinetic(self, v: np.ndarray) -> np.ndarray:
        return 0.5 * np.einsum("rkd,rkd,d->r", v, v, self._masses)

    # ---- rest

    def state(self) -> dict[str, np.ndarray]:
        """Arrays that `restore` continues from, to the last bit; generators and evaluator have states of their own."""
        return {"modes": self._q, "velocities": self._v, "forces": self.forces, "heat": self.heat}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Takes up a `state`."""
        self._q[:], self._v[:] = state["modes"], state["velocities"]
        self.heat = np.array(state["heat"])
        self.positions = to_beads(self._q).reshape(self.shape)
        self.forces = np.array(state["forces"])
        self._pull()
