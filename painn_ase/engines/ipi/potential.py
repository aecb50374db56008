"""What i-PI asks of a force provider, in its units: Hartree atomic units, cell vectors in columns."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from ase import Atoms
from ase.stress import voigt_6_to_full_3x3_stress

from painn_ase.errors import InputError, SimulationError, choice
from painn_ase.simulate.replicas import batch
from painn_ase.units import BOHR, HARTREE, POLARIZABILITY

EXTRAS = {"dipole": BOHR, "polarizability": POLARIZABILITY["a.u."]}  # what one atomic unit is in ours


class Answer(NamedTuple):
    """Energy (Hartree), forces (atoms, 3) in Hartree/bohr, virial -dE/dε (3, 3) in Hartree, and a JSON text."""

    energy: float
    forces: np.ndarray
    virial: np.ndarray
    extras: str


class Potential:
    """Energies and forces of structures like `atoms`, by its calculator: symbols, order, pbc and charge are theirs.

    `extras`, some of "dipole" (e·a0) and "polarizability" (a.u., a0³), come as JSON in i-PI's extras. The virial is
    zero unless the structure is periodic along all three cell vectors. Several structures are one evaluation where
    the backend allows it.
    """

    def __init__(self, atoms: Atoms, extras: Iterable[str] = ()) -> None:
        self._atoms = atoms
        self._extras = tuple(extras)
        for name in self._extras:
            choice("extras", name, EXTRAS)
        for name in ("forces", *self._extras):
            if name not in atoms.calc.implemented_properties:
                have = ", ".join(atoms.calc.implemented_properties)
                raise InputError(f"{atoms.calc.name!r} has no {name}, it provides {have}")
            atoms.calc.get_property(name, atoms)  # refuses what is undefined for this structure
        self._stressed = bool(atoms.pbc.all()) and "stress" in atoms.calc.implemented_properties
        self._names = ("forces", *self._extras, *(("stress",) if self._stressed else ()))
        self._evaluators: dict[int, batch.Evaluator] = {}

    @property
    def size(self) -> int:
        """Number of atoms."""
        return len(self._atoms)

    def __call__(self, cells: np.ndarray, positions: np.ndarray) -> list[Answer]:
        """One answer per structure; `cells` (structures, 3, 3), `positions` (structures, atoms, 3), both in bohr."""
        x = np.asarray(positions, dtype=float) * BOHR
        if x.shape[1:] != (self.size, 3):
            raise InputError(
                f"i-PI sends {x.shape[1]} atoms, and the structure here has {self.size}: give the driver the structure "
                "that i-PI was initialised with, atoms in the same order"
            )
        h = np.asarray(cells, dtype=float).transpose(0, 2, 1) * BOHR
        if len(x) not in self._evaluators:
            self._evaluators[len(x)] = batch.evaluator(self._atoms)
        found = self._evaluators[len(x)](x, self._names, h if self._atoms.pbc.any() else None)
        if not (np.isfinite(found["energy"]).all() and np.isfinite(found["forces"]).all()):
            raise SimulationError("energy or forces are not finite; is the structure like the training data?")
        virials = np.zeros((len(x), 3, 3))
        if self._stressed:
            volumes = np.abs(np.linalg.det(h))[:, None, None]
            virials = -voigt_6_to_full_3x3_stress(found["stress"]) * volumes / HARTREE
        return [
            Answer(
                float(found["energy"][k]) / HARTREE,
                found["forces"][k] * (BOHR / HARTREE),
                virials[k],
                json.dumps({name: (found[name][k] / EXTRAS[name]).tolist() for name in self._extras})
                if self._extras
                else "",
            )
            for k in range(len(x))
        ]
