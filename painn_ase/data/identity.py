"""What tells structures apart, so that a frame is known again: in the output of a labelling run, on both sides of a
split, in the data of a model trained before."""

import hashlib

import numpy as np
from ase import Atoms

DECIMALS = 8  # of positions and cells in extended XYZ
_DIGITS = 16  # hexadecimal, of a geometry's name: among 1e6 frames two share one with a chance of 3e-8


LASTING = ("tags", "masses", "initial_magmoms", "initial_charges")  # arrays of a structure that are no labels


def unlabelled(atoms: Atoms) -> Atoms:
    """The structure without calculator, momenta and labels: elements, isotopes, positions, cell, constraints, tags,
    initial moments and charges, and of info the charge and multiplicity."""
    copy = atoms.copy()
    copy.info = {key: atoms.info[key] for key in ("charge", "multiplicity") if key in atoms.info}
    for name in set(copy.arrays) - {"numbers", "positions", *LASTING}:
        del copy.arrays[name]
    return copy


def fingerprint(atoms: Atoms) -> str:
    """The name of a structure to be labelled: elements, positions, cell, periodicity, charge and spin."""
    grains = np.round(np.concatenate([atoms.positions, atoms.cell.array]) * 10**DECIMALS).astype(np.int64)
    multiplicity = atoms.info.get("multiplicity")  # an integer of NumPy's once it was read from a file
    state: tuple = (float(atoms.info.get("charge", 0)), None if multiplicity is None else int(multiplicity))
    for name in ("initial_magmoms", "initial_charges"):  # which of several electronic states is looked for
        if atoms.has(name):
            state += tuple(np.round(atoms.get_array(name) * 10**DECIMALS).astype(np.int64).ravel().tolist())
    text = repr((atoms.numbers.tolist(), grains.tolist(), atoms.pbc.tolist(), state))
    return hashlib.sha256(text.encode()).hexdigest()


def geometry(atoms: Atoms) -> str:
    """The name of a geometry, 16 hexadecimal digits: elements, positions, and the cell as far as it is periodic.

    Charge and multiplicity are left out: a network that has learned the geometry in one state is no stranger to it in
    another, and not every file names them.
    """
    pbc = atoms.pbc & atoms.cell.array.any(axis=1)
    cell = np.where(pbc[:, None], atoms.cell.array, 0.0)
    grains = np.round(np.concatenate([atoms.positions, cell]) * 10**DECIMALS).astype(np.int64)
    parts = (np.asarray(atoms.numbers, dtype=np.int64), grains, pbc.astype(np.int64))
    return hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()[:_DIGITS]
