"""Ensembles: the ASE driver that moves the atoms, and how strongly it is coupled to heat and pressure.

Times are fs, frictions fs⁻¹, pressures GPa. The integrators are ASE's own; this file chooses one, converts units,
and tells it the true number of degrees of freedom (see `momenta.Freedom`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, ClassVar, Literal

import numpy as np
from ase import Atoms
from ase.constraints import FixAtoms, FixCartesian, FixCom, FixedLine, FixedPlane, Hookean
from ase.md.bussi import Bussi as BussiDriver
from ase.md.langevinbaoab import LangevinBAOAB
from ase.md.md import MolecularDynamics
from ase.md.nose_hoover_chain import MTKNPT, IsotropicMTKNPT, NoseHooverChainNVT, NoseHooverChainThermostat
from ase.md.verlet import VelocityVerlet
from ase.units import fs, kB
from numpy.random import Generator

from painn_ase.errors import InputError, closest
from painn_ase.units import GIGAPASCAL

_CHAIN = ("_q", "_p", "_thermostat._eta", "_thermostat._p_eta")  # memory of a driver with a Nosé-Hoover chain


@dataclass(frozen=True)
class Conditions:
    """What every driver is told: target temperature (K), timestep (fs), degrees of freedom, random numbers."""

    temperature: float
    timestep: float
    freedom: int
    rng: Generator


class Coupling(ABC):
    """A way to couple the atoms to their surroundings."""

    keeps_angular_momentum: ClassVar[bool] = True  # scales momenta at most, so a molecule at L = 0 stays there
    follows: ClassVar[tuple[type, ...] | None] = None  # the constraints its driver keeps; None: all of them

    @abstractmethod
    def driver(self, atoms: Atoms, conditions: Conditions) -> MolecularDynamics:
        """ASE's driver, ready to step."""

    @property
    def memory(self) -> tuple[str, ...]:
        """What its driver remembers from step to step, beside atoms and random numbers: attributes of the driver."""
        return ()

    def state(self, driver: MolecularDynamics) -> dict[str, np.ndarray]:
        """The driver's memory, for a restart."""
        return {name: np.array(attrgetter(name)(driver)) for name in self.memory}

    def restore(self, driver: MolecularDynamics, state: Mapping[str, np.ndarray]) -> None:
        """Gives a new driver the memory of an earlier one."""
        for name in self.memory:
            owner, _, attribute = name.rpartition(".")
            holder = attrgetter(owner)(driver) if owner else driver
            # numbers as NumPy's scalars, as the drivers hold them: x**2 of a Python float may round differently
            setattr(holder, attribute, state[name].copy() if state[name].ndim else state[name][()])

    def check(self, atoms: Atoms) -> None:
        """Raises `InputError` when the driver would integrate these atoms wrongly."""
        for constraint in atoms.constraints:
            if self.follows is not None and not isinstance(constraint, self.follows):
                known = ", ".join(kind.__name__ for kind in self.follows) or "no constraints"
                raise InputError(
                    f"{type(self).__name__} follows {known}; the structure has {type(constraint).__name__}. Use "
                    "ensemble 'nvt' with thermostat='bussi', which follows all, or remove them: atoms.set_constraint()."
                )

    def conserved_energy(self, driver: MolecularDynamics, total: float) -> float | None:
        """The energy (eV) this dynamics conserves up to the integration error, from the `total` energy of the atoms.

        None where there is no such quantity.
        """
        return total


@dataclass(frozen=True)
class Newton(Coupling):
    """No coupling: velocity Verlet, the microcanonical (NVE) ensemble."""

    def driver(self, atoms: Atoms, conditions: Conditions) -> MolecularDynamics:
        return VelocityVerlet(atoms, conditions.timestep * fs)


@dataclass(frozen=True)
class Langevin(Coupling):
    """Langevin dynamics in the BAOAB splitting (Leimkuhler and Matthews 2013, doi:10.1063/1.4802990).

    `friction` (fs⁻¹) is the rate at which velocities forget: 0.01 is a time constant of 100 fs. The centre of mass
    is held; rotation is thermalised.
    """

    friction: float = 0.01
    keeps_angular_momentum: ClassVar[bool] = False
    # BAOAB moves positions without asking constraints: exact only where zero velocity means no motion.
    follows: ClassVar[tuple[type, ...] | None] = (FixAtoms, FixCom, FixCartesian, FixedLine, FixedPlane, Hookean)

    def __post_init__(self) -> None:
        _positive(self.friction, "friction of Langevin", "fs⁻¹")

    @property
    def memory(self) -> tuple[str, ...]:
        return ("accel",)

    def driver(self, atoms: Atoms, conditions: Conditions) -> MolecularDynamics:
        return LangevinBAOAB(
            atoms,
            conditions.timestep * fs,
            temperature_K=conditions.temperature,
            T_tau=fs / self.friction,
            rng=conditions.rng,
        )

    def conserved_energy(self, driver: MolecularDynamics, total: float) -> None:
        return None


@dataclass(frozen=True)
class Bussi(Coupling):
    """Stochastic velocity rescaling (Bussi, Donadio and Parrinello 2007, doi:10.1063/1.2408420); `time` in fs."""

    time: float = 100.0

    def __post_init__(self) -> None:
        _positive(self.time, "time of Bussi", "fs")

    @property
    def memory(self) -> tuple[str, ...]:
        return ("transferred_energy",)

    def driver(self, atoms: Atoms, conditions: Conditions) -> MolecularDynamics:
        driver = BussiDriver(
            atoms, conditions.timestep * fs, conditions.temperature, self.time * fs, rng=conditions.rng
        )
        # ASE counts 3N less constraints; momenta that stay zero must not be counted, or the rest runs hot.
        driver.ndof = conditions.freedom
        driver.target_kinetic_energy = 0.5 * kB * conditions.temperature * conditions.freedom
        return driver

    def conserved_energy(self, driver: MolecularDynamics, total: float) -> float:
        return total - driver.transferred_energy  # type: ignore[attr-defined]


@dataclass(frozen=True)
class NoseHooverChain(Coupling):
    """Nosé-Hoover chain (Martyna, Klein and Tuckerman 1992, doi:10.1063/1.463940).

    `time` (fs) is the period of the thermostat, `length` the number of its links.
    """

    time: float = 50.0
    length: int = 3
    follows: ClassVar[tuple[type, ...] | None] = ()

    def __post_init__(self) -> None:
        _positive(self.time, "time of NoseHooverChain", "fs")
        _positive(self.length, "length of NoseHooverChain", "links")

    @property
    def memory(self) -> tuple[str, ...]:
        return _CHAIN

    def driver(self, atoms: Atoms, conditions: Conditions) -> MolecularDynamics:
        tdamp = self.time * fs
        driver = NoseHooverChainNVT(
            atoms, conditions.timestep * fs, conditions.temperature, tdamp=tdamp, tchain=self.length
        )
        driver._thermostat = _chain(driver, conditions, tdamp, self.length)
        return driver

    def conserved_energy(self, driver: MolecularDynamics, total: float) -> float | None:
        return _extended_energy(driver)


@dataclass(frozen=True)
class MTK(Coupling):
    """Constant pressure and temperature (Martyna, Tobias and Klein 1994, doi:10.1063/1.467468).

    `pressure` in GPa. `cell` says what may change: "isotropic" (the volume), "full" (all nine components) or three
    booleans, one per cell vector, whose length may change. `time` and `pressure_time` (fs) are the periods of
    thermostat and barostat, `length` the number of links of both chains.
    """

    pressure: float = 0.0
    cell: Literal["isotropic", "full"] | tuple[bool, bool, bool] = "isotropic"
    time: float = 50.0
    pressure_time: float = 500.0
    length: int = 3
    follows: ClassVar[tuple[type, ...] | None] = ()

    def __post_init__(self) -> None:
        _positive(self.time, "time of MTK", "fs")
        _positive(self.pressure_time, "pressure_time of MTK", "fs")
        _positive(self.length, "length of MTK", "links")
        if not np.isfinite(self.pressure):
            raise InputError(f"pressure of MTK: expected a finite number of GPa; got {self.pressure}")
        if self.cell not in ("isotropic", "full") and (len(self.cell) != 3 or not any(self.cell)):
            raise InputError(
                f"cell of MTK: expected 'isotropic', 'full' or three booleans of which one is true; got {self.cell!r}"
            )

    def check(self, atoms: Atoms) -> None:
        super().check(atoms)
        if not atoms.pbc.all() or atoms.cell.rank < 3:
            raise InputError(
                f"ensemble 'npt' needs a cell that is periodic along all three vectors; got pbc={atoms.pbc.tolist()} "
                f"and a cell of rank {atoms.cell.rank}. A molecule has no pressure: use 'nvt'."
            )
        if "stress" not in atoms.calc.implemented_properties:
            raise InputError(
                f"ensemble 'npt' needs a calculator with stress; {atoms.calc.name!r} provides "
                f"{', '.join(atoms.calc.implemented_properties)}"
            )

    @property
    def memory(self) -> tuple[str, ...]:
        kinds = {"isotropic": ("_eps", "_p_eps", "_volume0", "_cell0"), "full": ("_h", "_p_g")}
        cell = kinds[self.cell] if isinstance(self.cell, str) else ("_h", "_p_c", "_h0_basis")
        return (*_CHAIN, "_barostat._xi", "_barostat._p_xi", *cell)

    def driver(self, atoms: Atoms, conditions: Conditions) -> MolecularDynamics:
        kind: Any = IsotropicMTKNPT
        extra: dict[str, Any] = {}
        if self.cell == "full":
            kind = MTKNPT
        elif self.cell != "isotropic":
            from ase.md.nose_hoover_chain import MaskedMTKNPT

            # An array, not the tuple ASE documents: ASE 3.29 indexes with it, and a[(False, False, True)] is nothing.
            kind, extra = MaskedMTKNPT, {"mask": np.array(self.cell, dtype=bool)}
        driver = kind(
            atoms,
            conditions.timestep * fs,
            conditions.temperature,
            self.pressure * GIGAPASCAL,
            self.time * fs,
            self.pressure_time * fs,
            tchain=self.length,
            pchain=self.length,
            **extra,
        )
        driver._thermostat = _chain(driver, conditions, self.time * fs, self.length)
        driver._num_atoms_global = conditions.freedom / 3
        return driver

    def conserved_energy(self, driver: MolecularDynamics, total: float) -> float | None:
        return _extended_energy(driver)


THERMOSTATS = {"langevin": Langevin, "bussi": Bussi, "nose-hoover": NoseHooverChain}
ENSEMBLES = ("nve", "nvt", "npt")


def coupling(ensemble: str, thermostat: str | Coupling | None, barostat: MTK | None) -> Coupling:
    """The coupling that an ensemble's name and its options stand for; `InputError` where they contradict."""
    if ensemble not in ENSEMBLES:
        raise InputError(
            f"ensemble: expected one of {', '.join(ENSEMBLES)}; got {ensemble!r}{closest(str(ensemble), ENSEMBLES)}"
        )
    if thermostat is not None and ensemble != "nvt":
        hint = "; MTK brings its own: barostat=MTK(time=...)" if ensemble == "npt" else ""
        raise InputError(f"thermostat: only ensemble 'nvt' takes one, got {thermostat!r} with {ensemble!r}{hint}")
    if barostat is not None and ensemble != "npt":
        raise InputError(f"barostat: only ensemble 'npt' takes one, got {barostat!r} with {ensemble!r}")
    if ensemble == "nve":
        return Newton()
    if ensemble == "npt":
        if barostat is not None and not isinstance(barostat, MTK):
            raise InputError(f"barostat: expected MTK(pressure=...); got {barostat!r}")
        return barostat or MTK()
    if isinstance(thermostat, (Langevin, Bussi, NoseHooverChain)):
        return thermostat
    name = "langevin" if thermostat is None else str(thermostat)
    if name not in THERMOSTATS:
        raise InputError(
            f"thermostat: expected one of {', '.join(THERMOSTATS)}, or Langevin, Bussi, NoseHooverChain from "
            f"painn_ase.simulate; got {thermostat!r}{closest(name, THERMOSTATS)}"
        )
    return THERMOSTATS[name]()


def _chain(driver: MolecularDynamics, conditions: Conditions, tdamp: float, length: int) -> NoseHooverChainThermostat:
    """A chain that drives the true number of degrees of freedom to kT/2 each.

    ASE's drivers assume 3N. The total momentum is zero and stays zero, so the other modes would take its share:
    8 atoms would run at N/(N-1) = 1.14 times the temperature asked for.
    """
    return NoseHooverChainThermostat(
        num_atoms_global=conditions.freedom / 3,  # type: ignore[arg-type]
        masses=driver.masses,
        temperature_K=conditions.temperature,
        tdamp=tdamp,
        tchain=length,
    )


def _extended_energy(driver: MolecularDynamics) -> float | None:
    # ASE adds its thermostat's energy to the free energy, which not every calculator has.
    has = "free_energy" in driver.atoms.calc.implemented_properties
    return driver.get_conserved_energy() if has else None  # type: ignore[attr-defined]


def _positive(value: float, name: str, unit: str) -> None:
    if not (np.isfinite(value) and value > 0):
        raise InputError(f"{name}: expected a positive number ({unit}); got {value}")
