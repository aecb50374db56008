"""Non-resonant Raman scattering in absolute units from the polarizability along a trajectory."""

from __future__ import annotations

from dataclasses import dataclass, fields
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from painn_ase.errors import InputError
from painn_ase.spectra.quantum import bose_factor, reduced_energy, relative_to_harmonic
from painn_ase.spectra.series import Series, check_positive, read_series, stated
from painn_ase.spectra.spectrum import RAMAN_UNIT, Spectrum, load_spectra, save_spectra, standard_error
from painn_ase.spectra.transform import Density, Transform, density
from painn_ase.units import (
    ASE_TIME,
    ATOMIC_MASS,
    BOLTZMANN,
    ELEMENTARY_CHARGE,
    PLANCK,
    POLARIZABILITY,
    POLARIZABILITY_RATE,
    SPEED_OF_LIGHT,
    VACUUM_PERMITTIVITY,
    factor,
)

Array = NDArray[np.float64]

_POLARIZABILITY_SI = ELEMENTARY_CHARGE * 1e-20  # C m²/V per e²Å²/eV
_PER_FS = 1e15  # (1/fs)² · fs in 1/s
_SYMMETRIC = 1e-3  # of the largest element; beyond that it is no polarizability
_FAINT = 1e-2  # of the strongest parallel band: below it the depolarization ratio is a ratio of noise
RAYLEIGH = 150.0  # cm⁻¹; below it the wing of the laser line may outshine every band
_FRAMES_AT_ONCE = 1 << 15

# a = tr α / 3 and b = α - a·1 (xx, yy, zz, xy, yz, zx): C_iso = ⟨ȧȧ⟩, C_ani = 3/2 ⟨tr ḃḃ⟩
_CHANNELS = np.array([[1, 0, 0, 0, 0, 0, 0], [0, 1.5, 1.5, 1.5, 3, 3, 3]])
_PARALLEL = (1.0, 4 / 45)
_PERPENDICULAR = (0.0, 3 / 45)


@dataclass(frozen=True)
class Laser:
    """The incident light and how the scattered light is counted.

    wavelength: nm in vacuum; anti_stokes: the blue side, (ν̃0 + ν̃)⁴ and e^-x; photon_counting: photons instead of
    energy, (ν̃0 - ν̃)³ν̃0 instead of (ν̃0 - ν̃)⁴, which is what a CCD records.
    """

    wavelength: float = 532.0
    anti_stokes: bool = False
    photon_counting: bool = False

    def __post_init__(self) -> None:
        check_positive(self.wavelength, "laser wavelength", "nm")

    @property
    def wavenumber(self) -> float:
        """ν̃0 in cm⁻¹."""
        return 1e7 / self.wavelength


@dataclass(frozen=True, eq=False, repr=False)
class RamanSpectra:
    """Raman spectra of an isotropic sample, all in m² sr⁻¹ per cm⁻¹ and per molecule.

    isotropic: K R_iso
    anisotropic: K R_ani, without its factors 4/45 and 3/45
    parallel: I_VV = K (R_iso + 4/45 R_ani)
    perpendicular: I_VH = K 3/45 R_ani
    unpolarized: the sum of these two
    depolarization: I_VH / I_VV, between 0 and 3/4; NaN where I_VV is below 1 % of its strongest band, for there is none
    """

    isotropic: Spectrum
    anisotropic: Spectrum
    parallel: Spectrum
    perpendicular: Spectrum
    unpolarized: Spectrum
    depolarization: Spectrum

    def __repr__(self) -> str:
        return f"RamanSpectra({', '.join(f.name for f in fields(self))}; unpolarized: {self.unpolarized!r})"

    def _repr_html_(self) -> str:
        return self.unpolarized._repr_html_()

    def band_depolarization(self, low: float, high: float) -> tuple[float, float | None]:
        """I_VH / I_VV of the band between low and high in cm⁻¹, and its standard error (jackknife)."""
        perpendicular, parallel = self.perpendicular.area(low, high)[0], self.parallel.area(low, high)[0]
        if not parallel > 0:
            raise InputError(f"no parallel Raman intensity between {low:g} and {high:g} cm⁻¹")
        ratio = perpendicular / parallel
        if self.parallel.samples is None or self.perpendicular.samples is None:
            return ratio, None
        across, along = (
            np.array([[Spectrum(spectrum.wavenumbers, one).area(low, high)[0]] for one in spectrum.samples])
            for spectrum in (self.perpendicular, self.parallel)
            if spectrum.samples is not None
        )
        return ratio, float(_ratio_error(across, along)[0])

    def save(self, path: str | PathLike[str]) -> None:
        """Write all six to one .h5 file."""
        save_spectra(path, {f.name: getattr(self, f.name) for f in fields(self)})

    @classmethod
    def load(cls, path: str | PathLike[str]) -> RamanSpectra:
        """Read what `save` wrote."""
        found = load_spectra(path)
        missing = [f.name for f in fields(cls) if f.name not in found]
        if missing:
            raise InputError(f"{path}: expected the Raman spectra {', '.join(missing)}; found {', '.join(found)}")
        return cls(**{f.name: found[f.name] for f in fields(cls)})


def raman(
    polarizabilities: ArrayLike,
    *,
    timestep: float | ArrayLike,
    temperature: float,
    every: int | None = None,
    resolution: float = 10.0,
    laser: Laser | float = 532.0,
    quantum_correction: str = "harmonic",
    unit: str | None = None,
    transform: Transform | None = None,
) -> RamanSpectra:
    """Raman spectra, dσ/dΩ in m² sr⁻¹ per cm⁻¹, from polarizabilities along a trajectory.

    R_x(ν̃) = ∫ C_x(t) cos(2πcν̃t) dt of ȧ = tr α̇/3 (isotropic) and of the anisotropy, C_ani = 3/2 ⟨tr ḃ(0) ḃ(t)⟩ with
    b = α - a·1; Stokes intensity K R with K = h (ν̃0 - ν̃)⁴ / (4 ε0² k_B T ν̃ (1 - e^-x)). K holds the harmonic quantum
    correction; another `quantum_correction` replaces it and is never applied on top.

    polarizabilities: (frames, 3, 3) or (trajectories, frames, 3, 3), symmetric, in e²Å²/eV as in ASE, or unit="Å³"
    timestep: integration step in fs, or the times of all frames in fs
    temperature: kinetic temperature of the trajectory in K
    every: integration steps between frames
    resolution: full width at half maximum of a sharp line in cm⁻¹
    laser: wavelength in nm, or a `Laser` (anti-Stokes side, photon counting)
    quantum_correction, unit, transform: as for `infrared`

    The axis begins at `resolution`: K grows as 1/ν̃², so closer to the laser line only window leakage would be seen.
    Errors as for `infrared`.
    Long, The Raman Effect (2002), doi:10.1002/0470845767; Thomas et al., doi:10.1039/C3CP44302G.
    """
    series = read_series(polarizabilities, (3, 3), name="polarizability", timestep=timestep, every=every)
    scale = factor(stated(unit, "e²Å²/eV", "polarizability"), POLARIZABILITY, "polarizability")
    return _scattering(series, scale, temperature, resolution, _laser(laser), quantum_correction, transform, True)


def raman_from_rates(
    rates: ArrayLike,
    *,
    timestep: float | ArrayLike,
    temperature: float,
    every: int | None = None,
    resolution: float = 10.0,
    laser: Laser | float = 532.0,
    quantum_correction: str = "harmonic",
    unit: str = "ASE",
    transform: Transform | None = None,
) -> RamanSpectra:
    """Raman spectra from the exact time derivative dα/dt = Σ_i v_i · ∂α/∂r_i, see `raman`.

    rates: (frames, 3, 3) or (trajectories, frames, 3, 3) in e²Å²/eV per ASE time unit, or e.g. unit="Å³/fs"
    timestep: integration step in fs, or the times of all frames in fs
    temperature: kinetic temperature of the trajectory in K
    every: integration steps between frames
    resolution: full width at half maximum of a sharp line in cm⁻¹
    laser, quantum_correction, unit, transform: as for `raman`
    """
    series = read_series(rates, (3, 3), name="polarizability rate", timestep=timestep, every=every)
    scale = factor(unit, POLARIZABILITY_RATE, "polarizability rate") / ASE_TIME  # to e²Å²/eV per fs
    return _scattering(series, scale, temperature, resolution, _laser(laser), quantum_correction, transform, False)


def placzek_cross_sections(
    wavenumbers: ArrayLike, activities: ArrayLike, *, temperature: float, laser: Laser | float = 532.0
) -> Array:
    """Cross sections dσ/dΩ in m²/sr of harmonic modes (unpolarized detection), to set beside areas of `raman` bands.

    h (ν̃0 - ν̃)⁴ / (8 ε0² c ν̃ (1 - e^-x)) · (45 a'² + 7 γ'²)/45 with activities 45 a'² + 7 γ'² in Å⁴/amu, ν̃ in cm⁻¹.
    Long, The Raman Effect (2002), doi:10.1002/0470845767.
    """
    at, activity = np.asarray(wavenumbers, dtype=float), np.asarray(activities, dtype=float)
    if at.shape != activity.shape or not (at > 0).all():
        raise InputError(
            f"wavenumbers, activities: expected equal shapes and real, positive modes; got {at.shape}, {activity.shape}"
        )
    kernel = _kernel(at, temperature, _laser(laser))  # SI, per m⁻¹
    volume = (4 * np.pi * VACUUM_PERMITTIVITY) ** 2 * 1e-40 / ATOMIC_MASS  # Å⁴/amu -> (C m/V)²/kg
    # ⟨Q̇²⟩ = k_B T, and C(0)/2c is the area under ∫ C cos over positive ν̃
    return kernel * BOLTZMANN * temperature / (2 * SPEED_OF_LIGHT) * volume * activity / 45


def _scattering(
    series: Series,
    scale: float,
    temperature: float,
    resolution: float,
    laser: Laser,
    quantum_correction: str,
    transform: Transform | None,
    differences: bool,
) -> RamanSpectra:
    check_positive(temperature, "temperature", "K")
    invariants = Series(series.name, _invariants(series), series.timestep, series.every, series.constant)
    weights = _CHANNELS * scale**2  # (e²Å²/eV)²
    found = density(invariants, resolution, transform or Transform(), weights=weights, differences=differences)
    if found.wavenumbers[-1] >= laser.wavenumber:
        raise InputError(
            f"laser: {laser.wavelength:g} nm is {laser.wavenumber:.0f} cm⁻¹, inside the spectrum, which ends at "
            f"{found.wavenumbers[-1]:.0f}; set transform=Transform(maximum=...) below it"
        )
    axis = found.wavenumbers[found.wavenumbers >= resolution * (1 - 1e-9)]
    skip = len(found.wavenumbers) - len(axis)
    kernel = _kernel(axis, temperature, laser) * relative_to_harmonic(quantum_correction, axis, temperature)
    kernel = kernel * _POLARIZABILITY_SI**2 * _PER_FS * 100  # per m⁻¹ -> per cm⁻¹
    samples = None if found.samples is None else kernel * found.samples[:, :, skip:]
    scattered = Density(axis, kernel * found.mean[:, skip:], samples, found.metadata)
    metadata = {
        "temperature / K": float(temperature),
        "laser / nm": float(laser.wavelength),
        "side": "anti-Stokes" if laser.anti_stokes else "Stokes",
        "detection": "photons" if laser.photon_counting else "energy",
        "quantum correction": quantum_correction,
        "derivative": "difference of frames, its transfer function divided out" if differences else "given",
        **found.metadata,
    }
    return _assemble(scattered, metadata)


def _assemble(scattered: Density, metadata: dict[str, str | float | int]) -> RamanSpectra:
    """All observables as combinations of the isotropic and anisotropic spectra, errors from the same combinations."""

    def combination(kind: str, isotropic: float, anisotropic: float) -> Spectrum:
        mix = np.array([isotropic, anisotropic])
        samples = None if scattered.samples is None else np.einsum("c,scw->sw", mix, scattered.samples)
        error = None if samples is None else standard_error(samples)
        return Spectrum(
            scattered.wavenumbers, mix @ scattered.mean, error, RAMAN_UNIT, f"raman {kind}", metadata, samples
        )

    parallel = combination("parallel", *_PARALLEL)
    perpendicular = combination("perpendicular", *_PERPENDICULAR)
    return RamanSpectra(
        isotropic=combination("isotropic", 1.0, 0.0),
        anisotropic=combination("anisotropic", 0.0, 1.0),
        parallel=parallel,
        perpendicular=perpendicular,
        unpolarized=combination("unpolarized", 1.0, 7 / 45),
        depolarization=_depolarization(perpendicular, parallel, metadata),
    )


def _depolarization(perpendicular: Spectrum, parallel: Spectrum, metadata: dict[str, Any]) -> Spectrum:
    bands = parallel.intensity[parallel.wavenumbers > RAYLEIGH]
    visible = parallel.intensity > _FAINT * (bands if bands.size else parallel.intensity).max()
    ratio = np.full_like(parallel.intensity, np.nan)
    ratio[visible] = perpendicular.intensity[visible] / parallel.intensity[visible]
    error = None
    if perpendicular.samples is not None and parallel.samples is not None:
        error = np.full_like(ratio, np.nan)
        error[visible] = _ratio_error(perpendicular.samples[:, visible], parallel.samples[:, visible])
    return Spectrum(parallel.wavenumbers, ratio, error, "I_VH/I_VV", "raman depolarization", metadata)


def _ratio_error(above: Array, below: Array) -> Array:
    """Jackknife standard error of mean(above)/mean(below) over the samples on the first axis."""
    count = len(above)
    left_out = (above.sum(axis=0) - above) / (below.sum(axis=0) - below)
    return np.sqrt((count - 1) * left_out.var(axis=0))


def _laser(laser: Laser | float) -> Laser:
    return laser if isinstance(laser, Laser) else Laser(laser)


def _kernel(wavenumbers: Array, temperature: float, laser: Laser) -> Array:
    """K(ν̃) in SI: from ∫ C cos dt of α̇ to dσ/dΩ per m⁻¹."""
    shift = -wavenumbers if laser.anti_stokes else wavenumbers
    incident, scattered = 100 * laser.wavenumber, 100 * (laser.wavenumber - shift)
    light = scattered**3 * (incident if laser.photon_counting else scattered)
    population = bose_factor(wavenumbers, temperature)
    if laser.anti_stokes:
        population = population * np.exp(-reduced_energy(wavenumbers, temperature))
    kernel = PLANCK * light * population / (4 * VACUUM_PERMITTIVITY**2 * BOLTZMANN * temperature)
    return kernel / (100 * wavenumbers)


def _invariants(series: Series) -> Array:
    """a and the six elements of b, (trajectories, frames, 7), from flattened polarizabilities."""
    raw = series.values
    out = np.empty((*raw.shape[:2], 7))
    for trajectory, result in zip(raw, out, strict=True):
        for start in range(0, len(trajectory), _FRAMES_AT_ONCE):
            span = slice(start, start + _FRAMES_AT_ONCE)
            alpha = np.asarray(trajectory[span], dtype=np.float64).reshape(-1, 3, 3)
            skew = np.abs(alpha - alpha.transpose(0, 2, 1)).max()
            if skew > _SYMMETRIC * np.abs(alpha).max():
                raise InputError(
                    f"{series.name}: expected symmetric 3x3 tensors; elements differ from their transposes by "
                    f"{skew:.3g}. Average with the transpose if that is meant"
                )
            mean = np.trace(alpha, axis1=1, axis2=2) / 3
            result[span, 0] = mean
            for column, (i, j) in enumerate(((0, 0), (1, 1), (2, 2), (0, 1), (1, 2), (2, 0)), start=1):
                result[span, column] = 0.5 * (alpha[:, i, j] + alpha[:, j, i]) - (mean if i == j else 0.0)
    return out
