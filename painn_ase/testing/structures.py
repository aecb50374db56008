"""Structures on which calculators go wrong, made from one that a calculator knows."""

from __future__ import annotations

import numpy as np
from ase import Atoms

GAP = 2.6  # Å, between a molecule in a tight box and its images
MOST = 40  # atoms of a structure that others are made from


def nasty(atoms: Atoms, label: str) -> dict[str, Atoms]:
    """Relatives of `atoms` by label: off equilibrium, in a tight tilted box, with fewer periodic directions, one atom.

    A molecule is put into a box in which it meets its images; a crystal is strained and left-handed. Structures of more
    than forty atoms are only displaced.
    """
    first = displaced(atoms)
    found = {label: first}
    if len(atoms) > MOST:
        return found
    if atoms.pbc.any():
        found[f"{label}, sheared"] = _sheared(first)
    else:
        box = boxed(first)
        found[f"{label} in a box"] = box
        layer = box.copy()
        layer.pbc = [True, True, False]
        found[f"{label} in a layer"] = layer
        wire = box.copy()
        wire.pbc = [False, True, False]
        found[f"{label} in a row"] = wire
    if len(atoms) > 1:
        one = Atoms([first.numbers[0]], [first.positions[0]], info=dict(first.info))
        found[f"one atom of {label}"] = one
    return found


def displaced(atoms: Atoms, by: float = 0.05) -> Atoms:
    """A copy with atoms moved at random by about `by` Å, without constraints and momenta."""
    moved = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=atoms.pbc, info=dict(atoms.info))
    for name in ("initial_charges", "initial_magmoms"):
        if name in atoms.arrays:
            moved.set_array(name, atoms.arrays[name].copy())
    moved.rattle(by, seed=0)
    return moved


def boxed(atoms: Atoms) -> Atoms:
    """The molecule in a tilted, fully periodic box in which its images are about 2.6 Å away."""
    box = atoms.copy()
    extent = np.ptp(atoms.positions, axis=0) + GAP
    box.set_cell(np.diag(extent) @ np.array([[1.0, 0.0, 0.0], [0.15, 1.0, 0.0], [-0.1, 0.2, 1.0]]))
    box.pbc = True
    return box


def _sheared(atoms: Atoms) -> Atoms:
    strain = np.array([[0.02, 0.03, 0.0], [0.03, -0.02, 0.01], [0.0, 0.01, 0.01]])
    strain[~atoms.pbc] = strain[:, ~atoms.pbc] = 0.0
    sheared = atoms.copy()
    sheared.set_cell(atoms.cell.array @ (np.eye(3) + strain), scale_atoms=False)
    sheared.positions = atoms.positions @ (np.eye(3) + strain)
    return sheared
