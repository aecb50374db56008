"""The spectra of a recorded run."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.io import iread

from painn_ase import rigid
from painn_ase.files import make_way
from painn_ase.simulate.run.reading import Run
from painn_ase.simulate.spectrum.analysis import Analysis, series_of_run
from painn_ase.simulate.spectrum.protocol import Protocol
from painn_ase.simulate.spectrum.report import Report, analyse
from painn_ase.simulate.spectrum.report_files import FILES

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

    run: the run, or the path its files begin with
    path: folder of the report
    spectra: some of "infrared" (needs "dipole", or "born_effective_charges" and "velocities"), "raman" (needs
        "polarizability") and "power" (needs "velocities"); by default all whose series were recorded
    analysis: resolution, laser, harmonic modes
    overwrite: replace an existing report

    Errors come from blocks of the one trajectory.
    """
    run = run if isinstance(run, Run) else Run.load(run)
    plan, folder = series_of_run(run, spectra), Path(path)
    make_way([folder / name for name in FILES], overwrite)
    return report_of(run, plan, analysis, folder)


def report_of(
    run: Run, plan: Mapping[str, str], analysis: Analysis, folder: Path, atoms: Atoms | None = None
) -> Report:
    """The report on a recorded run, as of `analyse`, with what its files say of it."""
    facts = _facts_of_protocol(run) if "protocol" in run.metadata else _facts(run)
    return analyse(run, plan, facts, analysis, folder, atoms)


def _facts(run: Run) -> dict[str, str]:
    """What the report says of a run of `run_md`."""
    about, figures = run.metadata, run.summary
    disturbed = "" if about["ensemble"] == "nve" else " (a thermostat in the recorded run broadens bands)"
    facts = {
        "run": str(run.file),
        "structure": f"{about['formula']}, {len(about['symbols'])} atoms",
        "calculator": about["calculator"],
        "ensemble": f"{about['ensemble']}, {about['coupling']}{disturbed}",
        "length": f"{figures['time_ps']:g} ps, {about['timestep_fs']:g} fs steps",
        "temperature": f"{figures['temperature']:.1f} ± {figures['temperature_error']:.1f} K (mean kinetic)",
    }
    if _half_of_its_bends(run):
        facts["bends"] = _HALF
        warnings.warn(f"{run.file}: {_HALF}", stacklevel=4)
    if "energy_drift" in figures:
        facts["energy drift"] = f"{figures['energy_drift']:+.2g} meV/atom/ps in the conserved energy"
    return facts


def _facts_of_protocol(run: Run) -> dict[str, str]:
    """What the report says of the trajectories of a protocol."""
    about, protocol = run.metadata, Protocol(**run.metadata["protocol"])
    step, quantum = protocol.timestep, protocol.beads > 1
    temperatures = run.observables("temperature")[1].mean(axis=0)
    times, energies = run.observables("conserved_energy")
    drifts = np.polyfit(times / 1000, energies, 1)[0] * 1000 / len(about["symbols"])
    motion = f"by TRPMD with {protocol.beads} beads (λ = 0.5, centroid free)" if quantum else "at constant energy"
    error = f" ± {temperatures.std(ddof=1) / np.sqrt(len(temperatures)):.1f}" if len(temperatures) > 1 else ""
    steps = protocol.trajectories * protocol.beads * protocol.recorded_steps
    return {
        "structure": f"{about['formula']}, {len(about['symbols'])} atoms",
        "calculator": about["calculator_in_words"],
        "trajectories": f"{protocol.trajectories} of {times[-1] / 1000:g} ps {motion}, {step:g} fs steps,"
        f" a frame every {step * protocol.every:g} fs",
        "equilibration": f"{protocol.equilibration:g} ps each, {'PILE-L' if quantum else 'Langevin'} at "
        f"{protocol.temperature:g} K, friction {protocol.friction:g} fs⁻¹, seed {protocol.seed}",
        "rotation of the whole": "kept" if protocol.rotation and not any(about["pbc"]) else "none",
        "temperature": f"{temperatures.mean():.1f}{error} K (mean kinetic, {about['degrees_of_freedom']} degrees of "
        f"freedom; asked for: {protocol.temperature:g} K)" + ("; of the centroids" if quantum else ""),
        "energy drift": f"{drifts.mean():+.2g} meV/atom/ps on average, {np.abs(drifts).max():.2g} at worst, in the "
        "conserved energy",
        "wall time": f"{run.summary['wall_seconds']:.0f} s for {steps} steps after the equilibration",
    }


def _half_of_its_bends(run: Run) -> bool:
    """Whether this is a linear molecule that moved without angular momentum."""
    about = run.metadata
    if len(about["symbols"]) < 3 or any(about["pbc"]) or about.get("turns", True) or not run.trajectory.exists():
        return False
    masses = np.asarray(about["masses_u"])
    return any(rigid.is_linear(frame.positions, masses) for frame in iread(run.trajectory))
