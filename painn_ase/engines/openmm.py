"""Trained models in OpenMM: `MLPotential("painn-ase", model="ethanol")`, found by openmmml's entry points.

The work is done by openmmml's potential for ASE calculators; this names the models.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from openmmml.mlpotential import MLPotentialImpl, MLPotentialImplFactory
from openmmml.models.asepotential import ASEPotentialImpl

from painn_ase.errors import InputError


class PaiNNPotentialFactory(MLPotentialImplFactory):
    """Makes potentials of the name "painn-ase"; openmmml creates it when it is imported."""

    def createImpl(self, name: str, **arguments: Any) -> MLPotentialImpl:
        """The potential of `model`, a bundled name, a folder or a list of them (a committee).

        Other arguments are those of `PaiNNCalculator`, as in MLPotential("painn-ase", model="ethanol", threads=2).
        """
        if "model" not in arguments:
            raise InputError('MLPotential("painn-ase"): expected model="..." too, a bundled name or a model folder')
        return PaiNNPotential(name, arguments)


class PaiNNPotential(ASEPotentialImpl):
    """Adds a model's energy, in kJ/mol, and its forces to an OpenMM system."""

    def __init__(self, name: str, arguments: dict[str, Any]) -> None:
        super().__init__(name)
        self.arguments = arguments

    def addForces(
        self, topology: Any, system: Any, atoms: Iterable[int] | None, forceGroup: int, **arguments: Any
    ) -> None:
        """Every system has a calculator of its own: two contexts that take turns would undo each other's lists."""
        from painn_ase.calculator import PaiNNCalculator

        calculator = PaiNNCalculator(**self.arguments)
        super().addForces(topology, system, atoms, forceGroup, calculator=calculator, **arguments)
