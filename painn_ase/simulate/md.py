"""Molecular dynamics with any ASE calculator, recorded and guarded."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import BaseCalculator
from ase.io.jsonio import encode
from tqdm import tqdm

from painn_ase.errors import InputError
from painn_ase.files import claim
from painn_ase.simulate import momenta
from painn_ase.simulate.checkpoint import Checkpoint, place, structure_identity
from painn_ase.simulate.engine import Engine, lent
from painn_ase.simulate.ensembles import MTK, Conditions, Coupling, coupling
from painn_ase.simulate.guards import Guards, Watch, bad
from painn_ase.simulate.observables import choose, intervals
from painn_ase.simulate.recorder import Output, Recorder, file, needs
from painn_ase.simulate.restart import cut_frames, cut_observables
from painn_ase.simulate.run import Run

_ON_THE_SIDE = (".restart.npz", ".failure.traj", ".flagged.traj")
_HINT = ". Check that the structure is like the training data, or try a shorter timestep."


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

    `ensemble` is "nve" (velocity Verlet), "nvt" with `thermostat` "langevin" (default), "bussi", "nose-hoover" or one
    of `Langevin`, `Bussi`, `NoseHooverChain` with its parameters, or "npt" with `barostat=MTK(pressure=...)`.
    `temperature` (K) is that of the bath and of the initial momenta, which are drawn from `seed` unless the atoms
    already have some; with "nve" and 0 K the atoms start at rest.

    Every `every` steps, the start included, the file `<path>.h5` takes step, time (fs), potential, kinetic, total and
    (where defined) conserved energy (eV), temperature (K), and for periodic cells cell, volume, stress and pressure.
    `record` adds positions, velocities and any property of the calculator, as names or as {name: interval in steps}.
    All come from the one evaluation of the step if the calculator delivers them with the forces. Frames go to
    `<path>.traj`. What was written before the last sync survives a kill; `Run.load(path)` reads it.

    A state is saved every `checkpoint` seconds, and at the end, in `<path>.restart.npz`. The same request with `resume`
    continues a run that was stopped or killed, or one that finished with fewer `steps`: numbers and files are those
    of a run that never stopped, to the last bit on the same machine with the same number of threads. That holds for
    `PaiNNCalculator` and for calculators whose results depend on the structure alone; one with a memory of its own (a
    neighbour list with a skin, as in ASE's EMT) goes on within its round-off, and a warning says so. Guards may
    change.

    As with ASE's drivers, `atoms` move: they end in the final state. A progress bar on stderr shows when that is a
    terminal, unless `progress` says otherwise.

    Raises `InputError` for impossible requests, before any file is touched; `SimulationError` when a guard stops the
    run: the last good and the offending frame are then in `<path>.failure.traj`; `StorageError` when the disk is full.
    """
    bath = coupling(ensemble, thermostat, barostat)
    _check_numbers(steps, timestep, temperature, ensemble, output)
    _check_atoms(atoms, bath)
    guards.check(atoms.calc)
    wanted = intervals(record, every)
    momenta_rng, bath_rng = (np.random.default_rng(s) for s in np.random.SeedSequence(seed).spawn(2))
    about: dict[str, Any] = {
        "ensemble": ensemble,
        "coupling": repr(bath),
        "temperature_K": float(temperature),
        "timestep_fs": float(timestep),
        "seed": int(seed),
    }
    path = Path(path)
    identity = about | {"record": wanted, "every": int(every), "frames_every": output.trajectory_every}
    saved = Checkpoint(file(path, ".restart.npz"), identity | structure_identity(atoms), checkpoint)
    before = saved.load(atoms, steps) if resume else None

    # The first evaluation refuses what the calculator cannot do, before momenta and files change.
    forces = atoms.calc.get_property("forces", atoms)
    if not np.isfinite(forces).all():
        raise InputError(f"the calculator's forces on the initial structure are not finite (atoms {bad(forces)})")
    if before is None:
        freedom = momenta.prepare(atoms, temperature, momenta_rng, bath.keeps_angular_momentum)
    else:
        freedom = momenta.Freedom(**before.values["freedom"])
        place(atoms, before)
    about |= {
        "parameters": asdict(bath),  # type: ignore[call-overload]
        "steps": int(steps),
        "momenta": freedom.origin,
        "degrees_of_freedom": freedom.count,
    } | provenance(atoms)
    if before is not None:
        about["initial_cell_A"] = before.identity["cell"]

    with lent(atoms, freedom.hold_centre) as own:
        driver = bath.driver(atoms, Conditions(temperature, timestep, freedom.count, bath_rng))
        engine = Engine(driver, bath, freedom.count, timestep, own, bath_rng)
        own.calc.get_property("forces", atoms)
        first = engine.moment(0 if before is None else before.step)
        plan = choose(first, wanted, every)
        hottest = first.temperature if before is None else before.values["first_temperature"]
        watch = Watch(guards, guards.limit(max(temperature, hottest), freedom.count), path, "", _HINT)
        if before is None:
            claim([file(path, suffix) for suffix in (".h5", ".traj", *_ON_THE_SIDE)], overwrite or resume)
            saved.begin()
        else:
            engine.restore(before, needs(plan, before.step))
            _cut_files(path, before.step, output.trajectory_every, about)
        notes = {"freedom": asdict(freedom), "first_temperature": hottest}
        with Recorder(path, plan, first, about, output, resume=before is not None) as recorder:
            simulation = _Simulation(engine, recorder, watch, saved, notes)
            if before is not None:
                simulation.recorded = before.step
                watch.excursions = set(before.values["excursions"])
            simulation.advance(first.step, steps, progress)
    return Run.load(path)


class _Simulation:
    """The loop: one step, one look at it by the guards, then what is due goes to the files."""

    def __init__(
        self, engine: Engine, recorder: Recorder, watch: Watch, saved: Checkpoint, notes: dict[str, Any]
    ) -> None:
        self.engine, self.recorder, self.watch, self.saved = engine, recorder, watch, saved
        self._notes = notes  # what a restart holds beside the present state
        self.recorded = -1  # the last step in the files

    def advance(self, begin: int, steps: int, progress: bool | None) -> None:
        """From step `begin`, where the atoms are, to `steps`."""
        hidden = None if progress is None else not progress  # None: shown on a terminal only
        driver, recorder = self.engine.driver, self.recorder
        every = recorder.output.trajectory_every
        with tqdm(total=steps, initial=begin, unit="step", desc="MD", disable=hidden, file=sys.stderr) as bar:
            stepping = driver.irun(steps - begin)
            for step in range(begin, steps + 1):
                self.engine.own.together.due = recorder.needs(step)
                with self.watch.over(driver.atoms, step):
                    next(stepping)
                    moment = self.engine.moment(step)
                    self.watch.inspect(moment)
                if step > self.recorded:
                    recorder.record(moment)
                    if step % every == 0:
                        recorder.frame(self.engine.own.frame(moment))
                    if self.saved.due:
                        self._save(step)
                if step > begin:
                    bar.set_postfix_str(f"{moment.temperature:.0f} K", refresh=False)
                    bar.update(1)
        if steps % every:
            recorder.frame(self.engine.own.frame(moment))
        self._save(steps)

    def _save(self, step: int) -> None:
        """The rows so far to the disk, then, in one step, the state that vouches for them."""
        self.recorder.sync()
        arrays, values, generators = self.engine.state()
        values |= self._notes | {"excursions": sorted(self.watch.excursions)}
        self.saved.save(step, arrays, values, generators)


def _cut_files(path: Path, step: int, every: int, about: dict[str, Any]) -> None:
    """Takes off the files of a run what its restart does not vouch for."""
    cut_observables(file(path, ".h5"), step, about)
    cut_frames(file(path, ".traj"), step, every)
    if file(path, ".flagged.traj").exists():
        cut_frames(file(path, ".flagged.traj"), step)


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
