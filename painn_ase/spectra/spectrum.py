"""The Spectrum object: numbers with a unit, their standard errors, and where they came from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from math import log
from os import PathLike

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.integrate import trapezoid

from painn_ase.errors import InputError, closest
from painn_ase.shown import curve
from painn_ase.spectra import files
from painn_ase.spectra.series import check_positive

Array = NDArray[np.float64]

INFRARED_UNIT = "km/mol·cm"
RAMAN_UNIT = "m²/sr/cm⁻¹"
POWER_UNIT = "modes/cm⁻¹"
_CONVERSIONS = {
    # km/mol per cm⁻¹ is 10 m²/mol (Napierian); ε in L/mol/cm (decadic) is 10/ln10 per m²/mol
    (INFRARED_UNIT, "L/mol/cm"): 100 / log(10),
    (INFRARED_UNIT, "m²/mol"): 10.0,
    (RAMAN_UNIT, "cm²/sr/cm⁻¹"): 1e4,
    (RAMAN_UNIT, "Å²/sr/cm⁻¹"): 1e20,
}


@dataclass(frozen=True, eq=False, repr=False)
class Spectrum:
    """A spectrum over wavenumbers in cm⁻¹, strictly increasing. Every operation returns a new one.

    wavenumbers: in cm⁻¹, (points,)
    intensity: in `unit`, (points,)
    standard_error: one standard deviation of `intensity`, or None where nothing is known about it
    unit: of the intensity
    kind: what it is, such as "infrared"
    metadata: how it was made
    samples: (samples, points) independent estimates whose mean is `intensity` and whose spread is the error. They
        carry how the errors at neighbouring wavenumbers belong together, which bands, areas and broadening need;
        without them those errors are the upper bound that holds for any correlation.
    """

    wavenumbers: Array
    intensity: Array
    standard_error: Array | None = None
    unit: str = "arb. u."
    kind: str = "spectrum"
    metadata: Mapping[str, str | float | int] = field(default_factory=dict)
    samples: Array | None = None

    def __post_init__(self) -> None:
        axis = _frozen(self.wavenumbers, "wavenumbers")
        if axis.ndim != 1 or len(axis) < 2 or not np.isfinite(axis).all() or not (np.diff(axis) > 0).all():
            raise InputError(
                f"wavenumbers: expected at least 2 finite, strictly increasing numbers in cm⁻¹; got shape {axis.shape}"
                + ("; sort them, as in intensity[np.argsort(wavenumbers)]" if axis.ndim == 1 else "")
            )
        object.__setattr__(self, "wavenumbers", axis)
        for name in ("intensity", "standard_error", "samples"):
            if getattr(self, name) is None and name != "intensity":
                continue
            values = _frozen(getattr(self, name), name)
            if values.shape[-1:] != axis.shape or values.ndim != (2 if name == "samples" else 1):
                raise InputError(f"{name}: expected one value for each of {len(axis)} wavenumbers; got {values.shape}")
            object.__setattr__(self, name, values)
        object.__setattr__(self, "metadata", dict(self.metadata))

    def __repr__(self) -> str:
        first, last = self.wavenumbers[[0, -1]]
        errors = ", with errors" if self.standard_error is not None else ""
        return f"Spectrum({self.kind}, {len(self.wavenumbers)} points, {first:g} to {last:g} cm⁻¹, {self.unit}{errors})"

    def _repr_html_(self) -> str:
        return curve(self.wavenumbers, self.intensity, self.kind, "cm⁻¹", self.unit)

    # ---- arithmetic -------------------------------------------------------------------------------------------

    def __add__(self, other: Spectrum) -> Spectrum:
        """Sum with an independent spectrum; standard errors add in quadrature."""
        return self._combined(other, 1.0)

    def __sub__(self, other: Spectrum) -> Spectrum:
        """Difference from an independent spectrum; standard errors add in quadrature."""
        return self._combined(other, -1.0)

    def __mul__(self, factor: float) -> Spectrum:
        return self.mapped(lambda values: values * factor)

    __rmul__ = __mul__

    def __truediv__(self, divisor: float) -> Spectrum:
        return self * (1.0 / divisor)

    def mapped(self, linear: Callable[[Array], Array], wavenumbers: Array | None = None, **changes: object) -> Spectrum:
        """The spectrum after a linear map of its intensities along the last axis; errors go the same way.

        Without samples the error becomes the map of the error's magnitude, exact for a map that acts on each point
        alone and an upper bound for one with non-negative weights.
        """
        samples = None if self.samples is None else linear(self.samples)
        error = None
        if samples is not None:
            error = standard_error(samples)
        elif self.standard_error is not None:
            error = np.abs(linear(self.standard_error))
        axis = self.wavenumbers if wavenumbers is None else wavenumbers
        fields = {"wavenumbers": axis, "intensity": linear(self.intensity), "standard_error": error, "samples": samples}
        return replace(self, **fields, **changes)  # type: ignore[arg-type]

    # ---- reading it -------------------------------------------------------------------------------------------

    def area(self, low: float | None = None, high: float | None = None) -> tuple[float, float | None]:
        """Integral over low .. high in cm⁻¹ (all by default) and its standard error; km/mol for an IR spectrum."""
        low = self.wavenumbers[0] if low is None else low
        high = self.wavenumbers[-1] if high is None else high
        band = self._band(low, high)
        total = float(trapezoid(band.intensity, band.wavenumbers))
        if band.samples is not None:
            return total, float(standard_error(trapezoid(band.samples, band.wavenumbers, axis=-1)))
        if band.standard_error is not None:
            return total, float(trapezoid(band.standard_error, band.wavenumbers))
        return total, None

    def between(self, low: float, high: float) -> Spectrum:
        """The points with low <= ν̃ <= high, in cm⁻¹."""
        inside = (self.wavenumbers >= low) & (self.wavenumbers <= high)
        if inside.sum() < 2:
            raise InputError(
                f"range {low:g} .. {high:g} cm⁻¹ holds fewer than 2 points; the spectrum covers "
                f"{self.wavenumbers[0]:g} .. {self.wavenumbers[-1]:g}"
            )
        return self.mapped(lambda values: values[..., inside], self.wavenumbers[inside])

    # ---- other forms ------------------------------------------------------------------------------------------

    def resampled(self, wavenumbers: ArrayLike) -> Spectrum:
        """Linear interpolation at other wavenumbers inside the covered range, in cm⁻¹."""
        axis = np.asarray(wavenumbers, dtype=float)
        if axis.ndim != 1 or axis.size < 2 or axis[0] < self.wavenumbers[0] or axis[-1] > self.wavenumbers[-1]:
            raise InputError(
                f"wavenumbers: expected points within {self.wavenumbers[0]:g} .. {self.wavenumbers[-1]:g} cm⁻¹"
            )
        right = np.clip(np.searchsorted(self.wavenumbers, axis), 1, len(self.wavenumbers) - 1)
        left = right - 1
        share = (axis - self.wavenumbers[left]) / (self.wavenumbers[right] - self.wavenumbers[left])
        return self.mapped(lambda values: values[..., left] * (1 - share) + values[..., right] * share, axis)

    def broadened(self, fwhm: float, shape: str = "gaussian") -> Spectrum:
        """Convolution with a normalised line of full width at half maximum `fwhm` cm⁻¹, "gaussian" or "lorentzian".

        Needs evenly spaced wavenumbers. Intensity that would leave the axis is kept: the kernel of each point is
        normalised on the axis, so the area is unchanged.
        """
        check_positive(fwhm, "fwhm", "cm⁻¹")
        steps = np.diff(self.wavenumbers)
        if np.ptp(steps) > 1e-6 * steps[0]:
            raise InputError("broadening needs evenly spaced wavenumbers; call resampled(np.linspace(...)) first")
        return self.mapped(
            lambda values: _convolve(values, self.wavenumbers, fwhm, shape),
            metadata=self._noting("broadened by", f"{shape}, {fwhm:g} cm⁻¹"),
        )

    def normalized(self, low: float | None = None, high: float | None = None) -> Spectrum:
        """Divided by the maximum in low .. high (all by default), for comparison of shapes; unit "relative"."""
        low = self.wavenumbers[0] if low is None else low
        high = self.wavenumbers[-1] if high is None else high
        top = float(np.nanmax(self.between(low, high).intensity))
        if not top > 0:
            raise InputError(f"no positive intensity between {low:g} and {high:g} cm⁻¹ to normalise by")
        return replace(self / top, unit="relative")

    def to(self, unit: str) -> Spectrum:
        """In another unit: IR also as "L/mol/cm" (decadic ε) and "m²/mol", Raman also per cm² or Å²."""
        if unit == self.unit:
            return self
        known = {there: f for (here, there), f in _CONVERSIONS.items() if here == self.unit}
        known |= {here: 1 / f for (here, there), f in _CONVERSIONS.items() if there == self.unit}
        if unit not in known:
            choices = ", ".join(known) or "nothing else"
            raise InputError(f"unit: {self.unit} converts to {choices}; got {unit!r}{closest(unit, known)}")
        return replace(self * known[unit], unit=unit)

    @classmethod
    def from_lines(
        cls,
        positions: ArrayLike,
        strengths: ArrayLike,
        *,
        fwhm: float,
        wavenumbers: ArrayLike,
        shape: str = "gaussian",
        **fields: object,
    ) -> Spectrum:
        """Broadened lines, e.g. of harmonic modes. With strengths in km/mol the intensity is in km/mol·cm.

        positions: wavenumbers of the lines in cm⁻¹, (lines,)
        strengths: their areas, (lines,)
        fwhm: full width at half maximum in cm⁻¹
        wavenumbers: of the spectrum in cm⁻¹, (points,)
        shape: "gaussian" or "lorentzian"
        **fields: of the spectrum: unit, kind, metadata
        """
        check_positive(fwhm, "fwhm", "cm⁻¹")
        at, area = np.atleast_1d(np.asarray(positions, float)), np.atleast_1d(np.asarray(strengths, float))
        if at.shape != area.shape or at.ndim != 1:
            raise InputError(f"strengths: expected one per line, {at.shape}; got {area.shape}")
        axis = np.asarray(wavenumbers, dtype=float)
        intensity = np.zeros_like(axis)
        for position, strength in zip(at, area, strict=True):
            intensity += strength * _line(axis - position, fwhm, shape)
        return cls(axis, intensity, **fields)  # type: ignore[arg-type]

    # ---- files ------------------------------------------------------------------------------------------------

    def save(self, path: str | PathLike[str]) -> None:
        """Write to .csv (text, units in the header; without the samples) or .h5 (everything)."""
        files.write(path, {"": self.__dict__})

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Spectrum:
        """Read what `save` wrote."""
        found = files.read(path)
        if "" not in found:
            raise InputError(f"{path}: holds several spectra ({', '.join(found)}); use load_spectra")
        return cls(**found[""])

    # ---- inside -----------------------------------------------------------------------------------------------

    def _combined(self, other: Spectrum, sign: float) -> Spectrum:
        if not isinstance(other, Spectrum):
            return NotImplemented
        if other.unit != self.unit:
            raise InputError(f"cannot combine {self.unit} with {other.unit}; convert one with to(unit)")
        if self.wavenumbers.shape != other.wavenumbers.shape or not np.allclose(self.wavenumbers, other.wavenumbers):
            raise InputError("cannot combine spectra on different wavenumbers; call resampled(...) on one of them")
        error = None
        if self.standard_error is not None and other.standard_error is not None:
            error = np.hypot(self.standard_error, other.standard_error)
        metadata = {key: value for key, value in self.metadata.items() if other.metadata.get(key) == value}
        intensity = self.intensity + sign * other.intensity
        return replace(self, intensity=intensity, standard_error=error, samples=None, metadata=metadata)

    def _band(self, low: float, high: float) -> Spectrum:
        """The points strictly inside low .. high and, by interpolation, at both ends."""
        if not self.wavenumbers[0] <= low < high <= self.wavenumbers[-1]:
            raise InputError(
                f"band: expected low < high within {self.wavenumbers[0]:g} .. {self.wavenumbers[-1]:g} cm⁻¹; "
                f"got {low:g} .. {high:g}"
            )
        inside = self.wavenumbers[(self.wavenumbers > low) & (self.wavenumbers < high)]
        return self.resampled(np.concatenate([[low], inside, [high]]))

    def _noting(self, key: str, value: str) -> dict[str, str | float | int]:
        before = self.metadata.get(key)
        return {**self.metadata, key: value if before is None else f"{before}; {value}"}


def save_spectra(path: str | PathLike[str], spectra: Mapping[str, Spectrum]) -> None:
    """Write several named spectra into one .h5 file."""
    if not spectra or "" in spectra or any("/" in name for name in spectra):
        raise InputError(f"spectra: expected at least one, each with a name without '/'; got {list(spectra)}")
    files.write(path, {name: spectrum.__dict__ for name, spectrum in spectra.items()})


def load_spectra(path: str | PathLike[str]) -> dict[str, Spectrum]:
    """The named spectra in a file; one that `Spectrum.save` wrote has the name ""."""
    return {name: Spectrum(**fields) for name, fields in files.read(path).items()}


def standard_error(samples: Array) -> Array:
    """Standard error of the mean over the first axis, which holds independent samples."""
    return samples.std(axis=0, ddof=1) / np.sqrt(len(samples))


def _frozen(values: ArrayLike, name: str) -> Array:
    try:
        array = np.array(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(f"{name}: expected an array of real numbers; got {type(values).__name__}") from None
    array.flags.writeable = False
    return array


def _line(distance: Array, fwhm: float, shape: str) -> Array:
    if shape == "gaussian":
        return np.sqrt(4 * log(2) / np.pi) / fwhm * np.exp(-4 * log(2) * (distance / fwhm) ** 2)
    if shape == "lorentzian":
        return fwhm / (2 * np.pi) / (distance**2 + (fwhm / 2) ** 2)
    raise InputError(f"shape: expected 'gaussian' or 'lorentzian'; got {shape!r}")


def _convolve(values: Array, axis: Array, fwhm: float, shape: str) -> Array:
    from scipy.signal import fftconvolve

    offsets = (axis[1] - axis[0]) * np.arange(-len(axis) + 1, len(axis))
    kernel = _line(offsets, fwhm, shape)[(None,) * (values.ndim - 1)]
    kept = fftconvolve(np.ones((1,) * (values.ndim - 1) + axis.shape), kernel, mode="same", axes=-1)
    return fftconvolve(values / kept, kernel, mode="same", axes=-1)
