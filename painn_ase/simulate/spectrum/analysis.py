"""From recorded series to spectra: which series gives which spectrum, and how."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms

from painn_ase.capabilities import hidden
from painn_ase.errors import InputError, choice, positive
from painn_ase.simulate.run.reading import Run
from painn_ase.spectra import (
    RamanSpectra,
    Spectrum,
    dipole_rates,
    infrared,
    infrared_from_rates,
    power_spectrum,
    raman,
)
from painn_ase.spectra.transform import WINDOWS
from painn_ase.units import SPEED_OF_LIGHT

SERIES = {"infrared": ("dipole", "dipole_rate"), "raman": ("polarizability",), "power": ("velocities",)}
"""Spectrum -> the series it can be made from, the better one first."""
_READ_FROM = {"dipole_rate": "born_effective_charges", "velocities": "forces"}  # others from properties of their name
_LONGEST_INTERVAL = 4.0  # fs


@dataclass(frozen=True)
class Analysis:
    """How series become spectra: `resolution` (cm⁻¹, full width at half maximum of a sharp line), `laser` (nm), and
    whether `harmonic` modes are computed to set beside the bands of a molecule (needs analytic derivatives)."""

    resolution: float = 10.0
    laser: float = 532.0
    harmonic: bool = True

    def __post_init__(self) -> None:
        for name, unit in (("resolution", "cm⁻¹"), ("laser", "nm")):
            positive(name, getattr(self, name), unit)

    def check_length(self, length: float, interval: float) -> None:
        """`InputError` unless trajectories of `length` ps with frames every `interval` fs can be resolved so."""
        needed = WINDOWS["gaussian"].depth / (SPEED_OF_LIGHT * 1e-10 * self.resolution)  # ps
        if length < needed + 2 * interval / 1000:
            finest = self.resolution * needed / max(length - 2 * interval / 1000, 1e-9)
            raise InputError(
                f"length: a resolution of {self.resolution:g} cm⁻¹ needs trajectories of {needed:.2f} ps or more; got "
                f"{length:g} ps. Run longer, or ask for a resolution of {finest:.1f} cm⁻¹"
            )
        if interval > _LONGEST_INTERVAL:
            raise InputError(
                f"every: frames {interval:g} fs apart fold vibrations above {1e5 / (6 * interval):.0f} cm⁻¹ back into "
                "the spectrum; expected at most 4 fs between frames, 2 fs with O-H bonds"
            )


def series_by_calculator(atoms: Atoms, wanted: Iterable[str]) -> dict[str, str]:
    """Spectrum -> the series that the calculator can provide for it; all spectra it can if none is wanted.

    Raises `InputError` for what was wanted and cannot be.
    """

    def obstacle(series: str) -> str:
        source = _READ_FROM.get(series, series)
        if source not in atoms.calc.implemented_properties:
            return f"{atoms.calc.name!r} has no {source}{hidden(atoms.calc, source)}"
        try:
            atoms.calc.get_property(source, atoms)
        except NotImplementedError as error:
            return str(error)
        return ""

    return _first_without(obstacle, wanted, "spectra: {kind!r} cannot be computed: {reasons}")


def series_of_run(run: Run, wanted: Iterable[str]) -> dict[str, str]:
    """Spectrum -> the series that a run has recorded for it; all spectra it can if none is wanted."""
    names = set(run.names)
    names |= {"dipole_rate"} if {"born_effective_charges", "velocities"} <= names else set()
    sentence = f"{run.file} holds {', '.join(run.names)}, which gives no {{kind}} spectrum; record dipole, "
    sentence += "polarizability or velocities"
    found = _first_without(lambda series: "" if series in names else series, wanted, sentence)
    if not found:
        raise InputError(sentence.format(kind=" or ".join(SERIES)))
    return found


def _first_without(obstacle: Callable[[str], str], wanted: Iterable[str], sentence: str) -> dict[str, str]:
    """Spectrum -> its first series without an obstacle; `InputError` with the `sentence` if a wanted one has none."""
    asked = tuple(dict.fromkeys(wanted))
    plan = {}
    for kind in asked or SERIES:
        obstacles = {series: obstacle(series) for series in SERIES[choice("spectra", kind, SERIES)]}
        free = [series for series, reason in obstacles.items() if not reason]
        if free:
            plan[kind] = free[0]
        elif asked:
            raise InputError(sentence.format(kind=kind, reasons="; ".join(obstacles.values())))
    return plan


def spectra_from(run: Run, plan: Mapping[str, str], analysis: Analysis) -> dict[str, Spectrum | RamanSpectra]:
    """The spectra that are made from the series of a run; `plan` names the series of each."""
    series = {name: _read(run, name) for name in dict.fromkeys(plan.values())}
    units = {name: run.unit(name) if name in run.names else "e·Å/fs" for name in series}
    intervals = {interval for interval, _ in series.values()}
    if len(intervals) > 1:
        raise InputError(
            f"{run.file}: the observables have different intervals ({sorted(intervals)} steps); ask for one spectrum "
            "at a time, spectra=['infrared']"
        )
    common: dict[str, Any] = {
        "timestep": run.metadata["timestep_fs"],
        "every": intervals.pop(),
        "temperature": run.summary["temperature"],
        "resolution": analysis.resolution,
    }
    transforms: dict[str, Callable[..., Spectrum | RamanSpectra]] = {
        "dipole": infrared,
        "dipole_rate": infrared_from_rates,
        "polarizability": lambda values, **known: raman(values, laser=analysis.laser, **known),
        "velocities": lambda values, **known: power_spectrum(values, run.metadata["masses_u"], **known),
    }
    return {kind: transforms[name](series[name][1], unit=units[name], **common) for kind, name in plan.items()}


def _read(run: Run, name: str) -> tuple[int, np.ndarray]:
    """Interval in steps and values (trajectories, frames, ...); dμ/dt may be made from Born charges and velocities."""
    if name == "dipole_rate" and name not in run.names:
        (step, charges), (other, velocities) = (_read(run, n) for n in ("born_effective_charges", "velocities"))
        if step != other:
            raise InputError(f"{run.file}: Born charges every {step} and velocities every {other} steps do not match")
        return step, dipole_rates(charges, velocities)
    times, values = run.observables(name)
    if len(values) < 2:
        raise InputError(f"{run.file}: {name} holds {len(values)} frame(s); a spectrum needs a trajectory")
    series = values[None] if run.trajectories is None else np.moveaxis(values, 1, 0)
    return max(1, round((times[1] - times[0]) / run.metadata["timestep_fs"])), series
