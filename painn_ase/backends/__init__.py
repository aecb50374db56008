"""Backends: what evaluates a trained model."""

from painn_ase.backends.base import Backend
from painn_ase.backends.torch_backend import TorchBackend

__all__ = ["Backend", "TorchBackend"]
