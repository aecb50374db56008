"""What a saved run of ASE's drivers and optimisers is made of: structure, motion and calculator."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping
from functools import reduce
from operator import attrgetter
from typing import Any

import numpy as np
from ase import Atoms

from painn_ase.capabilities import remembering
from painn_ase.errors import InputError
from painn_ase.simulate.run.provenance import identity_of
from painn_ase.simulate.run.restart import Restart, State

logger = logging.getLogger(__name__)

# Share of the largest force by which two machines may differ; another model differs by more.
_SAME_MODEL = 1e-3


def structure_identity(atoms: Atoms) -> dict[str, Any]:
    """What a run began with: structure, motion and calculator, setting by setting."""
    return identity_of(atoms) | {
        "momenta": atoms.get_momenta().tolist() if atoms.has("momenta") else None,
        "constraints": [c.todict() if hasattr(c, "todict") else type(c).__name__ for c in atoms.constraints],
    }


def state_of(atoms: Atoms, driver: Any, names: Iterable[str], values: Mapping[str, Any]) -> State:
    """What brings structure, calculator and driver back (`place`, `recall_calculator`, `remind`), and more `values`.

    A driver of ASE remembers attributes by `names` ("state.hessian": of an attribute), those that are set.
    """
    found = {name: reduce(lambda one, part: getattr(one, part, None), name.split("."), driver) for name in names}
    remembers = remembering(atoms.calc)
    memory = remembers.memory if remembers else {}
    arrays = {f"calculator {name}": value for name, value in memory.items() if isinstance(value, np.ndarray)}
    arrays |= {"positions": atoms.get_positions(), "momenta": atoms.get_momenta(), "cell": atoms.cell.array.copy()}
    arrays["forces"] = np.array(atoms.calc.get_property("forces", atoms))
    arrays |= {f"driver {name}": np.array(value) for name, value in found.items() if value is not None}
    rest = {name: value for name, value in memory.items() if f"calculator {name}" not in arrays}
    return State(arrays, {"calculator": rest, **values})


def remind(driver: Any, restart: Restart) -> None:
    """Gives a new driver the memory of an earlier one."""
    for name, array in restart.part("driver").items():
        path, _, attribute = name.rpartition(".")
        holder = attrgetter(path)(driver) if path else driver
        # numbers as NumPy's scalars, as ASE holds them: x**2 of a Python float may round differently
        value: Any = array.copy() if array.ndim else array[()]
        if isinstance(getattr(holder, attribute), list):
            # rows of their own, because how they lie in memory can decide over the last bit of a dot product
            value = [row.copy() for row in array]
        setattr(holder, attribute, value)


def place(atoms: Atoms, restart: Restart) -> None:
    """Moves the atoms to where a saved run was, whatever their constraints would say."""
    atoms.cell = restart.arrays["cell"]
    atoms.positions = restart.arrays["positions"].copy()
    if atoms.has("momenta") or restart.arrays["momenta"].any():  # a relaxation has none, and its frames show none
        atoms.set_momenta(restart.arrays["momenta"], apply_constraint=False)


def recall_calculator(atoms: Atoms, restart: Restart, due: Collection[str] = ()) -> None:
    """Has the calculator evaluate the atoms for the forces and what was `due`, as it did when the state was saved.

    Says so if that does not give the same forces.
    """
    remembers, memory = remembering(atoms.calc), restart.part("calculator") | restart.values["calculator"]
    if remembers and memory:
        remembers.recall(atoms, memory, list(dict.fromkeys(["forces", *due])))
    forces, expected = atoms.calc.get_property("forces", atoms), restart.arrays["forces"]
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
