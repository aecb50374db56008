"""The reference backend: the model's own modules, on any device torch has."""

from collections.abc import Iterable
from copy import copy, deepcopy
from typing import Any

import numpy as np
import torch

from painn_ase.derivatives import State, evaluate, featurize
from painn_ase.errors import InputError, choice, whole
from painn_ase.graph import AtomicGraph
from painn_ase.model import Model
from painn_ase.threads import torch_threads

# Pairs below which one thread is fastest: with more, the threads of a busy machine spend their time waiting for each
# other (measured: 80 times slower on small molecules).
_SMALL = 4000

DTYPES = {"float32": torch.float32, "float64": torch.float64}


class TorchBackend:
    """Evaluates `model` with PyTorch; the network runs in `dtype`, geometry and sums in float64.

    The model is copied only if it has to be cast or moved, and its weights stop asking for gradients. `threads` is
    one for small structures and torch's own setting for others by default.
    """

    name = "torch"

    def __init__(self, model: Model, device: str = "cpu", dtype: str = "float32", threads: int | None = None) -> None:
        choice("dtype", dtype, DTYPES)
        try:
            self.device = torch.device(device)
            torch.empty(0, device=self.device)
        except (RuntimeError, AssertionError) as error:
            raise InputError(f"device: {device!r} cannot be used here ({str(error).splitlines()[0]})") from None
        self.model = _placed(model, self.device, DTYPES[dtype]).requires_grad_(False)
        self.threads = None if threads is None else whole("threads", threads, 1, 1024)
        self.cutoff = model.cutoff
        self.elements = model.elements
        self.properties = model.properties
        self._graph: AtomicGraph | None = None  # the graph asked about last ...
        self._inner: AtomicGraph | None = None  # ... without its reserve pairs, on the device
        self._state: State | None = None

    @property
    def models(self) -> tuple[Model, ...]:
        return (self.model,)

    def evaluate(self, graph: AtomicGraph, properties: Iterable[str]) -> dict[str, np.ndarray]:
        wanted = frozenset(properties)
        derived = bool(wanted & {"forces", "stress"})
        if graph is not self._graph or self._inner is None:
            self._graph, self._inner, self._state = graph, graph.within(self.cutoff).to(self.device), None
        threads = self.threads or (1 if self._inner.n_pairs < _SMALL else 0)
        with torch.no_grad(), torch_threads(threads):
            if derived or self._state is None:
                state = featurize(self.model, self._inner, differentiable=derived)
            else:
                state = self._state
            results = evaluate(self.model, self._inner, wanted, state=state)
        self._state = state.detached()
        return {name: results[name].cpu().numpy() for name in wanted}

    def twin(self) -> "TorchBackend":
        return copy(self)  # by __getstate__: without what is remembered

    def __deepcopy__(self, memo: dict[int, Any]) -> "TorchBackend":
        return self.twin()  # the weights do not change

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_graph": None, "_inner": None, "_state": None}


def _placed(model: Model, device: torch.device, dtype: torch.dtype) -> Model:
    if model.dtype == dtype and next(model.parameters()).device == device and not model.training:
        return model
    return deepcopy(model).to(device=device, dtype=dtype).eval()
