"""Vibrational density of states from velocities."""

import numpy as np
from numpy.typing import ArrayLike

from painn_ase.errors import InputError
from painn_ase.spectra.series import check_positive, read_series
from painn_ase.spectra.spectrum import POWER_UNIT, Spectrum, standard_error
from painn_ase.spectra.transform import Transform, density
from painn_ase.units import ASE_TIME, ATOMIC_MASS, BOLTZMANN, SPEED_OF_LIGHT, VELOCITY, factor

_SI = ATOMIC_MASS * 1e-20 / 1e-15  # amu (Å/fs)² fs in J s
_FRAMES_AT_ONCE = 1 << 14


def power_spectrum(
    velocities: ArrayLike,
    masses: ArrayLike,
    *,
    timestep: float | ArrayLike,
    temperature: float,
    every: int | None = None,
    resolution: float = 10.0,
    unit: str = "ASE",
    transform: Transform | None = None,
) -> Spectrum:
    """Vibrational density of states in modes per cm⁻¹; it integrates to the number of degrees of freedom.

    g(ν̃) = (2c / k_B T) Σ_i m_i ∫ ⟨v_i(0)·v_i(t)⟩ cos(2πcν̃t) dt, both signs of t: 3N modes for free motion, 3N - 6 with
    translation and rotation removed. Classical, as it counts modes; no quantum correction belongs here.

    velocities: (frames, atoms, 3) or (trajectories, frames, atoms, 3) in ASE units, or unit="Å/fs"; for a partial
        density of states pass the velocities and masses of those atoms
    masses: (atoms,) in atomic mass units
    timestep: integration step in fs, or the times of all frames in fs
    temperature: kinetic temperature of the trajectory in K
    every: integration steps between frames
    resolution: full width at half maximum of a sharp line in cm⁻¹
    unit, transform: as for `infrared`

    Dickey and Paskin, Phys. Rev. 188, 1407 (1969), doi:10.1103/PhysRev.188.1407.
    """
    series = read_series(velocities, (None, 3), name="velocities", timestep=timestep, every=every)
    check_positive(temperature, "temperature", "K")
    weights = _weights(masses, series.values.shape[2] // 3, unit)
    kinetic = _kinetic_temperature(series.values, weights)
    if not 0.05 < kinetic / temperature < 20:
        raise InputError(
            f"velocities: their kinetic temperature would be {kinetic:.3g} K where {temperature:g} K is given; are "
            f"they in another unit than {unit!r}, or masses not in amu?"
        )
    found = density(series, resolution, transform or Transform(), weights=weights[None], differences=False)
    prefactor = 2 * SPEED_OF_LIGHT / (BOLTZMANN * temperature) * _SI * 100  # per m⁻¹ -> per cm⁻¹
    samples = None if found.samples is None else prefactor * found.samples[:, 0]
    error = None if samples is None else standard_error(samples)
    metadata = {
        "temperature / K": float(temperature),
        "kinetic temperature of 3N degrees of freedom / K": kinetic,
        "quantum correction": "none, classical density of states",
        **found.metadata,
    }
    intensity = prefactor * found.mean[0]
    return Spectrum(found.wavenumbers, intensity, error, POWER_UNIT, "power", metadata, samples=samples)


def _weights(masses: ArrayLike, atoms: int, unit: str) -> np.ndarray:
    """What makes squares of velocities in `unit` amu (Å/fs)², (3 atoms,)."""
    mass = np.asarray(masses, dtype=float)
    if mass.shape != (atoms,) or not (np.isfinite(mass).all() and (mass > 0).all()):
        raise InputError(f"masses: expected {atoms} positive numbers in amu, one per atom; got shape {mass.shape}")
    scale = factor(unit, VELOCITY, "velocities") / ASE_TIME  # to Å/fs
    return np.repeat(mass, 3) * scale**2


def _kinetic_temperature(velocities: np.ndarray, masses: np.ndarray) -> float:
    """Σ m⟨v²⟩ / (3N k_B) in K, with the masses repeated for x, y, z and velocities in units that make amu (Å/fs)²."""
    total = 0.0
    for trajectory in velocities:
        for start in range(0, len(trajectory), _FRAMES_AT_ONCE):
            chunk = np.asarray(trajectory[start : start + _FRAMES_AT_ONCE], dtype=np.float64)
            total += float(np.einsum("tc,tc,c->", chunk, chunk, masses))
    mean = total / (velocities.shape[0] * velocities.shape[1] * velocities.shape[2])
    return mean * _SI * 1e15 / BOLTZMANN
