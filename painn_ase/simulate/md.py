"""Molecular dynamics with any ASE calculator, recorded and guarded."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import BaseCalculator
from ase.constraints import FixCom
from ase.io.jsonio import encode
from ase.md.md import MolecularDynamics
from ase.units import kB
from tqdm import tqdm

from painn_ase.errors import InputError
from painn_ase.files import claim
from painn_ase.simulate import momenta
from painn_ase.simulate.ensembles import MTK, Conditions, Coupling, coupling
from painn_ase.simulate.evaluation import Together, together
from painn_ase.simulate.guards import Guards, Watch, bad
from painn_ase.simulate.observables import Moment, choose, intervals
from painn_ase.simulate.recorder import Output, Recorder, file
from painn_ase.simulate.run import Run

logger = logging.getLogger(__name__)


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
    progress: bool | None = None,
) -> Run:
    """The recorded run of `steps` steps of `timestep` fs, driven by ASE's own integrators.

    `ensemble` is "nve" (velocity Verlet), "nvt" with `thermostat` "langevin" (default), "bussi", "nose-hoover" or one
    of `Langevin`, `Bussi`, `NoseHooverChain` with its parameters, or "npt" with `barostat=MTK(pressure=...)`.
    `temperature` (K) is that of the bath and of the initial momenta, which are drawn from `seed` unless the atoms
    already have some; with "nve" and 0 K the atoms start at rest.

    Every `every` steps, the start included, the file `<path>.h5` takes step, time (fs), potential, kinetic, total and
    (where defined) conserved energy (eV), temperature (K), and for periodic cells cell, volume, stress and pressure.
    `record` adds positions, velocities and any property of the calculator, as names or as {name: interval in steps}.
    All come from the one evaluation of the step if the calculator delivers them with the forces. Frames go to
    `<path>.traj`. What was written before the last sync survives a kill; `Run.load(path)` reads it.

    As with ASE's drivers, `atoms` move: they end in the final state. A progress bar on stderr shows when that is a
    terminal, unless `progress` says otherwise.

    Raises `InputError` for impossible requests, before any file is touched, and `SimulationError` when a guard stops
    the run: the last good and the offending frame are then in `<path>.failure.traj`.
    """
    bath = coupling(ensemble, thermostat, barostat)
    _check_numbers(steps, timestep, temperature, ensemble, output)
    _check_atoms(atoms, bath)
    guards.check(atoms.calc)
    wanted = intervals(record, every)
    momenta_rng, bath_rng = (np.random.default_rng(s) for s in np.random.SeedSequence(seed).spawn(2))

    # The first evaluation refuses what the calculator cannot do, before momenta and files change.
    forces = atoms.calc.get_property("forces", atoms)
    if not np.isfinite(forces).all():
        raise InputError(f"the calculator's forces on the initial structure are not finite (atoms {bad(forces)})")
    freedom = momenta.prepare(atoms, temperature, momenta_rng, bath.keeps_angular_momentum)
    about = {
        "ensemble": ensemble,
        "coupling": repr(bath),
        "parameters": asdict(bath),  # type: ignore[call-overload]
        "temperature_K": float(temperature),
        "timestep_fs": float(timestep),
        "steps": int(steps),
        "seed": int(seed),
        "momenta": freedom.origin,
        "degrees_of_freedom": freedom.count,
    } | provenance(atoms)

    path = Path(path)
    with _lent(atoms, freedom.hold_centre) as own:
        driver = bath.driver(atoms, Conditions(temperature, timestep, freedom.count, bath_rng))
        engine = _Engine(driver, bath, freedom.count, timestep, own)
        first = engine.moment(0)
        plan = choose(first, wanted, every)
        claim([file(path, suffix) for suffix in (".h5", ".traj", ".failure.traj")], overwrite)
        with Recorder(path, plan, first, about, output) as recorder:
            limit = guards.limit(max(temperature, first.temperature), freedom.count)
            watch = Watch(guards, limit, file(path, ".failure.traj"))
            _simulate(engine, recorder, watch, steps, progress)
    return Run.load(path)


def _simulate(engine: _Engine, recorder: Recorder, watch: Watch, steps: int, progress: bool | None) -> None:
    """The loop: one step, one look at it by the guards, then what is due goes to the files."""
    hidden = None if progress is None else not progress  # None: shown on a terminal only
    with tqdm(total=steps, unit="step", desc="MD", disable=hidden, file=sys.stderr) as bar:
        stepping = engine.driver.irun(steps)
        for step in range(steps + 1):
            engine.own.together.due = recorder.needs(step)
            with watch.over(engine.driver.atoms, step):
                next(stepping)
                moment = engine.moment(step)
                watch.inspect(moment)
            recorder.record(moment)
            if step % recorder.output.trajectory_every == 0 or step == steps:
                recorder.frame(engine.own.frame(moment))
            if step:
                bar.set_postfix_str(f"{moment.temperature:.0f} K", refresh=False)
                bar.update(1)


@dataclass(frozen=True)
class _Own:
    """What belongs to the user and comes back after the run, while the atoms are lent to the driver."""

    constraints: list
    calc: BaseCalculator
    together: Together

    def frame(self, moment: Moment) -> Atoms:
        """The frame to save, without the run's additions: holding the centre would change a reader's forces."""
        image = moment.atoms.copy()
        image.set_constraint(self.constraints)
        image.info |= {"step": moment.step, "time_fs": moment.time}
        image.calc = self.calc
        return image


@dataclass(frozen=True)
class _Engine:
    """The driver with what is needed to read it."""

    driver: MolecularDynamics
    bath: Coupling
    freedom: int
    timestep: float
    own: _Own

    def moment(self, step: int) -> Moment:
        """The present state, which is that of `step`."""
        atoms = self.driver.atoms
        kinetic = float(np.sum(atoms.get_momenta() ** 2 / self.driver.masses)) / 2
        temperature = 2 * kinetic / (self.freedom * kB)
        conserve = partial(self.bath.conserved_energy, self.driver)
        return Moment(step, step * self.timestep, atoms, kinetic, temperature, conserve)


@contextmanager
def _lent(atoms: Atoms, hold_centre: bool) -> Iterator[_Own]:
    """Lends the atoms to a driver: requests go out together, and the centre of mass is held if asked."""
    constraints = list(atoms.constraints)
    calc = atoms.calc
    with together(atoms) as wide:
        if hold_centre:
            atoms.set_constraint([*constraints, FixCom()])
        try:
            yield _Own(constraints, calc, wide)
        finally:
            atoms.set_constraint(constraints)


def _check_numbers(steps: int, timestep: float, temperature: float, ensemble: str, output: Output) -> None:
    if isinstance(steps, bool) or not isinstance(steps, (int, np.integer)) or steps < 1:
        raise InputError(f"steps: expected a whole number >= 1; got {steps!r}")
    if not (np.isfinite(timestep) and timestep > 0):
        raise InputError(f"timestep: expected a positive number of fs; got {timestep!r}")
    if timestep > 10:
        warnings.warn(f"a timestep of {timestep:g} fs is too long for atoms; is it meant in fs?", stacklevel=3)
    if not (np.isfinite(temperature) and (temperature > 0 or (ensemble == "nve" and temperature == 0))):
        raise InputError(f"temperature: ensemble {ensemble!r} needs a positive number of K; got {temperature!r}")
    if not (isinstance(output.trajectory_every, int) and output.trajectory_every >= 1 and output.sync >= 0):
        raise InputError(f"output: expected trajectory_every >= 1 steps and sync >= 0 s; got {output}")


def _check_atoms(atoms: Atoms, bath: Coupling) -> None:
    if len(atoms) == 0:
        raise InputError("the structure is empty; molecular dynamics needs at least one atom")
    if not isinstance(atoms.calc, BaseCalculator):
        raise InputError(
            f"the structure needs an ASE calculator; got {atoms.calc!r}. Attach one: atoms.calc = "
            "PaiNNCalculator('ethanol')"
        )
    if not (atoms.get_masses() > 0).all():
        raise InputError(f"every mass must be positive; atoms {bad(np.log(atoms.get_masses()))} have none")
    bath.check(atoms)


def provenance(atoms: Atoms) -> dict[str, Any]:
    """What ran on what: structure, calculator and versions, JSON-able."""
    calc = atoms.calc
    return {
        "formula": atoms.get_chemical_formula(),
        "symbols": atoms.get_chemical_symbols(),
        "masses_u": atoms.get_masses().tolist(),
        "pbc": atoms.pbc.tolist(),
        "initial_cell_A": atoms.cell.array.tolist(),
        "calculator": calc.name,
        "calculator_parameters": encode(calc.todict()) if hasattr(calc, "todict") else "",
        "versions": {name: _version(name) for name in ("painn-ase", "ase", "numpy", "torch", "h5py")},
    }


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed as a package"
