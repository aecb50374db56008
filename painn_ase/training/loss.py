"""The quantity that training makes small."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from painn_ase.training.data import Batch

_ROUNDED = 1e-3  # in units of a label's size: shorter errors than this count by their squares, for a smooth minimum


class Loss:
    """Σ_p w_p ⟨f(Δ_p / σ_p)⟩ over the labelled vectors (matrices, numbers) Δ of each property p.

    Δ is an error (of the energy, per atom) and σ_p the size of the label (see `fit_normalization`), so weights are
    dimensionless, and neither the unit of a label nor the number of atoms changes the balance. With d components of Δ
    and x² = |Δ|²/(d σ²), `kind` "squared" means f = x², and "absolute" f = √(x² + δ²) - δ with δ = 0.001, which is x
    but for the tip. The second counts small errors nearly in full: structures with large forces, and so large errors,
    no longer decide alone. Both are the same in every frame of reference, for they depend on lengths.
    """

    def __init__(self, weights: Mapping[str, float], sizes: Mapping[str, float], kind: str = "squared") -> None:
        self._weights = {name: weights[name] for name in sizes if weights[name] > 0}
        self._sizes = sizes
        self.labelled = frozenset(weights)  # whether they count or not
        self.absolute = kind == "absolute"

    def weight_and_size(self, name: str) -> tuple[float, float]:
        """w and σ of a property; (0, 1) of one that does not count."""
        return (self._weights[name], self._sizes[name]) if name in self._weights else (0.0, 1.0)

    @property
    def properties(self) -> frozenset[str]:
        """Names of the properties that count."""
        return frozenset(self._weights)

    def __call__(self, predictions: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """The loss of one batch, a float64 scalar. Properties without a label in the batch add nothing."""
        total = torch.zeros((), dtype=torch.float64, device=batch.graph.positions.device)
        for name in self._weights:
            if name in batch.labels:
                total = total + self._term(name, errors(name, predictions[name], batch))
        return total

    def of(self, errors: Mapping[str, np.ndarray]) -> float:
        """The loss of a whole set, from the errors of every property that has labels (of the energy, per atom)."""
        return sum(float(self._term(n, torch.from_numpy(errors[n]))) for n in self._weights if n in errors)

    def score(self, errors: Mapping[str, np.ndarray]) -> float:
        """Σ_p w_p ⟨|Δ_p|⟩ / σ_p of a whole set: what the best epoch is chosen by.

        Of a few dozen held-out structures one torn apart can carry most of the mean square, which then says which
        epoch happened to suit that structure; the mean of absolute errors says how good the model is.
        """
        counted = {name: w / self._sizes[name] for name, w in self._weights.items() if name in errors}
        return sum(factor * float(np.abs(errors[name]).mean()) for name, factor in counted.items())

    def _term(self, name: str, error: Tensor) -> Tensor:
        square = (error / self._sizes[name]).square()
        if self.absolute:
            length = square.flatten(1).mean(dim=1) if square.ndim > 1 else square
            return self._weights[name] * ((length + _ROUNDED**2).sqrt() - _ROUNDED).mean()
        return self._weights[name] * square.mean()


def errors(name: str, prediction: Tensor, batch: Batch) -> Tensor:
    """Prediction minus label where there is one, (labelled, ...); of the energy, per atom."""
    error = prediction - batch.labels[name]
    if name == "energy":
        error = error / batch.graph.counts
    mask = batch.masks.get(name)
    return error if mask is None else error[mask]
