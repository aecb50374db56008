"""Infrared absorption in absolute units from the dipole along a trajectory."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from painn_ase.errors import InputError
from painn_ase.spectra.quantum import relative_to_harmonic
from painn_ase.spectra.series import Series, check_positive, read_series, stated
from painn_ase.spectra.spectrum import INFRARED_UNIT, Spectrum, standard_error
from painn_ase.spectra.transform import Transform, density
from painn_ase.units import (
    ASE_TIME,
    AVOGADRO,
    BOLTZMANN,
    DIPOLE,
    DIPOLE_RATE,
    ELEMENTARY_CHARGE,
    SPEED_OF_LIGHT,
    VACUUM_PERMITTIVITY,
    factor,
)

_DIPOLE_SI = ELEMENTARY_CHARGE * 1e-10  # C m per e·Å
_PER_FS = 1e15  # (1/fs)² · fs in 1/s
_KM_PER_MOL_CM = 0.1  # m²/mol -> km/mol per cm⁻¹


def infrared(
    dipoles: ArrayLike,
    *,
    timestep: float | ArrayLike,
    temperature: float,
    every: int | None = None,
    resolution: float = 10.0,
    quantum_correction: str = "harmonic",
    unit: str | None = None,
    transform: Transform | None = None,
) -> Spectrum:
    """IR spectrum in km/mol·cm (Napierian molar absorption; its area is in km/mol) from dipoles along a trajectory.

    A(ν̃) = N_A / (6 ε0 c k_B T) ∫ ⟨μ̇(0)·μ̇(t)⟩ cos(2πcν̃t) dt, both signs of t. This classical formula is the harmonic
    quantum-corrected one (the correction cancels the factor 1 - e^-x of detailed balance), so `quantum_correction`
    other than "harmonic" replaces that correction and is never applied on top of it.

    dipoles: (frames, 3) or (trajectories, frames, 3); of independent trajectories, whose spread gives the errors
    timestep: integration step in fs, or the times of all frames in fs, which want `every` beside them
    temperature: kinetic temperature of the trajectory in K
    every: integration steps between frames; 1 if left out
    resolution: full width at half maximum of a sharp line in cm⁻¹; it fixes the length of the correlation function
    quantum_correction: "harmonic", or "standard", "schofield", "mixed", "none" in its place
    unit: of the dipoles; without one a warning says that e·Å, ASE's, is assumed
    transform: window and grid of the Fourier transform

    Raises `InputError` for wrong shapes, NaN, uneven times, and trajectories too short for the resolution.
    Ramírez et al., J. Chem. Phys. 121, 3973 (2004), doi:10.1063/1.1774986;
    Thomas et al., Phys. Chem. Chem. Phys. 15, 6608 (2013), doi:10.1039/C3CP44302G.
    """
    series = read_series(dipoles, (3,), name="dipole", timestep=timestep, every=every)
    scale = factor(stated(unit, "e·Å", "dipole"), DIPOLE, "dipole")
    return _absorption(series, scale, temperature, resolution, quantum_correction, transform, differences=True)


def infrared_from_rates(
    rates: ArrayLike,
    *,
    timestep: float | ArrayLike,
    temperature: float,
    every: int | None = None,
    resolution: float = 10.0,
    quantum_correction: str = "harmonic",
    unit: str = "ASE",
    transform: Transform | None = None,
) -> Spectrum:
    """IR spectrum in km/mol·cm from the exact time derivative dμ/dt, see `infrared` and `dipole_rates`.

    In a periodic cell this is the sound route (no dipole of a crystal is needed), and the spectrum is that of one mole
    of cells.

    rates: (frames, 3) or (trajectories, frames, 3) in e·Å per ASE time unit, or e.g. unit="e·Å/fs"
    timestep: integration step in fs, or the times of all frames in fs
    temperature: kinetic temperature of the trajectory in K
    every: integration steps between frames
    resolution: full width at half maximum of a sharp line in cm⁻¹
    quantum_correction, unit, transform: as for `infrared`
    """
    series = read_series(rates, (3,), name="dipole rate", timestep=timestep, every=every)
    scale = factor(unit, DIPOLE_RATE, "dipole rate") / ASE_TIME  # to e·Å/fs
    return _absorption(series, scale, temperature, resolution, quantum_correction, transform, differences=False)


def dipole_rates(born_effective_charges: ArrayLike, velocities: ArrayLike) -> NDArray[np.float64]:
    """dμ_a/dt = Σ_i v_ib ∂μ_a/∂r_ib, shape (..., 3), in e·Å per ASE time for velocities in ASE units.

    born_effective_charges: (..., atoms, 3, 3), [i, a, b] = ∂μ_a/∂r_ib in e; velocities: (..., atoms, 3).
    """
    charges, speeds = np.asarray(born_effective_charges, float), np.asarray(velocities, float)
    if charges.shape[-2:] != (3, 3) or speeds.shape[-1:] != (3,) or charges.shape[-3:-2] != speeds.shape[-2:-1]:
        raise InputError(
            "born_effective_charges and velocities: expected (..., atoms, 3, 3) and (..., atoms, 3); "
            f"got {charges.shape} and {speeds.shape}"
        )
    return np.einsum("...iab,...ib->...a", charges, speeds)


def _absorption(
    series: Series,
    scale: float,
    temperature: float,
    resolution: float,
    quantum_correction: str,
    transform: Transform | None,
    *,
    differences: bool,
) -> Spectrum:
    check_positive(temperature, "temperature", "K")
    weights = np.full((1, 3), scale**2)  # (e·Å)²
    found = density(series, resolution, transform or Transform(), weights=weights, differences=differences)
    prefactor = AVOGADRO / (6 * VACUUM_PERMITTIVITY * SPEED_OF_LIGHT * BOLTZMANN * temperature)
    prefactor *= _DIPOLE_SI**2 * _PER_FS * _KM_PER_MOL_CM
    intensity = prefactor * relative_to_harmonic(quantum_correction, found.wavenumbers, temperature)
    samples = None if found.samples is None else intensity * found.samples[:, 0]
    return Spectrum(
        found.wavenumbers,
        intensity * found.mean[0],
        None if samples is None else standard_error(samples),
        unit=INFRARED_UNIT,
        kind="infrared",
        metadata={
            "temperature / K": float(temperature),
            "quantum correction": quantum_correction,
            "derivative": "difference of frames, its transfer function divided out" if differences else "given",
            **found.metadata,
        },
        samples=samples,
    )
