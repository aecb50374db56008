"""A recorded run: where its files are, what they hold, and its summary."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from painn_ase.errors import InputError, closest
from painn_ase.shown import Shown
from painn_ase.simulate.run.averages import LONGEST_MEMORY, estimate, line
from painn_ase.simulate.run.restart import file
from painn_ase.simulate.run.rows import FORMAT, VERSION, last_sync

UNSURE = " (a short run: the error is uncertain)"


@dataclass(frozen=True, repr=False)
class Run(Shown):
    """A recorded molecular-dynamics run; `run_md` returns one, `Run.load(path)` opens one again.

    `metadata` holds the conditions, the structure and the versions. Also a run that is still going, or was killed,
    can be loaded: it holds everything up to its last sync.
    """

    path: Path
    metadata: dict[str, Any]

    def __repr__(self) -> str:
        about = self.metadata
        what = (
            f"{about['ensemble'].upper()} of {about['formula']}, {about['steps']} steps of {about['timestep_fs']:g} fs"
        )
        return f"{type(self).__name__}({str(self.path)!r}: {what})"

    @classmethod
    def load(cls, path: str | os.PathLike) -> Run:
        """The run recorded under `path`, given as to `run_md` or as the name of its .h5 file."""
        name = os.fspath(path)
        path = Path(name[:-3] if name.endswith(".h5") else name)
        with _open(file(path, ".h5")) as data:
            return cls(path, json.loads(data.attrs["metadata"]))

    @property
    def trajectory(self) -> Path:
        """The ASE trajectory of saved frames."""
        return file(self.path, ".traj")

    @property
    def file(self) -> Path:
        """The HDF5 file of observables."""
        return file(self.path, ".h5")

    @property
    def names(self) -> tuple[str, ...]:
        """The recorded observables."""
        with _open(self.file) as data:
            return tuple(data["observables"])

    @property
    def trajectories(self) -> int | None:
        """How many trajectories there are, which observables then have an axis of; None for a run of one system."""
        return self.metadata.get("trajectories")

    def unit(self, name: str) -> str:
        """The unit of an observable."""
        with _open(self.file) as data:
            return str(self._dataset(data, name).attrs["unit"])

    def observables(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Times in fs (rows,) and values (rows, ...) of an observable, in its `unit`.

        Values of a run of several trajectories are (rows, trajectories, ...).

        Raises `InputError` for a name that was not recorded, naming those that were.
        """
        with _open(self.file) as data:
            dataset = self._dataset(data, name)
            interval = int(dataset.attrs["interval"])
            last = last_sync(data)[0]
            values = dataset[: last // interval + 1] if last >= 0 else dataset[:0]
        return np.arange(len(values)) * interval * self.metadata["timestep_fs"], values

    def _dataset(self, data: h5py.File, name: str) -> h5py.Dataset:
        recorded = list(data["observables"])
        if name not in recorded:
            raise InputError(
                f"{self.file} holds {', '.join(recorded)}; got {name!r}{closest(name, recorded)}. "
                f"Name it in record=[...] to have it recorded."
            )
        return data["observables"][name]

    @cached_property
    def summary(self) -> dict[str, Any]:
        """Figures of the whole run, start included.

        temperature and temperature_error (K, see `averages.estimate`), temperature_memory (its correlation time as a
        share of the run; above 1/50 the error is uncertain), potential_energy and total_energy (eV, means),
        energy_drift (meV/atom/ps, slope of the conserved energy), energy_scatter (eV, its standard deviation about that
        slope) and pressure (GPa) where they are recorded, steps, time_ps, complete (False: the run was stopped or still
        goes on), wall_seconds, steps_per_second, files.
        """
        with _open(self.file) as data:
            last, seconds = last_sync(data)
        if last < 0:
            raise InputError(f"{self.file} holds no complete rows yet: the run was stopped before its first sync")
        temperature = estimate(self._mean("temperature"))
        means = [name for name in ("temperature", "potential_energy", "total_energy", "pressure") if name in self.names]
        figures: dict[str, Any] = {name: float(np.mean(self.observables(name)[1])) for name in means}
        figures |= {"temperature_error": temperature.error, "temperature_memory": temperature.memory}
        if "conserved_energy" in self.names:
            drift, scatter = line(self.observables("conserved_energy")[0], self._mean("conserved_energy"))
            figures |= {"energy_drift": drift * 1e6 / len(self.metadata["symbols"]), "energy_scatter": scatter}
        return figures | {
            "steps": last,
            "time_ps": last * self.metadata["timestep_fs"] / 1000,
            "complete": last == self.metadata["steps"],
            "wall_seconds": seconds,
            "steps_per_second": last / seconds if seconds > 0 else float("nan"),
            "files": [str(name) for name in (self.file, self.trajectory) if name.exists()],
        }

    def _mean(self, name: str) -> np.ndarray:
        """An observable, the mean over the trajectories where there are several, (rows,)."""
        values = self.observables(name)[1]
        return values if self.trajectories is None else values.mean(axis=1)

    def __str__(self) -> str:
        about, figures = self.metadata, self.summary
        pressure = f", pressure {figures['pressure']:.3f} GPa" if "pressure" in figures else ""
        unsure = UNSURE if figures["temperature_memory"] > LONGEST_MEMORY else ""
        # at constant energy a temperature says only what the momenta were drawn at
        kelvin = f", {about['temperature_K']:g} K" if about["ensemble"] != "nve" or "drawn" in about["momenta"] else ""
        lines = [
            f"{about['ensemble'].upper()} of {about['formula']}, {len(about['symbols'])} atoms{kelvin}: "
            f"{about['coupling']}",
            self._length(),
            f"momenta      {about['momenta']}; {about['degrees_of_freedom']} degrees of freedom; seed {about['seed']}",
            f"temperature  {figures['temperature']:.1f} ± {figures['temperature_error']:.1f} K{unsure}{pressure}",
            f"energies     potential {figures['potential_energy']:.4f}, total {figures['total_energy']:.4f} eV (means)",
        ]
        return "\n".join([*lines, *self._rest()])

    def _length(self) -> str:
        about, figures = self.metadata, self.summary
        state = "" if figures["complete"] else f" of {about['steps']} (stopped early)"
        return f"steps        {figures['steps']}{state} of {about['timestep_fs']:g} fs = {figures['time_ps']:g} ps"

    def _rest(self, of_frames: str = "") -> list[str]:
        """The last lines of the text: conserved energy, speed and files."""
        figures, lines = self.summary, []
        if "energy_drift" in figures:
            lines.append(
                f"drift        {figures['energy_drift']:.3g} meV/atom/ps in the conserved energy, which scatters by "
                f"{1000 * figures['energy_scatter']:.3g} meV about it"
            )
        lines += [
            f"speed        {figures['steps_per_second']:.4g} steps/s, {figures['wall_seconds']:.1f} s",
            f"observables  {self.file} ({', '.join(self.names)})",
        ]
        if self.trajectory.exists():
            lines.append(f"trajectory   {self.trajectory}{of_frames}")
        return lines


def _open(name: Path) -> h5py.File:
    if not name.is_file():
        raise InputError(f"no recorded run here: {name} does not exist")
    try:
        data = h5py.File(name, "r", libver=VERSION, swmr=True)
    except OSError as error:
        raise InputError(f"{name} is not a readable HDF5 file: {error}") from error
    if data.attrs.get("format") != FORMAT:
        found = data.attrs.get("format", "no format")
        data.close()
        raise InputError(f"{name}: expected format {FORMAT!r}; got {found!r}")
    return data
