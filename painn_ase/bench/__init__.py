"""How fast a force call and a step of dynamics are, on fixed systems and against a fixed yardstick."""

from painn_ase.bench.speed import langevin_step, measure_speed
from painn_ase.bench.systems import CUTOFF, SYSTEMS, random_model, systems, water
from painn_ase.bench.yardstick import Yardstick

__all__ = [
    "CUTOFF",
    "SYSTEMS",
    "Yardstick",
    "langevin_step",
    "measure_speed",
    "random_model",
    "systems",
    "water",
]
