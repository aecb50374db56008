"""Path-integral molecular dynamics of any model: recorded, guarded, and resumable to the last bit."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from painn_ase.capabilities import finite_forces
from painn_ase.errors import InputError, positive, whole
from painn_ase.plain import plainly
from painn_ase.simulate.replicas import batch
from painn_ase.simulate.replicas.modes import Ring, wavenumber
from painn_ase.simulate.replicas.motion import Replicas
from painn_ase.simulate.replicas.thermostat import THERMOSTATS, Thermostat
from painn_ase.simulate.replicas.thermostat import thermostat as named
from painn_ase.simulate.ring_polymer.beads import BeadFiles, Beads
from painn_ase.simulate.ring_polymer.reading import RingPolymerRun
from painn_ase.simulate.ring_polymer.snapshot import RingMotion
from painn_ase.simulate.run.guards import Guards
from painn_ase.simulate.run.loop import RecordedRun
from painn_ase.simulate.run.observables import Plan, choose, intervals
from painn_ase.simulate.run.provenance import identity_of, provenance
from painn_ase.simulate.run.recorder import Output, Recorder
from painn_ase.simulate.run.restart import Checkpoint
from painn_ase.simulate.run.watch import Watch
from painn_ase.structure_checks import check_structure, fixed_atoms

_HIGHEST = 4500.0  # cm⁻¹, of vibrational spectra


def run_rpmd(
    atoms: Atoms,
    *,
    beads: int,
    steps: int,
    path: str | os.PathLike,
    temperature: float = 300.0,
    timestep: float = 0.25,
    thermostat: str | Thermostat = "pile-l",
    equilibration: float = 1.0,
    propagator: str = "exact",
    record: str | Sequence[str] | Mapping[str, int] = (),
    every: int = 4,
    save_beads: Beads | None = None,
    seed: int = 0,
    resume: bool = False,
    overwrite: bool = False,
    output: Output = Output(),  # noqa: B008  (frozen)
    guards: Guards = Guards(),  # noqa: B008  (frozen)
    checkpoint: float = 60.0,
    progress: bool | None = None,
) -> RingPolymerRun:
    """The recorded run of `steps` steps of `timestep` fs of a ring polymer; all beads in one evaluation per step.

    atoms: the structure with its calculator, where all beads start; it does not move
    beads: number of copies in the ring
    steps: number of steps
    path: output files begin with this
    temperature: in K
    timestep: in fs
    thermostat: "pile-l" or "pile-g" (canonical sampling), "trpmd" (free centroid, damped internal modes: for spectra),
        "none" (RPMD) or a `Thermostat`
    equilibration: ps of "pile-l" before step 0
    propagator: of the free ring, "exact" or "cayley" (see `Ring`)
    record: what to record beside the estimators: any property of the calculator, averaged over the beads (dipole and
        polarizability give the Kubo-transformed correlations that `painn_ase.spectra` wants), positions and velocities
        of the centroid, bead_positions, and heat_capacity (two more evaluations each time), as names or
        {name: interval in steps}
    every: steps between records
    save_beads: which frames of beads are written
    seed: of the initial momenta and the thermostat
    resume: continue a run that was stopped or killed, or finished with fewer `steps`, to the last bit
    overwrite: replace existing output files
    output: which files, how often frames, syncs and flushes
    guards: they look at every bead at every step, the first and the equilibration included; the temperature they limit
        is that of all modes, and frames they keep are of one bead, in `<path>.flagged.traj`; they may change when a run
        is resumed
    checkpoint: seconds between states saved in `<path>.restart.npz`
    progress: whether a progress bar shows; by default on a terminal

    Every `every` steps `<path>.h5` takes the estimators of `RingPolymerRun.averages`, conserved energy and temperature.
    Centroid frames go to `<path>.traj`. The centre of mass is at rest unless atoms are fixed (`FixAtoms`; other
    constraints are refused).

    Raises `InputError` for impossible requests, before any file is touched, and `SimulationError` when a guard stops
    the run: the last good and the offending frame of the bead are then in `<path>.failure.traj`.
    """
    bath = plainly(named(thermostat))
    steps, every, wanted = whole("steps", steps, 1), whole("every", every, 1), intervals(record, every)
    equilibration = positive("equilibration", equilibration, "ps", zero=True)
    ring = _ring(atoms, whole("beads", beads, 1), float(temperature), float(timestep), propagator)
    guards.check(atoms.calc)
    _warn_of_ring_modes(ring, bath)
    finite_forces(atoms)  # refuses what the calculator cannot do
    plan, path = _plan(atoms, wanted, every), Path(path)
    extra = None if save_beads is None else BeadFiles(save_beads, path, atoms, ring.beads)
    about = _settings(ring, bath, equilibration, seed)
    identity = about | identity_of(atoms) | {"record": wanted, "every": every, "frames": output.trajectory_every}
    saved = Checkpoint(path, identity | {"saved beads": save_beads}, checkpoint)
    about |= {"steps": steps, "degrees_of_freedom": ring.freedom, **provenance(atoms)}
    files = Recorder(path, plan, about, output, saved, extra)
    first = -round(equilibration * 1000 / ring.timestep)
    before = saved.load(atoms, steps) if resume else None

    start = THERMOSTATS["pile-l"] if first < 0 else bath
    replicas = Replicas(ring, batch.evaluator(atoms), atoms.positions, start, [np.random.default_rng(seed)])
    motion = RingMotion(atoms, replicas, bath, ring.centroid_freedom, "RPMD")
    watch = Watch(guards, guards.limit(ring.temperature, ring.freedom), motion, path)
    RecordedRun(motion, watch, files, first).run(steps, before, overwrite or resume, progress)
    return RingPolymerRun.load(path)  # type: ignore[return-value]


def _ring(atoms: Atoms, beads: int, temperature: float, timestep: float, propagator: str) -> Ring:
    """The ring polymer of a structure, whose centre of mass is at rest unless atoms are fixed."""
    check_structure(atoms, "molecular dynamics")
    fixed = fixed_atoms(atoms, "ring polymers")
    ring = Ring(beads, atoms.get_masses(), temperature, timestep, fixed, len(atoms) > 1 and not fixed.any(), propagator)
    if ring.centroid_freedom < 1:
        raise InputError("the constraints leave nothing that moves; molecular dynamics needs at least one free atom")
    return ring


def _settings(ring: Ring, bath: Thermostat, equilibration: float, seed: int) -> dict[str, Any]:
    """What the dynamics is, in the files of a run and in its identity."""
    return {
        "ensemble": "trpmd" if bath.centroid == "free" and bath.damping else "rpmd" if not bath.damping else "nvt",
        "coupling": repr(bath),
        "beads": ring.beads,
        "temperature_K": ring.temperature,
        "timestep_fs": ring.timestep,
        "equilibration_ps": equilibration,
        "propagator": ring.propagator,
        "fixed": (~ring.free).tolist(),
        "centred": ring.centred,
        "seed": int(seed),
    }


def _plan(atoms: Atoms, wanted: Mapping[str, int], every: int) -> Plan:
    if wanted.get("heat_capacity", every) % every:
        raise InputError(
            f"record: heat_capacity every {wanted['heat_capacity']} steps: expected a multiple of every={every}"
        )
    return choose(atoms, wanted, every, conserved=True, rings=True)


def _warn_of_ring_modes(ring: Ring, bath: Thermostat) -> None:
    """Warns where modes of the ring that nothing damps lie in a vibrational spectrum."""
    found = map(wavenumber, ring.frequencies[1 : ring.beads // 2 + 1])
    spoiled = [f"{w:.0f}" for w in found if w < _HIGHEST and not bath.damping]
    if spoiled:
        warnings.warn(
            f"undamped ring modes at {', '.join(spoiled)} cm⁻¹ lie inside a vibrational spectrum and resonate with it; "
            "thermostat='trpmd' damps them",
            stacklevel=3,
        )
