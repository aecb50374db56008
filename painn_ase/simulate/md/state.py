"""What a saved run of ASE's drivers and optimisers is made of: structure, motion and calculator."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
from ase import Atoms

from painn_ase.errors import InputError
from painn_ase.simulate.md.evaluation import Together, recall, remember
from painn_ase.simulate.run.provenance import identity_of
from painn_ase.simulate.run.restart import Restart

logger = logging.getLogger(__name__)

# Share of the largest force by which two machines may differ; another model differs by more.
_SAME_MODEL = 1e-3


def structure_identity(atoms: Atoms) -> dict[str, Any]:
    """What a run began with: structure, motion and calculator, setting by setting."""
    identity = identity_of(atoms)
    parameters = identity.pop("calculator")
    identity |= {"calculator": atoms.calc.name} | {f"calculator's {key}": value for key, value in parameters.items()}
    identity["momenta"] = atoms.get_momenta().tolist() if atoms.has("momenta") else None
    identity["constraints"] = [c.todict() if hasattr(c, "todict") else type(c).__name__ for c in atoms.constraints]
    return identity


def structure_state(atoms: Atoms, calc: Any) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Arrays and values that bring structure, motion and calculator back (`place`, `recall_calculator`)."""
    arrays, values = remember(calc)
    arrays = {f"calculator {name}": array for name, array in arrays.items()}
    arrays |= {"positions": atoms.get_positions(), "momenta": atoms.get_momenta(), "cell": atoms.cell.array.copy()}
    arrays["forces"] = np.array(calc.get_property("forces", atoms))
    return arrays, {"calculator": values}


def place(atoms: Atoms, restart: Restart) -> None:
    """Moves the atoms to where a saved run was, whatever their constraints would say."""
    atoms.cell = restart.arrays["cell"]
    atoms.positions = restart.arrays["positions"].copy()
    if atoms.has("momenta") or restart.arrays["momenta"].any():  # a relaxation has none, and its frames show none
        atoms.set_momenta(restart.arrays["momenta"], apply_constraint=False)


def recall_calculator(atoms: Atoms, calc: Together, restart: Restart) -> None:
    """Has the calculator evaluate the atoms as it did when the state was saved, and says so if that fails."""
    prefix = "calculator "
    arrays = {n.removeprefix(prefix): a for n, a in restart.arrays.items() if n.startswith(prefix)}
    recall(calc, atoms, arrays, restart.values["calculator"])
    forces, expected = calc.get_property("forces", atoms), restart.arrays["forces"]
    difference = float(np.abs(forces - expected).max())
    if not difference <= _SAME_MODEL * (1 + np.abs(expected).max()):
        raise InputError(
            f"resume: the calculator's forces differ by {difference:.2g} eV/Å from those at step {restart.step}, where "
            "the run was saved; it was begun with another model"
        )
    if difference > 0:
        logger.warning(
            "forces differ by %.1e eV/Å from those at step %d, where the run was saved: it goes on, but not to the "
            "last bit (another machine or number of threads, or a calculator that remembers earlier structures)",
            difference,
            restart.step,
        )
