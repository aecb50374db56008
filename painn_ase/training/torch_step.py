"""Training steps by torch: every network, precision and device."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from painn_ase.backends.layout import decays
from painn_ase.derivatives import evaluate
from painn_ase.model import Model
from painn_ase.training.average import AveragedModel
from painn_ase.training.config import Optimizer
from painn_ase.training.data import Batch, Example, batch_indices, collate
from painn_ase.training.evaluate import Comparison, compare
from painn_ase.training.loss import Loss


class TorchStep:
    """AdamW on gradients by automatic differentiation, and the moving average."""

    name = "torch"

    def __init__(self, model: Model, average: AveragedModel, loss: Loss, settings: Optimizer) -> None:
        self.model, self.average, self.loss, self.settings = model, average, loss, settings
        self.device = next(model.parameters()).device
        self.trained = list(model.parameters())
        self.optimizer = _optimizer(model, settings)
        self.examples: Sequence[Example] = ()
        self.held: list[Batch] = []

    def set_examples(self, train: Sequence[Example], validation: Sequence[Example], batch_size: int) -> None:
        """The structures to train on, and those to validate with, in batches of `batch_size`."""
        self.examples = train
        self.held = [collate([validation[k] for k in indices]) for indices in batch_indices(validation, batch_size)]

    def step(self, indices: np.ndarray, learning_rate: float, number: int) -> Tensor:
        """Makes step `number` (from 1) on the examples `indices` and returns their loss on the model's device, because
        asking a GPU for the value would wait for it."""
        return self.step_on(collate([self.examples[k] for k in indices]).to(self.device), learning_rate, number)

    def step_on(self, batch: Batch, learning_rate: float, number: int) -> Tensor:
        """The same with a batch that has been put together."""
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        wanted = self.loss.properties.intersection(batch.labels)
        loss = self.loss(evaluate(self.model, batch.graph, wanted, create_graph=True), batch)
        for parameter in self.trained:  # as optimizer.zero_grad does, without its bookkeeping
            parameter.grad = None
        loss.backward(inputs=self.trained)  # the pair vectors want no gradient of the loss
        if self.settings.gradient_norm:
            torch.nn.utils.clip_grad_norm_(self.trained, self.settings.gradient_norm)
        self.optimizer.step()
        self.average.update(number)
        return loss.detach()

    def validate(self) -> dict[str, Comparison]:
        """Labels and predictions of the averaged weights on the validation examples."""
        return compare(self.average.model, self.held)

    def moments(self) -> dict[str, Tensor]:
        """What the optimizer remembers, as 'parameter/name'."""
        return {
            f"{name}/{key}": value
            for name, parameter in self.model.named_parameters()
            for key, value in self.optimizer.state.get(parameter, {}).items()
        }

    def restore(self, moments: Mapping[str, Tensor]) -> None:
        """Takes over what `moments` gave, after the weights were copied into the parameters."""
        parameters: dict[str, Any] = dict(self.model.named_parameters())
        for full, value in moments.items():
            name, _, key = full.rpartition("/")
            parameter = parameters[name]
            place = torch.zeros_like(parameter) if value.shape == parameter.shape else torch.zeros_like(value)
            self.optimizer.state[parameter][key] = place.copy_(value)


def _optimizer(model: Model, settings: Optimizer) -> torch.optim.Optimizer:
    parameters = list(model.named_parameters())
    groups = [
        {"params": [p for n, p in parameters if decays(n, p)], "weight_decay": settings.weight_decay},
        {"params": [p for n, p in parameters if not decays(n, p)], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=settings.learning_rate, fused=True)
