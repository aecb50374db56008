"""Path-integral and ring-polymer molecular dynamics: all beads in one evaluation per step."""

from painn_ase.simulate.ring_polymer.beads import Beads
from painn_ase.simulate.ring_polymer.driver import run_rpmd
from painn_ase.simulate.ring_polymer.motion import RingPolymers
from painn_ase.simulate.ring_polymer.ring import Ring
from painn_ase.simulate.ring_polymer.run import RingPolymerRun
from painn_ase.simulate.ring_polymer.thermostat import THERMOSTATS, Thermostat

__all__ = ["THERMOSTATS", "Beads", "Ring", "RingPolymerRun", "RingPolymers", "Thermostat", "run_rpmd"]
