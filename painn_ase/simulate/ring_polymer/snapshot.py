"""A ring polymer at one step: what its estimators are read from."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from painn_ase.simulate.replicas.phases import ReplicaMotion, ReplicaSnapshot
from painn_ase.simulate.ring_polymer import estimators


class RingSnapshot(ReplicaSnapshot):
    """Ring polymers at one step: kinetic energy by the centroid virial estimator, temperature of all modes."""

    @cached_property
    def kinetic_by_atom(self) -> Any:
        """Centroid virial estimator, (atoms,) in eV."""
        p = self.replicas
        return self.rows(estimators.virial_kinetic_energies(p.ring, p.positions, p.forces))

    @cached_property
    def kinetic(self) -> Any:
        return self.kinetic_by_atom.sum(axis=-1)

    @property
    def kinetic_primitive(self) -> Any:
        """From the springs alone, eV."""
        return self.rows(estimators.primitive_kinetic_energy(self.replicas.ring, self.replicas.spring_energy))

    @cached_property
    def temperature(self) -> Any:
        return self.rows(self.replicas.temperature)

    @property
    def squared_gyration_radii(self) -> Any:
        """Of every atom, (atoms,) in Å²."""
        return self.rows(estimators.squared_gyration_radii(self.replicas.positions))

    @cached_property
    def energy_slope(self) -> Any:
        """See `estimators.energy_slope`; it costs two more evaluations."""
        p = self.replicas

        def forces_of(positions: np.ndarray) -> np.ndarray:
            return p.evaluate(positions.reshape(-1, *p.shape[2:]), ("forces",))["forces"].reshape(p.shape)

        return self.rows(estimators.energy_slope(p.ring, p.positions, p.forces, forces_of))


class RingMotion(ReplicaMotion):
    """Ring polymers that move."""

    snapshot_type = RingSnapshot
