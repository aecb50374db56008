"""Time series as they come from a simulation, checked once: shape, spacing in time, finite numbers."""

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from painn_ase.errors import InputError

# Frame times may have been rounded when they were written; a lost frame is a whole interval.
_EVEN = 1e-2
_FRAMES_AT_ONCE = 1 << 16


@dataclass(frozen=True)
class Series:
    """One observable along one or more trajectories of equal length."""

    name: str
    values: NDArray  # (trajectories, frames, components), any real dtype; not copied
    timestep: float  # fs, of the integrator
    every: int  # integration steps between frames
    constant: tuple[int, ...]  # components that never change

    @property
    def interval(self) -> float:
        """Time between frames in fs."""
        return self.timestep * self.every


def read_series(
    values: ArrayLike, shape: tuple[int | None, ...], *, name: str, timestep: float | ArrayLike, every: int | None
) -> Series:
    """The series in `values`, shape (frames, *shape) or (trajectories, frames, *shape); None matches any length.

    `timestep` is the integration step in fs, or the times of the frames in fs, which must be evenly spaced. Times do
    not tell the integrator's step, which moves the axis, so they want `every`; beside a number it is 1 if None.
    Raises `InputError` for wrong shapes, uneven times, NaN or infinity, and a series that never changes.
    """
    array = _as_real_array(values, name)
    trailing = array.shape[max(array.ndim - len(shape), 0) :]
    fits = array.ndim - len(shape) in (1, 2) and all(n in (None, m) for n, m in zip(shape, trailing, strict=True))
    if not fits or array.size == 0:
        tail = ", ".join("atoms" if n is None else str(n) for n in shape)
        raise InputError(
            f"{name}: expected shape (frames, {tail}) or (trajectories, frames, {tail}); got {array.shape}"
        )
    frames = array.shape[-len(shape) - 1]
    if frames < 2:
        raise InputError(f"{name}: expected a trajectory of at least 2 frames; got {frames}")
    step, every = _integration_step(timestep, frames, every)
    flat = array.reshape(-1, frames, int(np.prod(trailing)))
    return Series(name, flat, step, every, _check_values(flat, name))


def stated(unit: str | None, assumed: str, name: str) -> str:
    """The unit; `assumed` with a warning where none was given: programs print dipoles in Debye, e·Å and e·Bohr."""
    if unit is not None:
        return unit
    text = f"{name}: no unit was given, and {assumed} is assumed, ASE's. Say which it is: unit={assumed!r}, for example"
    warnings.warn(text, stacklevel=3)
    return assumed


def check_positive(value: float, name: str, unit: str) -> float:
    """The value as a float; `InputError` unless it is a finite number above zero."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = float("nan")
    if not (np.isfinite(number) and number > 0):
        raise InputError(f"{name}: expected a number above 0 in {unit}; got {value!r}")
    return number


def _as_real_array(values: ArrayLike, name: str) -> NDArray:
    try:
        array = np.asarray(values)
    except ValueError:
        raise InputError(f"{name}: expected trajectories of equal length and shape; got a ragged list") from None
    if array.dtype.kind not in "fiu":
        raise InputError(f"{name}: expected real numbers; got an array of {array.dtype}")
    return array


def _integration_step(timestep: float | ArrayLike, frames: int, every: int | None) -> tuple[float, int]:
    """The integrator's step in fs, and how many of them lie between frames."""
    whole = isinstance(every, (int, np.integer)) and not isinstance(every, bool)
    if every is not None and not (whole and every >= 1):
        raise InputError(f"every: expected the whole number of integration steps between frames, >= 1; got {every!r}")
    times = np.asarray(timestep, dtype=float)
    if times.ndim == 0:
        return check_positive(float(times), "timestep", "fs"), 1 if every is None else int(every)
    if times.shape != (frames,):
        raise InputError(f"timestep: expected one number or the times of all {frames} frames; got shape {times.shape}")
    steps = np.diff(times)
    interval = float(np.median(steps))
    uneven = np.flatnonzero(~(np.abs(steps - interval) <= _EVEN * abs(interval)))
    if interval <= 0 or uneven.size:
        first = int(uneven[0]) if uneven.size else 0
        raise InputError(
            f"timestep: the frames must be evenly spaced in time; frames {first} and {first + 1} are "
            f"{steps[first]:g} fs apart where {interval:g} fs is usual. "
            "Cut the trajectory there and pass the pieces as trajectories"
        )
    if every is None:
        raise InputError(
            "every: the times of frames do not tell the integrator's step, which the axis is corrected for; expected "
            "the number of steps between frames beside them, every=1 if every step is a frame"
        )
    return float(times[-1] - times[0]) / (frames - 1) / int(every), int(every)


def _check_values(values: NDArray, name: str) -> tuple[int, ...]:
    """Indices of the components that never change; `InputError` for NaN, infinity, or if that is all of them."""
    changes = np.zeros(values.shape[2], dtype=bool)
    for number, trajectory in enumerate(values):
        for start in range(0, len(trajectory), _FRAMES_AT_ONCE):
            chunk = trajectory[start : start + _FRAMES_AT_ONCE]
            low, high = chunk.min(axis=0), chunk.max(axis=0)  # NaN and infinity survive min and max
            if not (np.isfinite(low).all() and np.isfinite(high).all()):
                frame = start + int(np.flatnonzero(~np.isfinite(chunk).all(axis=1))[0])
                raise InputError(
                    f"{name}: expected finite numbers; frame {frame} of trajectory {number} holds NaN or infinity. "
                    "Cut the trajectory before it"
                )
            changes |= (low != trajectory[0]) | (high != trajectory[0])
    if not changes.any():
        raise InputError(f"{name}: the series never changes, so it has no spectrum; was it recorded at every frame?")
    return tuple(int(i) for i in np.flatnonzero(~changes))
