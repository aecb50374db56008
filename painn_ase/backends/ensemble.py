"""Several models as one: their mean, and how far they disagree."""

from collections.abc import Iterable, Sequence

import numpy as np

from painn_ase.backends.base import Backend
from painn_ase.errors import InputError
from painn_ase.graph import AtomicGraph
from painn_ase.model import Model
from painn_ase.properties import SPREAD


class Ensemble:
    """A backend that asks M ≥ 2 others about the same graph and answers with their mean.

    With every property p comes p_std, the sample standard deviation over the members (M - 1 in the denominator) as
    one number per structure or atom: √(Σ_components variance). `forces_std` (atoms,) in eV/Å is thus the length of the
    typical deviation of an atom's force vector, `energy_std` (structures,) is in eV, and none depends on the frame.
    Disagreement shows where the training data do not reach; it is not an error bar (members can be wrong together).

    Forces and stress are means of derivatives, hence the derivatives of the mean energy: dynamics conserves it. All
    members must have been trained on the same level of theory: offsets between them go into `energy_std` unseen.
    The ensemble knows the elements and properties that all members know; its cutoff is the largest one.
    """

    def __init__(self, members: Sequence[Backend]) -> None:
        if len(members) < 2:
            raise InputError(
                f"ensemble: expected at least two models, whose disagreement means something; got {len(members)}"
            )
        self.members = tuple(members)
        self.name = f"ensemble of {len(members)} ({', '.join(sorted({member.name for member in members}))})"
        self.cutoff = max(member.cutoff for member in members)
        self.elements = tuple(sorted(set.intersection(*(set(member.elements) for member in members))))
        common = frozenset.intersection(*(member.properties for member in members))
        if not self.elements or not common:
            raise InputError("ensemble: expected models with elements and properties in common; these have none")
        self.properties = common | {name + SPREAD for name in common}

    @property
    def models(self) -> tuple[Model, ...]:
        return tuple(model for member in self.members for model in member.models)

    def twin(self) -> "Ensemble":
        return Ensemble([member.twin() for member in self.members])

    def evaluate(self, graph: AtomicGraph, properties: Iterable[str]) -> dict[str, np.ndarray]:
        """Mean and spread of each of `properties`; asking for p or for p_std gives both."""
        wanted = frozenset(properties)
        if not wanted <= self.properties:
            have = ", ".join(sorted(self.properties))
            raise InputError(f"this ensemble provides {have}; asked for {', '.join(sorted(wanted - self.properties))}")
        wanted = frozenset(name.removesuffix(SPREAD) for name in wanted)
        answers = [member.evaluate(graph, wanted) for member in self.members]
        results = {}
        for name in wanted:
            values = np.stack([answer[name] for answer in answers]).astype(
                np.float64
            )  # (members, atoms|structures, ...)
            variance = values.var(axis=0, ddof=1)
            results[name] = values.mean(axis=0)
            results[name + SPREAD] = np.sqrt(variance.reshape(len(variance), -1).sum(axis=1))
        return results
