"""Derivatives of what a backend evaluates, exact and in float64 whatever the backend."""

from collections.abc import Iterable
from copy import deepcopy

import numpy as np
import torch

from painn_ase.backends.base import Backend
from painn_ase.graph import AtomicGraph
from painn_ase.model import Model
from painn_ase.response import response
from painn_ase.threads import torch_threads

# Pairs below which one thread is fastest; second derivatives do some ten times the work of an evaluation.
_SMALL = 400


def exact_response(backend: Backend, graph: AtomicGraph, names: Iterable[str]) -> dict[str, np.ndarray]:
    """Derivatives by name, see `painn_ase.response.response`; the mean over its members for an ensemble.

    A float32 or native backend is differentiated through a float64 copy of its own weights: the same function up to
    rounding, without the rounding.
    """
    names = frozenset(names)
    answers = [_response(model, graph, names) for model in backend.models]
    return {name: np.mean([answer[name] for answer in answers], axis=0) for name in names}


def _response(model: Model, graph: AtomicGraph, names: frozenset[str]) -> dict[str, np.ndarray]:
    inner = graph.within(model.cutoff).to(next(model.parameters()).device)
    if model.dtype != torch.float64:
        model = deepcopy(model).double()
    with torch_threads(1 if inner.n_pairs < _SMALL else 0):
        return {name: value.cpu().numpy() for name, value in response(model, inner, names).items()}
