"""Quantum correction factors for spectra from classical (or Kubo-transformed) correlation functions."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from painn_ase.errors import InputError, closest
from painn_ase.spectra.series import check_positive
from painn_ase.units import BOLTZMANN, PLANCK, SPEED_OF_LIGHT

QUANTUM_CORRECTIONS = ("harmonic", "standard", "schofield", "mixed", "none")


def reduced_energy(wavenumbers: ArrayLike, temperature: float) -> NDArray[np.float64]:
    """x = h c ν̃ / (k_B T), dimensionless; ν̃ in cm⁻¹, T in K. 4.796 at 1000 cm⁻¹ and 300 K."""
    check_positive(temperature, "temperature", "K")
    return np.asarray(wavenumbers, dtype=float) * (100 * PLANCK * SPEED_OF_LIGHT / (BOLTZMANN * temperature))


def bose_factor(wavenumbers: ArrayLike, temperature: float) -> NDArray[np.float64]:
    """1/(1 - e^-x) = n + 1, the mean number of quanta plus one; ν̃ > 0."""
    return -1 / np.expm1(-reduced_energy(wavenumbers, temperature))


def quantum_correction(kind: str, wavenumbers: ArrayLike, temperature: float) -> NDArray[np.float64]:
    """Q(x) in S_quantum(ν̃) = Q(x) S_classical(ν̃), the factor that restores detailed balance.

    harmonic x/(1-e^-x): exact for harmonic modes, and for Kubo-transformed correlation functions (ring polymers)
    standard 2/(1+e^-x), schofield e^(x/2), mixed √(harmonic · schofield), none 1
    Ramírez, López-Ciudad, Kumar, Marx, J. Chem. Phys. 121, 3973 (2004), doi:10.1063/1.1774986.
    """
    x = reduced_energy(wavenumbers, temperature)
    if kind == "harmonic":
        return _harmonic(x)
    if kind == "standard":
        return 2 / (1 + np.exp(-x))
    if kind == "schofield":
        return np.exp(x / 2)
    if kind == "mixed":
        return np.sqrt(_harmonic(x) * np.exp(x / 2))
    if kind == "none":
        return np.ones_like(x)
    known = ", ".join(QUANTUM_CORRECTIONS)
    raise InputError(
        f"quantum correction: expected one of {known}; got {kind!r}{closest(str(kind), QUANTUM_CORRECTIONS)}"
    )


def relative_to_harmonic(kind: str, wavenumbers: ArrayLike, temperature: float) -> NDArray[np.float64]:
    """Q/Q_harmonic: what is left to apply to formulas that already contain the harmonic correction, as ours do."""
    x = reduced_energy(wavenumbers, temperature)
    return quantum_correction(kind, wavenumbers, temperature) / _harmonic(x)


def _harmonic(x: NDArray[np.float64]) -> NDArray[np.float64]:
    small = np.abs(x) < 1e-9  # the limit at zero is 1
    safe = np.where(small, 1.0, x)
    return np.where(small, 1.0, -safe / np.expm1(-safe))
