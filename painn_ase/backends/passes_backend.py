"""Energy, forces and stress of PaiNN by the compiled passes: in float64, and where the float32 kernel cannot serve."""

from collections.abc import Iterable
from copy import deepcopy
from typing import Any

import numpy as np
import torch

from painn_ase.backends import layout
from painn_ase.backends.passes import Passes
from painn_ase.backends.torch_backend import TorchBackend
from painn_ase.derivatives import check_volume
from painn_ase.errors import InputError
from painn_ase.graph import AtomicGraph
from painn_ase.heads import EnergyHead
from painn_ase.model import Model
from painn_ase.threads import Lock

_MANY_ATOMS = 96  # from here on several threads beat one
_BY_PASSES = frozenset({"energy", "energies", "forces", "stress"})


class PassesBackend:
    """Evaluates a PaiNN `model`; `obstacle` says why it cannot. Properties beside the energy and its
    derivatives are read off the network by torch.

    The network runs in `dtype`, geometry and sums in float64; results do not depend on the number of threads, which is
    one for small structures and torch.get_num_threads() for others by default.
    """

    name = "native"

    def __init__(self, model: Model, dtype: str = "float64", threads: int | None = None) -> None:
        reason = self.obstacle(model)
        if reason:
            raise InputError(f"backend 'native': {reason}; use backend='torch'")
        self.dtype = dtype
        self._others = TorchBackend(model, "cpu", dtype, threads)
        self.model = self._others.model
        self.threads = self._others.threads
        self.cutoff = model.cutoff
        self.elements = model.elements
        self.properties = model.properties
        self._passes = Passes(deepcopy(_energy_part(self.model)), threads=1)
        self._lock = Lock()
        self._graph: AtomicGraph | None = None  # that the results belong to
        self._results: dict[str, np.ndarray] = {}

    @staticmethod
    def obstacle(model: Model) -> str | None:
        """Why the passes cannot evaluate `model`, or None if they can."""
        if "energy" not in model.properties:
            return "the passes make energies; this model has none"
        return layout.obstacle(_energy_part(model))

    @property
    def models(self) -> tuple[Model, ...]:
        return (self.model,)

    def evaluate(self, graph: AtomicGraph, properties: Iterable[str]) -> dict[str, np.ndarray]:
        """Properties by name; see `painn_ase.backends.Backend`."""
        wanted = frozenset(properties)
        by_passes = wanted & _BY_PASSES & self.properties
        others = wanted - by_passes
        results = self._others.evaluate(graph, others) if others else {}
        if "stress" in by_passes:
            check_volume(graph)
        with self._lock:
            if graph is not self._graph:
                self._graph, self._results = graph, {}
            if not by_passes <= self._results.keys():
                self._results = self._compute(graph, by_passes.union(self._results))
            return results | {name: self._results[name].copy() for name in by_passes}

    def _compute(self, graph: AtomicGraph, names: frozenset[str]) -> dict[str, np.ndarray]:
        threads = self.threads or (1 if graph.n_atoms < _MANY_ATOMS else torch.get_num_threads())
        self._passes.clear()
        members = self._passes.add(graph)
        results = self._passes.predict(members, names, graph.n_atoms, threads=threads)
        return {name: value.numpy() for name, value in results.items()}

    def twin(self) -> "PassesBackend":
        """A backend with results of its own on the same passes, which serve one of them at a time."""
        twin = PassesBackend.__new__(PassesBackend)
        twin.__dict__.update(self.__dict__, _others=self._others.twin(), _graph=None, _results={})
        return twin

    def __deepcopy__(self, memo: dict[int, Any]) -> "PassesBackend":
        return self.twin()  # the weights do not change

    def __getstate__(self) -> dict[str, Any]:
        return {"model": self.model, "dtype": self.dtype, "threads": self.threads}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]


def _energy_part(model: Model) -> Model:
    """`model` with no head but that of the energy; the representation is the same object."""
    heads: Any = model.heads.items()
    return Model(model.representation, {n: h for n, h in heads if isinstance(h, EnergyHead)}, model.elements)
