"""Filters of PaiNN as splines of the distance: any radial and cutoff function at the same cost.

W(d) = (Linear φ(d)) fc(d) of every filter set is computed once in float64 by the model's own modules, and
interpolated by a uniform quintic B-spline (C. de Boor, A Practical Guide to Splines, 1978) on [0, cutoff]. A force
is then the exact derivative of the splined energy, with four continuous derivatives between 0 and the cutoff.
"""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import numpy as np
import torch
from scipy.linalg import solve_banded
from torch import Tensor

from painn_ase.errors import ModelError
from painn_ase.representations import PaiNN

# Largest error of a filter and of its slope, relative to the largest filter and slope of the set: at the level of
# float32 rounding, which the rest of the network has anyway.
FILTER_BOUND = 1e-7
SLOPE_BOUND = 1e-6
MAX_INTERVALS = 4096
_NEAR_ZERO = 1e-14  # Å; radial functions have a limit at zero but may divide by the distance


def filter_tables(representation: PaiNN) -> list[np.ndarray]:
    """B-spline coefficients (intervals + 5, 3F) of each filter set, all with the same number of intervals.

    Row k + m weighs the m-th of the six basis functions that live on interval k. The number of intervals is the
    smallest of a growing series that meets `FILTER_BOUND` and `SLOPE_BOUND` at eight places within every interval;
    raises `ModelError` if none up to `MAX_INTERVALS` does.
    """
    exact = deepcopy(representation).double().requires_grad_(False)
    intervals = 48
    while intervals <= MAX_INTERVALS:
        tables = [_coefficients(exact, index, intervals) for index in range(len(exact.filters))]
        errors = (spline_errors(exact, index, table) for index, table in enumerate(tables))  # until one is too large
        if all(value <= FILTER_BOUND and slope <= SLOPE_BOUND for value, slope in errors):
            return tables
        intervals = int(intervals * 1.25)
    raise ModelError(
        f"the filters of this model vary too fast with distance to be tabulated: expected a spline of {MAX_INTERVALS} "
        f"intervals to be right within {FILTER_BOUND:g}; use backend='torch'"
    )


def spline_errors(exact: PaiNN, index: int, table: np.ndarray) -> tuple[float, float]:
    """Largest error of the splined filters and of their slopes, relative to the largest filter and slope."""
    return _spline_errors(table, exact.cutoff, lambda d: filters_and_slopes(exact, index, d))


def _spline_errors(
    table: np.ndarray, cutoff: float, function: Callable[[Tensor], tuple[np.ndarray, np.ndarray]]
) -> tuple[float, float]:
    """Largest error of a spline and of its slopes, relative to the largest value and slope of `function`."""
    intervals = len(table) - 5
    step = cutoff / intervals
    places = (np.arange(intervals)[:, None] + (np.arange(8) + 0.5) / 8).ravel()
    values, slopes = function(torch.from_numpy(places * step))
    knots = places.astype(int)
    basis, dbasis = bspline(places - knots)
    rows = np.stack([table[knots + m] for m in range(6)])  # (6, places, 3F)
    value_error = np.abs((basis[:, :, None] * rows).sum(0) - values).max()
    slope_error = np.abs((dbasis[:, :, None] * rows).sum(0) / step - slopes).max()
    return float(value_error / np.abs(values).max()), float(slope_error / np.abs(slopes).max())


def radial_table(representation: PaiNN, intervals: int) -> tuple[np.ndarray, np.ndarray]:
    """The radial functions of the first filter set as splines, and the filters as their sums.

    Returns the coefficients (intervals + 5, n + 1) of [φ_1 fc, ..., φ_n fc, fc], and the weights (n + 1, 2F) they have
    in W_s and W_vs; the last is the bias.
    """
    exact = deepcopy(representation).double().requires_grad_(False)

    def radial(distances: Tensor) -> np.ndarray:
        return _radial(exact, distances).numpy()

    layer: Any = exact.filters[0]
    weights = torch.cat([layer.weight, layer.bias[:, None]], 1)[: 2 * exact.features].T
    return _interpolate(radial, exact.cutoff, intervals), np.ascontiguousarray(weights.numpy())


def radial_spline(representation: PaiNN, value_bound: float, slope_bound: float) -> np.ndarray:
    """Coefficients (intervals + 5, n + 1) of the splines of [φ_1 fc, ..., φ_n fc, fc] for training.

    The number of intervals is the smallest power of two for which values and slopes, at eight places in every interval,
    are right within the bounds, relative to the largest value and slope; or the one that comes nearest before rounding
    makes finer ones worse. Raises `ModelError` if no spline of a reasonable size is right within 1e-6.
    """
    exact = deepcopy(representation).double().requires_grad_(False)
    best, least = np.empty(0), np.inf
    for intervals in (2**k for k in range(6, 15)):
        table = _interpolate(lambda d: _radial(exact, d).numpy(), exact.cutoff, intervals)
        value, slope = _spline_errors(table, exact.cutoff, lambda d: _slopes(lambda x: _radial(exact, x), d))
        if value <= value_bound and slope <= slope_bound:
            return table
        if max(value, slope) > least:
            break
        best, least = table, max(value, slope)
    if not least <= 1e-6:
        raise ModelError("the radial functions vary too fast with distance to be tabulated; train with step = 'torch'")
    return best


def _radial(exact: PaiNN, distances: Tensor) -> Tensor:
    envelope = exact.cutoff_function(distances)[:, None]
    return torch.cat([exact.radial(distances) * envelope, envelope], 1)


def _filters(exact: PaiNN, index: int, distances: Tensor) -> Tensor:
    return exact.filters[index](exact.radial(distances)) * exact.cutoff_function(distances)[:, None]


def filters_and_slopes(exact: PaiNN, index: int, distances: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """W(d) and dW/dd of filter set `index`, (distances, 3F) each, by the modules of a float64 representation."""
    return _slopes(lambda d: _filters(exact, index, d), distances)


def _slopes(function: Callable[[Tensor], Tensor], distances: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Values and derivatives of `function` of the distance."""
    d = distances.clamp(min=_NEAR_ZERO).requires_grad_()
    with torch.enable_grad():
        values = function(d)
        # Σ w dW/dd is linear in the weights w, so its derivative by w is every slope at once. The sum is ours, because
        # for weights that it is handed PyTorch imports a computer algebra system to compare two shapes: half a second
        weights = torch.ones_like(values, requires_grad=True)
        (weighted,) = torch.autograd.grad((values * weights).sum(), d, create_graph=True)
        (slopes,) = torch.autograd.grad(weighted.sum(), weights)
    return values.detach().numpy(), slopes.numpy()


def bspline(t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The six quintic basis functions on one interval, 0 <= t <= 1, and their derivatives with respect to t, (6, n)."""
    r = 1 - t
    inner = 26 + t * (-50 + t * (20 + t * (20 + t * (-20 + t * 5))))
    rinner = 26 + r * (-50 + r * (20 + r * (20 + r * (-20 + r * 5))))
    middle = 66 + t**2 * (-60 + t**2 * (30 - 10 * t))
    rmiddle = 66 + r**2 * (-60 + r**2 * (30 - 10 * r))
    dinner = -10 + t * (8 + t * (12 + t * (-16 + t * 5)))
    drinner = -10 + r * (8 + r * (12 + r * (-16 + r * 5)))
    dmiddle = t * (-24 + t**2 * (24 - 10 * t))
    drmiddle = r * (-24 + r**2 * (24 - 10 * r))
    basis = np.stack([r**5, inner, middle, rmiddle, rinner, t**5]) / 120
    slope = np.stack([-(r**4), dinner, dmiddle, -drmiddle, -drinner, t**4]) / 24
    return basis, slope


def _coefficients(exact: PaiNN, index: int, intervals: int) -> np.ndarray:
    return _interpolate(lambda d: _filters(exact, index, d).numpy(), exact.cutoff, intervals)


def _interpolate(function: Callable[[Tensor], np.ndarray], cutoff: float, intervals: int) -> np.ndarray:
    """The spline through `function` at all knots and at the middles of the two first and two last intervals."""
    middles = [0.5, 1.5, intervals - 1.5, intervals - 0.5]
    places = np.sort(np.concatenate([np.arange(intervals + 1), middles]))
    knots = np.minimum(places.astype(int), intervals - 1)
    basis, _ = bspline(places - knots)
    values = function(torch.from_numpy(places * (cutoff / intervals)).clamp(min=_NEAR_ZERO))
    width = 5
    banded = np.zeros((2 * width + 1, intervals + 5))
    for m in range(6):
        columns = knots + m
        banded[width + np.arange(intervals + 5) - columns, columns] = basis[m]
    return np.ascontiguousarray(solve_banded((width, width), banded, values))
