"""A potential that i-PI loads into its own process, by <ffdirect> with the path of this file.

    <ffdirect name='painn'>
      <pes> custom </pes>
      <pes_path> .../painn_ase/engines/ipi/direct.py </pes_path>
      <parameters> {model: ethanol, structure: ethanol, extras: dipole} </parameters>
      <batch_size> 32 </batch_size>
    </ffdirect>

`painn-ase ipi-driver --pes-path` prints the path. With a batch_size the beads are one evaluation.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from painn_ase.calculator import PaiNNCalculator
from painn_ase.engines.ipi.potential import Answer, Potential
from painn_ase.structures import read_structure

__DRIVER_NAME__ = "painn_ase"
__DRIVER_CLASS__ = "PaiNNDriver"


class PaiNNDriver:
    """`model` and `structure` as in `painn-ase md`; `extras` are names separated by blanks, see `Potential`."""

    def __init__(
        self, model: str, structure: str = "", extras: str = "", verbosity: Any = None, **options: Any
    ) -> None:
        atoms = read_structure(structure or model)
        atoms.calc = PaiNNCalculator(model, **options)
        self._potential = Potential(atoms, extras.split())

    def __call__(self, cell: Any, positions: Any) -> Answer | list[Answer]:
        """Answers to one structure, or to lists of cells and positions."""
        if isinstance(cell, list):
            return self._potential(np.array(cell), np.array(positions))
        return self._potential(cell[None], positions[None])[0]
