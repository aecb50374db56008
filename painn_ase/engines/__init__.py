"""Trained models inside other simulation engines: i-PI, OpenMM and torch-sim (docs/engines.md)."""
