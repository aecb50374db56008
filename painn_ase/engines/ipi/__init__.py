"""Models of this package as force providers of i-PI: over a socket, or inside its own process."""

from painn_ase.engines.ipi.client import serve
from painn_ase.engines.ipi.potential import Potential

__all__ = ["Potential", "serve"]
