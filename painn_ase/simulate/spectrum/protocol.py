"""How the trajectories of a spectrum are made."""

from __future__ import annotations

from dataclasses import dataclass

from painn_ase.errors import InputError, positive, whole


@dataclass(frozen=True)
class Protocol:
    """How the trajectories are made.

    Each copy starts from the given structure with momenta of its own, is equilibrated by Langevin dynamics, and then
    followed at constant energy by velocity Verlet. Translation is removed.

    temperature: of the equilibration in K
    trajectories: number of copies
    length: of each trajectory in ps
    equilibration: before it, in ps
    timestep: in fs
    every: steps between frames
    friction: of the equilibration in fs⁻¹
    rotation: whether a molecule keeps its rotation, which gives bands their P and R branches; linear
        molecules must, for without it their bends swing in one plane and lose half of their intensity
    seed: of all random numbers
    beads: of a ring polymer; one is classical

    With several beads the copies are ring polymers: nuclei are quantum particles. They are equilibrated by
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
        for name, unit in {"temperature": "K", "length": "ps", "timestep": "fs", "friction": "fs⁻¹"}.items():
            object.__setattr__(self, name, positive(name, getattr(self, name), unit))
        object.__setattr__(self, "equilibration", positive("equilibration", self.equilibration, "ps", zero=True))
        for name in ("trajectories", "every", "beads"):
            object.__setattr__(self, name, whole(name, getattr(self, name), 1))
        object.__setattr__(self, "seed", whole("seed", self.seed))
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
    def recorded_steps(self) -> int:
        """Steps of each trajectory after the equilibration."""
        return (self.frames - 1) * self.every
