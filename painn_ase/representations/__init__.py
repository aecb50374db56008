"""Networks that turn a graph into atom features, by name."""

from painn_ase.representations.base import AtomFeatures, Representation
from painn_ase.representations.painn import PaiNN

REPRESENTATIONS: dict[str, type[Representation]] = {"painn": PaiNN}

__all__ = ["REPRESENTATIONS", "AtomFeatures", "PaiNN", "Representation"]
