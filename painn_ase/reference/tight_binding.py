"""Semiempirical tight binding by tblite: fast geometries, and a level of energies, forces, stress and dipoles.

GFN2-xTB: Bannwarth, Ehlert and Grimme, J. Chem. Theory Comput. 15, 1652 (2019), doi:10.1021/acs.jctc.8b01176; GFN1-xTB:
Grimme, Bannwarth and Shushkov, J. Chem. Theory Comput. 13, 1989 (2017), doi:10.1021/acs.jctc.7b00118.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from ase import Atoms
from ase.calculators.calculator import BaseCalculator
from ase.data import atomic_masses

from painn_ase.errors import InputError, MissingPackageError
from painn_ase.reference.foreign import FromCalculator
from painn_ase.reference.level import charge_and_spin
from painn_ase.reference.wanted import asked, wanted

METHODS = {"gfn2": "GFN2-xTB", "gfn2-xtb": "GFN2-xTB", "gfn1": "GFN1-xTB", "gfn1-xtb": "GFN1-xTB"}
"""Names of levels, in lower case, and what tblite calls them."""


def tight_binding(atoms: Atoms, method: str = "GFN2-xTB") -> BaseCalculator:
    """tblite's calculator for the charge and multiplicity in the structure's info."""
    try:
        from tblite.ase import TBLite
    except ImportError:
        raise MissingPackageError("tblite", method, "reference") from None
    charge, unpaired = charge_and_spin(atoms)
    return TBLite(method=method, charge=charge, multiplicity=unpaired + 1, verbosity=0)


def gfn2_xtb(atoms: Atoms) -> BaseCalculator:
    """GFN2-xTB for the charge and multiplicity in the structure's info: the usual driver of `sample`."""
    return tight_binding(atoms)


class TightBinding(FromCalculator):
    """Labels by GFN2-xTB or GFN1-xTB, of molecules and of crystals."""

    def __init__(self, level: str, properties: tuple[str, ...], scratch: Path) -> None:
        self.method = METHODS[level]
        super().__init__(functools.partial(tight_binding, method=self.method), properties, scratch)

    def recipe(self) -> dict[str, Any]:
        """The method and the version that decides about its digits."""
        return {"engine": "tblite", "method": self.method, "version": metadata.version("tblite")}

    def check(self, frames: Sequence[Atoms]) -> None:
        """As `FromCalculator`, and for what the method does not define: dipoles of cells, stress of molecules."""
        if "polarizability" in asked(frames, self.properties):
            raise InputError(
                f"polarizability: {self.method} gives a third of it (water: 0.37 Å³ instead of 1.41); expected a level "
                "of theory such as pbe0/def2-svpd, or labels without it"
            )
        super().check(frames)
        for index, atoms in enumerate(frames):
            charge_and_spin(atoms, f"frame {index}")
            names = wanted(atoms, self.properties)
            if "dipole" in names and atoms.pbc.any():
                raise InputError(f"frame {index}: {self.method} gives no dipole of a periodic cell; leave dipole out")
            if "stress" in names and not atoms.pbc.all():
                raise InputError(f"frame {index}: stress needs a cell that is periodic in three directions")

    def __call__(self, atoms: Atoms) -> dict[str, Any]:
        """The labels; the dipole of an ion about the centre of standard masses, as everywhere in this package."""
        labels = super().__call__(atoms)
        charge, _ = charge_and_spin(atoms)
        if charge and "dipole" in labels:
            masses = atomic_masses[atoms.numbers]
            labels["dipole"] = labels["dipole"] - charge * (masses @ atoms.positions) / masses.sum()
        return labels
