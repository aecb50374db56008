"""A report on spectra that says how far to trust them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

from ase import Atoms

from painn_ase.capabilities import has_response
from painn_ase.errors import InputError
from painn_ase.files import write_atomically
from painn_ase.normal_modes import Vibrations, vibrations
from painn_ase.simulate.md.relax import relax
from painn_ase.simulate.run.reading import Run
from painn_ase.simulate.spectrum.analysis import Analysis, spectra_from
from painn_ase.simulate.spectrum.report_files import (
    HARMONIC,
    PAGE,
    TEXT,
    TITLES,
    check_plotting,
    page_of,
    plot_spectrum,
    save_spectrum,
    sticks_of,
)
from painn_ase.spectra import Peak, RamanSpectra, Spectrum, assign_peaks, find_peaks

_SIGNIFICANCE = 2.0  # standard errors by which a band stands out
_RELAXED = 0.005  # eV/Å, the largest force where harmonic modes are to tell bands apart
_LARGEST = 60  # atoms; beyond that harmonic modes are too many to tell bands apart by


@dataclass(frozen=True, eq=False, repr=False)
class Report:
    """Spectra with what they rest on; `folder` holds them as files."""

    folder: Path  # of its files
    spectra: dict[str, Spectrum | RamanSpectra]  # by kind: infrared, raman, power
    facts: dict[str, str]
    bands: dict[str, list[tuple[str, ...]]] = field(default_factory=dict)  # rows of a table by kind
    harmonic: Vibrations | None = None  # of the relaxed structure

    def __repr__(self) -> str:
        return f"Report({str(self.folder)!r}: {', '.join(self.spectra)})"

    def _repr_html_(self) -> str:
        return "".join(s._repr_html_() for s in self.spectra.values()) + f"<pre>{escape(str(self))}</pre>"

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
            lines += ["", f"{TITLES[kind]} bands"]
            lines += ["  ".join(cell.rjust(n) for cell, n in zip(row, columns, strict=True)) for row in rows]
            if len(rows) == 1:
                lines.append(f"none stands out by {_SIGNIFICANCE:g} standard errors; more trajectories will help")
        return "\n".join([*lines, "", f"files: {self.folder}"])


def analyse(
    run: Run, plan: Mapping[str, str], facts: dict[str, str], analysis: Analysis, folder: Path, atoms: Atoms | None
) -> Report:
    """The report on a recorded run, with all its files.

    run: of one or several trajectories
    plan: spectrum -> the series it is made from
    facts: what is known about the run
    analysis: how series become spectra
    folder: where the files of the report go
    atoms: the structure with its calculator, for harmonic modes beside the bands
    """
    check_plotting()
    spectra = spectra_from(run, plan, analysis)
    main = {kind: s.unpolarized if isinstance(s, RamanSpectra) else s for kind, s in spectra.items()}
    about = next(iter(main.values())).metadata
    facts["resolution"] = f"{analysis.resolution:g} cm⁻¹ ({about['window']} window)"
    facts["time-step error of the axis"] = str(about["time-step correction of the axis"])
    facts["error bars"] = str(about["errors"])
    modes, remark = _harmonic(atoms, analysis)
    if remark:
        facts["harmonic modes"] = remark
    report = Report(folder, spectra, facts, {}, modes)
    for kind, spectrum in spectra.items():
        _totals(kind, spectrum, modes, facts)
        report.bands[kind] = _bands(kind, main[kind], modes)
        save_spectrum(kind, spectrum, folder)
        sticks = sticks_of(kind, modes, run.summary["temperature"], analysis.laser)
        plot_spectrum(kind, spectrum, sticks, folder)
    if modes is not None:
        modes.save(folder / HARMONIC)
    write_atomically(folder / TEXT, f"{report}\n")
    write_atomically(folder / PAGE, page_of(report.facts, report.bands, folder))
    return report


def _harmonic(atoms: Atoms | None, analysis: Analysis) -> tuple[Vibrations | None, str]:
    """Modes of the relaxed starting structure, or why there are none."""
    if not analysis.harmonic or atoms is None or atoms.pbc.any() or not has_response(atoms.calc):
        return None, ""
    if len(atoms) > _LARGEST:
        return None, f"not computed for more than {_LARGEST} atoms"
    relaxed = Atoms(atoms.numbers, atoms.positions, masses=atoms.get_masses(), info=atoms.info)
    relaxed.calc = atoms.calc
    outcome = relax(relaxed, fmax=_RELAXED, optimizer="BFGS", steps=1000, progress=False)
    if not outcome.converged:
        return None, f"none: the starting structure did not relax ({outcome})"
    return vibrations(relaxed, fmax=_RELAXED), "of the relaxed starting structure, one conformer"


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
