"""Time correlation functions by FFT, unbiased, in bounded memory."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import fft

from painn_ase.errors import InputError

_CHUNK = 1 << 15  # frames per FFT at least: long enough to be efficient, short enough to stay in the cache
_MEMORY = 1 << 26  # bytes of transforms held at once


@dataclass(frozen=True)
class Correlation:
    """Correlation functions of several channels from several samples (trajectories, or blocks of them)."""

    sums: NDArray[np.float64]  # (samples, channels, depth): Σ_t A(t)·A(t+k) over the pairs that start in the sample
    counts: NDArray[np.float64]  # (samples, depth): number of those pairs

    @property
    def mean(self) -> NDArray[np.float64]:
        """Unbiased estimate from all pairs, (channels, depth)."""
        return self.sums.sum(axis=0) / self.counts.sum(axis=0)

    @property
    def samples(self) -> NDArray[np.float64]:
        """The estimate of each sample, (samples, channels, depth)."""
        return self.sums / self.counts[:, None]


def autocorrelation(values: ArrayLike, depth: int | None = None) -> NDArray[np.float64]:
    """⟨A(0)·A(t)⟩ at lags 0 .. depth-1 in frames, unbiased: lag k is the mean over frames - k pairs.

    `values` has shape (frames,) or (frames, ...); the trailing components are summed over.
    """
    array = np.asarray(values)
    if array.ndim == 0 or array.size == 0:
        raise InputError(f"values: expected shape (frames, ...); got {array.shape}")
    frames = len(array)
    depth = frames if depth is None else depth
    if not 1 <= depth <= frames:
        raise InputError(f"depth: expected 1 .. {frames} lags for {frames} frames; got {depth}")
    return correlate(array.reshape(1, frames, -1), depth).mean[0]


def correlate(
    values: NDArray,
    depth: int,
    *,
    weights: NDArray[np.float64] | None = None,
    blocks: int = 1,
    differences: bool = False,
) -> Correlation:
    """Σ_c w_c A_c(0) A_c(t) of every channel w, from each of `blocks` equal pieces of each trajectory.

    `values` is (trajectories, frames, components), `weights` (channels, components), by default one channel of ones.
    With `differences` the series is A(n+1) - A(n). A pair of frames belongs to the block its first frame lies in, so
    the blocks together use every pair of the trajectory: blocks cost no data.
    """
    trajectories, frames, components = values.shape
    frames -= int(differences)
    if weights is None:
        weights = np.ones((1, components))
    edges = np.linspace(0, frames, blocks + 1).astype(int)
    if frames - edges[-2] < depth:
        raise InputError(
            f"blocks: expected pieces of at least {depth} frames; {blocks} of them need more than {frames}"
        )
    lags = np.arange(depth)
    sums = np.zeros((trajectories, blocks, len(weights), depth))
    for trajectory, total in zip(values, sums, strict=True):
        for block, start, stop in zip(total, edges[:-1], edges[1:], strict=True):
            _add_pairs(block, trajectory, (start, stop, frames), weights, differences)
    counts = [np.clip(frames - lags, start, stop) - start for start, stop in pairwise(edges)]
    shape = (trajectories * blocks, len(weights), depth)
    return Correlation(sums.reshape(shape), np.tile(np.array(counts, dtype=float), (trajectories, 1)))


def _add_pairs(
    total: NDArray[np.float64],
    trajectory: NDArray,
    span: tuple[int, int, int],
    weights: NDArray[np.float64],
    differences: bool,
) -> None:
    """Add Σ_t A(t)A(t+k) for start <= t < stop to `total` (channels, depth); t + k may pass stop, not the end."""
    start, stop, end = span
    depth = total.shape[1]
    chunk = min(stop - start, max(_CHUNK, 4 * depth))
    # A circular correlation of this length keeps lags 0 .. depth-1 free of wrap-around.
    length = fft.next_fast_len(chunk + depth - 1, real=True)
    batch = max(1, _MEMORY // (32 * length))
    for first in range(start, stop, chunk):
        head = min(chunk, stop - first)
        last = min(first + head + depth - 1, end)
        power = np.zeros((length // 2 + 1, len(total)), dtype=complex)
        for left in range(0, trajectory.shape[1], batch):
            columns = slice(left, left + batch)
            signal = np.asarray(trajectory[first : last + int(differences), columns], dtype=np.float64)
            if differences:
                signal = np.diff(signal, axis=0)
            product = fft.rfft(signal, length, axis=0)
            product *= fft.rfft(signal[:head], length, axis=0).conj()
            power += product @ weights[:, columns].T
        total += fft.irfft(power, length, axis=0)[:depth].T
