"""Molecular dynamics and geometry optimisation with any ASE calculator."""

from painn_ase.simulate.ensembles import MTK, Bussi, Langevin, NoseHooverChain
from painn_ase.simulate.guards import Guards, GuardWarning
from painn_ase.simulate.harmonic import Vibrations, vibrations
from painn_ase.simulate.md import run_md
from painn_ase.simulate.optimize import Relaxation, relax
from painn_ase.simulate.protocol import Protocol
from painn_ase.simulate.recorded import spectra_of_run
from painn_ase.simulate.recorder import Output
from painn_ase.simulate.report import Analysis, Report
from painn_ase.simulate.ring_polymer import Beads, RingPolymerRun, Thermostat, run_rpmd
from painn_ase.simulate.run import Run
from painn_ase.simulate.spectrum import simulate_spectra

__all__ = [
    "MTK",
    "Analysis",
    "Beads",
    "Bussi",
    "GuardWarning",
    "Guards",
    "Langevin",
    "NoseHooverChain",
    "Output",
    "Protocol",
    "Relaxation",
    "Report",
    "RingPolymerRun",
    "Run",
    "Thermostat",
    "Vibrations",
    "relax",
    "run_md",
    "run_rpmd",
    "simulate_spectra",
    "spectra_of_run",
    "vibrations",
]
