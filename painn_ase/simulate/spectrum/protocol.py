"""How the trajectories of a spectrum are made."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from painn_ase.errors import InputError


@dataclass(frozen=True)
class Protocol:
    """How the trajectories are made.

    Each of `trajectories` copies starts from the given structure with momenta of its own, is equilibrated for
    `equilibration` ps by Langevin dynamics (`friction` in fs⁻¹) at `temperature` (K), and then followed for `length`
    ps at constant energy, by velocity Verlet with `timestep` fs. A frame is taken every `every` steps. Translation is
    removed; a molecule keeps its rotation, which gives bands their P and R branches, unless `rotation` is False.

    With more than one of `beads` the copies are ring polymers: nuclei are quantum particles. They are equilibrated by
    PILE-L and followed by thermostatted ring-polymer dynamics (TRPMD, λ = 0.5, centroid free), and the recorded dipole
    and polarizability are means over the beads, whose correlations are Kubo-transformed.
    """

    temperature: float = 300.0
    trajectories: int = 20
    length: float = 10.0
    equilibration: float = 5.0
    timestep: float = 0.5
    every: int = 4
    friction: float = 0.01
    rotation: bool = True
    seed: int = 0
    beads: int = 1

    def __post_init__(self) -> None:
        for name in ("temperature", "length", "timestep", "friction"):
            if not (np.isfinite(getattr(self, name)) and getattr(self, name) > 0):
                raise InputError(f"{name}: expected a number above 0; got {getattr(self, name)!r}")
        if not (np.isfinite(self.equilibration) and self.equilibration >= 0):
            raise InputError(f"equilibration: expected zero or more ps; got {self.equilibration!r}")
        for name in ("trajectories", "every", "beads"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise InputError(f"{name}: expected a whole number >= 1; got {value!r}")
        if self.beads > 1 and not self.rotation:
            raise InputError(
                "rotation: a ring polymer's thermostat keeps it turning, so its rotation cannot be absent; leave "
                "rotation=False (--no-rotation) to classical trajectories, beads=1"
            )

    @property
    def equilibration_steps(self) -> int:
        return round(self.equilibration * 1000 / self.timestep)

    @property
    def frames(self) -> int:
        """Frames of each trajectory, both ends included."""
        return int(self.length * 1000 / self.timestep / self.every + 1e-9) + 1

    @property
    def steps(self) -> int:
        """Steps of each trajectory, equilibration included."""
        return self.equilibration_steps + (self.frames - 1) * self.every
