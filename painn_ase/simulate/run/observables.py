"""What a run can record: one table of observables with units, and the moment they are read from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from ase import Atoms
from ase.units import fs

from painn_ase.errors import InputError, closest
from painn_ase.properties import PROPERTIES
from painn_ase.units import GIGAPASCAL


@dataclass(frozen=True)
class Moment:
    """The system at one step, forces evaluated; everything read here comes from that one evaluation's cache."""

    step: int
    time: float  # fs
    atoms: Atoms
    kinetic: float  # eV
    temperature: float  # K
    conserve: Callable[[float], float | None]  # total energy -> the energy that the dynamics conserves

    @cached_property
    def potential(self) -> float:
        return float(self.atoms.get_potential_energy())

    @property
    def conserved(self) -> float | None:
        """The conserved energy in eV, where the dynamics has one."""
        return self.conserve(self.potential + self.kinetic)

    def result(self, name: str) -> Any:
        """A property of the calculator, without the share of constraints."""
        return self.atoms.calc.get_property(name, self.atoms)

    @property
    def pressure(self) -> float:
        """-tr(σ)/3 + 2K/(3V) in GPa: the virial and the ideal-gas part."""
        virial = -np.mean(self.result("stress")[:3])
        return float(virial + 2 * self.kinetic / (3 * self.atoms.get_volume())) / GIGAPASCAL


@dataclass(frozen=True)
class Observable:
    """A named quantity with its unit and how it is read."""

    name: str
    unit: str
    read: Callable[[Any], Any]  # from a Moment, or from what another kind of run has in its place
    needs: str | None = None  # the calculator's property it is read from, beside energy and forces


def _table(*observables: Observable) -> dict[str, Observable]:
    return {o.name: o for o in observables}


ALWAYS = _table(
    Observable("step", "1", lambda m: m.step),
    Observable("time", "fs", lambda m: m.time),
    Observable("potential_energy", "eV", lambda m: m.potential),
    Observable("kinetic_energy", "eV", lambda m: m.kinetic),
    Observable("total_energy", "eV", lambda m: m.potential + m.kinetic),
    Observable("temperature", "K", lambda m: m.temperature),
)
CONSERVED = Observable("conserved_energy", "eV", lambda m: m.conserved)
OF_THE_ATOMS = _table(
    Observable("positions", "Å", lambda m: m.atoms.get_positions()),
    Observable("velocities", "Å/fs", lambda m: m.atoms.get_velocities() * fs),
)
OF_THE_CELL = _table(
    Observable("cell", "Å", lambda m: m.atoms.cell.array.copy()),
    Observable("volume", "Å³", lambda m: m.atoms.get_volume()),
    Observable("stress", "eV/Å³", lambda m: m.result("stress"), "stress"),  # Voigt, without the ideal-gas part
    Observable("pressure", "GPa", lambda m: m.pressure, "stress"),
)


def intervals(record: str | Sequence[str] | Mapping[str, int], every: int) -> dict[str, int]:
    """Name -> interval in steps, from a sequence of names (all at `every`) or a mapping of names to intervals."""
    if isinstance(record, str):
        record = (record,)
    plan = dict(record) if isinstance(record, Mapping) else dict.fromkeys(record, every)
    for name, interval in {"every": every, **{f"record[{name!r}]": n for name, n in plan.items()}}.items():
        if isinstance(interval, bool) or not isinstance(interval, (int, np.integer)) or interval < 1:
            raise InputError(f"{name}: expected a whole number of steps >= 1; got {interval!r}")
    return {str(name): int(n) for name, n in plan.items()}


def choose(moment: Moment, wanted: Mapping[str, int], every: int) -> list[tuple[Observable, int]]:
    """The observables of a run with their intervals, the standing ones first.

    Stress and pressure join unasked when the calculator delivered a stress together with the forces, cell and volume
    when the cell is full. Raises `InputError` for a name nobody knows or the calculator does not provide.
    """
    plan = dict.fromkeys(ALWAYS.values(), every)
    if moment.conserved is not None:
        plan[CONSERVED] = every
    if moment.atoms.cell.rank == 3 and moment.atoms.pbc.all():
        came = "stress" in getattr(moment.atoms.calc, "results", {})
        plan |= {o: every for o in OF_THE_CELL.values() if came or o.name in ("cell", "volume")}
    for name, interval in wanted.items():
        observable = _find(name, moment)
        _try(observable, moment)
        plan[observable] = interval
    return list(plan.items())


def _find(name: str, moment: Moment) -> Observable:
    table = ALWAYS | OF_THE_ATOMS | OF_THE_CELL
    provided = moment.atoms.calc.implemented_properties
    if name in table:
        return table[name]
    if name == CONSERVED.name and moment.conserved is not None:
        return CONSERVED
    if name in provided:
        unit = PROPERTIES[name].unit if name in PROPERTIES else "ASE units"
        return Observable(name, unit, lambda m: m.result(name), name)
    known = [*table, *provided]
    reason = f"{moment.atoms.calc.name!r} does not provide it" if name in PROPERTIES else "unknown"
    raise InputError(f"record: {name!r}: {reason}; expected some of {', '.join(known)}{closest(name, known)}")


def _try(observable: Observable, moment: Moment) -> None:
    """Reads the observable once, so that what is undefined for this structure fails before any file exists."""
    try:
        value = np.asarray(observable.read(moment), dtype=float)
    except (InputError, NotImplementedError, ValueError) as error:
        raise InputError(f"record: {observable.name!r} is not defined for this structure: {error}") from error
    if not np.isfinite(value).all():
        raise InputError(f"record: {observable.name!r} is not finite for the initial structure")
