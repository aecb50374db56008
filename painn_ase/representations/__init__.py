"""Networks that turn a graph into atom features, by name."""

from painn_ase.representations.base import AtomFeatures, Representation
from painn_ase.representations.cormorant import Cormorant
from painn_ase.representations.eninet import ENINet
from painn_ase.representations.ictp import ICTP
from painn_ase.representations.mace import MACE
from painn_ase.representations.painn import PaiNN
from painn_ase.representations.painn_variant import PaiNNVariant
from painn_ase.representations.schnet import SchNet
from painn_ase.representations.tensor_frames import TensorFrames
from painn_ase.representations.tensornet import TensorNet

REPRESENTATIONS: dict[str, type[Representation]] = {
    "painn": PaiNN,
    "painn_variant": PaiNNVariant,
    "schnet": SchNet,
    "tensornet": TensorNet,
    "ictp": ICTP,
    "eninet": ENINet,
    "tensor_frames": TensorFrames,
    "mace": MACE,
    "cormorant": Cormorant,
}

__all__ = [
    "ICTP",
    "MACE",
    "REPRESENTATIONS",
    "AtomFeatures",
    "Cormorant",
    "ENINet",
    "PaiNN",
    "PaiNNVariant",
    "Representation",
    "SchNet",
    "TensorFrames",
    "TensorNet",
]
