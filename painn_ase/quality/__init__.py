"""What a model is worth, measured: against a harmonic reference, in dynamics, on held-out data; and its card."""

from painn_ase.quality.card import Measurements, measure
from painn_ase.quality.committee import Committee, committee
from painn_ase.quality.crystal import CrystalCheck, crystal_check
from painn_ase.quality.curvature import Curvature, curvature_check
from painn_ase.quality.drift import Drift, drift_check
from painn_ase.quality.dynamics import Dynamics, bonds, dynamics_check
from painn_ase.quality.elastic import ElasticConstants, elastic_constants
from painn_ase.quality.harmonic import HarmonicCheck, harmonic_check
from painn_ase.quality.phonons import Phonons, phonons
from painn_ase.quality.picture import harmonic_picture
from painn_ase.quality.primitive import primitive_cell

__all__ = [
    "Committee",
    "CrystalCheck",
    "Curvature",
    "Drift",
    "Dynamics",
    "ElasticConstants",
    "HarmonicCheck",
    "Measurements",
    "Phonons",
    "bonds",
    "committee",
    "crystal_check",
    "curvature_check",
    "drift_check",
    "dynamics_check",
    "elastic_constants",
    "harmonic_check",
    "harmonic_picture",
    "measure",
    "phonons",
    "primitive_cell",
]
