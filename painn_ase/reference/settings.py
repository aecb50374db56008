"""The cheapest numerical settings of a level whose forces are those of fine ones: measured, not assumed."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from ase import Atoms

from painn_ase.reference.kohn_sham import compute
from painn_ase.reference.level import Level

log = logging.getLogger(__name__)

COARSE_TO_FINE = ((1, 1e-7), (1, 1e-8), (2, 1e-8), (3, 1e-9), (4, 1e-9))  # grid, convergence in Hartree
FINE = (5, 1e-10)
_RATTLE = 0.05  # Å: forces at a minimum vanish whatever the grid


@dataclass(frozen=True)
class Trial:
    """Settings of a level beside the fine ones."""

    grid: int
    scf_tolerance: float  # Hartree
    mean: float  # eV/Å, of the differences of force components
    largest: float  # eV/Å
    energy: float  # eV, difference
    seconds: float  # of energy and forces, of this process

    def __str__(self) -> str:
        return (
            f"grid {self.grid}, convergence {self.scf_tolerance:.0e} Hartree: {1000 * self.mean:.2g} meV/Å on average, "
            f"{1000 * self.largest:.2g} at most, {1000 * self.energy:+.2g} meV, {self.seconds:.1f} s"
        )


def trials(atoms: Atoms, level: Level, threads: int = 1) -> Iterator[Trial]:
    """Settings from coarse to fine, each compared with grid 5 and 1e-10 Hartree at a rattled copy of the structure."""
    moved = atoms.copy()
    moved.rattle(_RATTLE, seed=0)
    level.check([moved], ("energy", "forces"))

    def result(grid: int, tolerance: float) -> tuple[float, np.ndarray, float]:
        start = time.process_time()
        one = replace(level, grid=grid, scf_tolerance=tolerance)
        found = compute(moved, one, ("energy", "forces"), threads=threads)
        return found["energy"], found["forces"], time.process_time() - start

    energy, forces, _ = result(*FINE)
    for grid, tolerance in COARSE_TO_FINE:
        e, f, seconds = result(grid, tolerance)
        away = np.abs(f - forces)
        yield Trial(grid, tolerance, float(away.mean()), float(away.max()), e - energy, seconds)


def settled(atoms: Atoms, level: Level, accuracy: float, output: Path | None = None, threads: int = 1) -> Level:
    """The level with the coarsest settings whose forces are within `accuracy` of fine ones, component by component.

    atoms: one structure of those to be labelled; a rattled copy is computed
    level: whose grid and convergence are chosen
    accuracy: largest difference in eV/Å
    output: of a labelling run; if it was begun at this level, its settings are kept and nothing is measured
    threads: of PySCF

    Where none of the trials is within, the fine settings are taken. Each trial is a line of the log.
    """
    begun = _recorded(output, level)
    if begun is not None:
        return begun
    for trial in trials(atoms, level, threads):
        log.info("%s", trial)
        if trial.largest <= accuracy:
            return replace(level, grid=trial.grid, scf_tolerance=trial.scf_tolerance)
    return replace(level, grid=FINE[0], scf_tolerance=FINE[1])


def _recorded(output: Path | None, level: Level) -> Level | None:
    """The level that an output was begun with, if it is this one but for the settings."""
    try:
        recipe = json.loads(Path(f"{output}.json").read_text(encoding="utf-8"))["recipe"]
        found = replace(level, grid=int(recipe["grid"]), scf_tolerance=float(recipe["scf_tolerance"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    same = {name: value for name, value in recipe.items() if name != "properties"} == found.to_dict()
    return found if same else None
