"""A model's parameters, moments and averages in the memory of the compiled training step, and the step itself."""

import os
from collections.abc import Mapping, Sequence
from ctypes import byref
from typing import Any

import numpy as np
import torch
from torch import Tensor

from painn_ase.backends.tables import radial_spline
from painn_ase.errors import InputError, SimulationError
from painn_ase.graph import AtomicGraph
from painn_ase.heads import DipoleHead, EnergyHead
from painn_ase.heads.base import Head
from painn_ase.model import Model
from painn_ase.native import library as c
from painn_ase.native import training as t
from painn_ase.properties import PROPERTIES
from painn_ase.training.layout import BLOCK, decays, head_specification, parameter_order, part_of

_WIDTHS = {torch.float32: 4, torch.float64: 8}
# largest errors of the splined radial functions and of their slopes, relative to the largest: below the rounding of the
# network, or, in float64, of the functions themselves
_BOUNDS = {torch.float32: (1e-8, 1e-7), torch.float64: (1e-14, 1e-12)}


class Kernel:
    """The trainer of the compiled library. `weights`, `average`, `first` and `second` (moments) and `gradient` are its
    flat arrays; the parameters of `model` and of `averaged` become views of them."""

    def __init__(self, model: Model, averaged: Model, threads: int, instruction_set: str | None = None) -> None:
        self._library = c.library()
        self._handle = None
        self.threads = threads or _cores()
        dtype = model.dtype
        names = parameter_order(model)
        parameters = dict(model.named_parameters())
        places, total = {}, 0
        for name in filter(None, names):
            places[name] = total
            total += -(-parameters[name].numel() // BLOCK) * BLOCK
        self._spans = {name: (at, parameters[name].shape) for name, at in places.items()}
        arrays = [torch.zeros(total, dtype=dtype) for _ in range(5)]
        self.weights, self.gradient, self.first, self.second, self.average = arrays
        _adopt(model, self.views(self.weights))
        _adopt(averaged, self.views(self.average))
        heads = list(model.heads.values())
        self.steps = np.zeros(1 + len(heads), dtype=np.int64)
        self.parts = {name: part_of(name, list(model.heads)) for name in places}
        self._charge_unit = next((h.charge_unit for h in heads if isinstance(h, DipoleHead)), 1.0)
        self._energy = next((h for h in heads if isinstance(h, EnergyHead)), None)
        self._new(model, names, places, heads, _instruction_set(instruction_set))
        self._call("painn_trainer_arrays", *(array.data_ptr() for array in arrays))
        self.count = 0  # structures

    def views(self, flat: Tensor) -> dict[str, Tensor]:
        """The parts of a flat array that belong to the parameters, by name."""
        return {name: flat[at : at + shape.numel()].view(shape) for name, (at, shape) in self._spans.items()}

    def add(self, graph: AtomicGraph, labels: Mapping[str, Tensor]) -> int:
        """Keeps a copy of a structure with its labels, and returns its number."""
        i, j = graph.centers.numpy(), graph.neighbors.numpy()
        keep = np.flatnonzero(_once(i, j, graph.shifts.numpy()))
        if 2 * len(keep) != len(i):
            raise InputError(
                "pairs: expected a full list, both directions of every pair and no atom paired with itself"
            )
        arrays = {
            "numbers": graph.numbers.numpy(),
            "centers": i[keep],
            "neighbors": j[keep],
            "vectors": graph.vectors().numpy()[keep],
            "positions": graph.positions.numpy(),
        }
        known = {name: labels[name].double().contiguous() for name in t.LABELS if name in labels}
        sample = t.Sample(
            graph.n_atoms,
            len(keep),
            *(_pointer(arrays, name) for name in arrays),
            float(torch.linalg.det(graph.cells).abs()) or 1.0,
            float(graph.charges) * self._charge_unit,
            0.0 if self._energy is None else float(self._base(graph)),
            tuple(known[name].data_ptr() if name in known else None for name in t.LABELS),
        )
        self._call("painn_trainer_add", byref(sample))
        self.count += 1
        return self.count - 1

    def changed(self) -> None:
        """Tells the kernel that weights or averages were written from outside."""
        self._call("painn_trainer_changed")

    def step(
        self, members: Sequence[int] | np.ndarray, loss: t.Loss, update: t.Update | None = None
    ) -> tuple[float, float]:
        """The loss of the structures `members` and the length of its gradient, which lies in `gradient`; with `update`
        the weights make a step of AdamW and the averages follow."""
        numbers, results = np.ascontiguousarray(members, dtype=np.int64), np.empty(2)
        if update is not None:
            update.steps = self.steps.ctypes.data
        self._call(
            "painn_trainer_step",
            numbers.ctypes.data,
            len(numbers),
            byref(loss),
            None if update is None else byref(update),
            self.threads,
            results.ctypes.data,
        )
        return float(results[0]), float(results[1])

    def predict(
        self, members: Sequence[int] | np.ndarray, properties: Sequence[str], atoms: int, *, averaged: bool = True
    ) -> dict[str, Tensor]:
        """`properties` of the structures `members`, of `atoms` atoms in all, by the averaged weights or the current."""
        numbers = np.ascontiguousarray(members, dtype=np.int64)
        rows = {"structure": len(numbers), "atom": atoms}
        rules = {name: PROPERTIES[name] for name in properties}
        results = {n: torch.empty(rows[r.per], *r.shape, dtype=torch.float64) for n, r in rules.items()}
        outputs = c.Outputs(**{name: value.data_ptr() for name, value in results.items()})
        self._call(
            "painn_trainer_predict", int(averaged), numbers.ctypes.data, len(numbers), self.threads, byref(outputs)
        )
        return results

    def _base(self, graph: AtomicGraph) -> Tensor:
        head: Any = self._energy
        references = head.references[graph.numbers]
        return references.mean() if head.mean_references else references.sum()

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
            raise MemoryError("the compiled training step found no memory for the model")

    def _call(self, name: str, *arguments: object) -> None:
        if getattr(self._library, name)(self._handle, *arguments):
            reason = self._library.painn_trainer_error(self._handle).decode()
            raise MemoryError(reason) if reason == "out of memory" else SimulationError(reason)

    def __del__(self) -> None:
        if getattr(self, "_handle", None):
            self._library.painn_trainer_free(self._handle)


def _cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


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
