"""What a ring-polymer run records: estimators, bead averages of the calculator's properties, and the centroid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from ase import Atoms
from ase.units import fs

from painn_ase.errors import InputError, closest
from painn_ase.properties import PROPERTIES
from painn_ase.simulate.replicas.motion import RingPolymers
from painn_ase.simulate.ring_polymer import estimators
from painn_ase.simulate.run.observables import Observable
from painn_ase.units import GIGAPASCAL

_SPREAD = "_std"


@dataclass(frozen=True)
class Moment:
    """One ring polymer at one step; `found` is what the evaluation of the step gave, (1, beads, ...)."""

    step: int
    atoms: Atoms  # what is the same for all beads
    polymers: RingPolymers
    found: Mapping[str, np.ndarray]

    @property
    def time(self) -> float:
        """fs."""
        return self.step * self.polymers.ring.timestep

    @property
    def potential(self) -> float:
        """Mean over the beads, eV."""
        return float(self.found["energy"][0].mean())

    @cached_property
    def kinetic_by_atom(self) -> np.ndarray:
        """Centroid virial estimator, (atoms,) in eV."""
        p = self.polymers
        return estimators.virial_kinetic_energies(p.ring, p.positions[0], p.forces[0])

    @cached_property
    def kinetic(self) -> float:
        return float(self.kinetic_by_atom.sum())

    @property
    def kinetic_primitive(self) -> float:
        return float(estimators.primitive_kinetic_energy(self.polymers.ring, self.polymers.spring_energy[0]))

    @cached_property
    def temperature(self) -> float:
        """Of all modes, K."""
        return float(self.polymers.temperature[0])

    @property
    def conserved(self) -> float:
        """(H - heat)/P in eV: what the exact dynamics conserves, per bead as the potential energy is."""
        p = self.polymers
        total = p.kinetic[0] + p.spring_energy[0] + self.found["energy"][0].sum() - p.heat[0]
        return float(total) / p.ring.beads

    @property
    def gyration(self) -> np.ndarray:
        """Squared radius of gyration of every atom, (atoms,) in Å²."""
        return estimators.squared_gyration_radii(self.polymers.positions[0])

    @property
    def pressure(self) -> float:
        """GPa."""
        ring, volume = self.polymers.ring, self.atoms.get_volume()
        return float(estimators.pressure(ring, np.asarray(self.kinetic), self.found["stress"][0], volume)) / GIGAPASCAL

    def mean(self, name: str) -> np.ndarray:
        """The mean over the beads of a property."""
        return self.found[name][0].mean(axis=0)

    @cached_property
    def energy_slope(self) -> float:
        """See `estimators.energy_slope`; it costs two more evaluations."""
        p = self.polymers

        def forces_of(positions: np.ndarray) -> np.ndarray:
            return p.evaluate(positions, ("forces",))["forces"]

        return float(estimators.energy_slope(p.ring, p.positions[0], p.forces[0], forces_of))


def _table(*observables: Observable) -> dict[str, Observable]:
    return {o.name: o for o in observables}


ALWAYS = _table(
    Observable("step", "1", lambda m: m.step),
    Observable("time", "fs", lambda m: m.time),
    Observable("potential_energy", "eV", lambda m: m.potential),
    Observable("kinetic_energy", "eV", lambda m: m.kinetic),  # centroid virial
    Observable("kinetic_energy_primitive", "eV", lambda m: m.kinetic_primitive),
    Observable("total_energy", "eV", lambda m: m.potential + m.kinetic),
    Observable("conserved_energy", "eV", lambda m: m.conserved),
    Observable("temperature", "K", lambda m: m.temperature),
    Observable("kinetic_energies", "eV", lambda m: m.kinetic_by_atom),
    Observable("squared_gyration_radii", "Å²", lambda m: m.gyration),
)
OF_THE_CENTROID = _table(
    Observable("positions", "Å", lambda m: m.polymers.centroids[0]),
    Observable("velocities", "Å/fs", lambda m: m.polymers.centroid_velocities[0] * fs),
    Observable("bead_positions", "Å", lambda m: m.polymers.positions[0].copy()),
)
OF_THE_CELL = _table(
    Observable("stress", "eV/Å³", lambda m: m.mean("stress"), "stress"),  # Voigt, without the kinetic part
    Observable("pressure", "GPa", lambda m: m.pressure, "stress"),
)
HEAT_CAPACITY = Observable("heat_capacity", "eV²", lambda m: m.energy_slope)


def choose(atoms: Atoms, wanted: Mapping[str, int], every: int) -> list[tuple[Observable, int]]:
    """The observables of a run with their intervals, the standing ones first.

    Stress and pressure join unasked where the calculator has a stress and the cell is periodic. Raises `InputError`
    for a name nobody knows, or that the calculator does not provide or does not define for this structure.
    """
    plan = dict.fromkeys(ALWAYS.values(), every)
    if atoms.pbc.all() and "stress" in atoms.calc.implemented_properties:
        plan |= dict.fromkeys(OF_THE_CELL.values(), every)
    for name, interval in wanted.items():
        if name == HEAT_CAPACITY.name and interval % every:
            raise InputError(f"record: heat_capacity every {interval} steps: expected a multiple of every={every}")
        plan[_find(name, atoms)] = interval
    return list(plan.items())


def _find(name: str, atoms: Atoms) -> Observable:
    table = ALWAYS | OF_THE_CENTROID | OF_THE_CELL | {HEAT_CAPACITY.name: HEAT_CAPACITY}
    provided = atoms.calc.implemented_properties
    known = [*table, *provided]
    if name in ("stress", "pressure") and not ("stress" in provided and atoms.pbc.all()):
        raise InputError(f"record: {name!r} needs a calculator with stress and a cell periodic along all three vectors")
    if name in table:
        return table[name]
    if name not in provided or name == "free_energy":
        reason = f"{atoms.calc.name!r} does not provide it" if name in PROPERTIES else "unknown"
        raise InputError(f"record: {name!r}: {reason}; expected some of {', '.join(known)}{closest(name, known)}")
    try:  # before any file exists
        value: Any = atoms.calc.get_property(name, atoms)
    except (InputError, NotImplementedError, ValueError) as error:
        raise InputError(f"record: {name!r} is not defined for this structure: {error}") from error
    if not np.isfinite(np.asarray(value, dtype=float)).all():
        raise InputError(f"record: {name!r} is not finite for the initial structure")
    unit = PROPERTIES[name.removesuffix(_SPREAD)].unit if name.removesuffix(_SPREAD) in PROPERTIES else "ASE units"
    return Observable(name, unit, lambda m: m.mean(name), name)
