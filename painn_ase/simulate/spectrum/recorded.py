"""The spectra of a run that `run_md` recorded."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from ase.io import iread

from painn_ase import rigid
from painn_ase.errors import InputError, closest
from painn_ase.simulate.run.reading import Run
from painn_ase.simulate.spectrum.report import Analysis, Recording, Report, analyse
from painn_ase.simulate.spectrum.report_files import FILES, TITLES
from painn_ase.spectra import dipole_rates

_HALF = (
    "a linear molecule that does not turn bends in one plane only, and half of the intensity of its bends is missing; "
    "simulate_spectra (painn-ase spectrum) lets it turn"
)


def spectra_of_run(
    run: Run | str | os.PathLike,
    *,
    path: str | os.PathLike,
    spectra: Iterable[str] = (),
    analysis: Analysis = Analysis(),  # noqa: B008  (frozen)
    overwrite: bool = False,
) -> Report:
    """The report on the spectra of a recorded run (`run_md`), written to the folder `path`.

    Needs "dipole" (or "born_effective_charges" and "velocities") for "infrared", "polarizability" for "raman",
    "velocities" for "power"; by default all that were recorded. Errors come from blocks of the one trajectory.
    """
    run = run if isinstance(run, Run) else Run.load(run)
    plan = _recorded(run, tuple(spectra))
    folder = Path(path)
    taken = [name for name in FILES if (folder / name).exists()]
    if taken and not overwrite:
        raise InputError(
            f"{folder / taken[0]} exists; choose another path or pass overwrite=True (--overwrite)"
        )  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    about, figures = run.metadata, run.summary
    series = {name: _series_of(run, name) for name in dict.fromkeys(plan.values())}
    intervals = {interval for interval, _ in series.values()}
    if len(intervals) > 1:
        raise InputError(
            f"{run.file}: the observables have different intervals ({sorted(intervals)} steps); ask for one spectrum "
            "at a time, spectra=['infrared']"
        )
    bath = about["coupling"]
    disturbed = "" if about["ensemble"] == "nve" else " (a thermostat in the recorded run broadens bands)"
    facts = {
        "run": str(run.file),
        "structure": f"{about['formula']}, {len(about['symbols'])} atoms",
        "calculator": about["calculator"],
        "ensemble": f"{about['ensemble']}, {bath}{disturbed}",
        "length": f"{figures['time_ps']:g} ps, {about['timestep_fs']:g} fs steps",
        "temperature": f"{figures['temperature']:.1f} ± {figures['temperature_error']:.1f} K (mean kinetic)",
    }
    if _half_of_its_bends(run):
        facts["bends"] = _HALF
        warnings.warn(f"{run.file}: {_HALF}", stacklevel=2)
    if "energy_drift" in figures:
        facts["energy drift"] = f"{figures['energy_drift']:+.2g} meV/atom/ps in the conserved energy"
    recording = Recording(
        {name: values[None] for name, (_, values) in series.items()},
        {"velocities": "Å/fs", "dipole_rate": "e·Å/fs"},
        about["timestep_fs"],
        intervals.pop(),
        figures["temperature"],
        np.asarray(about["masses_u"]),
        facts,
    )
    return analyse(recording, plan, analysis, folder)


def _half_of_its_bends(run: Run) -> bool:
    """Whether this is a linear molecule that moved without angular momentum."""
    about = run.metadata
    if len(about["symbols"]) < 3 or any(about["pbc"]) or about.get("turns", True):
        return False
    masses = np.asarray(about["masses_u"])
    return any(rigid.is_linear(frame.positions, masses) for frame in iread(run.trajectory))


def _recorded(run: Run, wanted: tuple[str, ...]) -> dict[str, str]:
    """Spectrum -> series, from what a run recorded."""
    names = set(run.names)
    plan = {}
    if "dipole" in names:
        plan["infrared"] = "dipole"
    elif {"born_effective_charges", "velocities"} <= names:
        plan["infrared"] = "dipole_rate"
    if "polarizability" in names:
        plan["raman"] = "polarizability"
    if "velocities" in names:
        plan["power"] = "velocities"
    for kind in wanted:
        if kind not in TITLES:
            raise InputError(f"spectra: expected some of {', '.join(TITLES)}; got {kind!r}{closest(kind, TITLES)}")
    missing = [kind for kind in wanted if kind not in plan] or ([] if plan else list(TITLES))
    if missing:
        raise InputError(
            f"{run.file} holds {', '.join(run.names)}, which gives no {' or '.join(missing)} spectrum; record dipole, "
            "polarizability or velocities"
        )
    return {kind: plan[kind] for kind in (wanted or plan)}


def _series_of(run: Run, name: str) -> tuple[int, np.ndarray]:
    """Interval in steps and values of a series; dμ/dt is made from Born charges and velocities."""
    if name == "dipole_rate":
        (step, charges), (other, velocities) = (_series_of(run, n) for n in ("born_effective_charges", "velocities"))
        if step != other:
            raise InputError(f"{run.file}: Born charges every {step} and velocities every {other} steps do not match")
        return step, dipole_rates(charges, velocities)
    times, values = run.observables(name)
    if len(values) < 2:
        raise InputError(f"{run.file}: {name} holds {len(values)} frame(s); a spectrum needs a trajectory")
    return max(1, round((times[1] - times[0]) / run.metadata["timestep_fs"])), values
