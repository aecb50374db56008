"""Error bars of means hold what they promise, and say where they cannot."""

import numpy as np
import pytest
from scipy.signal import lfilter

from painn_ase.simulate.run.averages import LONGEST_MEMORY, estimate

SAMPLES = 500


def first_order(values, memory, seed=0, samples=SAMPLES):
    """AR(1) processes of mean 0 whose correlation falls by e in `memory` values, in equilibrium from the start."""
    keep = np.exp(-1 / memory) if memory else 0.0
    noise = np.random.default_rng(seed).normal(size=(samples, values))
    noise[:, 0] /= np.sqrt(1 - keep**2)
    return lfilter([1], [1, -keep], noise, axis=1)


def coverage(series):
    return np.mean([abs(found.value) < found.error for found in map(estimate, series)])


@pytest.mark.parametrize("values", [200, 1000, 5000])
@pytest.mark.parametrize("share", [0, 1 / 1000, 1 / 200, 1 / 80, 1 / 50])
def test_one_standard_error_covers_the_truth_in_two_of_three_cases(values, share):
    """60 to 76 %, of 68; blocking had 54 % at 1/50."""
    assert 0.60 <= coverage(first_order(values, values * share)) <= 0.76


def test_memories_of_other_kinds_are_covered_too():
    noise = np.random.default_rng(1).normal(size=(SAMPLES, 4000))
    damped, turn = 0.99, 0.3
    kinds = {
        "a vibration": lfilter([1], [1, -2 * damped * np.cos(turn), damped**2], noise, axis=1)[:, 500:],
        "a moving average": lfilter(np.ones(20), 1, noise, axis=1)[:, 50:],
        "a slow process under a fast one": first_order(4000, 2, 2) + 0.2 * first_order(4000, 40, 3) / 40**0.5,
    }
    for name, series in kinds.items():
        assert 0.55 <= coverage(series) <= 0.80, name


def test_a_series_shorter_than_fifty_memories_is_told_from_a_longer_one():
    for values, memory, sure in ((2000, 10, True), (2000, 20, True), (2000, 100, False), (500, 100, False)):
        found = [estimate(x).memory <= LONGEST_MEMORY for x in first_order(values, memory, samples=100)]
        assert np.mean(found) > 0.9 if sure else np.mean(found) < 0.1


def test_the_memory_is_the_integrated_correlation_time():
    found = [estimate(x).memory * 20000 for x in first_order(20000, 30, samples=50)]
    assert np.mean(found) == pytest.approx(0.5 / np.tanh(0.5 / 30), rel=0.05)  # (1 + φ)/(1 - φ)/2


def test_series_without_noise_or_too_short_have_no_error_to_tell():
    assert estimate(np.ones(100))[:2] == (1.0, 0.0)
    mean, error, _ = estimate(np.arange(31.0))
    assert mean == 15
    assert np.isnan(error)
    assert estimate(np.tile([1.0, -1.0], 500)).error < 0.01  # what alternates has a mean known better than by chance
    assert estimate(np.arange(1000.0)).memory > LONGEST_MEMORY  # a drift
