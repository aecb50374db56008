"""Constant pressure: the Martyna-Tobias-Klein barostat of ASE, with the true numbers of degrees of freedom."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from ase import Atoms
from ase.md.md import MolecularDynamics
from ase.md.nose_hoover_chain import MTKNPT, IsotropicMTKNPT, MaskedMTKNPT
from ase.units import fs

from painn_ase.errors import InputError, positive, whole
from painn_ase.simulate.md.coupling import CHAIN, Conditions, ExtendedSystem, chain
from painn_ase.structure_checks import check_stress
from painn_ase.units import GIGAPASCAL

_RIGHT = 1e-5  # largest cosine of a right angle


@dataclass(frozen=True)
class MTK(ExtendedSystem):
    """Constant pressure and temperature (Martyna, Tobias and Klein 1994, doi:10.1063/1.467468).

    pressure: GPa
    cell: what may change: "isotropic" (the volume), "full" (three lengths and three angles; the cell does not turn), or
        three booleans, one per cell vector, whose length may change; it must be at right angles to the others
    time: τ of the atoms' chain, fs; temperatures oscillate as with `NoseHooverChain`
    pressure_time: τ_p of the cell and its chain, fs. The mass of the cell is W = (N + 1) kT τ_p², three times that if
        isotropic, and small oscillations of a volume V with bulk modulus B have the period 2πτ_p √((N + 1) kT/3BV):
        3.6 τ_p for an ideal gas, 0.17 τ_p for silicon at 300 K
    length: number of links of both chains
    """

    pressure: float = 0.0
    cell: Literal["isotropic", "full"] | tuple[bool, bool, bool] = "isotropic"
    time: float = 50.0
    pressure_time: float = 500.0
    length: int = 3

    def __post_init__(self) -> None:
        if isinstance(self.cell, np.ndarray):
            object.__setattr__(self, "cell", tuple(self.cell.tolist()))
        positive("time of MTK", self.time, "fs")
        positive("pressure_time of MTK", self.pressure_time, "fs")
        whole("length of MTK", self.length, 1)
        if not np.isfinite(self.pressure):
            raise InputError(f"pressure of MTK: expected a finite number of GPa; got {self.pressure}")
        if self.cell not in ("isotropic", "full") and (len(self.cell) != 3 or not any(self.cell)):
            raise InputError(
                f"cell of MTK: expected 'isotropic', 'full' or three booleans of which one is true; got {self.cell!r}"
            )

    def check(self, atoms: Atoms) -> None:
        super().check(atoms)
        check_stress(atoms, "ensemble 'npt'", "A molecule has no pressure: use 'nvt'.")
        self._check_right_angles(atoms)

    def _check_right_angles(self, atoms: Atoms) -> None:
        """ASE stretches space along a vector that may change: what is not at right angles to it changes, too."""
        if isinstance(self.cell, str):
            return
        directions = atoms.cell.array / atoms.cell.lengths()[:, None]
        cosines = np.abs(directions @ directions.T - np.eye(3)).max(axis=1)
        tilted = [name for name, may, cosine in zip("abc", self.cell, cosines, strict=True) if may and cosine > _RIGHT]
        if tilted:
            raise InputError(
                f"cell of MTK: a vector whose length changes alone must be at right angles to the others; {tilted[0]} "
                f"is not (angles {', '.join(f'{angle:.6g}' for angle in atoms.cell.angles())}°). Use cell='full' or "
                "'isotropic', or a supercell with right angles (ase.build.make_supercell)"
            )

    @property
    def memory(self) -> tuple[str, ...]:
        kinds = {"isotropic": ("_eps", "_p_eps", "_volume0", "_cell0"), "full": ("_h", "_p_g")}
        cell = kinds[self.cell] if isinstance(self.cell, str) else ("_h", "_p_c", "_h0_basis")
        return (*CHAIN, "_barostat._xi", "_barostat._p_xi", *cell)

    def driver(self, atoms: Atoms, conditions: Conditions) -> MolecularDynamics:
        kinds: dict[Any, Any] = {"isotropic": IsotropicMTKNPT, "full": MTKNPT}
        # An array, not the tuple ASE documents: ASE 3.29 indexes with it, and a[(False, False, True)] is nothing.
        extra = {} if self.cell in kinds else {"mask": np.array(self.cell, dtype=bool)}
        times = conditions.timestep * fs, self.time * fs, self.pressure_time * fs
        driver = kinds.get(self.cell, MaskedMTKNPT)(
            atoms, times[0], conditions.temperature, self.pressure * GIGAPASCAL, *times[1:],
            tchain=self.length, pchain=self.length, **extra,
        )  # fmt: skip
        driver._thermostat = chain(driver, conditions, self.time * fs, self.length)
        driver._num_atoms_global = conditions.freedom / 3
        if self.cell == "full":
            # ASE drives nine momenta of the cell to kT/2 each. They are a symmetric matrix and stay one: six.
            barostat = driver._barostat
            barostat._R[0] *= 6 / barostat._cell_dof
            barostat._cell_dof = 6
        return driver
