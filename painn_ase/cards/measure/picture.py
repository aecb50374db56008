"""Reference and model vibrations in one figure: infrared, Raman, and the shift of every mode."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from painn_ase.cards.measure.harmonic import HarmonicCheck
from painn_ase.errors import MissingPackageError

_WIDTH = 12.0  # cm⁻¹, half width at half maximum of the Lorentzians
_REFERENCE, _MODEL = "#222222", "#D55E00"
_PANELS = (
    ("infrared", "IR / km mol$^{-1}$ cm", "km mol$^{-1}$"),
    ("raman", "Raman activity / Å$^4$ amu$^{-1}$ cm", "Å$^4$ amu$^{-1}$"),
)


def harmonic_picture(check: HarmonicCheck, path: str | Path, name: str = "model") -> Path:
    """Draws broadened spectra of reference and model, their sticks and the shifts, and returns the path.

    Modes that turn freely have no shift worth drawing. The suffix of `path` chooses the format. Raises
    `MissingPackageError` without matplotlib.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingPackageError("matplotlib", "a picture of vibrations", "plot") from None
    panels = [panel for panel in _PANELS if check.strengths(panel[0]) is not None]
    figure = Figure(figsize=(7.0, 1.9 * len(panels) + 1.5), dpi=200, layout="constrained")
    FigureCanvasAgg(figure)
    heights = [1.6] * len(panels) + [1.0]
    axes = np.atleast_1d(figure.subplots(len(panels) + 1, 1, sharex=True, height_ratios=heights))
    at = check.reference.frequencies
    for panel, (kind, label, sticks) in zip(axes[:-1], panels, strict=True):
        _spectrum(panel, check, kind, sticks)
        panel.set_ylabel(label, fontsize=8)
    if panels:
        axes[0].legend(["reference", name], frameon=False, fontsize=8)
    axes[-1].axhline(0, color="0.6", linewidth=0.8)
    kept = ~check.free
    axes[-1].vlines(at[kept], 0, check.shifts[kept], color=_MODEL, linewidth=1.2)
    axes[-1].plot(at[kept], check.shifts[kept], "o", color=_MODEL, markersize=3)
    axes[-1].set_ylabel("shift / cm$^{-1}$", fontsize=8)
    axes[-1].set_xlabel(f"wavenumber / cm$^{{-1}}$   (mean absolute shift {check.mae:.1f} cm$^{{-1}}$)", fontsize=8)
    for panel in axes:
        panel.tick_params(labelsize=7)
    figure.savefig(path)
    return Path(path)


def _spectrum(axes: Any, check: HarmonicCheck, kind: str, unit: str) -> None:
    """Broadened curves, and on an axis to the right the strengths themselves, both from zero upwards."""
    pair = check.strengths(kind)
    assert pair is not None
    positions = (check.reference.frequencies, check.model.frequencies[check.order])
    grid = np.arange(0.0, max(p.max() for p in positions) + 200, 2.0)
    styles = ((_REFERENCE, "-"), (_MODEL, "--"))
    curves = [_broadened(grid, at, strength) for at, strength in zip(positions, pair, strict=True)]
    for curve, (color, line) in zip(curves, styles, strict=True):
        axes.plot(grid, curve, color=color, linestyle=line, linewidth=1.1)
    right = axes.twinx()
    for at, strength, (color, line) in zip(positions, pair, styles, strict=True):
        right.vlines(at, 0, strength, color=color, linestyle=line, linewidth=1.0, alpha=0.6)
    right.set_ylim(0, 2.0 * max(s.max() for s in pair))
    right.set_ylabel(f"sticks / {unit}", fontsize=7)
    right.tick_params(labelsize=7)
    axes.set_ylim(bottom=0)


def _broadened(grid: np.ndarray, at: np.ndarray, strengths: np.ndarray) -> np.ndarray:
    """Lorentzians of area `strengths`."""
    return (strengths * _WIDTH / np.pi / ((grid[:, None] - at) ** 2 + _WIDTH**2)).sum(axis=1)
