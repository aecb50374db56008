"""Path-integral and ring-polymer molecular dynamics: all beads in one evaluation per step."""

from painn_ase.simulate.replicas.modes import Ring
from painn_ase.simulate.replicas.motion import RingPolymers
from painn_ase.simulate.replicas.thermostat import THERMOSTATS, Thermostat
from painn_ase.simulate.ring_polymer.beads import Beads
from painn_ase.simulate.ring_polymer.reading import RingPolymerRun
from painn_ase.simulate.ring_polymer.request import run_rpmd

__all__ = ["THERMOSTATS", "Beads", "Ring", "RingPolymerRun", "RingPolymers", "Thermostat", "run_rpmd"]
