"""Peaks and their assignment to harmonic modes."""

import numpy as np
import pytest

from painn_ase.errors import InputError
from painn_ase.spectra import Spectrum, assign_peaks, find_peaks

AXIS = np.arange(0, 4001, 2.0)


def bands(positions, strengths=None, fwhm=20, **fields):
    strengths = np.ones(len(positions)) if strengths is None else strengths
    return Spectrum.from_lines(positions, strengths, fwhm=fwhm, wavenumbers=AXIS, **fields)


def test_peaks_are_found_between_the_points_with_height_and_width():
    (peak,) = find_peaks(bands([1234.7], [50.0]))
    assert peak.wavenumber == pytest.approx(1234.7, abs=0.05)
    assert peak.intensity == pytest.approx(50 * np.sqrt(4 * np.log(2) / np.pi) / 20, rel=1e-3)
    assert peak.fwhm == pytest.approx(20, rel=0.01)


def test_peaks_must_stand_out_of_the_spectrum_and_of_the_noise():
    spectrum = bands([500, 1000, 2000], [1, 0.3, 0.002])
    assert [round(peak.wavenumber) for peak in find_peaks(spectrum)] == [500, 1000]
    assert len(find_peaks(spectrum, prominence=1e-3)) == 3
    noisy = Spectrum(AXIS, spectrum.intensity, np.full_like(AXIS, 0.15 * spectrum.intensity.max()))
    assert [round(peak.wavenumber) for peak in find_peaks(noisy)] == [500]
    assert find_peaks(noisy)[0].standard_error == pytest.approx(0.15 * spectrum.intensity.max())


def test_a_rising_edge_is_no_peak_and_hides_none():
    wing = Spectrum(AXIS, bands([1000]).intensity + 100 / (AXIS + 10))
    assert [round(peak.wavenumber) for peak in find_peaks(wing)] == [1000]
    assert find_peaks(Spectrum(AXIS, -AXIS)) == []


def test_close_modes_go_to_different_peaks_even_if_both_are_nearest_to_one():
    peaks = find_peaks(bands([1000, 1060]))
    # both modes are nearer to the first peak; one to one the order is kept
    found = assign_peaks(peaks, [1015, 1028])
    assert [one.modes for one in found] == [(0,), (1,)]
    assert found[0].shift == pytest.approx(-15, abs=0.1)


def test_modes_without_a_peak_of_their_own_join_the_nearest_and_far_ones_none():
    peaks = find_peaks(bands([1000, 3000]))
    found = assign_peaks(peaks, [1010, 1030, 2000, 2990], tolerance=60)
    assert [one.modes for one in found] == [(0, 1), (3,)]
    nothing = assign_peaks(peaks, [2000.0])
    assert [(one.modes, one.shift) for one in nothing] == [((), None), ((), None)]


def test_invisible_modes_take_no_part():
    peaks = find_peaks(bands([1000]))
    (found,) = assign_peaks(peaks, [1001, 1020], intensities=[1e-5, 30])
    assert found.modes == (1,)


def test_misfitting_modes_are_refused():
    with pytest.raises(InputError, match="finite numbers"):
        assign_peaks([], [np.nan])
    with pytest.raises(InputError, match="one per mode"):
        assign_peaks([], [1.0, 2.0], intensities=[1.0])
    with pytest.raises(InputError, match="tolerance"):
        assign_peaks([], [1.0], tolerance=0)


@pytest.mark.parametrize("centre", [0.0, 40.0])
def test_bands_are_measured_above_the_wing_of_a_turning_molecule(centre):
    """A wing 28 times as high as the strongest band, with its top at the start of the axis or a little later."""
    two = bands([700, 1500, 2900], [1.0, 0.3, 0.06], fwhm=20)
    wing = 28 * two.intensity.max() * np.exp(-(((AXIS - centre) / 50) ** 2))
    found = find_peaks(Spectrum(AXIS, two.intensity + wing), prominence=0.02)
    assert [round(peak.wavenumber) for peak in found if peak.wavenumber > 100] == [700, 1500, 2900]
    error = np.full_like(AXIS, 0.01 * two.intensity.max())
    found = find_peaks(Spectrum(AXIS, two.intensity + wing, error), prominence=0.02, significance=4.0)
    assert [round(peak.wavenumber) for peak in found if peak.wavenumber > 100] == [700, 1500, 2900]
