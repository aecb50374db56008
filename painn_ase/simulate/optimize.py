"""Geometry optimisation with any ASE calculator: positions, and the cell if asked."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.filters import FrechetCellFilter
from ase.io.trajectory import TrajectoryWriter
from ase.optimize import BFGS, FIRE, LBFGS
from ase.optimize.optimize import Optimizer
from tqdm import tqdm

from painn_ase.errors import InputError, SimulationError, closest
from painn_ase.files import claim
from painn_ase.simulate.recorder import file

OPTIMIZERS = {"FIRE": FIRE, "BFGS": BFGS, "LBFGS": LBFGS}


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
    progress: bool | None = None,
) -> Relaxation:
    """The outcome of moving the atoms downhill until no force exceeds `fmax` (eV/Å), or for `steps` steps.

    With `cell` the cell relaxes too (ASE's `FrechetCellFilter`, at zero pressure); that needs stress and a cell
    periodic along all three vectors. `optimizer` is "FIRE", "BFGS" or "LBFGS". With `path` every step goes to
    `<path>.traj`. The atoms end in the final structure; missing convergence is reported in the result, not raised.

    Raises `InputError` for impossible requests and `SimulationError` if forces stop being finite; the atoms are then
    back in the last good structure.
    """
    _check(atoms, fmax, steps, optimizer)
    if cell:
        _check_cell(atoms)
    target = FrechetCellFilter(atoms) if cell else atoms
    if not np.isfinite(target.get_forces()).all():
        raise InputError("the calculator's forces on the initial structure are not finite")

    name = None
    if path is not None:
        name = file(path, ".traj")
        claim([name], overwrite)
    frames = TrajectoryWriter(name, "w") if name is not None else None
    try:
        with OPTIMIZERS[optimizer](target, logfile=None) as driver:
            converged = _descend(driver, target, fmax, steps, frames, progress)
    finally:
        if frames is not None:
            frames.close()
    return Relaxation(converged, driver.nsteps, float(atoms.get_potential_energy()), _largest(target), name)


def _descend(
    driver: Optimizer,
    target: Atoms | FrechetCellFilter,
    fmax: float,
    steps: int,
    frames: TrajectoryWriter | None,
    progress: bool | None,
) -> bool:
    """Runs the optimiser and writes each step; true if it converged."""
    atoms = next(iter(target.iterimages()))
    converged = False
    hidden = None if progress is None else not progress  # None: shown on a terminal only
    with tqdm(total=steps, unit="step", desc=type(driver).__name__, disable=hidden, file=sys.stderr) as bar:
        good = (atoms.get_positions(), atoms.cell.array.copy())
        for step, done in enumerate(driver.irun(fmax=fmax, steps=steps)):
            if not np.isfinite(_largest(target)) or not np.isfinite(atoms.get_potential_energy()):
                atoms.set_cell(good[1])
                atoms.positions = good[0]
                raise SimulationError(
                    f"step {step} of the relaxation: forces or energy are not finite; the atoms are back at step "
                    f"{step - 1}. Check that the structure is like the training data."
                )
            good = (atoms.get_positions(), atoms.cell.array.copy())
            converged = bool(done)
            if frames is not None:
                frames.write(atoms)
            bar.set_postfix_str(f"fmax {_largest(target):.2g} eV/Å", refresh=False)
            bar.update(int(step > 0))
    return converged


def _largest(target: Atoms | FrechetCellFilter) -> float:
    return float(np.linalg.norm(target.get_forces(), axis=1).max())


def _check(atoms: Atoms, fmax: float, steps: int, optimizer: str) -> None:
    if len(atoms) == 0:
        raise InputError("the structure is empty; a relaxation needs at least one atom")
    if atoms.calc is None:
        raise InputError(
            "the structure needs a calculator; got None. Attach one: atoms.calc = PaiNNCalculator('ethanol')"
        )
    if not (np.isfinite(fmax) and fmax > 0):
        raise InputError(f"fmax: expected a positive number of eV/Å; got {fmax!r}")
    if isinstance(steps, bool) or not isinstance(steps, (int, np.integer)) or steps < 1:
        raise InputError(f"steps: expected a whole number >= 1; got {steps!r}")
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
