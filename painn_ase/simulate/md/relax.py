"""Geometry optimisation with any ASE calculator: positions, and the cell if asked."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.filters import FrechetCellFilter

from painn_ase.errors import InputError, SimulationError, choice, positive, whole
from painn_ase.simulate.md.optimizers import OPTIMIZERS, OptimizerMotion
from painn_ase.simulate.md.state import structure_identity
from painn_ase.simulate.run.guards import Guards
from painn_ase.simulate.run.loop import RecordedRun
from painn_ase.simulate.run.recorder import Output, Recorder
from painn_ase.simulate.run.restart import Checkpoint
from painn_ase.simulate.run.watch import Watch
from painn_ase.structure_checks import check_stress, check_structure


@dataclass(frozen=True)
class Relaxation:
    """The outcome of `relax`; the atoms themselves hold the final structure."""

    converged: bool  # whether fmax was reached
    steps: int  # that were taken
    energy: float  # eV
    fmax: float  # eV/Å, largest force on an atom, or generalised force on the cell where that is relaxed
    trajectory: Path | None  # of all steps

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

    atoms: the structure with its calculator; it ends in the final state
    fmax: largest force in eV/Å that counts as converged
    steps: at most so many
    cell: relax the cell too (ASE's `FrechetCellFilter`, at zero pressure); that needs stress and a cell periodic along
        all three vectors
    optimizer: "FIRE", "BFGS" or "LBFGS"
    path: every step goes to `<path>.traj`, and a state to `<path>.restart.npz`
    overwrite: replace existing output files
    guards: what the relaxation must not do
    resume: continue a relaxation that was stopped or killed, or that is to take more `steps` or reach a smaller `fmax`,
        to the last bit (see `run_md`)
    checkpoint: seconds between saved states
    progress: whether a progress bar shows; by default on a terminal

    Missing convergence is reported in the result, not raised. Raises `InputError` for impossible requests;
    `SimulationError` if forces stop being finite or a guard objects: the atoms are then back in the last good
    structure, and with `path` that and the offending one are in `<path>.failure.traj`; `StorageError` on a full disk.
    """
    steps = whole("steps", steps, 1)
    target = _target(atoms, optimizer, cell)
    guards.check(atoms.calc)
    if resume and path is None:
        raise InputError("resume: expected the path of the relaxation to continue; got None")
    files = before = None
    if path is not None:
        identity = {"optimizer": optimizer, "cell": cell} | structure_identity(atoms)
        files = Recorder(Path(path), [], {}, Output(1), Checkpoint(path, identity, checkpoint))
        before = files.saved.load(atoms, steps) if resume else None
    with OPTIMIZERS[optimizer](target, logfile=None) as driver:
        motion = OptimizerMotion(driver, target, positive("fmax", fmax, "eV/Å"))
        watch = Watch(guards, np.inf, motion, path, " of the relaxation", _hint)
        try:
            RecordedRun(motion, watch, files).run(steps, before, overwrite or resume, progress)
        except SimulationError:
            good = watch.last_good()
            if good is not None:
                atoms.cell, atoms.positions = good.cell, good.positions
            raise
    frames, energy = files.paths[0] if files else None, float(atoms.get_potential_energy())
    return Relaxation(motion.converged, driver.nsteps, energy, motion.largest_force(), frames)


def _target(atoms: Atoms, optimizer: str, cell: bool) -> Atoms | FrechetCellFilter:
    """What an optimiser moves: the atoms, or these with their cell."""
    check_structure(atoms, "a relaxation")
    choice("optimizer", optimizer, OPTIMIZERS)
    if cell:
        check_stress(atoms, "cell=True", "For a molecule or slab relax the positions only: cell=False.")
    target = FrechetCellFilter(atoms) if cell else atoms
    if not np.isfinite(target.get_forces()).all():
        raise InputError("the calculator's forces on the initial structure are not finite")
    return target


def _hint(step: int) -> str:
    return f"; the atoms are back at step {max(step - 1, 0)}. Check that the structure is like the training data."
