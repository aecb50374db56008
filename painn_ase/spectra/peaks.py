"""Peaks of a spectrum, and which harmonic modes they belong to."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import signal
from scipy.optimize import linear_sum_assignment

from painn_ase.errors import InputError
from painn_ase.spectra.series import check_positive
from painn_ase.spectra.spectrum import Spectrum

_WING = 100.0  # cm⁻¹


@dataclass(frozen=True)
class Peak:
    """A maximum of a spectrum, its position refined by a parabola."""

    wavenumber: float  # cm⁻¹
    intensity: float  # in the unit of the spectrum
    standard_error: float | None  # of the intensity
    fwhm: float  # cm⁻¹, at half the prominence
    prominence: float  # height above the higher of the two valleys beside it


@dataclass(frozen=True)
class Assignment:
    """A peak and the modes under it: the best match first, then others that no peak of their own was found for."""

    peak: Peak
    modes: tuple[int, ...]  # indices into the given frequencies
    shift: float | None  # peak minus frequency of the first mode, cm⁻¹; None without a mode


def find_peaks(
    spectrum: Spectrum, *, prominence: float = 0.01, significance: float = 3.0, separation: float = 0.0
) -> list[Peak]:
    """Peaks in order of wavenumber that stand out by the share `prominence` of the most prominent one beyond the wing.

    The wing is what rises from the start of the axis, or lies below 100 cm⁻¹: turning molecules scatter there, many
    times as strongly as they vibrate, and bands are not measured against that unless there is nothing else.
    Where standard errors are known the prominence must also be `significance` times the one at the peak.
    `separation` is the least distance between peaks in cm⁻¹.
    """
    intensity = np.nan_to_num(spectrum.intensity)
    axis = spectrum.wavenumbers
    distance = max(1.0, separation / float(np.median(np.diff(axis))))
    indices, found = signal.find_peaks(intensity, prominence=0.0, distance=distance)
    heights = found["prominences"]
    beyond = heights[[k for k, index in enumerate(indices) if not _of_wing(axis, intensity, int(index))]]
    prominent = heights >= prominence * (beyond if len(beyond) else heights).max(initial=0.0)
    indices, heights = indices[prominent], heights[prominent]
    left, right = signal.peak_widths(intensity, indices, rel_height=0.5)[2:]
    number = np.arange(len(axis))
    widths = np.interp(right, number, axis) - np.interp(left, number, axis)
    peaks = []
    for index, height, width in zip(indices.tolist(), heights.tolist(), widths.tolist(), strict=True):
        error = None if spectrum.standard_error is None else float(spectrum.standard_error[index])
        if error is None or height >= significance * error:
            position, value = _vertex(axis[index - 1 : index + 2], intensity[index - 1 : index + 2])
            peaks.append(Peak(position, value, error, width, height))
    return peaks


def assign_peaks(
    peaks: Sequence[Peak],
    frequencies: ArrayLike,
    *,
    intensities: ArrayLike | None = None,
    tolerance: float = 80.0,
    visible: float = 0.01,
) -> list[Assignment]:
    """The harmonic modes that each peak belongs to, one entry per peak.

    Modes near a peak are matched one to one so that the summed distance is least; modes left over join the nearest
    peak, as overlapping bands do.

    peaks: from `find_peaks`
    frequencies: of the harmonic modes in cm⁻¹, (modes,)
    intensities: of the modes, (modes,)
    tolerance: largest distance of a mode from its peak in cm⁻¹
    visible: with `intensities`, modes below this share of the strongest take no part
    """
    check_positive(tolerance, "tolerance", "cm⁻¹")
    modes = np.atleast_1d(np.asarray(frequencies, dtype=float))
    if modes.ndim != 1 or not np.isfinite(modes).all():
        raise InputError(f"frequencies: expected finite numbers in cm⁻¹, one per mode; got shape {modes.shape}")
    active = np.arange(len(modes))
    if intensities is not None:
        strength = np.asarray(intensities, dtype=float)
        if strength.shape != modes.shape:
            raise InputError(f"intensities: expected one per mode, {modes.shape}; got {strength.shape}")
        active = active[strength >= visible * strength.max()]
    positions = np.array([peak.wavenumber for peak in peaks])
    members: list[list[int]] = [[] for _ in peaks]
    if len(peaks) and len(active):
        distance = np.abs(positions[:, None] - modes[active])
        # A pair out of tolerance costs more than any number of pairs within it could save.
        cost = np.where(distance <= tolerance, distance, tolerance * (1 + min(distance.shape)))
        rows, columns = linear_sum_assignment(cost)
        taken = {c: r for r, c in zip(rows.tolist(), columns.tolist(), strict=True) if distance[r, c] <= tolerance}
        for column, row in taken.items():
            members[row].append(int(active[column]))
        for column in sorted(set(range(len(active))) - set(taken)):
            nearest = int(distance[:, column].argmin())
            if distance[nearest, column] <= tolerance:
                members[nearest].append(int(active[column]))
    return [
        Assignment(peak, tuple(found), peak.wavenumber - float(modes[found[0]]) if found else None)
        for peak, found in zip(peaks, members, strict=True)
    ]


def _of_wing(axis: np.ndarray, intensity: np.ndarray, index: int) -> bool:
    """Whether a maximum lies below `_WING` or nothing below half its height parts it from the start of the axis."""
    return bool(axis[index] < _WING or intensity[:index].min(initial=np.inf) > 0.5 * intensity[index])


def _vertex(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Top of the parabola through three points around a maximum; a flat top keeps its middle."""
    curvature, slope, _ = np.polyfit(x - x[1], y, 2)
    if not curvature < 0:
        return float(x[1]), float(y[1])
    shift = -slope / (2 * curvature)
    return float(x[1] + shift), float(y[1] + 0.5 * slope * shift)
