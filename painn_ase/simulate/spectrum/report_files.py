"""The files of a report on spectra: tables, plots, and a page that needs nothing beside it."""

from __future__ import annotations

import base64
import html
from collections.abc import Mapping, Sequence
from pathlib import Path

from painn_ase.errors import MissingPackageError
from painn_ase.normal_modes import Vibrations
from painn_ase.shown import page
from painn_ase.spectra import RamanSpectra, Spectrum, Sticks, placzek_cross_sections, plot_spectra

TEXT, PAGE, HARMONIC = "report.txt", "report.html", "harmonic.csv"
FILES = (
    *(f"{kind}.{suffix}" for kind in ("infrared", "power") for suffix in ("csv", "h5", "png")),
    *(f"raman_{kind}.csv" for kind in ("parallel", "perpendicular", "unpolarized", "depolarization")),
    *("raman.h5", "raman.png", HARMONIC, TEXT, PAGE),
)
TITLES = {"infrared": "Infrared", "raman": "Raman", "power": "Vibrational density of states"}


def check_plotting() -> None:
    """`MissingPackageError` if the plots of a report could not be drawn."""
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise MissingPackageError("matplotlib", "the plots of the report", "plot") from None


def save_spectrum(kind: str, spectrum: Spectrum | RamanSpectra, folder: Path) -> None:
    """As HDF5 and CSV files, of Raman spectra one for each geometry."""
    spectrum.save(folder / f"{kind}.h5")
    if isinstance(spectrum, RamanSpectra):
        for part in ("parallel", "perpendicular", "unpolarized", "depolarization"):
            getattr(spectrum, part).save(folder / f"raman_{part}.csv")
    else:
        spectrum.save(folder / f"{kind}.csv")


def plot_spectrum(kind: str, spectrum: Spectrum | RamanSpectra, sticks: Sticks | None, folder: Path) -> None:
    """Draws a spectrum, with harmonic modes below it if they are known."""
    path = folder / f"{kind}.png"
    if isinstance(spectrum, RamanSpectra):
        named = {"parallel": spectrum.parallel, "perpendicular": spectrum.perpendicular}
        plot_spectra(named, sticks=sticks, path=path)
    else:
        plot_spectra(spectrum, sticks=sticks, path=path)


def sticks_of(kind: str, modes: Vibrations | None, temperature: float, laser: float) -> Sticks | None:
    """Harmonic modes as lines of a spectrum of this kind; None without strengths."""
    if modes is None:
        return None
    real = modes.frequencies > 0
    at = modes.frequencies[real]
    if kind == "infrared" and modes.infrared is not None:
        return Sticks(at, modes.infrared[real], unit="km/mol")
    if kind == "raman" and modes.raman is not None:
        cross = placzek_cross_sections(at, modes.raman[real], temperature=temperature, laser=laser)
        return Sticks(at, cross, unit=r"m$^2$ sr$^{-1}$")
    return None


def page_of(facts: Mapping[str, str], bands: Mapping[str, Sequence[tuple[str, ...]]], folder: Path) -> str:
    """One HTML page with the plots in `folder` in it; every string from outside is escaped."""
    title = f"Spectra: {facts.get('structure', '')}"
    rows = "".join(f"<tr><th>{html.escape(k)}</th><td>{html.escape(v)}</td></tr>" for k, v in facts.items())
    parts = [f"<h1>{html.escape(title)}</h1>", f"<table>{rows}</table>"]
    for kind, table in bands.items():
        picture = base64.b64encode((folder / f"{kind}.png").read_bytes()).decode("ascii")
        head, *body = (tuple(html.escape(cell) for cell in row) for row in table)
        parts += [
            f"<h2>{html.escape(TITLES[kind])}</h2>",
            f'<img alt="{html.escape(TITLES[kind])} spectrum" src="data:image/png;base64,{picture}">',
            "<table><tr>" + "".join(f"<th>{cell}</th>" for cell in head) + "</tr>",
            *("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in body),
            "</table>",
        ]
    return page(title, parts)
