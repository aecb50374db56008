"""A Kohn-Sham level of theory as an ASE calculator, to relax or move a structure at the level of its labels."""

from collections.abc import Sequence

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes

from painn_ase.reference.kohn_sham import compute
from painn_ase.reference.level import Level


class KohnShamCalculator(Calculator):
    """Energy (eV), forces (eV/Å) and dipole (e·Å) of molecules at a `level` such as "pbe0/def2-svpd", with PySCF.

    Each calculation starts from the density of the one before. Charge and multiplicity come from `atoms.info`.
    """

    name = "kohn-sham"
    implemented_properties = ["energy", "forces", "dipole"]  # noqa: RUF012 - ASE's convention

    def __init__(self, level: str | Level, *, threads: int = 1) -> None:
        super().__init__()
        self.level = Level.parse(level) if isinstance(level, str) else level
        self.threads = threads
        self.parameters = {"level": self.level.to_dict()}
        self._density: tuple[tuple, np.ndarray] | None = None  # what it belongs to, and the matrix

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = tuple(all_changes),
    ) -> None:
        """Fills `results` with all three properties."""
        super().calculate(atoms, list(properties), list(system_changes))
        assert self.atoms is not None
        state = (*self.atoms.numbers, self.atoms.info.get("charge"), self.atoms.info.get("multiplicity"))
        if self._density is None or self._density[0] != state:
            self.level.check([self.atoms], self.implemented_properties)
            self._density = None
        guess = None if self._density is None else self._density[1]
        results = compute(self.atoms, self.level, self.implemented_properties, threads=self.threads, guess=guess)
        self._density = (state, results.pop("density"))
        self.results = results
