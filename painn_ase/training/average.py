"""Exponential moving average of a model's weights."""

import copy

import torch
from torch import Tensor

from painn_ase.model import Model


class AveragedModel:
    """A second model whose weights follow those of `model`: w̄ ← w̄ + (1 - d)(w - w̄).

    The decay d rises to `decay` as (1 + t)/(10 + t) with the step t, so the random start is soon forgotten.
    """

    def __init__(self, model: Model, decay: float) -> None:
        self.model = copy.deepcopy(model).requires_grad_(False).eval()
        self.decay = decay
        self._average: list[Tensor] = [*self.model.parameters()]
        self._current: list[Tensor] = [*model.parameters()]

    def share(self, step: int) -> float:
        """1 - d: the part of the way to the weights after `step` steps that the average goes."""
        return 1 - min(self.decay, (1 + step) / (10 + step))

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Follows the weights after `step` steps."""
        torch._foreach_lerp_(self._average, self._current, self.share(step))
