"""The quantity that training makes small."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from painn_ase.training.data import Batch


class Loss:
    """Σ_p w_p ⟨(Δ_p / σ_p)²⟩ over the labelled entries of each property p.

    Δ is the error of a component, of the energy per atom; σ_p are the sizes of the labels (see
    `fit_normalization`). So weights are dimensionless, and neither the unit of a label nor the number of atoms
    changes the balance.
    """

    def __init__(self, weights: Mapping[str, float], sizes: Mapping[str, float]) -> None:
        self.factors = {name: weights[name] / size**2 for name, size in sizes.items() if weights[name] > 0}
        self.scales = {name: weights[name] / size for name, size in sizes.items() if weights[name] > 0}

    @property
    def properties(self) -> frozenset[str]:
        """Names of the properties that count."""
        return frozenset(self.factors)

    def __call__(self, predictions: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """The loss of one batch, a float64 scalar. Properties without a label in the batch add nothing."""
        total = torch.zeros((), dtype=torch.float64, device=batch.graph.positions.device)
        for name, factor in self.factors.items():
            if name in batch.labels:
                error = errors(name, predictions[name], batch)
                total = total + factor * error.square().mean()
        return total

    def of(self, errors: Mapping[str, np.ndarray]) -> float:
        """The loss of a whole set, from the errors of every property that has labels (of the energy, per atom)."""
        return sum(f * float(np.square(errors[name]).mean()) for name, f in self.factors.items() if name in errors)

    def score(self, errors: Mapping[str, np.ndarray]) -> float:
        """Σ_p w_p ⟨|Δ_p|⟩ / σ_p of a whole set: what the best epoch is chosen by.

        Of a few dozen held-out structures one torn apart can carry most of the mean square, which then says which
        epoch happened to suit that structure; the mean of absolute errors says how good the model is.
        """
        return sum(s * float(np.abs(errors[name]).mean()) for name, s in self.scales.items() if name in errors)


def errors(name: str, prediction: Tensor, batch: Batch) -> Tensor:
    """Prediction minus label where there is one, (labelled, ...); of the energy, per atom."""
    error = prediction - batch.labels[name]
    if name == "energy":
        error = error / batch.graph.counts
    mask = batch.masks.get(name)
    return error if mask is None else error[mask]
