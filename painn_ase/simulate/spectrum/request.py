"""From a structure to its spectra: equilibrate, run independent trajectories in lock-step, transform, report."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from painn_ase import rigid
from painn_ase.capabilities import name_of, still_learns
from painn_ase.errors import InputError
from painn_ase.simulate.md.relax import relax
from painn_ase.simulate.replicas import batch
from painn_ase.simulate.replicas.modes import Ring
from painn_ase.simulate.replicas.motion import Replicas
from painn_ase.simulate.replicas.phases import ReplicaMotion
from painn_ase.simulate.replicas.thermostat import THERMOSTATS, Thermostat
from painn_ase.simulate.run.guards import Guards
from painn_ase.simulate.run.loop import RecordedRun
from painn_ase.simulate.run.observables import ALWAYS, CONSERVED, Plan, choose
from painn_ase.simulate.run.provenance import identity_of, provenance
from painn_ase.simulate.run.reading import Run
from painn_ase.simulate.run.recorder import Output, Recorder
from painn_ase.simulate.run.restart import Checkpoint
from painn_ase.simulate.run.watch import Watch
from painn_ase.simulate.spectrum.analysis import Analysis, series_by_calculator
from painn_ase.simulate.spectrum.protocol import Protocol
from painn_ase.simulate.spectrum.recorded import report_of
from painn_ase.simulate.spectrum.report import Report
from painn_ase.simulate.spectrum.report_files import FILES, check_plotting
from painn_ase.structure_checks import check_structure

NAME = "run"  # of the recorded run in the folder of a report


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

    atoms: the structure with its calculator
    path: folder of the report and its files
    spectra: some of "infrared" (from the dipole, or from Born charges and velocities where the calculator has no dipole
        of the structure), "raman" (from the polarizability) and "power" (the vibrational density of states, from the
        velocities); by default all that the calculator can provide
    protocol: temperature, number and length of trajectories, time step; with several beads nuclei are quantum particles
    analysis: resolution, laser, harmonic modes
    resume: continue a run that was stopped or killed, to the same numbers; resuming a finished run repeats only the
        analysis, with another `analysis` if you like
    overwrite: replace an existing report
    progress: whether a progress bar shows; by default on a terminal
    checkpoint: seconds between saved states
    guards: they look at every copy at every step, equilibration included

    All trajectories and beads advance together, in one evaluation per step with a
    `PaiNNCalculator`; with any other ASE calculator one after the other. What the spectra are made from is recorded in
    `run.h5`, rows with an axis of trajectories; `Run.load(path / "run")` reads it.

    Raises `InputError` for impossible requests, before anything is computed, and `SimulationError` when one of the
    `guards` stops a trajectory. Steps of the equilibration are counted below zero.
    """
    _check(atoms, protocol, analysis, guards)
    plan, folder = series_by_calculator(atoms, spectra), Path(path)
    _check_rotation(atoms, protocol)
    path, (motion, freedom) = folder / NAME, _motion(atoms, protocol)
    saved = Checkpoint(path, {"protocol": asdict(protocol), "plan": plan, **identity_of(atoms)}, checkpoint)
    about, observables = _about(atoms, protocol, freedom), _observables(atoms, plan, protocol)
    files = Recorder(path, observables, about, Output(None), saved, results=[folder / name for name in FILES])
    before = saved.load(atoms, protocol.recorded_steps) if resume else None
    watch = Watch(guards, guards.limit(protocol.temperature, freedom), motion, path)
    run = RecordedRun(motion, watch, files, -protocol.equilibration_steps)
    run.run(protocol.recorded_steps, before, overwrite or resume, progress)
    return report_of(Run.load(path), plan, analysis, folder, atoms)


def _motion(atoms: Atoms, protocol: Protocol) -> tuple[ReplicaMotion, int]:
    """The trajectories of a protocol, and the degrees of freedom of each."""
    masses, quantum = atoms.get_masses(), protocol.beads > 1
    still = not (protocol.rotation or atoms.pbc.any())
    freedom = 3 * len(atoms) - 3 - (rigid.rotations(len(atoms)) if still else 0)

    def stop_turning(replicas: Replicas) -> None:
        momenta = replicas.centroid_velocities * masses[:, None]
        momenta -= rigid.rotation(replicas.centroids, momenta, masses)
        replicas.set_centroid_velocities(momenta / masses[:, None])

    replicas = Replicas(
        Ring(protocol.beads, masses, protocol.temperature, protocol.timestep),
        batch.evaluator(atoms),
        atoms.positions,
        Thermostat(time=1 / protocol.friction),
        [np.random.default_rng(seed) for seed in np.random.SeedSequence(protocol.seed).spawn(protocol.trajectories)],
    )
    label = f"{protocol.trajectories} trajectories" + (f" x {protocol.beads} beads" if quantum else "")
    release = stop_turning if still else None
    return ReplicaMotion(atoms, replicas, _free(protocol), freedom, label, several=True, release=release), freedom


def _free(protocol: Protocol) -> Thermostat:
    """What acts on the trajectories after their equilibration."""
    return THERMOSTATS["trpmd" if protocol.beads > 1 else "none"]


def _about(atoms: Atoms, protocol: Protocol, freedom: int) -> dict[str, Any]:
    """What the file of a run says of it."""
    return {
        "ensemble": "trpmd" if protocol.beads > 1 else "nve",
        "coupling": repr(_free(protocol)),
        "protocol": asdict(protocol),
        "trajectories": protocol.trajectories,
        "temperature_K": protocol.temperature,
        "timestep_fs": protocol.timestep,
        "steps": protocol.recorded_steps,
        "momenta": f"of Langevin dynamics at {protocol.temperature:g} K",
        "degrees_of_freedom": freedom,
        "seed": protocol.seed,
        "calculator_in_words": name_of(atoms.calc),
    } | provenance(atoms)


def _observables(atoms: Atoms, plan: Mapping[str, str], protocol: Protocol) -> Plan:
    """Energies, and the series of the spectra; velocities, the largest, in single precision."""
    wanted = dict.fromkeys(plan.values(), protocol.every)
    names = ALWAYS.keys() | CONSERVED.keys() | wanted.keys()
    found = choose(atoms, wanted, protocol.every, conserved=True)
    return [(replace(o, dtype="f4") if o.name == "velocities" else o, n) for o, n in found if o.name in names]


def _check(atoms: Atoms, protocol: Protocol, analysis: Analysis, guards: Guards) -> None:
    check_structure(atoms, "a spectrum is of something that vibrates and", least=2)
    if still_learns(atoms.calc):
        raise InputError(
            "spectra: this calculator still learns, so its forces would change within a spectrum; expected one that "
            "stays as it is: atoms.calc = calculator.freeze()"
        )
    if atoms.constraints:
        raise InputError(
            "the structure has constraints, which these trajectories do not follow: atoms.set_constraint() removes "
            "them; or record a run with run_md and pass its file to spectra_of_run"
        )
    guards.check(atoms.calc)
    check_plotting()
    analysis.check_length(protocol.length, protocol.timestep * protocol.every)


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
