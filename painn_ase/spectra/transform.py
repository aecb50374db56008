"""From a correlation function to a line shape: windows, resolution, the wavenumber axis and its corrections.

Wavenumbers are cm⁻¹, times fs. A simulation sees a vibration ω at ω' because velocity Verlet replaces the harmonic
motion by ω' = (2/Δt) asin(ω Δt/2) (Hairer, Lubich, Wanner, Acta Numerica 12, 399 (2003),
doi:10.1017/S0962492902000144); ω is put back on the axis here.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy.interpolate import CubicSpline

from painn_ase.errors import InputError, closest
from painn_ase.spectra.correlation import Correlation, correlate
from painn_ase.spectra.series import Series, check_positive
from painn_ase.units import SPEED_OF_LIGHT

Array = NDArray[np.float64]

_C = SPEED_OF_LIGHT * 1e-13  # cm/fs: wavenumber · _C = cycles per fs
_DEFAULT_MAXIMUM = 5000.0  # cm⁻¹, above every molecular vibration (H2: 4401)
_NYQUIST_SHARE = 0.95  # the corrections diverge or the noise aliases at the Nyquist wavenumber itself
_SHOWN = 3700.0  # cm⁻¹, the O-H stretch: where the time-step correction is quoted
_FEW = 5  # below so many trajectories their spread says little; cut them into blocks
_BLOCKS = 10


@dataclass(frozen=True)
class Window:
    """A window on the correlation function that turns a sharp line into one of chosen full width at half maximum."""

    depth: float  # where it ends, in units of 1/(c·FWHM)
    shape: Callable[[NDArray], NDArray]  # of the lag in units of 1/(c·FWHM)


_SIGMA = np.sqrt(2 * np.log(2)) / np.pi  # exp(-t²/2σ²)  <->  Gaussian line with FWHM √(2 ln 2)/(π c σ)
_TAU = 1 / np.pi  # exp(-t/τ)  <->  Lorentzian line with FWHM 1/(π c τ)
WINDOWS = {
    "gaussian": Window(3.5 * _SIGMA, lambda t: np.exp(-0.5 * (t / _SIGMA) ** 2)),  # cut where it is 0.002
    "hann": Window(1.0, lambda t: np.cos(0.5 * np.pi * t) ** 2),
    "lorentzian": Window(6 * _TAU, lambda t: np.exp(-t / _TAU)),  # cut where it is 0.002
    "none": Window(0.603354, np.ones_like),  # sin(x)/x = 1/2 at x = 1.895494: FWHM = 0.603354/(c·depth)
}


@dataclass(frozen=True)
class Transform:
    """How a correlation function becomes a spectrum.

    window: "gaussian", "hann", "lorentzian" or "none": the shape every line is given, at least `resolution` wide. The
        Gaussian has no negative side lobes and, at equal width, the smallest statistical error.
    points: wavenumber points per resolution (zero padding: it interpolates, it does not resolve).
    maximum: end of the axis in cm⁻¹; None means 5000, or 0.95 of the Nyquist wavenumber if that is less.
    blocks: pieces that each trajectory is cut into for the standard errors; None means one if there are at least
        5 trajectories, else as many as give about 10 samples of at least twice the correlation depth.
    correct_timestep: undo the shift that velocity Verlet's finite step gives every line (19 cm⁻¹ at 3700 cm⁻¹ for
        0.5 fs). Switch it off for trajectories from an exact or higher-order integrator.
    """

    window: str = "gaussian"
    points: int = 10
    maximum: float | None = None
    blocks: int | None = None
    correct_timestep: bool = True

    def __post_init__(self) -> None:
        if self.window not in WINDOWS:
            known = ", ".join(WINDOWS)
            raise InputError(
                f"window: expected one of {known}; got {self.window!r}{closest(str(self.window), WINDOWS)}"
            )
        if self.points < 4:
            raise InputError(f"points: expected at least 4 points per resolution; got {self.points}")
        if self.maximum is not None:
            check_positive(self.maximum, "maximum", "cm⁻¹")
        if self.blocks is not None and self.blocks < 1:
            raise InputError(f"blocks: expected at least 1 block per trajectory; got {self.blocks}")


@dataclass(frozen=True)
class Density:
    """∫ C(t) cos(2πcν̃t) dt, two-sided, of each channel of a correlation function of rates, in (unit/fs)² · fs."""

    wavenumbers: Array  # (points,) uniform, from 0
    mean: Array  # (channels, points)
    samples: Array | None  # (samples, channels, points): independent estimates, whose spread is the error
    metadata: dict[str, str | float | int]


def density(series: Series, resolution: float, transform: Transform, *, weights: Array, differences: bool) -> Density:
    """The spectral density of the series, or with `differences` of its time derivative.

    The derivative is the difference of neighbouring frames, i.e. the central difference about the middle of the
    interval D. Its transfer function 2 sin(ω'D/2)/D has no zero below the Nyquist wavenumber, unlike that of the
    central difference over 2D, and is divided out.
    """
    depth, window = _lags(series, resolution, transform.window, int(differences))
    blocks = _blocks(series, depth, transform.blocks, int(differences))
    if differences:
        weights = weights / series.interval**2
    correlation = correlate(series.values, depth, weights=weights, blocks=blocks, differences=differences)
    step = series.timestep if transform.correct_timestep else 0.0
    axis = _axis(series, resolution, transform, step)
    scale = _jacobian(axis, step)
    if differences:
        scale = scale * _difference_correction(_apparent(axis, step), series.interval, step)

    def line_shape(function: Array) -> Array:
        return scale * _cosine_transform(function * window, series.interval, resolution / transform.points, axis, step)

    samples = line_shape(correlation.samples) if len(correlation.sums) > 2 else None
    metadata = _describe(series, resolution, transform, depth, axis) | {"errors": _describe_errors(series, correlation)}
    return Density(axis, line_shape(correlation.mean), samples, metadata)


def _lags(series: Series, resolution: float, window: str, lost: int) -> tuple[int, Array]:
    """Number of lags for the resolution, and the window on them; `InputError` if the trajectory is shorter."""
    check_positive(resolution, "resolution", "cm⁻¹")
    unit = 1 / (_C * resolution)
    depth = int(np.ceil(WINDOWS[window].depth * unit / series.interval))
    frames = series.values.shape[1] - lost
    if depth > frames:
        reachable = resolution * depth / frames * 1.001
        raise InputError(
            f"{series.name}: a resolution of {resolution:g} cm⁻¹ with the {window} window needs trajectories of at "
            f"least {depth + lost} frames ({depth * series.interval / 1000:.3g} ps); got {frames + lost} frames "
            f"({frames * series.interval / 1000:.3g} ps). Run longer, or ask for resolution={reachable:.3g} or coarser"
        )
    return depth, WINDOWS[window].shape(np.arange(depth) * series.interval / unit)


def _blocks(series: Series, depth: int, wanted: int | None, lost: int) -> int:
    trajectories, frames = series.values.shape[:2]
    frames -= lost
    if wanted is not None:
        if wanted > 1 and frames // wanted < 2 * depth:
            raise InputError(
                f"blocks: {wanted} blocks of {frames // wanted} frames are shorter than twice the {depth} lags that "
                f"the resolution needs; use at most {max(1, frames // (2 * depth))}"
            )
        return wanted
    if trajectories >= _FEW:
        return 1
    return max(1, min(-(-_BLOCKS // trajectories), frames // (2 * depth)))


def _axis(series: Series, resolution: float, transform: Transform, step: float) -> Array:
    apparent = 1 / (2 * series.interval * _C)
    nyquist = np.sin(np.pi * _C * step * apparent) / (np.pi * _C * step) if step else apparent
    limit = _NYQUIST_SHARE * nyquist
    maximum = min(_DEFAULT_MAXIMUM, limit) if transform.maximum is None else transform.maximum
    if maximum > limit:
        raise InputError(
            f"maximum: frames {series.interval:g} fs apart reach {limit:.0f} cm⁻¹ (0.95 of the Nyquist wavenumber); "
            f"got {maximum:g}. Record more often or ask for less"
        )
    if maximum < 4 * resolution:
        raise InputError(
            f"resolution: {resolution:g} cm⁻¹ is too coarse for a spectrum that ends at {maximum:.0f} cm⁻¹"
        )
    spacing = resolution / transform.points
    return spacing * np.arange(int(maximum / spacing + 1e-9) + 1, dtype=np.float64)


def _apparent(wavenumbers: Array, step: float) -> Array:
    """Wavenumber ν̃' at which velocity Verlet of time step `step` (0: exact) shows a vibration ν̃."""
    return np.arcsin(np.pi * _C * step * wavenumbers) / (np.pi * _C * step) if step else wavenumbers


def _jacobian(wavenumbers: Array, step: float) -> Array:
    """dν̃'/dν̃: moving the lines on the axis must not change the area under them."""
    return np.asarray(1 / np.sqrt(1 - (np.pi * _C * step * wavenumbers) ** 2))


def _difference_correction(apparent: Array, interval: float, step: float) -> Array:
    """Factor from the spectrum of A(n+1) - A(n) over D to that of dA/dt.

    For an exact trajectory (ω'D/2 / sin(ω'D/2))². For velocity Verlet, dA/dt must be what the velocities of the
    integrator give, sin(ω'Δt)/Δt times the amplitude, since those define the kinetic temperature.
    """
    angle = np.pi * _C * apparent  # ω'/2 in rad/fs
    exact = np.sinc(angle * interval / np.pi)  # sin(x)/x
    return (np.sinc(2 * angle * step / np.pi) / exact) ** 2


def _cosine_transform(function: Array, interval: float, spacing: float, axis: Array, step: float) -> Array:
    """∫ C(t) cos(2πcν̃'t) dt over both signs of t, at the apparent wavenumbers of `axis`."""
    depth = function.shape[-1]
    apparent = _apparent(axis, step)
    length = fft.next_fast_len(max(2 * depth, int(np.ceil(1 / (spacing * interval * _C)))), real=True)
    native = 1 / (length * interval * _C)
    needed = min(int(apparent[-1] / native) + 8, length // 2 + 1)
    values = np.empty((*function.shape[:-1], needed))
    for index in np.ndindex(function.shape[:-1]):
        values[index] = 2 * fft.rfft(function[index], length).real[:needed] - function[index][0]
    # Ten points across a line make the error of the cubic spline some 1e-5 of its height.
    spline = CubicSpline(native * np.arange(needed), values, axis=-1, bc_type=("clamped", "not-a-knot"))
    return interval * spline(apparent)


def _describe(
    series: Series, resolution: float, transform: Transform, depth: int, axis: Array
) -> dict[str, str | float | int]:
    trajectories, frames = series.values.shape[:2]
    shift = "none"
    if transform.correct_timestep:
        at = axis[axis <= _SHOWN][-1:]
        moved = float((_apparent(at, series.timestep) - at)[0])
        shift = f"velocity Verlet, {series.timestep:g} fs: lines moved down, by {moved:.1f} cm⁻¹ at {at[0]:.0f} cm⁻¹"
    described: dict[str, str | float | int] = {
        "observable": series.name,
        "trajectories": trajectories,
        "frames": frames,
        "frame interval / fs": series.interval,
        "integration time step / fs": series.timestep,
        "resolution / cm⁻¹": float(resolution),
        "window": transform.window,
        "correlation depth / ps": depth * series.interval / 1000,
        "time-step correction of the axis": shift,
    }
    if series.constant:
        described["constant components (contribute nothing)"] = ", ".join(map(str, series.constant))
    return described


def _describe_errors(series: Series, correlation: Correlation) -> str:
    samples, trajectories = len(correlation.sums), series.values.shape[0]
    if samples <= 2:
        return f"none: {samples} independent sample(s); run longer or several trajectories"
    if samples == trajectories:
        return f"standard error of the mean of {samples} trajectories"
    length = series.interval * series.values.shape[1] * trajectories / samples / 1000
    return f"standard error of the mean of {samples} blocks of {length:.3g} ps"
