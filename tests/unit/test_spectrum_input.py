"""Bad input to the spectra is refused with a sentence that names the way out."""

import warnings

import numpy as np
import pytest

from painn_ase.errors import InputError
from painn_ase.spectra import (
    Laser,
    Transform,
    autocorrelation,
    dipole_rates,
    infrared,
    infrared_from_rates,
    placzek_cross_sections,
    power_spectrum,
    quantum_correction,
    raman,
    raman_from_rates,
)

RNG = np.random.default_rng(0)
DIPOLES = RNG.normal(size=(4000, 3))
HALF = RNG.normal(size=(4000, 3, 3))
ALPHAS = HALF + HALF.transpose(0, 2, 1)
VELOCITIES = RNG.normal(size=(4000, 2, 3)) * 0.05
SETTINGS = {"timestep": 1.0, "temperature": 300.0, "resolution": 50.0}


def spoiled(values, value):
    out = values.copy()
    out[1234, ..., 0] = value
    return out


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(
    "make",
    [
        lambda value: infrared(spoiled(DIPOLES, value), **SETTINGS),
        lambda value: infrared_from_rates(spoiled(DIPOLES, value), **SETTINGS),
        lambda value: raman(spoiled(ALPHAS, value), **SETTINGS),
        lambda value: raman_from_rates(spoiled(ALPHAS, value), **SETTINGS),
        lambda value: power_spectrum(spoiled(VELOCITIES, value), [12, 12], **SETTINGS),
    ],
)
def test_nan_and_infinity_are_found_and_the_frame_is_named(make, value):
    with pytest.raises(InputError, match="frame 1234 of trajectory 0 holds NaN or infinity"):
        make(value)


@pytest.mark.parametrize("temperature", [0, -300, np.nan, None, "warm"])
def test_temperature_must_be_above_zero(temperature):
    settings = SETTINGS | {"temperature": temperature}
    for make in (
        lambda: infrared(DIPOLES, **settings),
        lambda: raman(ALPHAS, **settings),
        lambda: power_spectrum(VELOCITIES, [12, 12], **settings),
        lambda: quantum_correction("standard", 1.0, temperature),
        lambda: placzek_cross_sections([1000.0], [1.0], temperature=temperature),
    ):
        with pytest.raises(InputError, match="temperature: expected a number above 0 in K"):
            make()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: infrared(DIPOLES[:, :2], **SETTINGS), r"expected shape \(frames, 3\) or \(trajectories, frames, 3\)"),
        (lambda: infrared(DIPOLES[None, None], **SETTINGS), r"got \(1, 1, 4000, 3\)"),
        (lambda: infrared(DIPOLES[0], **SETTINGS), "expected shape"),
        (lambda: infrared(3.0, **SETTINGS), "expected shape"),
        (lambda: infrared(DIPOLES[:0], **SETTINGS), "expected shape"),
        (lambda: infrared(DIPOLES[:1], **SETTINGS), "at least 2 frames"),
        (lambda: infrared([DIPOLES, DIPOLES[:-1]], **SETTINGS), "equal length"),
        (lambda: infrared(DIPOLES.astype(complex), **SETTINGS), "real numbers"),
        (lambda: infrared(DIPOLES.astype(str), **SETTINGS), "real numbers"),
        (lambda: raman(ALPHAS[:, :, :2], **SETTINGS), "frames, 3, 3"),
        (lambda: raman(HALF, **SETTINGS), "symmetric 3x3 tensors"),
        (lambda: power_spectrum(VELOCITIES[:, 0], [12], **SETTINGS), "frames, atoms, 3"),
        (lambda: power_spectrum(VELOCITIES, [12], **SETTINGS), "2 positive numbers in amu"),
        (lambda: power_spectrum(VELOCITIES, [12, 0], **SETTINGS), "2 positive numbers in amu"),
        (lambda: dipole_rates(np.ones((2, 3, 3)), np.ones((3, 3))), "atoms, 3, 3"),
        (lambda: autocorrelation(DIPOLES, 5000), r"1 \.\. 4000 lags"),
        (lambda: placzek_cross_sections([1.0], [1.0, 2.0], temperature=300), "equal shapes"),
        (lambda: placzek_cross_sections([-100.0], [1.0], temperature=300), "real, positive modes"),
    ],
)
def test_wrong_shapes_are_refused(make, words):
    with pytest.raises(InputError, match=words):
        make()


def test_too_short_a_trajectory_says_the_length_needed_and_the_resolution_reachable():
    with pytest.raises(InputError) as caught:
        infrared(DIPOLES, timestep=0.5, temperature=300, resolution=4)
    message = str(caught.value)
    assert "needs trajectories of at least 21879 frames (10.9 ps); got 4000 frames (2 ps)" in message
    reachable = float(message.split("resolution=")[1].split()[0])
    infrared(DIPOLES, timestep=0.5, temperature=300, resolution=reachable)
    longer = np.random.default_rng(0).normal(size=(21879, 3))
    infrared(longer, timestep=0.5, temperature=300, resolution=4)
    with pytest.raises(InputError, match="at least 21879 frames"):
        infrared(longer[1:], timestep=0.5, temperature=300, resolution=4)


def test_uneven_times_are_refused_and_even_ones_give_the_step():
    times = np.arange(4000) * 0.5
    spectrum = infrared(DIPOLES, timestep=times, every=1, temperature=300, resolution=50)
    same = infrared(DIPOLES, timestep=0.5, temperature=300, resolution=50)
    assert spectrum.intensity == pytest.approx(same.intensity)
    lost = np.delete(times, 100)  # a frame is missing
    with pytest.raises(InputError, match=r"frames 99 and 100 are 1 fs apart where 0\.5 fs is usual"):
        infrared(DIPOLES[:-1], timestep=lost, temperature=300, resolution=50)
    for bad in (times[::-1], np.full(4000, 1.0), np.where(times == 50, np.nan, times)):
        with pytest.raises(InputError, match="evenly spaced"):
            infrared(DIPOLES, timestep=bad, temperature=300, resolution=50)
    with pytest.raises(InputError, match="times of all 4000 frames"):
        infrared(DIPOLES, timestep=times[:-1], every=1, temperature=300, resolution=50)


def test_times_alone_are_refused_and_with_every_give_the_axis_and_area_of_a_step():
    """A line of 3700 cm⁻¹ by velocity Verlet in steps of 0.5 fs, a frame every four."""
    step, every = 0.5, 4
    w = 3700 * 2.99792458e-5 * 2 * np.pi
    shown = 2 / step * np.arcsin(w * step / 2)
    times = np.arange(10000) * step * every
    cosine = np.cos(shown * times)
    dipoles = np.stack([cosine, 0 * times, 0 * times], axis=1)
    tensors = cosine[:, None, None] * np.diag([1.0, 2, 3])
    velocities = dipoles[:, None]
    makers = {
        "infrared": lambda **of: infrared(dipoles, temperature=300, **of),
        "rates": lambda **of: infrared_from_rates(dipoles, temperature=300, **of),
        "raman": lambda **of: raman(tensors, temperature=300, **of).parallel,
        "power": lambda **of: power_spectrum(velocities, [1.0], temperature=300, **of),
    }
    for make in makers.values():
        right, same = make(timestep=step, every=every), make(timestep=times, every=every)
        assert right.wavenumbers[right.intensity.argmax()] == pytest.approx(3700, abs=1)
        assert same.intensity == pytest.approx(right.intensity, rel=1e-9, abs=1e-9 * right.intensity.max())
        with pytest.raises(InputError, match="every: the times of frames do not tell"):
            make(timestep=times)


def test_rounded_times_count_as_even():
    times = np.round(np.arange(4000) / 3, 3)
    assert infrared(DIPOLES, timestep=times, every=1, temperature=300, resolution=50).metadata[
        "frame interval / fs"
    ] == pytest.approx(1 / 3, rel=1e-6)


def test_times_of_frames_with_a_stride_give_the_integration_step():
    spectrum = infrared(DIPOLES, timestep=2.0 * np.arange(4000), every=4, temperature=300, resolution=50)
    assert spectrum.metadata["integration time step / fs"] == pytest.approx(0.5)


@pytest.mark.parametrize(
    "make", [lambda: infrared(0 * DIPOLES + 2.0, **SETTINGS), lambda: raman(0 * ALPHAS, **SETTINGS)]
)
def test_a_series_that_never_changes_is_refused(make):
    with pytest.raises(InputError, match="never changes"):
        make()


def test_constant_polarizability_components_give_numbers_without_warnings():
    alphas = np.zeros((4000, 3, 3))
    alphas[:, 0, 0] = DIPOLES[:, 0]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        spectra = raman(alphas, unit="Å³", **SETTINGS)
    assert np.isfinite(spectra.unpolarized.intensity).all()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"timestep": 0}, "timestep: expected a number above 0"),
        ({"timestep": -0.5}, "timestep: expected a number above 0"),
        ({"resolution": 0}, "resolution: expected a number above 0"),
        ({"resolution": 9000}, "too coarse"),
        ({"every": 0}, "every: expected the whole number"),
        ({"every": 1.5}, "every: expected the whole number"),
        ({"unit": "debey"}, "did you mean 'Debye'"),
        ({"quantum_correction": "harmonics"}, "did you mean 'harmonic'"),
        ({"transform": Transform(maximum=20000)}, "of the Nyquist"),
        ({"transform": Transform(blocks=50)}, "use at most"),
    ],
)
def test_unusable_settings_are_refused(change, words):
    with pytest.raises(InputError, match=words):
        infrared(DIPOLES, **(SETTINGS | change))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"window": "han"}, "did you mean 'hann'"),
        ({"points": 1}, "at least 4 points"),
        ({"maximum": -1}, "maximum"),
        ({"blocks": 0}, "at least 1 block"),
    ],
)
def test_unusable_transforms_are_refused_when_made(options, words):
    with pytest.raises(InputError, match=words):
        Transform(**options)


def test_velocities_in_another_unit_are_noticed():
    with pytest.raises(InputError, match="are they in another unit than 'ASE'"):
        power_spectrum(VELOCITIES / 10.18, [12, 12], **SETTINGS)


def test_laser_inside_the_spectrum_is_refused():
    with pytest.raises(InputError, match="inside the spectrum"):
        raman(ALPHAS, laser=3000.0, **SETTINGS)
    with pytest.raises(InputError, match="laser wavelength"):
        Laser(0)


def test_input_arrays_are_left_alone():
    before = DIPOLES.copy(), ALPHAS.copy()
    infrared(DIPOLES, **SETTINGS)
    raman(ALPHAS, **SETTINGS)
    assert np.array_equal(before[0], DIPOLES)
    assert np.array_equal(before[1], ALPHAS)
