"""A model: one representation, the heads that read it, and what it knows of the world."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from ase.data import chemical_symbols
from numpy.typing import ArrayLike
from torch import Tensor, nn

from painn_ase.coverage import Coverage
from painn_ase.errors import InputError
from painn_ase.graph import AtomicGraph
from painn_ase.heads import HEADS, Head, Heads
from painn_ase.nn.registry import build
from painn_ase.properties import DERIVED_FROM
from painn_ase.representations import REPRESENTATIONS, AtomFeatures, Representation
from painn_ase.schema import check_keys

# Who provides features of a rank, for the sentence that says a head does not fit.
_PROVIDERS = {
    1: "PaiNN, ENINet, TensorNet, TensorFrames, ICTP, MACE or Cormorant",
    2: "TensorNet, TensorFrames, ICTP, MACE, Cormorant, or a PaiNN variant with tensor_features = true",
}


class Model(nn.Module):
    """Properties of a graph: `model(graph, graph.vectors())` returns them by name, in float64 and ASE units.

    `elements` are the atomic numbers it was trained on. Forces and stress are derivatives of the energy; see
    `painn_ase.derivatives`.
    """

    def __init__(self, representation: Representation, heads: dict[str, Head], elements: Iterable[int]) -> None:
        super().__init__()
        self.representation = representation
        self.heads = Heads(heads)
        for head in heads.values():
            head.cutoff = representation.cutoff
        self.elements = tuple(sorted(int(z) for z in elements))
        self.name = "unnamed"
        self.provenance: dict[str, Any] = {}
        self.errors: dict[str, Any] = {}
        self.checks: dict[str, Any] = {}  # what `painn_ase.cards.measure` measured
        self.coverage: Coverage | None = None  # of the training data
        self.trained_on: frozenset[str] | None = None  # names of the geometries; None where nothing says so

    @property
    def cutoff(self) -> float:
        return self.representation.cutoff

    @property
    def dtype(self) -> torch.dtype:
        """Precision of the network's weights; geometry and sums are always float64."""
        return next(self.parameters()).dtype

    @property
    def properties(self) -> frozenset[str]:
        """Names of everything this model predicts, forces and stress included."""
        own = {name for head in self.heads.values() for name in head.provides}
        return frozenset(own | ({"forces", "stress"} if "energy" in own else set()))

    @property
    def learnable(self) -> frozenset[str]:
        """Names of all that labels can teach: its properties, and the Born charges that a dipole's derivative gives."""
        own = self.properties
        return own | {name for name, source in DERIVED_FROM.items() if source in own}

    @property
    def molecular(self) -> frozenset[str]:
        """Those of its properties that are built from positions, and so undefined in periodic structures."""
        return frozenset(name for head in self.heads.values() if head.molecular for name in head.provides)

    @property
    def config(self) -> dict[str, Any]:
        """JSON-able description that `from_config` builds the same architecture from."""
        kind = next(k for k, cls in REPRESENTATIONS.items() if type(self.representation) is cls)
        return {
            "representation": {"kind": kind, **self.representation.config},
            "heads": {name: head.config for name, head in self.heads.items()},
            "elements": list(self.elements),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Model":
        """A model with fresh random weights (torch's global generator) from the description `config`.

        Raises `InputError` for unknown names, and when a head needs features the representation lacks.
        """
        check_keys("model", config, ("representation", "heads", "elements"))
        representation = build(REPRESENTATIONS, config["representation"], "representation")
        heads = {}
        for name, options in config["heads"].items():
            head = build(HEADS, {"kind": name, **options}, "head", representation.features)
            if head.required_rank > representation.max_rank:
                raise InputError(
                    f"{type(head).__name__} needs features of rank {head.required_rank}; "
                    f"{type(representation).__name__} provides rank {representation.max_rank} at most. "
                    f"Use {_PROVIDERS[head.required_rank]}, or drop {name!r}."
                )
            heads[name] = head
        if not heads:
            raise InputError("model: expected at least one head; got none")
        elements = config["elements"]
        if not elements or not all(isinstance(z, int) and 0 < z < 100 for z in elements):
            raise InputError(f"model elements: expected atomic numbers from 1 to 99; got {elements}")
        return cls(representation, heads, elements)

    def forward(
        self,
        graph: AtomicGraph,
        vectors: Tensor,
        properties: Iterable[str] | None = None,
        features: AtomFeatures | None = None,
    ) -> dict[str, Tensor]:
        """What the heads say of `graph` with pair vectors `vectors` (pairs, 3).

        Only heads that provide one of `properties` are asked (all by default). `features` of the same graph may
        be given to spare the representation.
        """
        if features is None:
            features = self.representation(graph, vectors)
        wanted = None if properties is None else set(properties)
        results: dict[str, Tensor] = {}
        for head in self.heads.values():
            if wanted is None or wanted.intersection(head.provides):
                results.update(head(features, graph))
        return results


def check_elements(model: str, known: Iterable[int], numbers: ArrayLike) -> None:
    """Raises `InputError` that names the atoms whose element is not among the `known` atomic numbers."""
    known, numbers = tuple(known), np.asarray(numbers)
    if np.isin(numbers, known).all():
        return
    unknown = [(k, int(z)) for k, z in enumerate(numbers) if z not in known]
    if unknown:
        know = ", ".join(chemical_symbols[z] for z in known)
        strange = ", ".join(sorted({chemical_symbols[z] if 0 <= z < 119 else str(z) for _, z in unknown}))
        where = ", ".join(str(k) for k, _ in unknown[:5]) + (", ..." if len(unknown) > 5 else "")
        raise InputError(f"model {model!r} knows {know}; structure has {strange} (atoms {where})")
