"""Trained models inside other simulation engines of Python: OpenMM and torch-sim (docs/engines.md)."""
