"""What every ensemble is to the atoms: a driver of ASE, the constraints it follows, what it remembers and conserves."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from ase import Atoms
from ase.constraints import (
    FixAtoms,
    FixBondLengths,
    FixCartesian,
    FixCom,
    FixedLine,
    FixedPlane,
    FixLinearTriatomic,
    FixScaled,
    Hookean,
)
from ase.md.md import MolecularDynamics
from ase.md.nose_hoover_chain import NoseHooverChainThermostat
from numpy.random import Generator

from painn_ase.structure_checks import check_constraints

# What holds atoms in places or directions: zero velocity means no motion, whoever moves the positions.
PLACES = (FixAtoms, FixCartesian, FixCom, FixedLine, FixedPlane, Hookean)
# What velocity Verlet with ASE's constraints conserves energy under, to second order in the time step (tested).
VERLET = (*PLACES, FixBondLengths, FixLinearTriatomic, FixScaled)
CHAIN = ("_q", "_p", "_thermostat._eta", "_thermostat._p_eta")  # memory of a driver with a Nosé-Hoover chain


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
    follows: ClassVar[tuple[type, ...]] = ()  # the constraints its driver keeps

    @abstractmethod
    def driver(self, atoms: Atoms, conditions: Conditions) -> MolecularDynamics:
        """ASE's driver, ready to step."""

    @property
    def name(self) -> str:
        """What errors call it."""
        return type(self).__name__

    @property
    def memory(self) -> tuple[str, ...]:
        """What its driver remembers from step to step, beside atoms and random numbers: attributes of the driver."""
        return ()

    def check(self, atoms: Atoms) -> None:
        """Raises `InputError` when the driver would integrate these atoms wrongly."""
        check_constraints(atoms, self.name, self.follows, _way_out)

    def conserved_energy(self, driver: MolecularDynamics, total: float) -> float | None:
        """The energy (eV) this dynamics conserves up to the integration error, from the `total` energy of the atoms.

        None where there is no such quantity.
        """
        return total


class ExtendedSystem(Coupling):
    """Coupled by variables of its own, such as Nosé-Hoover chains, whose energy ASE counts."""

    def conserved_energy(self, driver: MolecularDynamics, total: float) -> float | None:
        # ASE adds its thermostat's energy to the free energy, which not every calculator has.
        has = "free_energy" in driver.atoms.calc.implemented_properties
        return driver.get_conserved_energy() if has else None  # type: ignore[attr-defined]


def _way_out(constraint: type) -> str:
    """What to do about a constraint that a driver does not follow."""
    if constraint in VERLET:
        return "Use ensemble 'nvt' with thermostat='bussi', which does, or remove it: atoms.set_constraint()."
    return "No driver here keeps it and conserves energy; remove it: atoms.set_constraint()."


def chain(driver: MolecularDynamics, conditions: Conditions, tdamp: float, length: int) -> NoseHooverChainThermostat:
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
