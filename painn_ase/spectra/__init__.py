"""Infrared, Raman and power spectra from time series of any origin: arrays in, `Spectrum` out.

Arrays are in ASE units unless `unit` says otherwise; time steps in fs, temperatures in K, wavenumbers in cm⁻¹.
"""

from painn_ase.spectra.correlation import autocorrelation
from painn_ase.spectra.harmonic import (
    NormalModes,
    infrared_intensities,
    normal_modes,
    raman_activities,
    rigid_motions,
)
from painn_ase.spectra.infrared import dipole_rates, infrared, infrared_from_rates
from painn_ase.spectra.peaks import Assignment, Peak, assign_peaks, find_peaks
from painn_ase.spectra.plot import Sticks, plot_spectra
from painn_ase.spectra.power import power_spectrum
from painn_ase.spectra.quantum import quantum_correction
from painn_ase.spectra.raman import Laser, RamanSpectra, placzek_cross_sections, raman, raman_from_rates
from painn_ase.spectra.spectrum import Spectrum, load_spectra, save_spectra
from painn_ase.spectra.transform import Transform

__all__ = [
    "Assignment",
    "Laser",
    "NormalModes",
    "Peak",
    "RamanSpectra",
    "Spectrum",
    "Sticks",
    "Transform",
    "assign_peaks",
    "autocorrelation",
    "dipole_rates",
    "find_peaks",
    "infrared",
    "infrared_from_rates",
    "infrared_intensities",
    "load_spectra",
    "normal_modes",
    "placzek_cross_sections",
    "plot_spectra",
    "power_spectrum",
    "quantum_correction",
    "raman",
    "raman_activities",
    "raman_from_rates",
    "rigid_motions",
    "save_spectra",
]
