"""Geometry optimisation with any ASE calculator: positions, and the cell if asked."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.filters import FrechetCellFilter
from ase.optimize.optimize import Optimizer
from tqdm import tqdm

from painn_ase.errors import InputError, SimulationError, closest
from painn_ase.files import claim
from painn_ase.simulate.md.evaluation import Together
from painn_ase.simulate.md.optimizers import OPTIMIZERS, optimizer_state, restore_optimizer
from painn_ase.simulate.md.state import Checkpoint, place, recall_calculator, structure_identity, structure_state
from painn_ase.simulate.run.guards import Guards, Watch
from painn_ase.simulate.run.observables import Moment
from painn_ase.simulate.run.recorder import Frames, file
from painn_ase.simulate.run.requests import check_steps, check_structure
from painn_ase.simulate.run.restart import Restart, cut_frames


@dataclass(frozen=True)
class Relaxation:
    """The outcome of `relax`; the atoms themselves hold the final structure."""

    converged: bool
    steps: int
    energy: float  # eV
    fmax: float  # eV/Å, largest force on an atom, or generalised force on the cell where that is relaxed
    trajectory: Path | None

    def __str__(self) -> str:
        state = "converged" if self.converged else "NOT converged"
        where = f"; trajectory {self.trajectory}" if self.trajectory else ""
        return f"{state} after {self.steps} steps: {self.energy:.6f} eV, largest force {self.fmax:.2g} eV/Å{where}"


def relax(
    atoms: Atoms,
    *,
    fmax: float = 0.01,
    steps: int = 500,
    cell: bool = False,
    optimizer: str = "FIRE",
    path: str | os.PathLike | None = None,
    overwrite: bool = False,
    guards: Guards = Guards(),  # noqa: B008  (frozen)
    resume: bool = False,
    checkpoint: float = 30.0,
    progress: bool | None = None,
) -> Relaxation:
    """The outcome of moving the atoms downhill until no force exceeds `fmax` (eV/Å), or for `steps` steps.

    With `cell` the cell relaxes too (ASE's `FrechetCellFilter`, at zero pressure); that needs stress and a cell
    periodic along all three vectors. `optimizer` is "FIRE", "BFGS" or "LBFGS". With `path` every step goes to
    `<path>.traj`. The atoms end in the final structure; missing convergence is reported in the result, not raised.

    A state is then saved every `checkpoint` seconds, and at the end, in `<path>.restart.npz`. The same request with
    `resume` continues a relaxation that was stopped or killed, or that is to take more `steps` or reach a smaller
    `fmax`, with the numbers of one that never stopped, to the last bit (see `run_md`).

    Raises `InputError` for impossible requests; `SimulationError` if forces stop being finite or a guard objects: the
    atoms are then back in the last good structure, and with `path` that and the offending one are in
    `<path>.failure.traj`; `StorageError` when the disk is full.
    """
    _check(atoms, fmax, steps, optimizer)
    guards.check(atoms.calc)
    if cell:
        _check_cell(atoms)
    if resume and path is None:
        raise InputError("resume: expected the path of the relaxation to continue; got None")
    target = FrechetCellFilter(atoms) if cell else atoms
    if not np.isfinite(target.get_forces()).all():
        raise InputError("the calculator's forces on the initial structure are not finite")
    with OPTIMIZERS[optimizer](target, logfile=None) as driver:
        descent = _Descent(driver, target, guards)
        if path is None:
            converged = descent.go(fmax, steps, progress)
        else:
            settings = {"optimizer": optimizer, "cell": cell} | structure_identity(atoms)
            saved = Checkpoint(file(path, ".restart.npz"), settings, checkpoint)
            with descent.recorded(Path(path), saved, saved.load(atoms, steps) if resume else None, overwrite or resume):
                converged = descent.go(fmax, steps, progress)
    name = None if path is None else file(path, ".traj")
    return Relaxation(converged, driver.nsteps, float(atoms.get_potential_energy()), _largest(target), name)


class _Descent:
    """A relaxation: the optimiser, what watches it, and its files if it has some."""

    def __init__(self, driver: Optimizer, target: Any, guards: Guards) -> None:
        self.driver, self.target, self.guards = driver, target, guards
        self.atoms = next(iter(target.iterimages()))
        self.watch = self._watch(None)
        self.frames: Frames | None = None
        self.trajectory = Path()
        self.saved: Checkpoint | None = None
        self.written = -1  # the last step in the trajectory

    def _watch(self, path: Path | None) -> Watch:
        return Watch(self.guards, np.inf, path, " of the relaxation", "")

    @contextmanager
    def recorded(self, path: Path, saved: Checkpoint, before: Restart | None, overwrite: bool) -> Iterator[None]:
        """Has the relaxation write its files while the context lasts, from a saved state on if there is one."""
        self.watch, self.saved, self.trajectory = self._watch(path), saved, file(path, ".traj")
        if before is None:
            suffixes = (".traj", ".restart.npz", ".failure.traj", ".flagged.traj")
            claim([file(path, suffix) for suffix in suffixes], overwrite)
            saved.begin()
        else:
            self._restore(before)
            cut_frames(self.trajectory, before.step)
        self.frames = Frames(self.trajectory, resume=before is not None)
        try:
            yield
        finally:
            self.frames.close()

    def go(self, fmax: float, steps: int, progress: bool | None) -> bool:
        """Runs the optimiser until `steps` and writes each step; true if it converged."""
        hidden = None if progress is None else not progress  # None: shown on a terminal only
        begin, name = self.driver.nsteps, type(self.driver).__name__
        with tqdm(total=steps, initial=begin, unit="step", desc=name, disable=hidden, file=sys.stderr) as bar:
            moves = self.driver.irun(fmax=fmax, steps=steps - begin)
            step, converged = begin, False
            good = (self.atoms.get_positions(), self.atoms.cell.array.copy())
            while True:
                back = f"; the atoms are back at step {max(step - 1, 0)}"
                self.watch.hint = f"{back}. Check that the structure is like the training data."
                try:
                    with self.watch.over(self.atoms, step):
                        done = next(moves, None)
                        if done is not None:
                            self._inspect(step)
                except SimulationError:
                    self.atoms.cell, self.atoms.positions = good[1], good[0]
                    raise
                if done is None:
                    break
                good = (self.atoms.get_positions(), self.atoms.cell.array.copy())
                converged = bool(done)
                self._record(step)
                bar.set_postfix_str(f"fmax {_largest(self.target):.2g} eV/Å", refresh=False)
                bar.update(int(step > begin))
                step += 1
        self._save()
        return converged

    def _inspect(self, step: int) -> None:
        self.watch.inspect(Moment(step, 0.0, self.atoms, 0.0, 0.0, lambda total: None))
        if not np.isfinite(_largest(self.target)):
            raise SimulationError("the generalised forces on the cell are not finite")

    # ---- files

    def _record(self, step: int) -> None:
        if self.frames is None or step <= self.written:
            return
        image = self.atoms.copy()
        image.info["step"] = step
        image.calc = self.atoms.calc
        self.frames.write(image)
        self.written = step
        if self.saved is not None and self.saved.due:
            self._save()

    def _save(self) -> None:
        """The frames so far to the disk, then, in one step, the state that vouches for them."""
        if self.frames is None or self.saved is None:
            return
        self.frames.sync()
        arrays, values = structure_state(self.atoms, self.atoms.calc)
        memory, numbers = optimizer_state(self.driver)
        values |= {"optimizer": numbers, "excursions": sorted(self.watch.excursions)}
        if self.target is not self.atoms:
            arrays["original_cell"] = np.array(self.target.orig_cell)
        self.saved.save(self.driver.nsteps, arrays | memory, values, {})

    def _restore(self, before: Restart) -> None:
        place(self.atoms, before)
        if self.target is not self.atoms:
            self.target.orig_cell = before.arrays["original_cell"]
        recall_calculator(self.atoms, Together(self.atoms.calc), before)
        restore_optimizer(self.driver, before.arrays, before.values["optimizer"])
        self.driver.nsteps = self.written = before.step
        self.watch.excursions = set(before.values["excursions"])


def _largest(target: Atoms | FrechetCellFilter) -> float:
    return float(np.linalg.norm(target.get_forces(), axis=1).max())


def _check(atoms: Atoms, fmax: float, steps: int, optimizer: str) -> None:
    check_structure(atoms, "a relaxation")
    if not (np.isfinite(fmax) and fmax > 0):
        raise InputError(f"fmax: expected a positive number of eV/Å; got {fmax!r}")
    check_steps(steps)
    if optimizer not in OPTIMIZERS:
        hint = closest(str(optimizer), OPTIMIZERS)
        raise InputError(f"optimizer: expected one of {', '.join(OPTIMIZERS)}; got {optimizer!r}{hint}")


def _check_cell(atoms: Atoms) -> None:
    if not atoms.pbc.all() or atoms.cell.rank < 3:
        raise InputError(
            f"cell=True needs a cell that is periodic along all three vectors; got pbc={atoms.pbc.tolist()} and a cell "
            f"of rank {atoms.cell.rank}. For a molecule or slab relax the positions only: cell=False."
        )
    if "stress" not in atoms.calc.implemented_properties:
        raise InputError(
            f"cell=True needs a calculator with stress; {atoms.calc.name!r} provides "
            f"{', '.join(atoms.calc.implemented_properties)}"
        )
