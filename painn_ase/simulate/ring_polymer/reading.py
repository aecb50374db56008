"""A recorded ring-polymer run: what `Run` gives, and quantum averages with their errors."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from ase.units import kB

from painn_ase.simulate.replicas.modes import Ring
from painn_ase.simulate.ring_polymer.estimators import heat_capacity
from painn_ase.simulate.run.averages import LONGEST_MEMORY, Mean, estimate
from painn_ase.simulate.run.reading import UNSURE, Run

_LABELS = {
    "temperature": ("temperature", "K"),
    "potential_energy": ("potential", "eV"),
    "kinetic_energy": ("kinetic", "eV (centroid virial)"),
    "kinetic_energy_primitive": ("", "eV (primitive)"),
    "total_energy": ("total", "eV"),
    "pressure": ("pressure", "GPa"),
    "heat_capacity": ("heat cap.", "kB"),
}


class RingPolymerRun(Run):
    """A run of `run_rpmd`. Its observables are bead averages; `velocities` and `positions` are the centroid's."""

    @property
    def ring(self) -> Ring:
        """The ring polymer that moved."""
        about = self.metadata
        return Ring(
            about["beads"],
            np.asarray(about["masses_u"]),
            about["temperature_K"],
            about["timestep_fs"],
            np.asarray(about["fixed"], dtype=bool),
            about["centred"],
            about["propagator"],
        )

    @cached_property
    def averages(self) -> dict[str, tuple[Any, Any]]:
        """Name -> (mean, its standard error: see `run.averages.estimate`), in the units of the observables.

        potential_energy, kinetic_energy (centroid virial), kinetic_energy_primitive, total_energy (eV), temperature of
        the modes (K); of every atom kinetic_energies (eV) and gyration_radii (Å); pressure (GPa) and heat_capacity
        (kB, at constant volume) where they were recorded.
        """
        found: dict[str, tuple[Any, Any]] = {name: mean[:2] for name, mean in self._means.items()}
        found["kinetic_energies"] = _by_atom(self.observables("kinetic_energies")[1])
        squares, errors = _by_atom(self.observables("squared_gyration_radii")[1])
        radii = np.sqrt(squares)
        found["gyration_radii"] = radii, errors / np.maximum(2 * radii, np.finfo(float).tiny)
        if "heat_capacity" in self.names:
            times, slopes = self.observables("heat_capacity")
            all_times, energies = self.observables("total_energy")
            found["heat_capacity"] = heat_capacity(self.ring, energies[np.searchsorted(all_times, times)], slopes)
        return found

    @cached_property
    def _means(self) -> dict[str, Mean]:
        """Of the observables that are one number."""
        names = [name for name in _LABELS if name in self.names and name != "heat_capacity"]
        return {name: estimate(self.observables(name)[1]) for name in names}

    def __str__(self) -> str:
        about = self.metadata
        lines = [
            f"Ring polymer of {about['beads']} beads, {about['formula']}, {len(about['symbols'])} atoms, "
            f"{about['temperature_K']:g} K: {about['coupling']}",
            f"{self._length()}, after {about['equilibration_ps']:g} ps of equilibration; seed {about['seed']}",
        ]
        for name, (label, unit) in _LABELS.items():
            if name in self.averages:
                mean, error = self.averages[name]
                unsure = UNSURE if name in self._means and self._means[name].memory > LONGEST_MEMORY else ""
                lines.append(f"{label:<13}{_with_error(mean, error)} {unit}{unsure}")
        classical = 1.5 * about["temperature_K"] * kB
        lines.append(f"kinetic energy and radius of gyration by element ({classical:.4f} eV if classical)")
        lines += [f"  {row}" for row in self._by_element()]
        return "\n".join([*lines, *self._rest(" (centroid)")])

    def _by_element(self) -> list[str]:
        symbols = np.asarray(self.metadata["symbols"])
        kinetic, kinetic_error = self.averages["kinetic_energies"]
        radii, radii_error = self.averages["gyration_radii"]
        rows = []
        for symbol in dict.fromkeys(symbols):
            mine = symbols == symbol
            count = np.sqrt(mine.sum())
            rows.append(
                f"{symbol:<3}{_with_error(kinetic[mine].mean(), kinetic_error[mine].mean() / count)} eV   "
                f"{_with_error(radii[mine].mean(), radii_error[mine].mean() / count)} Å"
            )
        return rows


def _by_atom(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    pairs = np.array([estimate(column)[:2] for column in values.T])
    return pairs[:, 0], pairs[:, 1]


def _with_error(mean: float, error: float) -> str:
    """Digits down to the second one of the error."""
    if not np.isfinite(error) or error <= 0:
        return f"{mean:.5g}"
    digits = int(np.clip(1 - np.floor(np.log10(error)), 0, 12))
    return f"{mean:.{digits}f} ± {error:.{digits}f}"
