"""The free ring polymer: its normal modes and their exact motion.

P beads sample exp(-H/(P kB T)) of H = Σ_k p_k²/2m + ½ m ω_P² (q_k - q_{k+1})² + V(q_k), ω_P = P kB T/ħ; the average
of a function of position over the beads then is the quantum average up to an error of order 1/P² (Parrinello and
Rahman 1984, doi:10.1063/1.446740). Orthonormal combinations of beads, the normal modes, move freely with frequencies
ω_k = 2 ω_P sin(kπ/P). Everything here is in ASE's units; time is Å √(amu/eV).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from ase import units
from ase.units import fs, kB

from painn_ase.errors import InputError, choice, positive, whole
from painn_ase.rigid import check_masses
from painn_ase.units import SPEED_OF_LIGHT

HBAR = units._hbar * units.J * units.second  # eV Å √(amu/eV)
PROPAGATORS = ("exact", "cayley")

# Exact free motion and forces from outside resonate where a mode turns by π in a step; an O-H stretch in steps of
# 0.6 fs makes the unstable window 0.14 wide.
_LARGEST_ANGLE = 3.0


def to_modes(beads: np.ndarray) -> np.ndarray:
    """Normal modes q̃ = C q of `beads` (..., P, coordinates); C is orthonormal.

    Mode 0 is √P times the centroid; modes k and P-k have the frequency ω_k: √(2/P) times the sums of q_j cos(2πjk/P)
    and of -q_j sin(2πjk/P). A Fourier transform, and not the product with C: from 64 beads on it is faster, and a
    threaded matrix product takes the cores from the network's threads.
    """
    count = beads.shape[-2]
    half, pairs = count // 2 + 1, (count - 1) // 2
    found = np.fft.rfft(beads, axis=-2, norm="ortho")
    found[..., 1 : pairs + 1, :] *= np.sqrt(2.0)
    modes = np.empty(beads.shape)
    modes[..., :half, :] = found.real
    modes[..., half:, :] = found.imag[..., pairs:0:-1, :]
    return modes


def to_beads(modes: np.ndarray) -> np.ndarray:
    """The inverse of `to_modes`: q = Cᵀ q̃."""
    count = modes.shape[-2]
    half, pairs = count // 2 + 1, (count - 1) // 2
    transform = np.zeros((*modes.shape[:-2], half, modes.shape[-1]), dtype=complex)
    transform.real = modes[..., :half, :]
    transform.imag[..., pairs:0:-1, :] = modes[..., half:, :]
    transform[..., 1 : pairs + 1, :] *= np.sqrt(0.5)
    return np.fft.irfft(transform, count, axis=-2, norm="ortho")


@dataclass(frozen=True, eq=False)
class Ring:
    """A ring polymer of `beads` beads for a system of atoms with `masses` (amu) at `temperature` (K).

    It moves in steps of `timestep` fs. Atoms where `fixed` is true stay where they are. If `centred`, the centre of
    mass of the whole is at rest. `propagator` is "exact" (rotation of every mode by ω_k Δt) or "cayley" (by
    2 arctan(ω_k Δt/2): stable for any step, at the cost of slower high modes; Korol, Bou-Rabee and Miller 2019,
    doi:10.1063/1.5120282).
    """

    beads: int
    masses: np.ndarray  # (atoms,)
    temperature: float
    timestep: float
    fixed: np.ndarray | None = None  # (atoms,) bool
    centred: bool = True
    propagator: str = "exact"

    def __post_init__(self) -> None:
        whole("beads", self.beads, 1)
        if self.temperature == 0:
            raise InputError("temperature: expected more than 0 K, where a ring would need infinitely many beads")
        positive("temperature", self.temperature, "K")
        positive("timestep", self.timestep, "fs")
        choice("propagator", self.propagator, PROPAGATORS)
        check_masses(self.masses)
        fastest = self.frequencies.max()
        if self.propagator == "exact" and fastest * self.timestep * fs > _LARGEST_ANGLE:
            raise InputError(
                f"timestep: the fastest mode of a ring of {self.beads} beads at {self.temperature:g} K, "
                f"{wavenumber(fastest):.0f} cm⁻¹, resonates with steps of {self.timestep:g} fs; expected at most "
                f"{_LARGEST_ANGLE / (fastest * fs):.3g} fs, fewer beads, or propagator='cayley'"
            )

    @cached_property
    def frequencies(self) -> np.ndarray:
        """ω_k = 2 ω_P sin(kπ/P), (modes,), in the order of `to_modes`."""
        return 2 * self.spring * np.sin(np.pi * np.arange(self.beads) / self.beads)

    @property
    def spring(self) -> float:
        """ω_P = P kB T/ħ, the frequency of the springs between beads."""
        return self.beads * kB * self.temperature / HBAR

    @property
    def energy(self) -> float:
        """P kB T in eV: the temperature that the ring polymer moves at."""
        return self.beads * kB * self.temperature

    @cached_property
    def free(self) -> np.ndarray:
        """(atoms,) bool: those that may move."""
        return np.ones(len(self.masses), dtype=bool) if self.fixed is None else ~self.fixed

    @property
    def centroid_freedom(self) -> int:
        """Degrees of freedom of the centroid: three per atom that moves, less three if the centre is at rest."""
        return 3 * int(self.free.sum()) - 3 * self.centred

    @property
    def freedom(self) -> int:
        """Degrees of freedom of all modes."""
        return self.centroid_freedom + 3 * int(self.free.sum()) * (self.beads - 1)

    @cached_property
    def shares(self) -> np.ndarray:
        """Degrees of freedom of the centroid by atom, (atoms,): 3, less what the centre at rest takes, 3 m_i/M."""
        return 3.0 * self.free - (3 * self.masses / self.masses.sum() if self.centred else 0.0)

    def rotation(self, share: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(c, s/ω, -ω s) of every mode, each (modes, 1), for a `share` of a time step.

        q̃ ← c q̃ + (s/ω) ṽ and ṽ ← c ṽ - ω s q̃ move the free ring; where ω = 0 that is q̃ ← q̃ + t ṽ.
        """
        dt, w = self.timestep * fs, self.frequencies[:, None]
        angle = (w * dt if self.propagator == "exact" else 2 * np.arctan(w * dt / 2)) * share
        over = np.divide(np.sin(angle), w, out=np.full_like(w, share * dt), where=w > 0)
        return np.cos(angle), over, -w * np.sin(angle)


def wavenumber(frequency: float) -> float:
    """cm⁻¹ of an angular frequency in ASE's units."""
    return float(frequency * fs * 1e15 / (2 * np.pi * SPEED_OF_LIGHT * 100))
