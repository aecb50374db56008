"""Training steps in one call of the compiled library, and the choice between them and torch."""

import logging
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from painn_ase.backends.layout import obstacle
from painn_ase.errors import InputError
from painn_ase.model import Model
from painn_ase.native import training as t
from painn_ase.training.average import AveragedModel
from painn_ase.training.config import Optimizer, Run
from painn_ase.training.data import Batch, Example, batch_indices, collate
from painn_ase.training.evaluate import Comparison, compare_predictions
from painn_ase.training.kernel import Kernel
from painn_ase.training.loss import Loss
from painn_ase.training.torch_step import TorchStep

logger = logging.getLogger(__name__)

_BETAS, _EPSILON = (0.9, 0.999), 1e-8  # torch.optim.AdamW's


class CompiledStep:
    """The same steps as `TorchStep` makes, with weights, moments and averages in flat arrays that the parameters are
    views of. Structures are handed over once."""

    name = "compiled"

    def __init__(self, model: Model, average: AveragedModel, loss: Loss, settings: Optimizer, threads: int) -> None:
        self.model, self.average, self.settings = model, average, settings
        self.kernel = Kernel(model, average.model, threads)
        pairs = [loss.weight_and_size(name) for name in t.LABELS]
        self.loss = t.Loss(tuple(w for w, _ in pairs), tuple(size for _, size in pairs), int(loss.absolute))
        self.numbers = np.empty(0, dtype=np.int64)  # of the examples in the kernel
        self.held: list[tuple[Batch, np.ndarray]] = []

    def set_examples(self, train: Sequence[Example], validation: Sequence[Example], batch_size: int) -> None:
        """The structures to train on, and those to validate with, in batches of `batch_size`."""
        known: dict[int, int] = {}  # an example that is visited more than once is kept once
        for example in (*train, *validation):
            if id(example) not in known:
                (known[id(example)],) = self.kernel.add(example.graph, example.labels)
        self.numbers = np.array([known[id(example)] for example in train], dtype=np.int64)
        held = np.array([known[id(example)] for example in validation], dtype=np.int64)
        for indices in batch_indices(validation, batch_size):
            self.held.append((collate([validation[k] for k in indices]), held[indices]))

    def step(self, indices: np.ndarray, learning_rate: float, number: int) -> float:
        """Makes step `number` (from 1) on the examples `indices` and returns their loss."""
        settings = self.settings
        update = t.Update(
            learning_rate,
            settings.weight_decay,
            *_BETAS,
            _EPSILON,
            settings.gradient_norm,
            self.average.share(number),
        )
        loss, _ = self.kernel.step(self.numbers[indices], self.loss, update)
        return loss

    def validate(self) -> dict[str, Comparison]:
        """Labels and predictions of the averaged weights on the validation examples."""

        def predictions() -> Iterator[tuple[Batch, Mapping[str, Tensor]]]:
            for batch, numbers in self.held:
                yield batch, self.kernel.predict(numbers, batch.labels, batch.graph.n_atoms, averaged=True)

        return compare_predictions(predictions())

    def moments(self) -> dict[str, Tensor]:
        """What the optimizer remembers, as 'parameter/name', as torch's AdamW has it."""
        kernel = self.kernel
        first, second = kernel.views(kernel.first), kernel.views(kernel.second)
        steps = {name: torch.tensor(float(kernel.steps[part])) for name, part in kernel.parts.items()}
        found: dict[str, Tensor] = {}
        for name, step in steps.items():
            if step > 0:
                found |= {f"{name}/step": step, f"{name}/exp_avg": first[name], f"{name}/exp_avg_sq": second[name]}
        return found

    def restore(self, moments: Mapping[str, Tensor]) -> None:
        """Takes over what `moments` gave, after the weights were copied into the parameters."""
        kernel = self.kernel
        places = {"exp_avg": kernel.views(kernel.first), "exp_avg_sq": kernel.views(kernel.second)}
        for full, value in moments.items():
            name, _, key = full.rpartition("/")
            if key == "step":
                kernel.steps[kernel.parts[name]] = int(value)
            else:
                places[key][name].copy_(value)
        kernel.changed()


def choose_step(
    model: Model, average: AveragedModel, loss: Loss, settings: Optimizer, run: Run, wanted: str
) -> TorchStep | CompiledStep:
    """The way to train that `wanted` names; "auto" is the compiled one for float32 models that it knows. One line in
    the log says which. Raises `InputError` where a compiled step is asked for and cannot be had."""
    reason = obstacle(model, loss.labelled)
    if wanted == "compiled" and reason is not None:
        raise InputError(f"[run] step = 'compiled': the compiled step cannot train this model: {reason}. Use 'auto'")
    if wanted == "auto" and reason is None and run.dtype != "float32":
        reason = f"[run] dtype is {run.dtype}, and step is not 'compiled'"
    if wanted == "torch" or reason is not None:
        logger.info("training by torch%s", f" ({reason})" if wanted == "auto" else "")
        return TorchStep(model, average, loss, settings)
    step = CompiledStep(model, average, loss, settings, run.threads)
    logger.info("training by the compiled step, on %d threads", step.kernel.threads)
    return step
