"""Energy conservation: the drift of the total energy of free dynamics."""

from __future__ import annotations

import warnings
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from ase import Atoms

from painn_ase.cards.measure.subject import Subject, calculator_of, rounded, stamp
from painn_ase.coverage import CoverageWarning
from painn_ase.simulate.md.request import run_md
from painn_ase.simulate.run.recorder import Output


@dataclass(frozen=True)
class Drift:
    """Total energy along velocity Verlet dynamics without thermostat."""

    drift: float  # meV/atom/ps, slope of the total energy
    fluctuation: float  # meV/atom, standard deviation about that slope
    ps: float
    timestep_fs: float
    temperature_K: float  # mean of the run
    backend: str
    formula: str

    def to_dict(self) -> dict[str, Any]:
        """The figures, JSON-able."""
        return rounded(asdict(self), 4) | stamp()

    def __str__(self) -> str:
        return (
            f"NVE of {self.formula}, {self.ps:g} ps at {self.temperature_K:.0f} K, {self.timestep_fs:g} fs: drift "
            f"{self.drift:+.2g} meV/atom/ps, fluctuation {self.fluctuation:.2g} meV/atom"
        )


def drift_check(
    model: Subject,
    atoms: Atoms,
    *,
    ps: float = 20.0,
    temperature: float = 300.0,
    timestep: float | None = None,
    seed: int = 0,
) -> Drift:
    """The drift of the total energy over `ps` ps after 2 ps (or `ps`) of Langevin dynamics at `temperature` K.

    model: a model or a committee
    atoms: the structure to start from; copied
    ps: length of the run at constant energy in ps
    temperature: of the dynamics before it, in K
    timestep: in fs; by default 0.5
    seed: of the random numbers

    Errors are those of `run_md`.
    """
    timestep = timestep or 0.5
    moving = atoms.copy()
    moving.calc = calculator_of(model)
    common: dict[str, Any] = {
        "temperature": temperature,
        "timestep": timestep,
        "seed": seed,
        "output": Output(trajectory_every=None),
        "progress": False,
    }
    with TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore", CoverageWarning)
        run_md(moving, steps=round(1000 * min(ps, 2.0) / timestep), path=Path(folder) / "warm", **common)
        run = run_md(moving, steps=round(1000 * ps / timestep), path=Path(folder) / "nve", ensemble="nve", **common)
        times, energies = run.observables("total_energy")
        mean = float(run.summary["temperature"])
    per_atom = 1000 * energies / len(moving)
    slope, offset = np.polyfit(times / 1000, per_atom, 1)
    rest = per_atom - slope * times / 1000 - offset
    formula = moving.get_chemical_formula()
    return Drift(float(slope), float(rest.std()), ps, timestep, mean, moving.calc.backend.name, formula)
