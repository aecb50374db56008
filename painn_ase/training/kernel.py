"""Gradients of the loss and steps of AdamW in one call of the compiled library."""

from collections.abc import Sequence
from ctypes import byref

import numpy as np
import torch

from painn_ase.backends.passes import Passes
from painn_ase.model import Model
from painn_ase.native import training as t


class Kernel(Passes):
    """The passes over `model` with what training keeps beside the weights: the flat arrays `gradient`, `first` and
    `second` (moments), `average` (the parameters of `averaged`), and the `steps` that each part of the model made."""

    def __init__(self, model: Model, averaged: Model, threads: int, instruction_set: str | None = None) -> None:
        super().__init__(model, averaged, threads, instruction_set)
        self.gradient, self.first, self.second = (torch.zeros_like(self.weights) for _ in range(3))
        self.steps = np.zeros(1 + len(model.heads), dtype=np.int64)
        self._set_arrays(self.weights, self.gradient, self.first, self.second, self.average)

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
