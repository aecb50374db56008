"""Averages of correlated series."""

import numpy as np
from numpy.typing import ArrayLike


def mean_and_error(series: ArrayLike) -> tuple[float, float]:
    """Mean and its standard error, by blocking (Flyvbjerg and Petersen 1989, doi:10.1063/1.457480).

    Neighbours are averaged pairwise until 16 blocks remain; the largest error on the way is taken. The error is NaN
    for fewer than 32 values, and too small where the correlation outlasts 1/16 of the series.
    """
    x = np.asarray(series, dtype=float)
    if len(x) < 32:
        return float(np.mean(x)), float("nan")
    mean, error = float(np.mean(x)), 0.0
    while len(x) >= 16:
        error = max(error, float(np.std(x, ddof=1) / np.sqrt(len(x))))
        x = 0.5 * (x[: len(x) // 2 * 2 : 2] + x[1::2])
    return mean, error


def slope(times: ArrayLike, values: ArrayLike) -> float:
    """Slope of the least-squares line; NaN for fewer than 3 points."""
    t, y = np.asarray(times, dtype=float), np.asarray(values, dtype=float)
    if len(t) < 3:
        return float("nan")
    t = t - t.mean()
    return float(t @ (y - y.mean()) / (t @ t))
