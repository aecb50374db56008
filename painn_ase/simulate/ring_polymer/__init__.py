"""Path-integral and ring-polymer molecular dynamics: all beads in one evaluation per step."""

from painn_ase.simulate.replicas.modes import Ring
from painn_ase.simulate.replicas.motion import Replicas
from painn_ase.simulate.replicas.thermostat import THERMOSTATS, Thermostat
from painn_ase.simulate.ring_polymer.beads import Beads
from painn_ase.simulate.ring_polymer.reading import RingPolymerRun
from painn_ase.simulate.ring_polymer.request import run_rpmd

__all__ = ["THERMOSTATS", "Beads", "Replicas", "Ring", "RingPolymerRun", "Thermostat", "run_rpmd"]
