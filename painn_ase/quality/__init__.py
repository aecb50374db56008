"""What a model is worth, measured: against a harmonic reference, in dynamics, on held-out data; and its card."""

from painn_ase.quality.card import Measurements, measure
from painn_ase.quality.committee import Committee, committee
from painn_ase.quality.drift import Drift, drift_check
from painn_ase.quality.dynamics import Dynamics, bonds, dynamics_check
from painn_ase.quality.harmonic import HarmonicCheck, harmonic_check
from painn_ase.quality.picture import harmonic_picture

__all__ = [
    "Committee",
    "Drift",
    "Dynamics",
    "HarmonicCheck",
    "Measurements",
    "bonds",
    "committee",
    "drift_check",
    "dynamics_check",
    "harmonic_check",
    "harmonic_picture",
    "measure",
]
