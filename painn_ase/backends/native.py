"""The fast backend: PaiNN on the CPU by a compiled kernel (docs/native-kernel.md).

The network runs in float32, geometry and sums in float64; results do not depend on the number of threads.
"""

import os
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch

from painn_ase.backends.kernel import Kernel, unsupported
from painn_ase.backends.weights import Tables
from painn_ase.derivatives import check_volume
from painn_ase.errors import InputError, choice, whole
from painn_ase.graph import AtomicGraph
from painn_ase.model import Model
from painn_ase.native.library import INSTRUCTION_SET_VARIABLE, INSTRUCTION_SETS, Outputs, Topology, why_unavailable
from painn_ase.properties import PROPERTIES, known
from painn_ase.threads import Lock

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

    def __init__(
        self,
        model: Model,
        threads: int | None = None,
        instruction_set: str | None = None,
        tables: Tables | None = None,
    ) -> None:
        reason = self.obstacle(model) or why_unavailable()
        if reason:
            raise InputError(f"backend 'native': {reason}; use backend='torch'")
        wanted = instruction_set or os.environ.get(INSTRUCTION_SET_VARIABLE, "")
        if wanted:
            choice("instruction set", wanted, INSTRUCTION_SETS)
        self.model = model
        self.threads = None if threads is None else whole("threads", threads, 1, 1024)
        self.cutoff = model.cutoff
        self.elements = model.elements
        self.properties = model.properties
        self._kernel = _Kernel(Kernel(model, wanted, tables))
        self.instruction_set = self._kernel.plain.instruction_set
        self._graph: AtomicGraph | None = None  # that the results belong to
        self._results: dict[str, np.ndarray] = {}

    @staticmethod
    def obstacle(model: Model) -> str | None:
        """None if the kernel can evaluate `model`, else the reason why not."""
        return unsupported(model)

    @property
    def models(self) -> tuple[Model, ...]:
        return (self.model,)

    def evaluate(self, graph: AtomicGraph, properties: Iterable[str]) -> dict[str, np.ndarray]:
        """Properties by name; see `painn_ase.backends.Backend`."""
        wanted = frozenset(properties)
        if not wanted <= self.properties:
            self._refuse(wanted)
        with self._kernel.lock:
            if graph is not self._graph:
                self._graph, self._results = graph, {}
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
        if "stress" in names:
            check_volume(graph)
        threads = self.threads or (1 if graph.n_atoms < _MANY_ATOMS else torch.get_num_threads())
        kernel = self._kernel
        if kernel.graph is graph and names <= _FROM_FEATURES:
            kernel.plain.read(threads, kernel.output(names))
        else:
            kernel.follow(graph, self.properties)
            positions, cells = graph.positions.contiguous(), graph.cells.contiguous()
            names = names.union(self._results)
            if "energy" in self.properties:
                names = names.union(("energy", "energies"))
            kernel.plain.run(positions, cells, graph.charges, threads, kernel.output(names))
            kernel.graph = graph
        for name in names:
            self._results[name] = kernel.buffers[name].copy()

    def _refuse(self, wanted: frozenset[str]) -> None:
        missing = known(wanted) - self.properties
        have = ", ".join(sorted(self.properties))
        raise InputError(f"model {self.model.name!r} provides {have}; asked for {', '.join(sorted(missing))}")

    def twin(self) -> "NativeBackend":
        """A backend with results of its own on the same kernel, which serves one of them at a time."""
        twin = NativeBackend.__new__(NativeBackend)
        twin.__dict__.update(self.__dict__, _graph=None, _results={})
        return twin

    def __deepcopy__(self, memo: dict[int, Any]) -> "NativeBackend":
        return self.twin()  # nothing in a kernel changes but what it remembers

    def __getstate__(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "threads": self.threads,
            "instruction_set": self.instruction_set,
            "tables": self._kernel.plain.tables,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]


class _Kernel:
    """The compiled kernel, and what it was last told of and remembers: only for who holds the lock."""

    def __init__(self, plain: Kernel) -> None:
        self.plain = plain
        self.lock = Lock()
        self.graph: AtomicGraph | None = None  # whose features it remembers
        self.buffers: dict[str, np.ndarray] = {}
        self._topology: tuple[torch.Tensor, ...] = ()  # kept, so that identity means equality
        self._outputs: dict[frozenset[str], Outputs] = {}

    def output(self, names: frozenset[str]) -> Outputs:
        """Pointers to the buffers of `names`; the kernel computes what has a buffer."""
        if names not in self._outputs:
            buffers = {name: self.buffers[name] for name in names}
            self._outputs[names] = Outputs(**{name: b.ctypes.data for name, b in buffers.items()})
        return self._outputs[names]

    def follow(self, graph: AtomicGraph, properties: frozenset[str]) -> None:
        """Gives the kernel the atoms and pairs of `graph` if they are not those it has."""
        self.graph = None  # until its features are there
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
        self.plain.set_topology(Topology(*sizes, *(tensor.data_ptr() for tensor in arrays)))
        self._topology = topology
        per = {"atom": graph.n_atoms, "structure": graph.n_structures}
        self.buffers = {name: np.zeros((per[PROPERTIES[name].per], *PROPERTIES[name].shape)) for name in properties}
        self._outputs = {}
