"""Output networks, by name."""

from painn_ase.heads.base import Head
from painn_ase.heads.dipole import DipoleHead
from painn_ase.heads.energy import EnergyHead
from painn_ase.heads.polarizability import PolarizabilityHead, TensorPolarizabilityHead

HEADS: dict[str, type[Head]] = {
    "energy": EnergyHead,
    "dipole": DipoleHead,
    "polarizability": PolarizabilityHead,
    "tensor_polarizability": TensorPolarizabilityHead,
}

__all__ = ["HEADS", "DipoleHead", "EnergyHead", "Head", "PolarizabilityHead", "TensorPolarizabilityHead"]
