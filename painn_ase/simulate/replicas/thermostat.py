"""Thermostats of ring polymers: a friction for every normal mode, and perhaps a rescaling of the centroid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from ase.units import fs
from numpy.random import Generator

from painn_ase.errors import choice, positive
from painn_ase.simulate.replicas.modes import Ring


@dataclass(frozen=True)
class Thermostat:
    """Langevin dynamics of the normal modes: friction γ_k = 2 `damping` ω_k of the internal ones.

    `damping` 1 is PILE's choice, for which the energy of a free mode decorrelates fastest (Ceriotti et al. 2010,
    doi:10.1063/1.3489925); 0.5 is TRPMD's (Rossi, Ceriotti and Manolopoulos 2014, doi:10.1063/1.4883861). The
    `centroid` is "free", has Langevin friction 1/`time` ("langevin"), or its velocities are rescaled with time constant
    `time` in fs (Bussi, Donadio and Parrinello 2007, doi:10.1063/1.2408420: "rescaling").
    """

    damping: float = 1.0
    centroid: Literal["langevin", "rescaling", "free"] = "langevin"
    time: float = 100.0

    def __post_init__(self) -> None:
        positive("damping of a thermostat", self.damping, zero=True)
        positive("time of a thermostat", self.time, "fs")
        choice("centroid of a thermostat", self.centroid, ("langevin", "rescaling", "free"))

    def frictions(self, ring: Ring) -> np.ndarray:
        """γ_k, (modes,), per ASE time."""
        frictions = 2 * self.damping * ring.frequencies
        frictions[0] = 1 / (self.time * fs) if self.centroid == "langevin" else 0.0
        return frictions


THERMOSTATS = {
    "pile-l": Thermostat(),
    "pile-g": Thermostat(centroid="rescaling"),
    "trpmd": Thermostat(damping=0.5, centroid="free"),
    "none": Thermostat(damping=0.0, centroid="free"),
}


def thermostat(wanted: str | Thermostat) -> Thermostat:
    """The thermostat that a name stands for; `InputError` for an unknown one."""
    if isinstance(wanted, Thermostat):
        return wanted
    return THERMOSTATS[choice("thermostat", wanted, THERMOSTATS, ", or a Thermostat of painn_ase.simulate")]


def rescaling_factor(kinetic: float, target: float, freedom: int, decay: float, rng: Generator) -> float:
    """The factor on velocities of one step of stochastic velocity rescaling, `decay` = exp(-Δt/τ).

    `kinetic` is the energy of `freedom` degrees of freedom, `target` its mean at the wanted temperature.
    """
    if kinetic <= 0 or freedom < 1:
        return 1.0
    one = rng.standard_normal()
    others = 2 * rng.standard_gamma((freedom - 1) / 2) if freedom > 1 else 0.0
    share = (1 - decay) * target / (kinetic * freedom)
    square = decay + share * (one**2 + others) + 2 * one * np.sqrt(decay * share)
    sign = np.sign(one + np.sqrt(decay / share))
    return float(sign * np.sqrt(square))
