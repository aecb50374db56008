"""Infrared and Raman spectra of ethanol at 300 K from a few short trajectories, beside the harmonic modes.

For real use take more and longer ones; the same in one command:
    painn-ase spectrum ethanol --temperature 300 --trajectories 20 --length 10 --ir --raman
"""

from pathlib import Path
from tempfile import TemporaryDirectory

from painn_ase import PaiNNCalculator
from painn_ase.simulate import Analysis, Protocol, simulate_spectra
from painn_ase.spectra import find_peaks
from painn_ase.structures import read_structure

atoms = read_structure("ethanol")
atoms.calc = PaiNNCalculator("ethanol")

protocol = Protocol(temperature=300, trajectories=3, length=3.7, equilibration=0.5)  # K, ps, ps
analysis = Analysis(resolution=12, laser=532)  # cm⁻¹, nm

with TemporaryDirectory() as folder:
    path = Path(folder, "ethanol_300K")
    report = simulate_spectra(atoms, path=path, spectra=["infrared", "raman"], protocol=protocol, analysis=analysis)
    print(report)  # also in report.txt and, with the plots, in report.html
    print("written:", ", ".join(sorted(file.name for file in path.iterdir())))

infrared, raman = report.infrared, report.raman
area, error = infrared.area(2700, 3300)
print(f"\nC-H stretches: {area:.0f} ± {error:.0f} km/mol")
peak = max(find_peaks(raman.parallel, significance=0), key=lambda peak: peak.intensity if peak.wavenumber > 500 else 0)
ratio, uncertainty = raman.band_depolarization(peak.wavenumber - 30, peak.wavenumber + 30)
print(f"strongest Raman band {peak.wavenumber:.0f} cm⁻¹, depolarization ratio {ratio:.2f} ± {uncertainty:.2f}")
