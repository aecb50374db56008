"""Ensembles: the ASE driver that moves the atoms, and how strongly it is coupled to heat and pressure.

Times are fs, frictions fs⁻¹, pressures GPa. The integrators are ASE's own; this file chooses one, converts units,
and tells it the true number of degrees of freedom (see `momenta.Freedom`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ase import Atoms
from ase.md.bussi import Bussi as BussiDriver
from ase.md.langevinbaoab import LangevinBAOAB
from ase.md.md import MolecularDynamics
from ase.md.nose_hoover_chain import NoseHooverChainNVT
from ase.md.verlet import VelocityVerlet
from ase.units import fs, kB

from painn_ase.errors import InputError, choice, positive, whole
from painn_ase.simulate.md.barostat import MTK
from painn_ase.simulate.md.coupling import CHAIN, PLACES, VERLET, Conditions, Coupling, ExtendedSystem, chain


@dataclass(frozen=True)
class Newton(Coupling):
    """No coupling: velocity Verlet, the microcanonical (NVE) ensemble."""

    name: ClassVar[str] = "ensemble 'nve'"
    follows: ClassVar[tuple[type, ...]] = VERLET

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
    follows: ClassVar[tuple[type, ...]] = PLACES  # BAOAB moves positions without asking constraints
    memory: ClassVar[tuple[str, ...]] = ("accel",)

    def __post_init__(self) -> None:
        positive("friction of Langevin", self.friction, "fs⁻¹")

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
    """Stochastic velocity rescaling (Bussi, Donadio and Parrinello 2007, doi:10.1063/1.2408420).

    The kinetic energy relaxes towards its canonical distribution as exp(-t/`time`), in fs.
    """

    time: float = 100.0
    follows: ClassVar[tuple[type, ...]] = VERLET
    memory: ClassVar[tuple[str, ...]] = ("transferred_energy",)

    def __post_init__(self) -> None:
        positive("time of Bussi", self.time, "fs")

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
class NoseHooverChain(ExtendedSystem):
    """Nosé-Hoover chain (Martyna, Klein and Tuckerman 1992, doi:10.1063/1.463940).

    `time` τ (fs) sets the masses of the `length` links: f kT τ² of the first, f degrees of freedom, and kT τ² of the
    others. It is not the period: the temperature of free particles oscillates with 2πτ/√2 = 4.44 τ, of an oscillator,
    half of whose energy is potential, with 2πτ.
    """

    time: float = 50.0
    length: int = 3
    memory: ClassVar[tuple[str, ...]] = CHAIN

    def __post_init__(self) -> None:
        positive("time of NoseHooverChain", self.time, "fs")
        whole("length of NoseHooverChain", self.length, 1)

    def driver(self, atoms: Atoms, conditions: Conditions) -> MolecularDynamics:
        tdamp = self.time * fs
        driver = NoseHooverChainNVT(
            atoms, conditions.timestep * fs, conditions.temperature, tdamp=tdamp, tchain=self.length
        )
        driver._thermostat = chain(driver, conditions, tdamp, self.length)
        return driver


THERMOSTATS = {"langevin": Langevin, "bussi": Bussi, "nose-hoover": NoseHooverChain}
ENSEMBLES = ("nve", "nvt", "npt")


def coupling(ensemble: str, thermostat: str | Coupling | None, barostat: MTK | None) -> Coupling:
    """The coupling that an ensemble's name and its options stand for; `InputError` where they contradict."""
    choice("ensemble", ensemble, ENSEMBLES)
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
    other = ", or Langevin, Bussi, NoseHooverChain from painn_ase.simulate"
    return THERMOSTATS[choice("thermostat", name, THERMOSTATS, other)]()
