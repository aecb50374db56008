"""What a model is worth, measured: against a harmonic reference, in dynamics, on held-out data; and its card."""

from painn_ase.cards.measure.committee import Committee, committee
from painn_ase.cards.measure.crystal import CrystalCheck, crystal_check
from painn_ase.cards.measure.curvature import Curvature, curvature_check
from painn_ase.cards.measure.drift import Drift, drift_check
from painn_ase.cards.measure.dynamics import Dynamics, bonds, dynamics_check
from painn_ase.cards.measure.elastic import ElasticConstants, elastic_constants
from painn_ase.cards.measure.harmonic import HarmonicCheck, harmonic_check
from painn_ase.cards.measure.measurements import Measurements, measure
from painn_ase.cards.measure.phonons import Phonons, phonons
from painn_ase.cards.measure.picture import harmonic_picture
from painn_ase.cards.measure.primitive import primitive_cell

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
