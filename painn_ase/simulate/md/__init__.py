"""Molecular dynamics and relaxation of one structure, driven by ASE's integrators and optimisers."""
