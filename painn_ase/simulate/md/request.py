"""Molecular dynamics with any ASE calculator, recorded and guarded."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from tqdm import tqdm

from painn_ase.errors import InputError
from painn_ase.files import claim
from painn_ase.rigid import check_masses
from painn_ase.simulate.md import momenta
from painn_ase.simulate.md.barostat import MTK
from painn_ase.simulate.md.coupling import Conditions, Coupling
from painn_ase.simulate.md.driver import Engine, lent
from painn_ase.simulate.md.ensembles import coupling
from painn_ase.simulate.md.state import Checkpoint, place, structure_identity
from painn_ase.simulate.run.guards import Guards, Watch, bad
from painn_ase.simulate.run.observables import Moment, Observable, choose, intervals
from painn_ase.simulate.run.provenance import provenance
from painn_ase.simulate.run.reading import Run
from painn_ase.simulate.run.recorder import Output, Recorder, file, needs
from painn_ase.simulate.run.requests import check_output, check_steps, check_structure
from painn_ase.simulate.run.restart import Restart, cut_frames, cut_observables

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
    continues a run that was stopped or killed, or finished with fewer `steps`, as if it had never stopped: to the last
    bit, on the same machine with as many threads, with `PaiNNCalculator` and calculators whose results depend on the
    structure alone. One with a memory of its own (a list with a skin, as in ASE's EMT) goes on within its round-off,
    and a warning says so. Guards may change.

    As with ASE's drivers, `atoms` end in the final state. A progress bar shows on a terminal, or as `progress` says.

    Raises `InputError` for impossible requests, before any file is touched; `SimulationError` when a guard stops the
    run: the last good and the offending frame are then in `<path>.failure.traj`; `StorageError` when the disk is full.
    """
    bath = coupling(ensemble, thermostat, barostat)
    _check_numbers(steps, timestep, temperature, ensemble, output)
    _check_atoms(atoms, bath)
    guards.check(atoms.calc)
    path, wanted = Path(path), intervals(record, every)
    momenta_rng, bath_rng = (np.random.default_rng(s) for s in np.random.SeedSequence(seed).spawn(2))
    settings = _settings(ensemble, bath, temperature, timestep, seed)
    identity = settings | {"record": wanted, "every": int(every), "frames_every": output.trajectory_every}
    saved = Checkpoint(file(path, ".restart.npz"), identity | structure_identity(atoms), checkpoint)
    before = saved.load(atoms, steps) if resume else None
    freedom = _set_in_motion(atoms, before, temperature, momenta_rng, bath)
    about = settings | _facts(atoms, before, steps, freedom, bath)

    with lent(atoms, freedom.hold_centre) as own:
        driver = bath.driver(atoms, Conditions(temperature, timestep, freedom.count, bath_rng))
        engine = Engine(driver, bath, freedom.count, timestep, own, bath_rng)
        own.calc.get_property("forces", atoms)
        first = engine.moment(0 if before is None else before.step)
        hottest = first.temperature if before is None else before.values["first_temperature"]
        watch = Watch(guards, guards.limit(max(temperature, hottest), freedom.count), path, "", _HINT)
        notes = {"freedom": asdict(freedom), "first_temperature": hottest}
        files = _Files(path, choose(first, wanted, every), about, output)
        simulation = _Simulation(engine, files, watch, saved, notes)
        if before is None:
            simulation.begin(overwrite or resume)
        else:
            simulation.resume(before)
        simulation.advance(first, steps, progress)
    return Run.load(path)


def _settings(ensemble: str, bath: Coupling, temperature: float, timestep: float, seed: int) -> dict[str, Any]:
    """What the dynamics is, in the files of a run and in its identity."""
    return {
        "ensemble": ensemble,
        "coupling": repr(bath),
        "temperature_K": float(temperature),
        "timestep_fs": float(timestep),
        "seed": int(seed),
    }


def _set_in_motion(
    atoms: Atoms, before: Restart | None, temperature: float, rng: np.random.Generator, bath: Coupling
) -> momenta.Freedom:
    """Gives the atoms momenta, or brings them to where the saved run was; how they are free to move.

    The first evaluation comes before that: it refuses what the calculator cannot do while nothing has changed yet.
    """
    forces = atoms.calc.get_property("forces", atoms)
    if not np.isfinite(forces).all():
        raise InputError(f"the calculator's forces on the initial structure are not finite (atoms {bad(forces)})")
    if before is None:
        return momenta.prepare(atoms, temperature, rng, bath.keeps_angular_momentum)
    place(atoms, before)
    return momenta.Freedom(**before.values["freedom"])


def _facts(
    atoms: Atoms, before: Restart | None, steps: int, freedom: momenta.Freedom, bath: Coupling
) -> dict[str, Any]:
    """What the files of a run say of it beside its settings; a resumed run says where it began."""
    facts = {
        "parameters": asdict(bath),  # type: ignore[call-overload]
        "steps": int(steps),
        "momenta": freedom.origin,
        "degrees_of_freedom": freedom.count,
        "turns": freedom.turns,  # as a whole
    } | provenance(atoms)
    if before is not None:
        facts["initial_cell_A"] = before.identity["cell"]
    return facts


@dataclass(frozen=True)
class _Files:
    """The files of a run, and what goes into them."""

    path: Path
    plan: list[tuple[Observable, int]]  # intervals in steps
    about: dict[str, Any]
    output: Output

    def claim(self, overwrite: bool) -> None:
        """Makes way for new ones."""
        claim([file(self.path, suffix) for suffix in (".h5", ".traj", *_ON_THE_SIDE)], overwrite)

    def cut(self, step: int) -> None:
        """Takes off what a restart at `step` does not vouch for."""
        cut_observables(file(self.path, ".h5"), step, self.about)
        cut_frames(file(self.path, ".traj"), step, self.output.trajectory_every)
        if file(self.path, ".flagged.traj").exists():
            cut_frames(file(self.path, ".flagged.traj"), step)

    def open(self, first: Moment, again: bool) -> Recorder:
        """New files, or the old ones `again`, open for rows and frames."""
        return Recorder(self.path, self.plan, first, self.about, self.output, resume=again)


class _Simulation:
    """The loop: one step, one look at it by the guards, then what is due goes to the files."""

    def __init__(self, engine: Engine, files: _Files, watch: Watch, saved: Checkpoint, notes: dict[str, Any]) -> None:
        self.engine, self.files, self.watch, self.saved = engine, files, watch, saved
        self._notes = notes  # what a restart holds beside the present state
        self._recorded = -1  # the last step in the files

    def begin(self, overwrite: bool) -> None:
        """Makes way for the files, and saves a state to return to before anything is recorded."""
        self.files.claim(overwrite)
        self.saved.begin()

    def resume(self, before: Restart) -> None:
        """Takes up a saved state, and cuts the files back to it."""
        self.engine.restore(before, needs(self.files.plan, before.step))
        self.files.cut(before.step)
        self.watch.excursions = set(before.values["excursions"])
        self._recorded = before.step

    def advance(self, first: Moment, steps: int, progress: bool | None) -> None:
        """From the moment `first`, where the atoms are, to step `steps`."""
        with self.files.open(first, self._recorded >= 0) as recorder:
            self._advance(recorder, first.step, steps, progress)

    def _advance(self, recorder: Recorder, begin: int, steps: int, progress: bool | None) -> None:
        hidden = None if progress is None else not progress  # None: shown on a terminal only
        driver, every = self.engine.driver, self.files.output.trajectory_every
        with tqdm(total=steps, initial=begin, unit="step", desc="MD", disable=hidden, file=sys.stderr) as bar:
            stepping = driver.irun(steps - begin)
            for step in range(begin, steps + 1):
                self.engine.own.together.due = recorder.needs(step)
                with self.watch.over(driver.atoms, step):
                    next(stepping)
                    moment = self.engine.moment(step)
                    self.watch.inspect(moment)
                if step > self._recorded:
                    recorder.record(moment)
                    if step % every == 0:
                        recorder.frame(self.engine.own.frame(moment))
                    if self.saved.due:
                        self._save(recorder, step)
                if step > begin:
                    bar.set_postfix_str(f"{moment.temperature:.0f} K", refresh=False)
                    bar.update(1)
        if steps % every:
            recorder.frame(self.engine.own.frame(moment))
        self._save(recorder, steps)

    def _save(self, recorder: Recorder, step: int) -> None:
        """The rows so far to the disk, then, in one step, the state that vouches for them."""
        recorder.sync()
        arrays, values, generators = self.engine.state()
        values |= self._notes | {"excursions": sorted(self.watch.excursions)}
        self.saved.save(step, arrays, values, generators)


def _check_numbers(steps: int, timestep: float, temperature: float, ensemble: str, output: Output) -> None:
    check_steps(steps)
    if not (np.isfinite(timestep) and timestep > 0):
        raise InputError(f"timestep: expected a positive number of fs; got {timestep!r}")
    if timestep > 10:
        warnings.warn(f"a timestep of {timestep:g} fs is too long for atoms; is it meant in fs?", stacklevel=3)
    if not (np.isfinite(temperature) and (temperature > 0 or (ensemble == "nve" and temperature == 0))):
        raise InputError(f"temperature: ensemble {ensemble!r} needs a positive number of K; got {temperature!r}")
    check_output(output)


def _check_atoms(atoms: Atoms, bath: Coupling) -> None:
    check_structure(atoms, "molecular dynamics")
    check_masses(atoms.get_masses())
    bath.check(atoms)
