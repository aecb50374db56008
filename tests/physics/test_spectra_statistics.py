"""Correlation functions, line shapes and standard errors against direct sums and known processes."""

import time
import tracemalloc

import numpy as np
import pytest
from scipy.signal import lfilter

from painn_ase.spectra import Transform, autocorrelation, find_peaks, infrared, infrared_from_rates, raman
from painn_ase.spectra.correlation import correlate
from painn_ase.units import ASE_TIME

CYCLES = 2 * np.pi * 2.99792458e-5  # rad/fs per cm⁻¹
EXACT = Transform(correct_timestep=False, maximum=4000)


def direct(values, depth):
    """Σ_t A(t)·A(t+k) / (N - k), term by term."""
    frames = len(values)
    return np.array([np.sum(values[: frames - k] * values[k:]) / (frames - k) for k in range(depth)])


def damped_oscillator(rng, frames, wavenumber=1500, width=60, components=3):
    """A stationary second-order process, 1 fs per frame: a broad line."""
    radius = np.exp(-CYCLES * width / 2)
    noise = rng.normal(size=(components, frames + 2000))
    recursion = [1, -2 * radius * np.cos(CYCLES * wavenumber), radius**2]
    return lfilter([1], recursion, noise, axis=1)[:, 2000:].T


@pytest.mark.parametrize(("frames", "depth"), [(2, 2), (50, 50), (501, 200), (70_000, 30)])
def test_autocorrelation_is_the_unbiased_direct_sum(frames, depth):
    values = np.random.default_rng(frames).normal(size=(frames, 3)) + 0.5
    assert autocorrelation(values, depth) == pytest.approx(direct(values, depth), rel=1e-9, abs=1e-12 * frames)


def test_blocks_share_out_every_pair_and_lose_none():
    rng = np.random.default_rng(3)
    values, weights = rng.normal(size=(2, 1000, 4)), rng.uniform(size=(3, 4))
    whole = correlate(values, 90, weights=weights, differences=True)
    blocks = correlate(values, 90, weights=weights, differences=True, blocks=5)
    assert blocks.mean == pytest.approx(whole.mean, rel=1e-10, abs=1e-12)
    steps = np.diff(values, axis=1)
    for channel, weight in enumerate(weights):
        expected = np.mean([direct(one * np.sqrt(weight), 90) for one in steps], axis=0)
        assert whole.mean[channel] == pytest.approx(expected, rel=1e-9, abs=1e-10)


def test_many_components_in_batches_equal_all_at_once(monkeypatch):
    values = np.random.default_rng(4).normal(size=(1, 3000, 17))
    whole = correlate(values, 100).mean
    monkeypatch.setattr("painn_ase.spectra.correlation._MEMORY", 1)  # one component at a time
    monkeypatch.setattr("painn_ase.spectra.correlation._CHUNK", 512)
    assert correlate(values, 100).mean == pytest.approx(whole, rel=1e-10, abs=1e-12)


@pytest.mark.parametrize("correct", [True, False])
def test_spectrum_is_the_direct_cosine_sum(correct):
    rng = np.random.default_rng(5)
    rates = damped_oscillator(rng, 9000)
    transform = Transform(window="hann", correct_timestep=correct, maximum=3000)
    spectrum = infrared_from_rates(rates, timestep=1.0, temperature=300, resolution=20, transform=transform)
    depth = int(np.ceil(1e5 / 2.99792458 / 20))  # 1/(c · 20 cm⁻¹) in fs
    lags = np.arange(depth)
    window = np.cos(np.pi / 2 * lags * 20 * 2.99792458e-5) ** 2
    function = direct(rates, depth) * window
    omega = CYCLES * spectrum.wavenumbers[::50]
    jacobian = 1.0
    if correct:
        jacobian = 1 / np.sqrt(1 - (omega / 2) ** 2)
        omega = 2 * np.arcsin(omega / 2)
    expected = jacobian * (2 * np.cos(np.outer(omega, lags)) @ function - function[0])
    scale = spectrum.intensity[::50] @ expected / (expected @ expected)
    # the spline between FFT points is good to 1e-4 of the maximum
    assert spectrum.intensity[::50] == pytest.approx(scale * expected, abs=1e-4 * scale * expected.max())


@pytest.mark.parametrize("window", ["gaussian", "hann", "lorentzian", "none"])
@pytest.mark.parametrize("resolution", [4, 20])
def test_a_sharp_line_is_as_wide_as_the_resolution(window, resolution):
    rates = np.cos(CYCLES * 1500 * np.arange(40_000))[:, None] * [1.0, 0, 0]
    spectrum = infrared_from_rates(
        rates,
        timestep=1.0,
        temperature=300,
        resolution=resolution,
        transform=Transform(window=window, correct_timestep=False),
    )
    strongest = max(find_peaks(spectrum, significance=0), key=lambda peak: peak.intensity)
    top, half = int(spectrum.intensity.argmax()), strongest.intensity / 2
    right, left = slice(top + 15, top, -1), slice(top - 15, top)
    width = np.interp(half, spectrum.intensity[right], spectrum.wavenumbers[right])
    width -= np.interp(half, spectrum.intensity[left], spectrum.wavenumbers[left])
    assert width == pytest.approx(resolution, rel=0.02)  # 1 % for cutting the window, 1 % for reading between points
    assert strongest.wavenumber == pytest.approx(1500, abs=2e-3 * resolution)


def test_gaussian_window_leaves_no_negative_lobes():
    rates = np.cos(CYCLES * 1500 * np.arange(40_000))[:, None] * [1.0, 0, 0]
    settings = {"timestep": 1.0, "temperature": 300}
    gaussian = infrared_from_rates(rates, **settings)
    hann = infrared_from_rates(rates, **settings, transform=Transform(window="hann"))
    assert gaussian.intensity.min() > -1e-3 * gaussian.intensity.max()
    assert hann.intensity.min() < -2e-2 * hann.intensity.max()


@pytest.mark.parametrize(("trajectories", "frames"), [(1, 30_000), (6, 5_000)], ids=["blocks", "trajectories"])
def test_standard_errors_are_the_scatter_between_repetitions(trajectories, frames):
    rng = np.random.default_rng(6)
    estimates, errors, areas, area_errors = [], [], [], []
    for _ in range(60):
        rates = np.array([damped_oscillator(rng, frames) for _ in range(trajectories)])
        spectrum = infrared_from_rates(rates, timestep=1.0, temperature=300, resolution=30, transform=EXACT)
        near = np.abs(spectrum.wavenumbers - 1500) < 200
        estimates.append(spectrum.intensity[near])
        errors.append(spectrum.standard_error[near])
        area, area_error = spectrum.area(1200, 1800)
        areas.append(area)
        area_errors.append(area_error)
    claimed = np.sqrt(np.mean(np.square(errors), axis=0))
    # 60 repetitions know a standard deviation to 9 %; over some ten independent lines the mean ratio to 3 %
    assert np.mean(claimed / np.std(estimates, axis=0)) == pytest.approx(1, abs=0.15)
    assert np.sqrt(np.mean(np.square(area_errors))) / np.std(areas) == pytest.approx(1, abs=0.3)


def test_errors_say_where_they_come_from():
    rng = np.random.default_rng(7)
    settings = {"timestep": 1.0, "temperature": 300, "resolution": 50}
    one = infrared(damped_oscillator(rng, 20_000), **settings)
    many = infrared([damped_oscillator(rng, 4_000) for _ in range(8)], **settings)
    short = infrared(damped_oscillator(rng, 1_500), **settings)
    assert one.metadata["errors"] == "standard error of the mean of 10 blocks of 2 ps"
    assert many.metadata["errors"] == "standard error of the mean of 8 trajectories"
    assert short.standard_error is None
    assert short.metadata["errors"].startswith("none")


def test_error_of_a_band_depolarization_is_its_scatter():
    rng = np.random.default_rng(8)
    tensors = np.array([np.diag([2.0, 1, 0]), [[0, 1, 0], [1, 0, 0], [0, 0, 0]]])
    found = []
    for _ in range(40):
        modes = np.array([damped_oscillator(rng, 3000, components=2) for _ in range(8)])
        alphas = np.einsum("ntm,mab->ntab", modes, tensors)
        spectra = raman(alphas, timestep=1.0, temperature=300, resolution=50, transform=EXACT)
        found.append(spectra.band_depolarization(1300, 1700))
    ratios, errors = np.array(found).T
    assert np.sqrt(np.mean(errors**2)) / ratios.std() == pytest.approx(1, abs=0.35)  # 40 repetitions: 11 %


def test_rates_in_other_units_give_the_same_spectrum():
    rates = damped_oscillator(np.random.default_rng(9), 4000)
    settings = {"timestep": 1.0, "temperature": 300, "resolution": 50}
    ase = infrared_from_rates(rates, **settings)
    per_fs = infrared_from_rates(rates / ASE_TIME, unit="e·Å/fs", **settings)
    assert per_fs.intensity == pytest.approx(ase.intensity)


@pytest.mark.slow
def test_a_million_frames_become_all_spectra_in_5_seconds_and_2_gigabytes():
    rng = np.random.default_rng(10)
    dipoles, half = rng.normal(size=(1_000_000, 3)), rng.normal(size=(1_000_000, 3, 3))
    alphas = half + half.transpose(0, 2, 1)
    settings = {"timestep": 0.5, "temperature": 300, "resolution": 4}
    start = time.process_time()  # seconds of a processor, whoever else uses the machine
    infrared(dipoles, **settings)
    raman(alphas, **settings)
    assert time.process_time() - start < 5
    tracemalloc.start()
    raman(alphas, **settings)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak + dipoles.nbytes + alphas.nbytes < 2e9
