"""What every driver asks of the structure and the numbers it is given."""

from __future__ import annotations

from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import BaseCalculator

from painn_ase.errors import InputError
from painn_ase.simulate.run.recorder import Output


def check_structure(atoms: Atoms, purpose: str, least: int = 1) -> None:
    """Raises `InputError` where there are too few atoms for the `purpose`, or no calculator."""
    if len(atoms) < least:
        found = "the structure is empty" if len(atoms) == 0 else f"the structure has {len(atoms)} atom(s)"
        raise InputError(f"{found}; {purpose} needs at least {least}")
    if not isinstance(atoms.calc, BaseCalculator):
        raise InputError(
            f"the structure needs an ASE calculator; got {atoms.calc!r}. Attach one: atoms.calc = "
            "PaiNNCalculator('ethanol')"
        )


def check_steps(steps: Any) -> None:
    """Raises `InputError` for anything but a whole number from 1 on."""
    if isinstance(steps, bool) or not isinstance(steps, (int, np.integer)) or steps < 1:
        raise InputError(f"steps: expected a whole number >= 1; got {steps!r}")


def check_output(output: Output) -> None:
    """Raises `InputError` for intervals at which nothing could be written."""
    if not (isinstance(output.trajectory_every, int) and output.trajectory_every >= 1 and output.sync >= 0):
        raise InputError(f"output: expected trajectory_every >= 1 steps and sync >= 0 s; got {output}")
