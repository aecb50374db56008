"""Molecular dynamics with any ASE calculator, recorded and guarded."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.units import kB

from painn_ase.capabilities import finite_forces
from painn_ase.errors import positive, whole
from painn_ase.plain import plainly
from painn_ase.rigid import check_masses
from painn_ase.simulate.md import momenta
from painn_ase.simulate.md.barostat import MTK
from painn_ase.simulate.md.coupling import Conditions, Coupling
from painn_ase.simulate.md.driver import DriverMotion, driven
from painn_ase.simulate.md.ensembles import coupling
from painn_ase.simulate.md.state import place, structure_identity
from painn_ase.simulate.run.guards import Guards, GuardWarning
from painn_ase.simulate.run.loop import RecordedRun
from painn_ase.simulate.run.observables import choose, intervals
from painn_ase.simulate.run.provenance import provenance
from painn_ase.simulate.run.reading import Run
from painn_ase.simulate.run.recorder import Output, Recorder
from painn_ase.simulate.run.restart import Checkpoint, Restart
from painn_ase.simulate.run.watch import Watch
from painn_ase.structure_checks import check_structure

_LONG = 10.0  # fs
_LARGEST_SCATTER = 0.3  # of the conserved energy, in that of the kinetic energy
_ENOUGH = 50  # rows, to tell it from
_ROUND_OFF = 1e-4  # eV an atom


def run_md(
    atoms: Atoms,
    *,
    steps: int,
    path: str | os.PathLike,
    ensemble: str = "nvt",
    temperature: float = 300.0,
    timestep: float = 0.5,
    thermostat: str | Coupling | None = None,
    barostat: MTK | None = None,
    record: str | Sequence[str] | Mapping[str, int] = (),
    every: int = 1,
    seed: int = 0,
    overwrite: bool = False,
    output: Output = Output(),  # noqa: B008  (frozen)
    guards: Guards = Guards(),  # noqa: B008  (frozen)
    resume: bool = False,
    checkpoint: float = 30.0,
    progress: bool | None = None,
) -> Run:
    """The recorded run of `steps` steps of `timestep` fs, driven by ASE's own integrators.

    atoms: the structure with its calculator; as with ASE's drivers, it ends in the final state
    steps: number of steps
    path: output files begin with this
    ensemble: "nve" (velocity Verlet), "nvt", or "npt"
    temperature: of the bath and of the initial momenta in K; these are drawn unless the atoms already have some, and
        with "nve" and 0 K the atoms start at rest
    timestep: in fs
    thermostat: with "nvt": "langevin" (default), "bussi", "nose-hoover", or one of `Langevin`, `Bussi`,
        `NoseHooverChain` with its parameters
    barostat: with "npt": `MTK(pressure=...)`
    record: what to record beside energies, temperature and cell: positions, velocities and any property of the
        calculator, as names or as {name: interval in steps}
    every: steps between records
    seed: of the initial momenta and the thermostat
    overwrite: replace existing output files
    output: which files, how often frames, syncs and flushes
    guards: what the run must not do; they may change when a run is resumed
    resume: continue a run that was stopped or killed, or finished with fewer `steps`
    checkpoint: seconds between states saved in `<path>.restart.npz`
    progress: whether a progress bar shows; by default on a terminal

    Every `every` steps, the start included, the file `<path>.h5` takes step, time (fs), potential, kinetic, total and
    (where defined) conserved energy (eV), temperature (K), and for periodic cells cell, volume, stress and pressure.
    All come from the one evaluation of the step if the calculator delivers them with the forces. Frames go to
    `<path>.traj`. What was written before the last sync survives a kill; `Run.load(path)` reads it.

    A resumed run is the one that never stopped, to the last bit, on the same machine with as many threads, with
    `PaiNNCalculator` and calculators whose results depend on the structure alone. A calculator with a memory of its own
    (a list with a skin, as in ASE's EMT) goes on within its round-off, and a warning says so.

    Where the energy that a dynamics should conserve scatters as if steps were too long, a `GuardWarning` says so at
    the end.

    Raises `InputError` for impossible requests, before any file is touched; `SimulationError` when a guard stops the
    run: the last good and the offending frame are then in `<path>.failure.traj`; `StorageError` when the disk is full.
    """
    bath = plainly(coupling(ensemble, thermostat, barostat))  # type: ignore[type-var]
    steps, every, wanted = whole("steps", steps, 1), whole("every", every, 1), intervals(record, every)
    temperature = positive(f"temperature of ensemble {ensemble!r}", temperature, "K", zero=ensemble == "nve")
    timestep = _timestep(timestep)
    check_structure(atoms, "molecular dynamics")
    check_masses(atoms.get_masses())
    bath.check(atoms)
    guards.check(atoms.calc)
    momenta_rng, bath_rng = (np.random.default_rng(s) for s in np.random.SeedSequence(seed).spawn(2))
    settings = {
        "ensemble": ensemble,
        "coupling": repr(bath),
        "temperature_K": temperature,
        "timestep_fs": timestep,
        "seed": int(seed),
    }
    identity = settings | {"record": wanted, "every": every, "frames_every": output.trajectory_every}
    saved = Checkpoint(path, identity | structure_identity(atoms), checkpoint)
    before = saved.load(atoms, steps) if resume else None
    freedom = _set_in_motion(atoms, before, temperature, momenta_rng, bath)
    about = settings | {"parameters": asdict(bath), "steps": steps} | _facts(atoms, before, freedom)  # type: ignore[call-overload]
    with driven(atoms, freedom.hold_centre):
        atoms.calc.get_property("forces", atoms)  # what comes with them is recorded
        first = 2 * atoms.get_kinetic_energy() / (freedom.count * kB)  # in K, by what carries heat
        hottest = before.values["first_temperature"] if before else max(temperature, first)
        conditions = Conditions(temperature, timestep, freedom.count, bath_rng)
        motion = DriverMotion(atoms, bath, conditions, freedom, hottest)
        plan = choose(atoms, wanted, every, conserved=motion.snapshot.conserved is not None)
        watch = Watch(guards, guards.limit(hottest, freedom.count), motion, path)
        files = Recorder(Path(path), plan, about, output, saved)
        RecordedRun(motion, watch, files).run(steps, before, overwrite or resume, progress)
    run = Run.load(path)
    _object_to_long_steps(run)
    return run


def _timestep(value: float) -> float:
    """In fs; one that is too long for atoms gets a warning."""
    timestep = positive("timestep", value, "fs")
    if timestep > _LONG:
        warnings.warn(f"a timestep of {timestep:g} fs is too long for atoms; is it meant in fs?", stacklevel=3)
    return timestep


def _set_in_motion(
    atoms: Atoms, before: Restart | None, temperature: float, rng: np.random.Generator, bath: Coupling
) -> momenta.Freedom:
    """Gives the atoms momenta, or brings them to where the saved run was; how they are free to move.

    The first evaluation comes before that: it refuses what the calculator cannot do while nothing has changed yet.
    """
    finite_forces(atoms)
    if before is None:
        return momenta.prepare(atoms, temperature, rng, bath.keeps_angular_momentum)
    place(atoms, before)
    return momenta.Freedom(**before.values["freedom"])


def _facts(atoms: Atoms, before: Restart | None, freedom: momenta.Freedom) -> dict[str, Any]:
    """What the files of a run say of its structure; a resumed run says where it began."""
    facts = {"momenta": freedom.origin, "degrees_of_freedom": freedom.count, "turns": freedom.turns}
    began = {} if before is None else {"initial_cell_A": before.identity["cell"]}
    return facts | provenance(atoms) | began


def _object_to_long_steps(run: Run) -> None:
    """Warns where the error of the time step shows beside the heat that comes and goes.

    Kinetic energy K of f degrees of freedom scatters by √(2/f) ⟨K⟩; the conserved energy of ethanol by 0.06 of that in
    steps of 1 fs, which are right, and by 0.5 in steps of 2 fs.
    """
    if "conserved_energy" not in run.names:
        return
    kinetic, freedom = run.observables("kinetic_energy")[1], run.metadata["degrees_of_freedom"]
    found, thermal = run.summary["energy_scatter"], float(kinetic.mean()) * np.sqrt(2 / freedom)
    if len(kinetic) >= _ENOUGH and found > max(_LARGEST_SCATTER * thermal, _ROUND_OFF * len(run.metadata["symbols"])):
        warnings.warn(
            f"the energy that should be conserved scatters by {1000 * found:.3g} meV, {found / thermal:.2g} times what "
            f"the kinetic energy does by nature; steps of {run.metadata['timestep_fs']:g} fs are too long here",
            GuardWarning,
            stacklevel=3,
        )
