"""Quantum against classical infrared and Raman spectra of a bundled model's molecule at 300 K: a picture and a table.

    python benchmarks/ring_polymer_spectra.py [ethanol] [--folder FOLDER] [--picture FILE]
    python benchmarks/ring_polymer_spectra.py aspirin --beads 64 --segments 4 --equilibration 1

Quantum: 8 independent ring polymers of 32 beads (TRPMD), 5 ps each. Classical: 32 trajectories of the same length. Both
in steps of 0.5 fs, all copies in one evaluation. Interrupted, it continues from where it was. Beside them stand
harmonic modes: of ethanol those of the DFT the model was trained on (models/ethanol/data/harmonic.extxyz), of other
molecules the model's own; and for ethanol the experimental fundamentals of the NIST Computational Chemistry Comparison
and Benchmark Database, release 22 (May 2022), cccbdb.nist.gov.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from ase.io import read

from painn_ase import PaiNNCalculator
from painn_ase.normal_modes import vibrations
from painn_ase.simulate import Analysis, Protocol, Report, simulate_spectra
from painn_ase.simulate.md.relax import relax
from painn_ase.spectra import Spectrum
from painn_ase.structures import read_structure

ROOT = Path(__file__).parents[1]
FUNDAMENTALS = {
    "ethanol": (
        *(3653, 2991, 2984, 2939, 2910, 2900, 1490, 1464, 1446),
        *(1412, 1371, 1275, 1256, 1161, 1091, 1028, 888, 812),
    )
}
BANDS = {
    "ethanol": {"O-H stretch": (3450, 4050), "C-H stretches": (2700, 3350), "fingerprint": (700, 1650)},
    "aspirin": {
        "O-H stretch": (3350, 4000),
        "C-H stretches": (2750, 3300),
        "C=O stretches": (1670, 1950),
        "fingerprint": (700, 1650),
    },
}
TITLES = {"infrared": "IR absorption / km mol$^{-1}$ cm", "raman": "Raman, unpolarized / arb. units"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", nargs="?", choices=BANDS, default="ethanol", help="bundled (default: %(default)s)")
    parser.add_argument("--folder", help="for the runs (default: runs/quantum-MODEL)")
    parser.add_argument("--picture", help="(default: docs/images/MODEL_quantum.png)")
    parser.add_argument("--beads", type=int, default=32)
    parser.add_argument("--segments", type=int, default=8, help="independent ring polymers (default: %(default)s)")
    parser.add_argument("--length", type=float, default=5.0, help="ps each (default: %(default)s)")
    parser.add_argument("--equilibration", type=float, default=0.6, help="ps each (default: %(default)s)")
    parser.add_argument("--timestep", type=float, default=0.5, help="fs (default: %(default)s)")
    parser.add_argument("--resolution", type=float, default=20.0, help="cm⁻¹ (default: %(default)s)")
    options = parser.parse_args()
    model, folder = options.model, Path(options.folder or f"runs/quantum-{options.model}")
    common = {name: getattr(options, name) for name in ("length", "equilibration", "timestep")}
    protocols = {
        "classical": Protocol(trajectories=4 * options.segments, every=4, **common),
        "quantum": Protocol(trajectories=options.segments, every=4, beads=options.beads, **common),
    }
    calculator = PaiNNCalculator(model)
    kinds = (
        ["infrared", "raman", "power"]
        if "polarizability" in calculator.implemented_properties
        else ["infrared", "power"]
    )
    reports = {}
    for name, protocol in protocols.items():
        atoms = read_structure(model)
        atoms.calc = calculator
        reports[name] = simulate_spectra(
            atoms, path=folder / name, protocol=protocol, spectra=kinds,
            analysis=Analysis(options.resolution), resume=(folder / name / "run.restart.npz").is_file(),
        )  # fmt: skip
        print(f"{name}: {reports[name].facts['trajectories']}; {reports[name].facts['wall time']}", flush=True)
    table = compare(reports, kinds, BANDS[model])
    print(table)
    label, harmonic = harmonic_modes(model)
    print(f"{label}:", ", ".join(f"{w:.0f}" for w in harmonic[harmonic > 700][::-1]))
    lines = {label: harmonic}
    if model in FUNDAMENTALS:
        lines["experiment"] = np.array(FUNDAMENTALS[model])
        print("experiment:", ", ".join(map(str, FUNDAMENTALS[model])))
    draw(
        reports,
        [kind for kind in kinds if kind in TITLES],
        lines,
        Path(options.picture or f"docs/images/{model}_quantum.png"),
    )
    facts = {name: report.facts for name, report in reports.items()}
    (folder / "table.json").write_text(json.dumps({"table": table, "facts": facts}, indent=1))


def compare(reports: dict[str, Report], kinds: list[str], bands: dict[str, tuple[int, int]]) -> str:
    """A table of the centres of gravity of bands, and by how much nuclear quantum effects shift them."""
    rows = ["| band | spectrum | classical / cm⁻¹ | quantum / cm⁻¹ | shift / cm⁻¹ |", "|---|---|---|---|---|"]
    for band, limits in bands.items():
        for kind in kinds:
            found = {name: centre(main_spectrum(report, kind), *limits) for name, report in reports.items()}
            (classical, error), (quantum, other) = found["classical"], found["quantum"]
            rows.append(
                f"| {band} | {kind} | {classical:.1f} ± {error:.1f} | {quantum:.1f} ± {other:.1f} | "
                f"{quantum - classical:+.1f} ± {np.hypot(error, other):.1f} |"
            )
    return "\n".join(rows)


def main_spectrum(report: Report, kind: str) -> Spectrum:
    return report.raman.unpolarized if kind == "raman" else report.spectra[kind]  # type: ignore[return-value]


def centre(spectrum: Spectrum, low: float, high: float) -> tuple[float, float]:
    """Centre of gravity of a band, and its error from the scatter between trajectories."""
    inside = (spectrum.wavenumbers >= low) & (spectrum.wavenumbers <= high)
    x, y = spectrum.wavenumbers[inside], spectrum.intensity[inside]
    place = float(x @ y / y.sum())
    assert spectrum.samples is not None
    shifts = spectrum.samples[:, inside] @ (x - place) / y.sum()
    return place, float(shifts.std(ddof=1) / np.sqrt(len(shifts)))


def harmonic_modes(model: str) -> tuple[str, np.ndarray]:
    """Harmonic wavenumbers in cm⁻¹: of the electronic-structure method itself where they are known, and a name."""
    reference = ROOT / "models" / model / "data" / "harmonic.extxyz"
    if reference.is_file():
        from painn_ase.reference import derivatives

        return "DFT harmonic", np.sort(derivatives(read(reference, ":")).vibrations().frequencies)
    atoms = read_structure(model)
    atoms.calc = PaiNNCalculator(model, dtype="float64")
    relax(atoms, fmax=1e-4, steps=5000, optimizer="LBFGS")
    return "harmonic", np.sort(vibrations(atoms).frequencies)


def draw(reports: dict[str, Report], kinds: list[str], lines: dict[str, np.ndarray], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    size = (8, 1 + 2.5 * len(kinds))
    figure, grid = pyplot.subplots(len(kinds), 1, figsize=size, sharex=True, squeeze=False, layout="constrained")
    rows = grid[:, 0]
    for axes, kind in zip(rows, kinds, strict=True):
        top = 0.0
        for name, color in (("classical", "#0072B2"), ("quantum", "#D55E00")):
            spectrum = main_spectrum(reports[name], kind)
            shown = (spectrum.wavenumbers > 600) & (spectrum.wavenumbers < 4100)
            scale = 1.0
            if kind == "raman":
                scale = 1 / main_spectrum(reports["classical"], kind).intensity[shown].max()
            x, y = spectrum.wavenumbers[shown], scale * spectrum.intensity[shown]
            beads = {"classical": "classical nuclei", "quantum": "quantum nuclei (TRPMD)"}
            axes.plot(x, y, color=color, lw=1.2, label=beads[name])
            if spectrum.standard_error is not None:
                error = scale * spectrum.standard_error[shown]
                axes.fill_between(x, y - error, y + error, color=color, alpha=0.25, lw=0)
            top = max(top, float(y.max()))
        for (label, at), color, height in zip(lines.items(), ("#666666", "#000000"), (-0.05, -0.12), strict=False):
            at = at[(at > 600) & (at < 4100)]
            axes.vlines(at, (height - 0.045) * top, height * top, color=color, lw=1.2, label=label)
        axes.set_ylabel(TITLES[kind])
        axes.set_ylim(-0.18 * top, 1.05 * top)
        axes.axhline(0, color="0.8", lw=0.6)
    rows[0].legend(frameon=False, fontsize=8)
    rows[-1].set_xlim(4100, 600)
    rows[-1].set_xlabel("wavenumber / cm$^{-1}$")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=200)
    print(f"picture: {path}")


if __name__ == "__main__":
    main()
