"""Reference data: propose geometries, label them with quantum chemistry, select the ones worth training on.

Needs the extra `[reference]` (PySCF and tblite) where an engine runs. Names are loaded when first used, so that the
worker processes of `label` can set their thread counts before anything numerical is imported.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from painn_ase.reference.bonds import open_bonds, scan_torsions, stretch_bonds
    from painn_ase.reference.calculator import KohnShamCalculator
    from painn_ase.reference.descriptors import distance_descriptors, environment_descriptors, model_descriptors
    from painn_ase.reference.dimers import hydrogen_bonded
    from painn_ase.reference.harmonic import Derivatives, derivatives, displaced_frames
    from painn_ase.reference.labellers import Models
    from painn_ase.reference.labelling import Labelled, label
    from painn_ase.reference.level import Level
    from painn_ase.reference.sampling import (
        Plan,
        far_apart,
        modes_of,
        sample,
        sample_md,
        sample_modes,
        scan_modes,
    )
    from painn_ase.reference.selection import disagreement, farthest_points, select
    from painn_ase.reference.tight_binding import gfn2_xtb

_HOME = {
    "Derivatives": "harmonic",
    "KohnShamCalculator": "calculator",
    "Labelled": "labelling",
    "Level": "level",
    "Models": "labellers",
    "Plan": "sampling",
    "derivatives": "harmonic",
    "disagreement": "selection",
    "displaced_frames": "harmonic",
    "distance_descriptors": "descriptors",
    "environment_descriptors": "descriptors",
    "far_apart": "sampling",
    "farthest_points": "selection",
    "gfn2_xtb": "tight_binding",
    "hydrogen_bonded": "dimers",
    "label": "labelling",
    "model_descriptors": "descriptors",
    "modes_of": "sampling",
    "open_bonds": "bonds",
    "sample": "sampling",
    "sample_md": "sampling",
    "sample_modes": "sampling",
    "scan_modes": "sampling",
    "scan_torsions": "bonds",
    "select": "selection",
    "stretch_bonds": "bonds",
}

__all__ = [
    "Derivatives",
    "KohnShamCalculator",
    "Labelled",
    "Level",
    "Models",
    "Plan",
    "derivatives",
    "disagreement",
    "displaced_frames",
    "distance_descriptors",
    "environment_descriptors",
    "far_apart",
    "farthest_points",
    "gfn2_xtb",
    "hydrogen_bonded",
    "label",
    "model_descriptors",
    "modes_of",
    "open_bonds",
    "sample",
    "sample_md",
    "sample_modes",
    "scan_modes",
    "scan_torsions",
    "select",
    "stretch_bonds",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"painn_ase.reference.{_HOME[name]}"), name)
    raise AttributeError(f"module 'painn_ase.reference' has no attribute {name!r}")
