"""The fast backend: PaiNN on the CPU by a compiled kernel (docs/native-kernel.md).

The network runs in float32, geometry and sums in float64; results do not depend on the number of threads.
"""

import os
from collections.abc import Iterable
from threading import Lock
from typing import Any

import numpy as np
import torch

from painn_ase.backends.kernel import Kernel, unsupported
from painn_ase.errors import InputError
from painn_ase.graph import AtomicGraph
from painn_ase.model import Model
from painn_ase.native.library import INSTRUCTION_SET_VARIABLE, INSTRUCTION_SETS, Outputs, Topology, available
from painn_ase.properties import PROPERTIES, known

_MANY_ATOMS = 96  # from here on several threads beat one
_FROM_FEATURES = frozenset({"dipole", "charges", "polarizability"})  # what the heads read off the last pass
_NOT_PERIODIC = {"dipole": "the dipole moment", "charges": "the dipole moment", "polarizability": "the polarizability"}


class NativeBackend:
    """Evaluates a PaiNN `model` by the compiled kernel; `supports` says for which models that works.

    `threads` is one for small structures and torch.get_num_threads() for others by default. `instruction_set` is one
    of "portable", "avx2", "avx512"; by default the environment variable PAINN_ASE_INSTRUCTION_SET, or the fastest
    that the machine has. Raises `InputError` when the model, the set or the machine does not allow it.
    """

    name = "native"

    def __init__(self, model: Model, threads: int | None = None, instruction_set: str | None = None) -> None:
        reason = self.supports(model) or available()
        if reason:
            raise InputError(f"backend 'native': {reason}; use backend='torch'")
        if threads is not None and not (isinstance(threads, int) and 1 <= threads <= 1024):
            raise InputError(f"threads: expected a whole number from 1 to 1024, or None; got {threads!r}")
        wanted = instruction_set or os.environ.get(INSTRUCTION_SET_VARIABLE, "")
        if wanted and wanted not in INSTRUCTION_SETS:
            raise InputError(f"instruction set: expected one of {', '.join(INSTRUCTION_SETS)}; got {wanted!r}")
        self.model = model
        self.threads = threads
        self.cutoff = model.cutoff
        self.elements = model.elements
        self.properties = model.properties
        self._kernel = Kernel(model, wanted)
        self.instruction_set = self._kernel.instruction_set
        self._lock = Lock()
        self._topology: tuple[torch.Tensor, ...] = ()  # kept, so that identity means equality
        self._graph: AtomicGraph | None = None
        self._results: dict[str, np.ndarray] = {}
        self._buffers: dict[str, np.ndarray] = {}
        self._outputs: dict[frozenset[str], Outputs] = {}

    @staticmethod
    def supports(model: Model) -> str | None:
        """None if the kernel can evaluate `model`, else the reason why not."""
        return unsupported(model)

    def evaluate(self, graph: AtomicGraph, properties: Iterable[str]) -> dict[str, np.ndarray]:
        """Properties by name; see `painn_ase.backends.Backend`."""
        wanted = frozenset(properties)
        if not wanted <= self.properties:
            self._refuse(wanted)
        with self._lock:
            if graph is not self._graph:
                self._graph = None  # until the new state is complete
                self._results = {}
                self._follow(graph)
                new = wanted
            else:
                new = wanted.difference(self._results)
            if new:
                self._compute(graph, new)
            return {name: self._results[name].copy() for name in wanted}

    def _compute(self, graph: AtomicGraph, names: frozenset[str]) -> None:
        positional = names & _FROM_FEATURES
        if positional and bool(graph.pbc.any()):
            raise InputError(
                f"{_NOT_PERIODIC[min(positional)]} of a periodic structure is not defined by this model: it is built "
                "from positions, which are known only up to lattice vectors. Expected pbc=False in all directions; "
                "set atoms.pbc = False if this is a molecule in a box."
            )
        if "stress" in names and not bool(graph.pbc.all()):
            raise InputError(
                "stress is defined only for structures that are periodic in three directions (it is per volume); "
                "expected pbc = (True, True, True)"
            )
        threads = self.threads or (1 if graph.n_atoms < _MANY_ATOMS else torch.get_num_threads())
        if self._graph is graph and names <= _FROM_FEATURES:
            self._kernel.read(threads, self._output(names))
        else:
            positions, cells = graph.positions.contiguous(), graph.cells.contiguous()
            names = names.union(self._results)
            if "energy" in self.properties:
                names = names.union(("energy", "energies"))
            self._kernel.run(positions, cells, graph.charges, threads, self._output(names))
        for name in names:
            self._results[name] = self._buffers[name].copy()
        self._graph = graph

    def _output(self, names: frozenset[str]) -> Outputs:
        """Pointers to the buffers of `names`; the kernel computes what has a buffer."""
        if names not in self._outputs:
            buffers = {name: self._buffers[name] for name in names}
            self._outputs[names] = Outputs(**{name: b.ctypes.data for name, b in buffers.items()})
        return self._outputs[names]

    def _follow(self, graph: AtomicGraph) -> None:
        """Gives the kernel the atoms and pairs of `graph` if they are not those it has."""
        has = self._topology
        topology = (graph.numbers, graph.centers, graph.neighbors, graph.shifts)
        if has and all(new is old for new, old in zip(topology, has, strict=True)):
            return
        self._topology = ()
        arrays = [
            tensor.contiguous()
            for tensor in (
                graph.numbers,
                graph.structures,
                graph.centers,
                graph.neighbors,
                graph.shifts,
                graph.positions,
            )
        ]
        sizes = (graph.n_atoms, graph.n_pairs, graph.n_structures)
        self._kernel.set_topology(Topology(*sizes, *(tensor.data_ptr() for tensor in arrays)))
        self._topology = topology
        per = {"atom": graph.n_atoms, "structure": graph.n_structures}
        self._buffers = {
            name: np.zeros((per[PROPERTIES[name].per], *PROPERTIES[name].shape)) for name in self.properties
        }
        self._outputs = {}

    def _refuse(self, wanted: frozenset[str]) -> None:
        missing = known(wanted) - self.properties
        have = ", ".join(sorted(self.properties))
        raise InputError(f"model {self.model.name!r} provides {have}; asked for {', '.join(sorted(missing))}")

    def __getstate__(self) -> dict[str, Any]:
        return {"model": self.model, "threads": self.threads, "instruction_set": self.instruction_set}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]
