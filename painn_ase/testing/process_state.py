"""What is global in a process."""

from __future__ import annotations

import os
import random
import sys
import warnings
from collections.abc import Collection
from typing import Any

import numpy as np


def process_state(modules: Collection[str]) -> dict[str, Any]:
    """Everything of this process that a calculator has no business to change, by name; comparable with ==.

    `modules` are those that were imported before: what one that came later filters of its own warnings does not count.
    """
    legacy = np.random.get_state()  # noqa: NPY002
    state: dict[str, Any] = {
        "environment": dict(os.environ),
        "working directory": os.getcwd(),
        "Python's random state": random.getstate(),
        "NumPy's random state": [part.tolist() if isinstance(part, np.ndarray) else part for part in legacy],
        "NumPy's error handling": np.geterr(),
        "NumPy's printing": repr(np.get_printoptions()),
        "warning filters": [f for f in warnings.filters if f[2].__module__ in modules],
        "recursion limit": sys.getrecursionlimit(),
    }
    torch = sys.modules.get("torch")
    if torch is not None:
        state |= {
            "torch's default dtype": torch.get_default_dtype(),
            "torch's threads": torch.get_num_threads(),
            "torch's random state": torch.random.get_rng_state().tolist(),
            "torch's gradient mode": torch.is_grad_enabled(),
            "torch's deterministic mode": torch.are_deterministic_algorithms_enabled(),
        }
    return state
