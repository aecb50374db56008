"""What every driver asks of the structure it is given."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from ase import Atoms
from ase.calculators.calculator import BaseCalculator
from ase.constraints import FixAtoms

from painn_ase.errors import InputError


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


def check_constraints(
    atoms: Atoms,
    who: str,
    follows: tuple[type, ...],
    way_out: Callable[[type], str] = lambda constraint: "Remove it: atoms.set_constraint()",
) -> None:
    """Raises `InputError` for a constraint that `who` does not follow; `way_out` says what to do about it."""
    for constraint in map(type, atoms.constraints):
        if constraint not in follows:
            known = ", ".join(kind.__name__ for kind in follows) or "no constraints"
            raise InputError(f"{who} follows {known}; the structure has {constraint.__name__}. {way_out(constraint)}")


def fixed_atoms(atoms: Atoms, who: str) -> np.ndarray:
    """(atoms,) bool: those that `FixAtoms` holds; `InputError` for other constraints."""
    check_constraints(atoms, who, (FixAtoms,))
    fixed = np.zeros(len(atoms), dtype=bool)
    for constraint in atoms.constraints:
        fixed[constraint.get_indices()] = True
    return fixed


def check_stress(atoms: Atoms, what: str, way_out: str) -> None:
    """Raises `InputError` where `what`, which changes the cell, has no full cell or a calculator without stress."""
    if not atoms.pbc.all() or atoms.cell.rank < 3:
        raise InputError(
            f"{what} needs a cell that is periodic along all three vectors; got pbc={atoms.pbc.tolist()} and a cell of "
            f"rank {atoms.cell.rank}. {way_out}"
        )
    provided = atoms.calc.implemented_properties
    if "stress" not in provided:
        raise InputError(f"{what} needs a calculator with stress; {atoms.calc.name!r} provides {', '.join(provided)}")
