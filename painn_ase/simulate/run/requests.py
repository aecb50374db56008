"""What every driver asks of the structure and the numbers it is given."""

from __future__ import annotations

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


def check_output(output: Output) -> None:
    """Raises `InputError` for intervals at which nothing could be written."""
    every = output.trajectory_every
    if (every is not None and not (isinstance(every, (int, np.integer)) and every >= 1)) or not output.sync >= 0:
        raise InputError(f"output: expected trajectory_every >= 1 steps and sync >= 0 s; got {output}")
