"""Path-integral molecular dynamics of any model: recorded, guarded, and resumable to the last bit."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.constraints import FixAtoms

from painn_ase.errors import InputError
from painn_ase.files import claim
from painn_ase.simulate.replicas.modes import Ring
from painn_ase.simulate.replicas.thermostat import Thermostat
from painn_ase.simulate.replicas.thermostat import thermostat as named
from painn_ase.simulate.ring_polymer.beads import Beads
from painn_ase.simulate.ring_polymer.observables import choose
from painn_ase.simulate.ring_polymer.reading import RingPolymerRun
from painn_ase.simulate.ring_polymer.simulation import Schedule, Simulation
from painn_ase.simulate.run.guards import Guards, bad
from painn_ase.simulate.run.observables import intervals
from painn_ase.simulate.run.provenance import provenance
from painn_ase.simulate.run.recorder import Output
from painn_ase.simulate.run.requests import check_output, check_steps, check_structure
from painn_ase.simulate.run.restart import identity_of


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

    `thermostat` is "pile-l" or "pile-g" (canonical sampling), "trpmd" (free centroid, damped internal modes: for
    spectra), "none" (RPMD) or a `Thermostat`. All beads start at the positions of the atoms with momenta drawn from
    `seed`, and `equilibration` ps of "pile-l" go before step 0. The centre of mass is at rest unless atoms are fixed
    (`FixAtoms`; other constraints are refused). `propagator` is "exact" or "cayley" (see `Ring`).

    Every `every` steps `<path>.h5` takes the estimators of `RingPolymerRun.averages`, conserved energy and temperature.
    `record` adds any property of the calculator, averaged over the beads (dipole and polarizability give the
    Kubo-transformed correlations that `painn_ase.spectra` wants), positions and velocities of the centroid,
    bead_positions, and heat_capacity (two more evaluations each time), as names or {name: interval in steps}. Centroid
    frames go to `<path>.traj`, those of beads where `save_beads` says.

    A state is saved every `checkpoint` seconds in `<path>.restart.npz`; `resume` continues a run that was stopped or
    killed, or finished with fewer `steps`, with the same numbers to the last bit. The `atoms` do not move.

    The `guards` look at every bead at every step, the first and the equilibration included; the temperature they limit
    is that of all modes, and frames they keep are of one bead, in `<path>.flagged.traj` (see `Guards`). They may change
    when a run is resumed.

    Raises `InputError` for impossible requests, before any file is touched, and `SimulationError` when a guard stops
    the run: the last good and the offending frame of the bead are then in `<path>.failure.traj`.
    """
    bath = named(thermostat)
    _check_numbers(steps, equilibration, checkpoint, output)
    check_structure(atoms, "molecular dynamics")
    fixed = _fixed(atoms)
    ring = Ring(beads, atoms.get_masses(), temperature, timestep, fixed, len(atoms) > 1 and not fixed.any(), propagator)
    if ring.centroid_freedom < 1:
        raise InputError("the constraints leave nothing that moves; molecular dynamics needs at least one free atom")
    if save_beads is not None:
        save_beads.check(beads)
    guards.check(atoms.calc)
    _warn_of_ring_modes(ring, bath)
    forces = atoms.calc.get_property("forces", atoms)  # refuses what the calculator cannot do
    if not np.isfinite(forces).all():
        raise InputError(f"the calculator's forces on the initial structure are not finite (atoms {bad(forces)})")
    wanted = intervals(record, every)
    plan = choose(atoms, wanted, every)

    about: dict[str, Any] = {
        "ensemble": "trpmd" if bath.centroid == "free" and bath.damping else "rpmd" if not bath.damping else "nvt",
        "coupling": repr(bath),
        "beads": ring.beads,
        "temperature_K": float(temperature),
        "timestep_fs": float(timestep),
        "equilibration_ps": float(equilibration),
        "propagator": propagator,
        "fixed": fixed.tolist(),
        "centred": ring.centred,
        "seed": int(seed),
    }
    identity = about | identity_of(atoms) | {"record": wanted, "every": every, "frames": output.trajectory_every}
    identity["saved beads"] = None if save_beads is None else asdict(save_beads)
    about |= {"steps": int(steps), "degrees_of_freedom": ring.freedom, **provenance(atoms)}
    schedule = Schedule(Path(path), plan, output, save_beads, checkpoint, -round(equilibration * 1000 / timestep))
    simulation = Simulation(atoms, ring, bath, schedule, guards, identity, seed)
    if resume:
        simulation.resume(steps, about)
    else:
        claim(schedule.files(beads), overwrite)
        simulation.begin()
    simulation.advance(steps, about, progress)
    return RingPolymerRun.load(path)  # type: ignore[return-value]


def _warn_of_ring_modes(ring: Ring, bath: Thermostat) -> None:
    spoiled = bath.spoiled_band(ring)
    if spoiled:
        warnings.warn(
            f"undamped ring modes at {', '.join(f'{w:.0f}' for w in spoiled)} cm⁻¹ lie inside a vibrational spectrum "
            "and resonate with it; thermostat='trpmd' damps them",
            stacklevel=3,
        )


def _check_numbers(steps: int, equilibration: float, checkpoint: float, output: Output) -> None:
    check_steps(steps)
    if not (np.isfinite(equilibration) and equilibration >= 0):
        raise InputError(f"equilibration: expected zero or more ps; got {equilibration!r}")
    if not (np.isfinite(checkpoint) and checkpoint >= 0):
        raise InputError(f"checkpoint: expected zero or more seconds; got {checkpoint!r}")
    check_output(output)


def _fixed(atoms: Atoms) -> np.ndarray:
    """(atoms,) bool: those that `FixAtoms` holds; other constraints are refused."""
    fixed = np.zeros(len(atoms), dtype=bool)
    for constraint in atoms.constraints:
        if not isinstance(constraint, FixAtoms):
            raise InputError(
                f"ring polymers follow FixAtoms; the structure has {type(constraint).__name__}, which says nothing "
                "about beads. Remove it: atoms.set_constraint()"
            )
        fixed[constraint.get_indices()] = True
    return fixed
