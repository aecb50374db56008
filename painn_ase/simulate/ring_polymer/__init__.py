"""Path-integral and ring-polymer molecular dynamics: all beads in one evaluation per step."""
