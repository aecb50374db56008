"""Networks that turn a graph into atom features, by name."""

from painn_ase.representations.base import AtomFeatures, Representation
from painn_ase.representations.painn import PaiNN
from painn_ase.representations.schnet import SchNet
from painn_ase.representations.tensornet import TensorNet

REPRESENTATIONS: dict[str, type[Representation]] = {"painn": PaiNN, "schnet": SchNet, "tensornet": TensorNet}

__all__ = ["REPRESENTATIONS", "AtomFeatures", "PaiNN", "Representation", "SchNet", "TensorNet"]
