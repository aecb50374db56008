"""Molecular dynamics and geometry optimisation with any ASE calculator."""

from painn_ase.normal_modes import Vibrations, vibrations
from painn_ase.simulate.md.barostat import MTK
from painn_ase.simulate.md.ensembles import Bussi, Langevin, NoseHooverChain
from painn_ase.simulate.md.relax import Relaxation, relax
from painn_ase.simulate.md.request import run_md
from painn_ase.simulate.replicas.thermostat import Thermostat
from painn_ase.simulate.ring_polymer.beads import Beads
from painn_ase.simulate.ring_polymer.reading import RingPolymerRun
from painn_ase.simulate.ring_polymer.request import run_rpmd
from painn_ase.simulate.run.guards import Guards, GuardWarning
from painn_ase.simulate.run.reading import Run
from painn_ase.simulate.run.recorder import Output
from painn_ase.simulate.spectrum.analysis import Analysis
from painn_ase.simulate.spectrum.protocol import Protocol
from painn_ase.simulate.spectrum.recorded import spectra_of_run
from painn_ase.simulate.spectrum.report import Report
from painn_ase.simulate.spectrum.request import simulate_spectra

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
