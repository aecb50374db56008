"""From recorded series to spectra, plots, tables and a page that says how far to trust them."""

from __future__ import annotations

import base64
import html
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from painn_ase.errors import InputError, MissingPackageError, closest
from painn_ase.files import write_atomically
from painn_ase.simulate.harmonic import Vibrations, vibrations
from painn_ase.simulate.optimize import relax
from painn_ase.simulate.run import Run
from painn_ase.spectra import (
    Peak,
    RamanSpectra,
    Spectrum,
    Sticks,
    assign_peaks,
    dipole_rates,
    find_peaks,
    infrared,
    infrared_from_rates,
    placzek_cross_sections,
    plot_spectra,
    power_spectrum,
    raman,
)
from painn_ase.spectra.transform import WINDOWS
from painn_ase.units import SPEED_OF_LIGHT

TEXT, PAGE, HARMONIC = "report.txt", "report.html", "harmonic.csv"
FILES = (
    *(f"{kind}.{suffix}" for kind in ("infrared", "power") for suffix in ("csv", "h5", "png")),
    *(f"raman_{kind}.csv" for kind in ("parallel", "perpendicular", "unpolarized", "depolarization")),
    *("raman.h5", "raman.png", HARMONIC, TEXT, PAGE),
)
_TITLES = {"infrared": "Infrared", "raman": "Raman", "power": "Vibrational density of states"}
_SIGNIFICANCE = 2.0  # standard errors by which a band stands out
_LARGEST = 60  # atoms; beyond that harmonic modes are too many to tell bands apart by


@dataclass(frozen=True)
class Analysis:
    """How series become spectra: `resolution` (cm⁻¹, full width at half maximum of a sharp line), `laser` (nm), and
    whether `harmonic` modes are computed to set beside the bands of a molecule (needs analytic derivatives)."""

    resolution: float = 10.0
    laser: float = 532.0
    harmonic: bool = True

    def __post_init__(self) -> None:
        for name, unit in (("resolution", "cm⁻¹"), ("laser", "nm")):
            if not (np.isfinite(getattr(self, name)) and getattr(self, name) > 0):
                raise InputError(f"{name}: expected a number above 0 in {unit}; got {getattr(self, name)!r}")

    def check_length(self, length: float, interval: float) -> None:
        """`InputError` unless trajectories of `length` ps with frames every `interval` fs can be resolved so."""
        needed = WINDOWS["gaussian"].depth / (SPEED_OF_LIGHT * 1e-10 * self.resolution)  # ps
        if length < needed + 2 * interval / 1000:
            finest = self.resolution * needed / max(length - 2 * interval / 1000, 1e-9)
            raise InputError(
                f"length: a resolution of {self.resolution:g} cm⁻¹ needs trajectories of {needed:.2f} ps or more; got "
                f"{length:g} ps. Run longer, or ask for a resolution of {finest:.1f} cm⁻¹"
            )
        if interval > 4:
            raise InputError(
                f"every: frames {interval:g} fs apart fold vibrations above {1e5 / (6 * interval):.0f} cm⁻¹ back into "
                "the spectrum; expected at most 4 fs between frames, 2 fs with O-H bonds"
            )


@dataclass(frozen=True, eq=False)
class Recording:
    """Series of one or several trajectories, (trajectories, frames, ...), and what is known about them."""

    series: Mapping[str, np.ndarray]
    units: Mapping[str, str]  # of the series; ASE's where nothing is said
    timestep: float  # fs, of the integrator
    every: int  # steps between frames
    temperature: float  # K, kinetic
    masses: np.ndarray  # amu
    facts: dict[str, str]
    atoms: Atoms | None = None  # for harmonic modes


@dataclass(frozen=True, eq=False)
class Report:
    """Spectra with what they rest on; `folder` holds them as files."""

    folder: Path
    spectra: dict[str, Spectrum | RamanSpectra]  # by kind: infrared, raman, power
    facts: dict[str, str]
    bands: dict[str, list[tuple[str, ...]]] = field(default_factory=dict)  # rows of a table by kind
    harmonic: Vibrations | None = None

    @property
    def infrared(self) -> Spectrum:
        return self._get("infrared")  # type: ignore[return-value]

    @property
    def raman(self) -> RamanSpectra:
        return self._get("raman")  # type: ignore[return-value]

    @property
    def power(self) -> Spectrum:
        return self._get("power")  # type: ignore[return-value]

    def _get(self, kind: str) -> Spectrum | RamanSpectra:
        if kind not in self.spectra:
            raise InputError(f"this report holds {', '.join(self.spectra)}; {kind} was not asked for or not recorded")
        return self.spectra[kind]

    def __str__(self) -> str:
        width = max(len(key) for key in self.facts) + 2
        lines = [f"{key:<{width}}{value}" for key, value in self.facts.items()]
        for kind, rows in self.bands.items():
            columns = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
            lines += ["", f"{_TITLES[kind]} bands"]
            lines += ["  ".join(cell.rjust(n) for cell, n in zip(row, columns, strict=True)) for row in rows]
            if len(rows) == 1:
                lines.append(f"none stands out by {_SIGNIFICANCE:g} standard errors; more trajectories will help")
        return "\n".join([*lines, "", f"files: {self.folder}"])


def spectra_of_run(
    run: Run | str | os.PathLike,
    *,
    path: str | os.PathLike,
    spectra: Iterable[str] = (),
    analysis: Analysis = Analysis(),
    overwrite: bool = False,
) -> Report:
    """The report on the spectra of a recorded run (`run_md`), written to the folder `path`.

    Needs "dipole" (or "born_effective_charges" and "velocities") for "infrared", "polarizability" for "raman",
    "velocities" for "power"; by default all that were recorded. Errors come from blocks of the one trajectory.
    """
    run = run if isinstance(run, Run) else Run.load(run)
    plan = _recorded(run, tuple(spectra))
    folder = Path(path)
    taken = [name for name in FILES if (folder / name).exists()]
    if taken and not overwrite:
        raise InputError(
            f"{folder / taken[0]} exists; choose another path or pass overwrite=True (--overwrite)"
        )  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    about, figures = run.metadata, run.summary
    series = {name: _series_of(run, name) for name in dict.fromkeys(plan.values())}
    intervals = {interval for interval, _ in series.values()}
    if len(intervals) > 1:
        raise InputError(
            f"{run.file}: the observables have different intervals ({sorted(intervals)} steps); ask for one spectrum "
            "at a time, spectra=['infrared']"
        )
    bath = about["coupling"]
    disturbed = "" if about["ensemble"] == "nve" else " (a thermostat in the recorded run broadens bands)"
    facts = {
        "run": str(run.file),
        "structure": f"{about['formula']}, {len(about['symbols'])} atoms",
        "calculator": about["calculator"],
        "ensemble": f"{about['ensemble']}, {bath}{disturbed}",
        "length": f"{figures['time_ps']:g} ps, {about['timestep_fs']:g} fs steps",
        "temperature": f"{figures['temperature']:.1f} ± {figures['temperature_error']:.1f} K (mean kinetic)",
    }
    if "energy_drift" in figures:
        facts["energy drift"] = f"{figures['energy_drift']:+.2g} meV/atom/ps in the conserved energy"
    recording = Recording(
        {name: values[None] for name, (_, values) in series.items()},
        {"velocities": "Å/fs", "dipole_rate": "e·Å/fs"},
        about["timestep_fs"],
        intervals.pop(),
        figures["temperature"],
        np.asarray(about["masses_u"]),
        facts,
    )
    return analyse(recording, plan, analysis, folder)


def check_plotting() -> None:
    """`MissingPackageError` if the plots of a report could not be drawn."""
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise MissingPackageError("matplotlib", "the plots of the report", "plot") from None


def analyse(recording: Recording, plan: Mapping[str, str], analysis: Analysis, folder: Path) -> Report:
    """The report on a recording, with all its files; `plan` names the series of each kind of spectrum."""
    check_plotting()
    spectra = {kind: _spectrum(kind, source, recording, analysis) for kind, source in plan.items()}
    facts = dict(recording.facts)
    shown = [s.unpolarized if isinstance(s, RamanSpectra) else s for s in spectra.values()]
    about = shown[0].metadata
    facts["resolution"] = f"{analysis.resolution:g} cm⁻¹ ({about['window']} window)"
    facts["time-step error of the axis"] = str(about["time-step correction of the axis"])
    facts["error bars"] = str(about["errors"])
    modes, remark = _harmonic(recording, analysis)
    if remark:
        facts["harmonic modes"] = remark
    report = Report(folder, spectra, facts, {}, modes)
    for kind, spectrum in spectra.items():
        _totals(kind, spectrum, modes, facts)
        main = spectrum.unpolarized if isinstance(spectrum, RamanSpectra) else spectrum
        report.bands[kind] = _bands(kind, main, modes)
        _save(kind, spectrum, folder)
        _plot(kind, spectrum, _sticks(kind, modes, recording.temperature, analysis.laser), folder)
    if modes is not None:
        modes.save(folder / HARMONIC)
    write_atomically(folder / TEXT, f"{report}\n")
    write_atomically(folder / PAGE, _page(report))
    return report


def _recorded(run: Run, wanted: tuple[str, ...]) -> dict[str, str]:
    """Spectrum -> series, from what a run recorded."""
    names = set(run.names)
    plan = {}
    if "dipole" in names:
        plan["infrared"] = "dipole"
    elif {"born_effective_charges", "velocities"} <= names:
        plan["infrared"] = "dipole_rate"
    if "polarizability" in names:
        plan["raman"] = "polarizability"
    if "velocities" in names:
        plan["power"] = "velocities"
    for kind in wanted:
        if kind not in _TITLES:
            raise InputError(f"spectra: expected some of {', '.join(_TITLES)}; got {kind!r}{closest(kind, _TITLES)}")
    missing = [kind for kind in wanted if kind not in plan] or ([] if plan else list(_TITLES))
    if missing:
        raise InputError(
            f"{run.file} holds {', '.join(run.names)}, which gives no {' or '.join(missing)} spectrum; record dipole, "
            "polarizability or velocities"
        )
    return {kind: plan[kind] for kind in (wanted or plan)}


def _series_of(run: Run, name: str) -> tuple[int, np.ndarray]:
    """Interval in steps and values of a series; dμ/dt is made from Born charges and velocities."""
    if name == "dipole_rate":
        (step, charges), (other, velocities) = (_series_of(run, n) for n in ("born_effective_charges", "velocities"))
        if step != other:
            raise InputError(f"{run.file}: Born charges every {step} and velocities every {other} steps do not match")
        return step, dipole_rates(charges, velocities)
    times, values = run.observables(name)
    if len(values) < 2:
        raise InputError(f"{run.file}: {name} holds {len(values)} frame(s); a spectrum needs a trajectory")
    return max(1, round((times[1] - times[0]) / run.metadata["timestep_fs"])), values


def _spectrum(kind: str, source: str, recording: Recording, analysis: Analysis) -> Spectrum | RamanSpectra:
    series = recording.series[source]
    common: dict[str, Any] = {
        "timestep": recording.timestep,
        "every": recording.every,
        "temperature": recording.temperature,
        "resolution": analysis.resolution,
    } | ({"unit": recording.units[source]} if source in recording.units else {})
    if kind == "raman":
        return raman(series, laser=analysis.laser, **common)
    if kind == "power":
        return power_spectrum(series, recording.masses, **common)
    return (infrared if source == "dipole" else infrared_from_rates)(series, **common)


def _harmonic(recording: Recording, analysis: Analysis) -> tuple[Vibrations | None, str]:
    """Modes of the relaxed starting structure, or why there are none."""
    atoms = recording.atoms
    if not analysis.harmonic or atoms is None or atoms.pbc.any() or not hasattr(atoms.calc, "get_response"):
        return None, ""
    if len(atoms) > _LARGEST:
        return None, f"not computed for more than {_LARGEST} atoms"
    relaxed = Atoms(atoms.numbers, atoms.positions, masses=atoms.get_masses(), info=atoms.info)
    relaxed.calc = atoms.calc
    outcome = relax(relaxed, fmax=0.005, optimizer="BFGS", steps=1000, progress=False)
    if not outcome.converged:
        return None, f"none: the starting structure did not relax ({outcome})"
    return vibrations(relaxed), "of the relaxed starting structure, one conformer"


def _sticks(kind: str, modes: Vibrations | None, temperature: float, laser: float) -> Sticks | None:
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


def _totals(kind: str, spectrum: Spectrum | RamanSpectra, modes: Vibrations | None, facts: dict[str, str]) -> None:
    """Adds what the whole spectrum sums to, where that means something."""
    if isinstance(spectrum, RamanSpectra):
        facts["laser"] = f"{spectrum.unpolarized.metadata['laser / nm']:g} nm, Stokes"
        return
    area, error = spectrum.area()
    value = f"{area:.1f}" + ("" if error is None else f" ± {error:.1f}")
    if kind == "power":
        facts["density of states"] = f"sums to {value} modes"
    else:
        beside = "" if modes is None or modes.infrared is None else f"; harmonic {modes.infrared.sum():.1f} km/mol"
        facts["infrared absorption"] = f"{value} km/mol in all{beside}"


def _bands(kind: str, spectrum: Spectrum, modes: Vibrations | None) -> list[tuple[str, ...]]:
    """Rows: wavenumber, intensity and error, width, and the harmonic modes below the band; the first is the header."""
    peaks = find_peaks(spectrum, prominence=0.02, significance=_SIGNIFICANCE)
    head = ("cm⁻¹", spectrum.unit, "±", "width / cm⁻¹")
    if modes is None:
        return [head, *(_row(p) for p in peaks)]
    strengths = {"infrared": modes.infrared, "raman": modes.raman}.get(kind)
    found = assign_peaks(peaks, modes.frequencies, intensities=strengths)
    return [
        (*head, "harmonic / cm⁻¹"),
        *((*_row(a.peak), ", ".join(f"{modes.frequencies[k]:.0f}" for k in a.modes) or "-") for a in found),
    ]


def _row(peak: Peak) -> tuple[str, ...]:
    error = "-" if peak.standard_error is None else f"{peak.standard_error:.2g}"
    return f"{peak.wavenumber:.1f}", f"{peak.intensity:.3g}", error, f"{peak.fwhm:.1f}"


def _save(kind: str, spectrum: Spectrum | RamanSpectra, folder: Path) -> None:
    spectrum.save(folder / f"{kind}.h5")
    if isinstance(spectrum, RamanSpectra):
        for part in ("parallel", "perpendicular", "unpolarized", "depolarization"):
            getattr(spectrum, part).save(folder / f"raman_{part}.csv")
    else:
        spectrum.save(folder / f"{kind}.csv")


def _plot(kind: str, spectrum: Spectrum | RamanSpectra, sticks: Sticks | None, folder: Path) -> None:
    path = folder / f"{kind}.png"
    if isinstance(spectrum, RamanSpectra):
        named = {"parallel": spectrum.parallel, "perpendicular": spectrum.perpendicular}
        plot_spectra(named, sticks=sticks, path=path)
    else:
        plot_spectra(spectrum, sticks=sticks, path=path)


def _page(report: Report) -> str:
    """One HTML page that needs nothing beside it; every string from outside is escaped."""
    title = html.escape(f"Spectra: {report.facts.get('structure', '')}")
    rows = "".join(f"<tr><th>{html.escape(k)}</th><td>{html.escape(v)}</td></tr>" for k, v in report.facts.items())
    parts = [f"<h1>{title}</h1>", f"<table>{rows}</table>"]
    for kind, table in report.bands.items():
        picture = base64.b64encode((report.folder / f"{kind}.png").read_bytes()).decode("ascii")
        head, *body = (tuple(html.escape(cell) for cell in row) for row in table)
        parts += [
            f"<h2>{html.escape(_TITLES[kind])}</h2>",
            f'<img alt="{html.escape(_TITLES[kind])} spectrum" src="data:image/png;base64,{picture}">',
            "<table><tr>" + "".join(f"<th>{cell}</th>" for cell in head) + "</tr>",
            *("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in body),
            "</table>",
        ]
    style = (
        "body{font:15px/1.45 sans-serif;max-width:60em;margin:2em auto;padding:0 1em;color:#222}img{max-width:100%}"
        "table{border-collapse:collapse;margin:1em 0}th,td{text-align:left;padding:.15em .9em .15em 0;"
        "vertical-align:top}th{font-weight:600}"
    )
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>{style}</style>'
        f"</head><body>{''.join(parts)}</body></html>\n"
    )
