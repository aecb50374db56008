"""What a run can record: one table of observables with units, read from a snapshot."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms

from painn_ase.capabilities import hidden, results_of
from painn_ase.errors import InputError, closest, whole
from painn_ase.properties import PROPERTIES, SPREAD


@dataclass(frozen=True)
class Observable:
    """A named quantity with its unit and how it is read."""

    name: str
    unit: str
    read: Callable[[Any], Any]  # from a Snapshot
    needs: str | None = None  # the calculator's property it is read from, beside energy and forces
    dtype: str = "f8"


Plan = list[tuple[Observable, int]]
"""What is recorded, and at which intervals in steps."""


def _table(*observables: Observable) -> dict[str, Observable]:
    return {o.name: o for o in observables}


ALWAYS = _table(
    Observable("step", "1", lambda s: s.step, dtype="i8"),
    Observable("time", "fs", lambda s: s.time),
    Observable("potential_energy", "eV", lambda s: s.potential),
    Observable("kinetic_energy", "eV", lambda s: s.kinetic),  # of rings: centroid virial
    Observable("total_energy", "eV", lambda s: s.potential + s.kinetic),
    Observable("temperature", "K", lambda s: s.temperature),  # of rings: of all modes
)
CONSERVED = _table(Observable("conserved_energy", "eV", lambda s: s.conserved))
OF_THE_CELL = _table(
    Observable("cell", "Å", lambda s: s.atoms.cell.array.copy()),
    Observable("volume", "Å³", lambda s: s.atoms.get_volume()),
)
OF_THE_STRESS = _table(
    Observable("stress", "eV/Å³", lambda s: s.result("stress"), "stress"),  # Voigt, without the part of the motion
    Observable("pressure", "GPa", lambda s: s.pressure, "stress"),
)
OF_RINGS = _table(
    Observable("kinetic_energy_primitive", "eV", lambda s: s.kinetic_primitive),
    Observable("kinetic_energies", "eV", lambda s: s.kinetic_by_atom),
    Observable("squared_gyration_radii", "Å²", lambda s: s.squared_gyration_radii),
)
ON_REQUEST = _table(
    Observable("positions", "Å", lambda s: s.positions),  # of rings: of the centroid
    Observable("velocities", "Å/fs", lambda s: s.velocities),
    Observable("dipole_rate", "e·Å/fs", lambda s: s.dipole_rate, "born_effective_charges"),
)
OF_RINGS_ON_REQUEST = _table(
    Observable("bead_positions", "Å", lambda s: s.copies.copy()),
    Observable("heat_capacity", "eV²", lambda s: s.energy_slope),  # two evaluations more each time
)


def intervals(record: str | Sequence[str] | Mapping[str, int], every: int) -> dict[str, int]:
    """Name -> interval in steps, from a sequence of names (all at `every`) or a mapping of names to intervals."""
    if isinstance(record, str):
        record = (record,)
    plan = dict(record) if isinstance(record, Mapping) else dict.fromkeys(record, every)
    return {str(name): whole(f"record[{name!r}]", n, 1) for name, n in plan.items()}


def needs(plan: Plan, step: int) -> set[str]:
    """The calculator's properties that the observables of this step are read from; none before step 0."""
    return {o.needs for o, interval in plan if o.needs and step >= 0 and step % interval == 0}


def choose(atoms: Atoms, wanted: Mapping[str, int], every: int, *, conserved: bool, rings: bool = False) -> Plan:
    """The observables of a run with their intervals, the standing ones first.

    Cell and volume join unasked where the cell is periodic along all three vectors, stress and pressure too if the
    calculator delivered a stress together with the forces that it was asked for last. Raises `InputError` for a name
    nobody knows, that the calculator does not provide, or does not define for this structure.

    atoms: the structure with its calculator, forces evaluated
    wanted: name -> interval in steps
    every: interval of what was not asked for, in steps
    conserved: whether the dynamics has a conserved energy
    rings: whether the run has the estimators of ring polymers
    """
    standing = ALWAYS | (CONSERVED if conserved else {}) | (OF_RINGS if rings else {})
    full = atoms.cell.rank == 3
    if full and atoms.pbc.all():
        standing |= OF_THE_CELL | (OF_THE_STRESS if "stress" in results_of(atoms.calc) else {})
    table = standing | ON_REQUEST | (OF_RINGS_ON_REQUEST if rings else {})
    table |= OF_THE_CELL | OF_THE_STRESS if full else {}
    # the energy of copies is evaluated, and no other name of it
    provided = [name for name in atoms.calc.implemented_properties if name != "free_energy" or not rings]
    plan = dict.fromkeys(standing.values(), every)
    for name, interval in wanted.items():
        observable = _find(name, atoms, table, provided)
        _try(observable, atoms)
        plan[observable] = interval
    return list(plan.items())


def _find(name: str, atoms: Atoms, table: Mapping[str, Observable], provided: Collection[str]) -> Observable:
    if name in table:
        return table[name]
    if name in provided:
        known = PROPERTIES.get(name.removesuffix(SPREAD))
        return Observable(name, known.unit if known else "ASE units", lambda s: s.result(name), name)
    if name in OF_THE_CELL | OF_THE_STRESS:
        raise InputError(
            f"record: {name!r} is not defined for this structure: it needs a cell periodic along all three vectors"
        )
    known_names = [*table, *provided]
    reason = f"{atoms.calc.name!r} does not provide it{hidden(atoms.calc, name)}" if name in PROPERTIES else "unknown"
    raise InputError(
        f"record: {name!r}: {reason}; expected some of {', '.join(known_names)}{closest(name, known_names)}"
    )


def _try(observable: Observable, atoms: Atoms) -> None:
    """Evaluates once what an observable is read from: what is undefined here fails before any file exists."""
    if observable.needs is None:
        return
    try:
        value = np.asarray(atoms.calc.get_property(observable.needs, atoms), dtype=float)
    except (InputError, NotImplementedError, ValueError) as error:
        raise InputError(f"record: {observable.name!r} is not defined for this structure: {error}") from error
    if not np.isfinite(value).all():
        raise InputError(f"record: {observable.name!r} is not finite for the initial structure")
