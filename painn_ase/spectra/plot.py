"""Figures of spectra that can go to print. matplotlib is asked for only here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from painn_ase.errors import InputError, MissingPackageError
from painn_ase.files import write_atomically
from painn_ase.spectra.raman import RAYLEIGH
from painn_ase.spectra.spectrum import INFRARED_UNIT, POWER_UNIT, RAMAN_UNIT, Spectrum

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours, told apart by colour-blind readers and in grey
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_EXPERIMENT = "#222222"
_STICKS = "#666666"
_STICK_HEIGHT = 0.62  # of the panel, so that sticks and curves are told apart
_STYLE: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.linewidth": 0.8,
    "axes.formatter.use_mathtext": True,
    "axes.formatter.limits": (-3, 4),
    "xtick.direction": "in",
    "ytick.direction": "in",
    "xtick.top": True,
    "xtick.minor.visible": True,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "savefig.dpi": 300,
    "figure.dpi": 150,
    "pdf.fonttype": 42,
}
_QUANTITIES = {
    "infrared": "IR absorption",
    "power": "Density of states",
    "raman isotropic": "Isotropic Raman",
    "raman anisotropic": "Anisotropic Raman",
    "raman parallel": "Parallel Raman",
    "raman perpendicular": "Perpendicular Raman",
    "raman unpolarized": "Raman, unpolarized",
    "raman depolarization": "Depolarization ratio",
}
_UNITS = {
    INFRARED_UNIT: r"km mol$^{-1}$ cm",
    RAMAN_UNIT: r"m$^2$ sr$^{-1}$ / cm$^{-1}$",
    POWER_UNIT: r"modes / cm$^{-1}$",
    "km/mol": r"km mol$^{-1}$",
    "L/mol/cm": r"L mol$^{-1}$ cm$^{-1}$",
    "m²/mol": r"m$^2$ mol$^{-1}$",
    "cm²/sr/cm⁻¹": r"cm$^2$ sr$^{-1}$ / cm$^{-1}$",
    "Å²/sr/cm⁻¹": r"Å$^2$ sr$^{-1}$ / cm$^{-1}$",
}


@dataclass(frozen=True, eq=False)
class Sticks:
    """Harmonic modes to draw as sticks: positions in cm⁻¹, and strengths in `unit` on an axis of their own."""

    wavenumbers: ArrayLike
    strengths: ArrayLike
    label: str = "harmonic"
    unit: str = "km/mol"


def plot_spectra(
    spectra: Spectrum | Sequence[Spectrum] | Mapping[str, Spectrum],
    *,
    sticks: Sticks | None = None,
    experiment: Spectrum | None = None,
    limits: tuple[float, float] | None = None,
    layout: Literal["overlay", "stacked"] = "overlay",
    path: str | PathLike[str] | None = None,
) -> Figure:
    """A figure of the spectra with bands of ± one standard error; a mapping gives the labels of the legend.

    spectra: one, several, or several by their names
    sticks: harmonic modes, drawn against the right axis
    experiment: measured spectrum, drawn in black; in another unit than the spectra it is scaled to the maximum of the
        first one within the limits, and the legend says so
    limits: first and last wavenumber in cm⁻¹; the larger first draws the axis as infrared spectroscopists do
    layout: all in one panel, or one panel each above a shared axis
    path: also write there; the suffix (.png, .pdf, .svg) chooses the format
    The global state of matplotlib is not touched. Raises `MissingPackageError` without matplotlib.
    """
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingPackageError("matplotlib", "plotting spectra", "plot") from None
    named = _named(spectra)
    _check(named, layout)
    first, last = limits or _common_limits(named)
    if first == last:
        raise InputError(f"limits: expected two different wavenumbers in cm⁻¹; got {first:g} and {last:g}")
    panels = 1 if layout == "overlay" else len(named)
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(6.3, 3.2 if panels == 1 else 0.8 + 1.7 * panels), layout="constrained")
        axes = figure.subplots(panels, 1, sharex=True, squeeze=False)[:, 0]
        for number, (label, spectrum) in enumerate(named.items()):
            panel = axes[min(number, panels - 1)]
            _draw(panel, spectrum, (first, last), label, _COLORS[number % len(_COLORS)])
        shown = list(named.values())
        for panel, of_it in zip(axes, [shown] if panels == 1 else [[one] for one in shown], strict=True):
            panel.set_ylabel(_quantity(of_it, wrap=panels > 1))
            _finish(panel, of_it[0], experiment, sticks, (first, last))
            _legend(panel, always=layout == "stacked")
        axes[-1].set_xlabel(r"Wavenumber / cm$^{-1}$")
        if path is not None:
            _write(figure, Path(path))
    return figure


def _finish(
    panel: Axes,
    spectrum: Spectrum,
    experiment: Spectrum | None,
    sticks: Sticks | None,
    limits: tuple[float, float],
) -> None:
    """Adds what goes beside the spectra of a panel, the first one of which sets its scale."""
    if experiment is not None:
        _draw_experiment(panel, experiment, spectrum, limits)
    _scale(panel, spectrum, limits)
    if sticks is not None:
        _draw_sticks(panel, sticks, limits)


def _write(figure: Figure, path: Path) -> None:
    """Writes the file in one step; without a suffix, in the format that matplotlib is set to."""
    if not path.suffix:
        path = path.with_suffix(f".{figure.canvas.get_default_filetype()}")
    picture = BytesIO()
    figure.savefig(picture, format=path.suffix[1:])
    write_atomically(path, picture.getvalue())


def _named(spectra: Spectrum | Sequence[Spectrum] | Mapping[str, Spectrum]) -> dict[str, Spectrum]:
    if isinstance(spectra, Spectrum):
        spectra = [spectra]
    if isinstance(spectra, Mapping):
        return dict(spectra)
    names = [_QUANTITIES.get(one.kind, one.kind) for one in spectra]
    return {
        name if names.count(name) == 1 else f"{name} {number}": one
        for number, (name, one) in enumerate(zip(names, spectra, strict=True), start=1)
    }


def _check(named: dict[str, Spectrum], layout: str) -> None:
    if not named:
        raise InputError("spectra: expected at least one spectrum to plot; got none")
    if layout not in ("overlay", "stacked"):
        raise InputError(f"layout: expected 'overlay' or 'stacked'; got {layout!r}")
    units = {one.unit for one in named.values()}
    if layout == "overlay" and len(units) > 1:
        raise InputError(
            f"spectra: one panel holds one unit; got {', '.join(sorted(units))}. Convert with to(unit), compare "
            "shapes with normalized(), or use layout='stacked'"
        )


def _common_limits(named: dict[str, Spectrum]) -> tuple[float, float]:
    """From zero to a little beyond the last wavenumber where any spectrum is more than 0.5 % of its maximum."""
    ends = []
    for one in named.values():
        values = np.nan_to_num(one.intensity)
        strong = np.flatnonzero(values > 5e-3 * _bands(one, one.wavenumbers, values).max())
        ends.append(one.wavenumbers[strong[-1]] if strong.size else one.wavenumbers[-1])
    end = float(max(ends))
    return 0.0, min(float(np.ceil((end + 100) / 100) * 100), max(float(one.wavenumbers[-1]) for one in named.values()))


def _bands(spectrum: Spectrum, wavenumbers: NDArray, values: NDArray) -> NDArray:
    """The values that set a scale: of a Raman spectrum those beyond the wing of the laser line."""
    beyond = wavenumbers > RAYLEIGH
    return values[beyond] if spectrum.kind.startswith("raman") and beyond.any() else values


def _inside(spectrum: Spectrum, limits: tuple[float, float]) -> NDArray[np.bool_]:
    low, high = sorted(limits)
    return (spectrum.wavenumbers >= low) & (spectrum.wavenumbers <= high)


def _draw(axes: Axes, spectrum: Spectrum, limits: tuple[float, float], label: str, color: str) -> None:
    inside = _inside(spectrum, limits)
    if inside.sum() < 2:
        raise InputError(f"limits: the spectrum {label!r} has no points between {limits[0]:g} and {limits[1]:g} cm⁻¹")
    x, y = spectrum.wavenumbers[inside], spectrum.intensity[inside]
    axes.plot(x, y, color=color, linewidth=1.1, label=label, zorder=3)
    if spectrum.standard_error is not None:
        error = spectrum.standard_error[inside]
        axes.fill_between(x, y - error, y + error, color=color, alpha=0.25, linewidth=0, zorder=2)


def _draw_experiment(axes: Axes, experiment: Spectrum, beside: Spectrum, limits: tuple[float, float]) -> None:
    inside = _inside(experiment, limits)
    if inside.sum() < 2:
        raise InputError(f"experiment: no points between {limits[0]:g} and {limits[1]:g} cm⁻¹")
    x, y = experiment.wavenumbers[inside], experiment.intensity[inside]
    label = "experiment"
    if experiment.unit != beside.unit:
        y = y * (float(np.nanmax(beside.intensity[_inside(beside, limits)])) / float(np.nanmax(y)))
        label = "experiment (scaled)"
    axes.plot(x, y, color=_EXPERIMENT, linewidth=0.9, label=label, zorder=2.5)


def _draw_sticks(axes: Axes, sticks: Sticks, limits: tuple[float, float]) -> None:
    at, strength = np.asarray(sticks.wavenumbers, dtype=float), np.asarray(sticks.strengths, dtype=float)
    if at.shape != strength.shape or at.ndim != 1:
        raise InputError(f"sticks: expected one strength per wavenumber; got {at.shape} and {strength.shape}")
    low, high = sorted(limits)
    inside = (at >= low) & (at <= high)
    right = axes.twinx()
    right.vlines(at[inside], 0, strength[inside], color=_STICKS, linewidth=1.0)
    bottom, top = axes.get_ylim()
    highest = float(strength[inside].max(initial=0.0)) / _STICK_HEIGHT or 1.0
    right.set_ylim(highest * bottom / top, highest)  # zero at the same height on both sides
    right.set_ylabel(f"{sticks.label} / {_UNITS.get(sticks.unit, sticks.unit)}", color=_STICKS)
    right.tick_params(axis="y", colors=_STICKS, which="both")
    axes.plot([], [], color=_STICKS, linewidth=1.0, label=sticks.label)
    # the curves stay in front of the sticks
    axes.set_zorder(right.get_zorder() + 1)
    axes.patch.set_visible(False)


def _scale(axes: Axes, spectrum: Spectrum, limits: tuple[float, float]) -> None:
    axes.set_xlim(*limits)
    if spectrum.kind == "raman depolarization":
        axes.set_ylim(0, 0.85)
        axes.axhline(0.75, color=_STICKS, linewidth=0.6, linestyle=":")  # no band exceeds it
        return
    lowest, highest = 0.0, 0.0
    for line in axes.get_lines():
        x, y = np.asarray(line.get_xdata(), dtype=float), np.asarray(line.get_ydata(), dtype=float)
        y = _bands(spectrum, x, y)
        lowest, highest = min(lowest, float(np.nanmin(y))), max(highest, float(np.nanmax(y)))
    axes.set_ylim(1.05 * lowest, 1.08 * highest if highest > lowest else 1.0)


def _quantity(spectra: Sequence[Spectrum], *, wrap: bool) -> str:
    """Label of the ordinate: what the spectra have in common, and the unit."""
    kinds = list(dict.fromkeys(one.kind for one in spectra))
    label = _QUANTITIES.get(kinds[0], kinds[0].capitalize())
    if len(kinds) > 1:
        label = "Raman scattering" if all(kind.startswith("raman") for kind in kinds) else "Intensity"
    if spectra[0].kind == "raman depolarization":
        return label
    return f"{label}{chr(10) if wrap else ' '}/ {_UNITS.get(spectra[0].unit, spectra[0].unit)}"


def _legend(axes: Axes, *, always: bool) -> None:
    handles: list[Any] = axes.get_legend_handles_labels()[0]
    if always or len(handles) > 1:
        axes.legend(loc="best")
