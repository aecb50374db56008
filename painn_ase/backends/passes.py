"""PaiNN's passes in the compiled library (docs/training-step.md): a model's parameters, structures, and predictions."""

import os
from collections.abc import Iterable, Mapping, Sequence
from ctypes import byref
from typing import Any

import numpy as np
import torch
from torch import Tensor

from painn_ase.backends.layout import BLOCK, decays, head_specification, parameter_order, part_of
from painn_ase.backends.tables import radial_spline
from painn_ase.derivatives import forces_from, virials_from
from painn_ase.errors import InputError, SimulationError
from painn_ase.graph import AtomicGraph
from painn_ase.heads import DipoleHead, EnergyHead
from painn_ase.heads.base import Head
from painn_ase.model import Model
from painn_ase.native import library as c
from painn_ase.native import training as t
from painn_ase.properties import PROPERTIES
from painn_ase.threads import available_cores

_WIDTHS = {torch.float32: 4, torch.float64: 8}
# largest errors of the splined radial functions and of their slopes, relative to the largest: below the rounding of the
# network, or, in float64, of the functions themselves
_BOUNDS = {torch.float32: (1e-8, 1e-7), torch.float64: (1e-14, 1e-12)}
_NO_LABELS: dict[str, Tensor] = {}


class Passes:
    """The passes over one model, in its own precision. Its parameters become views of the flat array `weights`, and
    those of `averaged`, if there is such a model, of `average`.

    threads: that work on a call; 0 for as many as there are cores
    instruction_set: "portable", "avx2" or "avx512"; by default what the environment asks for, or the fastest
    """

    def __init__(
        self, model: Model, averaged: Model | None = None, threads: int = 0, instruction_set: str | None = None
    ) -> None:
        self._library = c.library()
        self._handle = None
        self.threads = threads or available_cores()
        self.cutoff = model.cutoff
        names = parameter_order(model)
        parameters = dict(model.named_parameters())
        places: dict[str, int] = {}
        self.size = 0
        for name in filter(None, names):
            places[name] = self.size
            self.size += -(-parameters[name].numel() // BLOCK) * BLOCK
        self._spans = {name: (at, parameters[name].shape) for name, at in places.items()}
        self.weights = torch.zeros(self.size, dtype=model.dtype)
        self.average = torch.zeros(0 if averaged is None else self.size, dtype=model.dtype)
        _adopt(model, self.views(self.weights))
        if averaged is not None:
            _adopt(averaged, self.views(self.average))
        heads = [head for head in model.heads.values() if isinstance(head, Head)]
        self.parts = {name: part_of(name, list(model.heads)) for name in places}
        self.count = 0  # structures
        self._repulsion: Any = model.representation.repulsion
        self._charge_unit = next((h.charge_unit for h in heads if isinstance(h, DipoleHead)), 1.0)
        self._energy = next((h for h in heads if isinstance(h, EnergyHead)), None)
        self._new(model, names, places, heads, _instruction_set(instruction_set))
        self._set_arrays(self.weights, None, None, None, self.average)

    def views(self, flat: Tensor) -> dict[str, Tensor]:
        """The parts of a flat array that belong to the parameters, by name."""
        return {name: flat[at : at + shape.numel()].view(shape) for name, (at, shape) in self._spans.items()}

    def add(self, graph: AtomicGraph, labels: Mapping[str, Tensor] = _NO_LABELS) -> range:
        """Keeps copies of the structures of `graph` with their labels, and returns their numbers."""
        graph = graph.within(self.cutoff)
        i, j = graph.centers.numpy(), graph.neighbors.numpy()
        keep = np.flatnonzero(_once(i, j, graph.shifts.numpy()))
        if 2 * len(keep) != len(i):
            raise InputError(
                "pairs: expected a full list, both directions of every pair and no atom paired with itself"
            )
        per_atom = {"numbers": graph.numbers.numpy(), "positions": graph.positions.numpy()}
        per_pair = {"centers": i[keep], "neighbors": j[keep], "vectors": graph.vectors().numpy()[keep]}
        energies, forces, virials = self._base(graph)
        volumes = torch.linalg.det(graph.cells).abs().tolist()
        charges = (graph.charges * self._charge_unit).tolist()
        known = {name: labels[name].double() for name in t.LABELS if name in labels}
        atoms = np.searchsorted(graph.structures.numpy(), np.arange(graph.n_structures + 1))
        pairs = np.searchsorted(per_pair["centers"], atoms)
        for s in range(graph.n_structures):
            (a, b), (first, last) = atoms[s : s + 2], pairs[s : s + 2]
            arrays = {n: x[a:b] for n, x in per_atom.items()} | {n: x[first:last] for n, x in per_pair.items()}
            arrays |= {n: arrays[n] - a for n in ("centers", "neighbors")}
            own = {n: x[a:b] if PROPERTIES[n].per == "atom" else x[s] for n, x in known.items()}
            base = [energies[a:b], *([None, None] if forces is None or virials is None else [forces[a:b], virials[s]])]
            extra = {n: x.numpy() for n, x in own.items()}
            sample = t.Sample(
                b - a,
                last - first,
                *(_pointer(arrays, n) for n in ("numbers", "centers", "neighbors", "vectors", "positions")),
                volumes[s] or 1.0,
                charges[s],
                *(None if x is None else x.data_ptr() for x in base),
                tuple(_pointer(extra, n) if n in extra else None for n in t.LABELS),
            )
            self._call("painn_trainer_add", byref(sample))
        self.count += graph.n_structures
        return range(self.count - graph.n_structures, self.count)

    def clear(self) -> None:
        """Forgets all structures."""
        self._call("painn_trainer_clear")
        self.count = 0

    def changed(self) -> None:
        """Tells the library that weights or averages were written from outside."""
        self._call("painn_trainer_changed")

    def predict(
        self,
        members: Sequence[int] | np.ndarray,
        properties: Iterable[str],
        atoms: int,
        *,
        averaged: bool = False,
        threads: int | None = None,
    ) -> dict[str, Tensor]:
        """`properties` of the structures `members`, of `atoms` atoms in all, by the weights or by their averages."""
        numbers = np.ascontiguousarray(members, dtype=np.int64)
        rows = {"structure": len(numbers), "atom": atoms}
        rules = {name: PROPERTIES[name] for name in properties}
        results = {n: torch.empty(rows[r.per], *r.shape, dtype=torch.float64) for n, r in rules.items()}
        outputs = c.Outputs(**{name: value.data_ptr() for name, value in results.items()})
        threads = threads or self.threads
        self._call("painn_trainer_predict", int(averaged), numbers.ctypes.data, len(numbers), threads, byref(outputs))
        return results

    def _base(self, graph: AtomicGraph) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """What the network does not make: energies of the atoms, and forces and virials of a repulsion."""
        head: Any = self._energy
        if head is None:
            return torch.zeros(graph.n_atoms, dtype=torch.float64), None, None
        energies = head.references[graph.numbers]
        if head.mean_references:
            energies = energies / graph.counts[graph.structures]
        if self._repulsion is None:
            return energies, None, None
        with torch.enable_grad():
            vectors = graph.vectors().detach().requires_grad_()
            pairs = self._repulsion(vectors.square().sum(-1).sqrt())
            (gradient,) = torch.autograd.grad(pairs.sum(), vectors)
        energies = energies.index_add(0, graph.centers, pairs.detach())
        return energies, forces_from(graph, gradient), virials_from(graph, vectors.detach(), gradient)

    def _new(
        self, model: Model, names: list[str | None], places: dict[str, int], heads: list[Head], instruction_set: bytes
    ) -> None:
        painn: Any = model.representation
        spline = radial_spline(painn, *_BOUNDS[model.dtype])
        parameters = dict(model.named_parameters())
        arrays: dict[str, np.ndarray] = {
            "places": np.array([-1 if n is None else places[n] for n in names], dtype=np.int64),
            "counts": np.array([0 if n is None else parameters[n].numel() for n in names], dtype=np.int64),
            "parts": np.array([0 if n is None else self.parts[n] for n in names], dtype=np.int32),
            "decays": np.array([n is not None and decays(n, parameters[n]) for n in names], dtype=np.uint8),
        }
        energy = [k for k, head in enumerate(heads) if isinstance(head, EnergyHead)]
        sizes = t.Sizes(
            _WIDTHS[model.dtype],
            painn.features,
            painn.interactions,
            len(painn.filters),
            len(painn.updates),
            spline.shape[1],
            len(spline) - 5,
            painn.embedding.num_embeddings,
            len(heads),
            energy[0] if energy else -1,
            painn.cutoff,
            painn.config["epsilon"],
            spline.ctypes.data,
            len(names),
            *(_pointer(arrays, name) for name in arrays),
        )
        kept = [head_specification(head, painn.features) for head in heads]
        specs = (c.HeadSpec * max(1, len(heads)))(*(spec for spec, _ in kept))
        self._handle = self._library.painn_trainer_new(byref(sizes), byref(specs), instruction_set)
        if not self._handle:
            raise MemoryError("the compiled passes found no memory for the model")

    def _set_arrays(self, *arrays: Tensor | None) -> None:
        """Weights, gradient, moments and averages; each may be missing where nothing asks for it."""
        self._call("painn_trainer_arrays", *(None if a is None else a.data_ptr() for a in arrays))

    def _call(self, name: str, *arguments: object) -> None:
        failure = getattr(self._library, name)(self._handle, *arguments)
        if failure:
            reason = self._library.painn_trainer_error(self._handle).decode()
            raise MemoryError(reason) if failure == c.NO_MEMORY else SimulationError(reason)

    def __del__(self) -> None:
        if getattr(self, "_handle", None):
            self._library.painn_trainer_free(self._handle)


def _instruction_set(name: str | None) -> bytes:
    wanted = os.environ.get(c.INSTRUCTION_SET_VARIABLE, "") if name is None else name
    if c.library().painn_instruction_set(wanted.encode()) is None:
        raise InputError(f"instruction set: this machine has no {wanted!r}; expected another, or none")
    return wanted.encode()


def _adopt(model: Model, views: Mapping[str, Tensor]) -> None:
    """Makes the parameters of `model` views of a flat array that holds the same numbers."""
    for name, parameter in model.named_parameters():
        views[name].copy_(parameter.detach())
        parameter.data = views[name]


def _once(i: np.ndarray, j: np.ndarray, shifts: np.ndarray) -> np.ndarray:
    """Which entries of a full list to keep, so that each pair remains in one of its directions."""
    first = np.where(shifts[:, 0] != 0, shifts[:, 0], np.where(shifts[:, 1] != 0, shifts[:, 1], shifts[:, 2]))
    return (i < j) | ((i == j) & (first > 0))


def _pointer(arrays: dict[str, np.ndarray], name: str) -> int:
    arrays[name] = np.ascontiguousarray(arrays[name])
    return arrays[name].ctypes.data
