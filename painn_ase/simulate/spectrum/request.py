"""From a structure to its spectra: equilibrate, run independent trajectories in lock-step, transform, report."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.units import kB

from painn_ase import rigid
from painn_ase.errors import InputError, closest
from painn_ase.files import write_atomically
from painn_ase.simulate.md.relax import relax
from painn_ase.simulate.replicas.lookout import FAILURE, FLAGGED
from painn_ase.simulate.run.guards import Guards
from painn_ase.simulate.run.requests import check_structure
from painn_ase.simulate.run.restart import identity_of
from painn_ase.simulate.spectrum.protocol import Protocol
from painn_ase.simulate.spectrum.report import Analysis, Recording, Report, analyse
from painn_ase.simulate.spectrum.report_files import FILES, check_plotting
from painn_ase.simulate.spectrum.series import FILES as SERIES
from painn_ase.simulate.spectrum.trajectories import STATE, Trajectories

KINDS = ("infrared", "raman", "power")
_ABOUT = "protocol.json"


def simulate_spectra(
    atoms: Atoms,
    *,
    path: str | os.PathLike,
    spectra: Iterable[str] = (),
    protocol: Protocol = Protocol(),  # noqa: B008  (frozen)
    analysis: Analysis = Analysis(),  # noqa: B008  (frozen)
    resume: bool = False,
    overwrite: bool = False,
    progress: bool | None = None,
    checkpoint: float = 30.0,
    guards: Guards = Guards(),  # noqa: B008  (frozen)
) -> Report:
    """The report on the spectra of a structure from independent trajectories; everything goes to the folder `path`.

    `spectra` are some of "infrared" (from the dipole, or from Born charges and velocities where the calculator has
    no dipole of the structure), "raman" (from the polarizability) and "power" (the vibrational density of states,
    from the velocities); by default all that the calculator can provide. With several `beads` in the protocol nuclei
    are quantum particles. Observables are recorded as .npy files, only those needed. All trajectories and beads advance
    together, in one evaluation per step with a `PaiNNCalculator`; with any other ASE calculator one after the other.

    Every `checkpoint` seconds the state is saved; `resume` continues a run that was stopped or killed, to the same
    numbers. Resuming a finished run repeats only the analysis, with another `analysis` if you like.
    Raises `InputError` for impossible requests, before anything is computed, and `SimulationError` when one of the
    `guards` stops a trajectory; they look at every copy at every step, equilibration included (see `Lookout`).
    """
    _check_atoms(atoms)
    guards.check(atoms.calc)
    check_plotting()
    analysis.check_length(protocol.length, protocol.timestep * protocol.every)
    folder = Path(path)
    plan = _plan(atoms, tuple(dict.fromkeys(spectra)))
    _check_rotation(atoms, protocol)
    identity = {"protocol": asdict(protocol), "plan": plan, **identity_of(atoms)}
    run = Trajectories(folder, atoms, protocol, plan, identity, guards)
    if resume:
        run.resume()
    else:
        _begin(run, overwrite)
    run.advance(progress, checkpoint)
    return analyse(_recording(run), plan, analysis, folder)


def _plan(atoms: Atoms, wanted: tuple[str, ...]) -> dict[str, str]:
    """Spectrum -> the series it is made from; `InputError` for what the calculator cannot provide."""
    for name in wanted:
        if name not in KINDS:
            raise InputError(f"spectra: expected some of {', '.join(KINDS)}; got {name!r}{closest(name, KINDS)}")
    provided = set(atoms.calc.implemented_properties)
    sources = {
        "infrared": {"dipole": "dipole", "born_effective_charges": "dipole_rate"},
        "raman": {"polarizability": "polarizability"},
        "power": {"forces": "velocities"},
    }
    plan = {}
    for kind in wanted or KINDS:
        reasons = []
        for source, series in sources[kind].items():
            if source not in provided:
                reasons.append(f"{atoms.calc.name!r} has no {source}")
                continue
            try:
                atoms.calc.get_property(source, atoms)
            except NotImplementedError as error:
                reasons.append(str(error))
                continue
            plan[kind] = series
            break
        if kind not in plan and kind in wanted:
            raise InputError(f"spectra: {kind!r} cannot be computed: {'; '.join(reasons)}")
    return plan


def _begin(run: Trajectories, overwrite: bool) -> None:
    """Makes way for the files of a new run, and writes the first of them."""
    names = (STATE, _ABOUT, *SERIES, FAILURE, FLAGGED, *FILES)
    taken = [file for file in (run.folder / name for name in names) if file.exists()]
    if taken and not overwrite:
        raise InputError(
            f"{run.folder} already holds a run ({taken[0].name}); continue it with resume=True (--resume), replace it "
            "with overwrite=True (--overwrite), or choose another path"
        )
    for file in taken:
        file.unlink()
    run.folder.mkdir(parents=True, exist_ok=True)
    write_atomically(run.folder / _ABOUT, json.dumps(run.identity, indent=1, ensure_ascii=False) + "\n")
    run.save()


def _recording(run: Trajectories) -> Recording:
    """What was recorded, to be analysed; series stay on disk until they are read."""
    protocol, energy = run.protocol, run.series.read("energy")
    found = {name: run.series.read(name) for name in set(run.plan.values())}
    temperatures = (2 * energy[:, :, 1] / (run.freedom * kB)).mean(axis=1)
    facts, mean = _facts(run, energy.sum(axis=2), temperatures), float(temperatures.mean())
    return Recording(found, {}, protocol.timestep, protocol.every, mean, run.masses, facts, run.atoms)


def _facts(run: Trajectories, total: np.ndarray, temperatures: np.ndarray) -> dict[str, str]:
    """What the report says of a run with total energies (trajectories, frames) in eV and mean temperatures in K."""
    about, atoms = run.protocol, run.atoms
    quantum, one = about.beads > 1, len(temperatures) == 1
    times = np.arange(about.frames) * about.timestep * about.every / 1000  # ps
    drifts = np.polyfit(times, total.T, 1)[0] * 1000 / len(atoms) if about.frames > 1 else np.zeros(1)
    motion = f"by TRPMD with {about.beads} beads (λ = 0.5, centroid free)" if quantum else "at constant energy"
    facts = {
        "structure": f"{atoms.get_chemical_formula()}, {len(atoms)} atoms",
        "calculator": _model_name(atoms),
        "trajectories": f"{about.trajectories} of {times[-1]:g} ps {motion}, {about.timestep:g} fs steps,"
        f" a frame every {about.timestep * about.every:g} fs",
        "equilibration": f"{about.equilibration:g} ps each, {'PILE-L' if quantum else 'Langevin'} at "
        f"{about.temperature:g} K, friction {about.friction:g} fs⁻¹, seed {about.seed}",
        "rotation of the whole": "kept" if about.rotation and not atoms.pbc.any() else "none",
        "temperature": f"{temperatures.mean():.1f} K"
        + ("" if one else f" ± {temperatures.std(ddof=1) / np.sqrt(len(temperatures)):.1f} K")
        + f" (mean kinetic, {run.freedom} degrees of freedom; asked for: {about.temperature:g} K)",
        "energy drift": f"{drifts.mean():+.2g} meV/atom/ps on average, {np.abs(drifts).max():.2g} at worst",
        "wall time": f"{run.seconds:.0f} s for {about.trajectories * about.beads * (run.step - 1)} steps",
    }
    if quantum:
        del facts["energy drift"]  # the bath of the internal modes takes and gives
        facts["temperature"] += "; of the centroids"
    return facts


def _model_name(atoms: Atoms) -> str:
    calc = atoms.calc
    backend = f" on the {calc.backend.name} backend" if hasattr(calc, "backend") else ""
    return f"{calc.name} {getattr(calc, 'model_name', '')}".strip() + backend


def _check_atoms(atoms: Atoms) -> None:
    check_structure(atoms, "a spectrum is of something that vibrates and", least=2)
    if atoms.constraints:
        raise InputError(
            "the structure has constraints, which these trajectories do not follow: atoms.set_constraint() removes "
            "them; or record a run with run_md and pass its file to spectra_of_run"
        )


def _check_rotation(atoms: Atoms, protocol: Protocol) -> None:
    """Refuses to take the rotation from a molecule that is linear once it is relaxed.

    Without angular momentum along its axis a bend, which is degenerate, swings in one plane only, and half of its
    intensity is missing. Two atoms have no bend.
    """
    if protocol.rotation or atoms.pbc.any() or len(atoms) < 3:
        return
    relaxed = Atoms(atoms.numbers, atoms.positions, masses=atoms.get_masses(), info=atoms.info)
    relaxed.rattle(0.01, seed=0)  # off a saddle
    relaxed.calc = atoms.calc
    relax(relaxed, fmax=0.02, optimizer="BFGS", progress=False)
    if rigid.is_linear(relaxed.positions, relaxed.get_masses()):
        raise InputError(
            "rotation: without its rotation a linear molecule bends in one plane only, and half of the intensity of "
            "its bends is missing; expected rotation=True (leave --no-rotation out) for "
            f"{atoms.get_chemical_formula()}, which is linear when relaxed"
        )
