"""Output networks, by name."""

from painn_ase.heads.base import Head, Heads
from painn_ase.heads.cell_dipole import CellDipoleHead
from painn_ase.heads.dipole import DipoleHead
from painn_ase.heads.energy import EnergyHead
from painn_ase.heads.polarizability import PolarizabilityHead, TensorPolarizabilityHead
from painn_ase.heads.tensor import HyperpolarizabilityHead, QuadrupoleHead

HEADS: dict[str, type[Head]] = {
    "energy": EnergyHead,
    "dipole": DipoleHead,
    "polarizability": PolarizabilityHead,
    "tensor_polarizability": TensorPolarizabilityHead,
    "cell_dipole": CellDipoleHead,
    "quadrupole": QuadrupoleHead,
    "hyperpolarizability": HyperpolarizabilityHead,
}

__all__ = [
    "HEADS",
    "CellDipoleHead",
    "DipoleHead",
    "EnergyHead",
    "Head",
    "Heads",
    "HyperpolarizabilityHead",
    "PolarizabilityHead",
    "QuadrupoleHead",
    "TensorPolarizabilityHead",
]
