"""Several models as one, on labelled frames: errors of their mean, and what their disagreement tells of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms
from scipy.stats import spearmanr

from painn_ase.cards.measure.subject import rounded, stamp
from painn_ase.errors import InputError
from painn_ase.model import Model
from painn_ase.training import Evaluation, Label, evaluate_model
from painn_ase.training.evaluate import Comparison


@dataclass(frozen=True)
class Committee:
    """Errors of the mean of several models, and of their disagreement in the forces if these are labelled."""

    members: tuple[str, ...]
    evaluation: Evaluation  # of the mean
    forces_std: float | None  # meV/Å, mean over the atoms of √(Σ_components variance)
    forces_error: float | None  # meV/Å, mean over the atoms of the length of the mean's error
    rank_correlation: float | None  # Spearman's, of the two over the atoms

    def to_dict(self) -> dict[str, Any]:
        """The figures, JSON-able."""
        figures = {"forces_std": self.forces_std, "forces_error": self.forces_error}
        figures["rank_correlation"] = self.rank_correlation
        return {"members": list(self.members), **rounded(figures), "errors": self.evaluation.to_dict()} | stamp()


def committee(
    models: Sequence[Model], frames: Sequence[Atoms], labels: dict[str, Label], *, group: str | None = None
) -> Committee:
    """The mean of at least two models on labelled frames. Errors are those of `evaluate_model`."""
    if len(models) < 2:
        raise InputError(f"committee: expected at least two models; got {len(models)}")
    members = [evaluate_model(model, frames, labels, group=group).comparisons for model in models]
    mean = {name: _mean([m[name] for m in members]) for name in members[0]}
    figures: tuple[float | None, float | None, float | None] = (None, None, None)
    if "forces" in mean:
        spread = np.stack([m["forces"].predicted for m in members]).var(axis=0, ddof=1)
        deviation = 1000 * np.sqrt(spread.sum(axis=-1))
        error = 1000 * np.linalg.norm(mean["forces"].predicted - mean["forces"].reference, axis=-1)
        figures = float(deviation.mean()), float(error.mean()), float(spearmanr(deviation, error).statistic)
    return Committee(tuple(m.name for m in models), Evaluation(mean, len(frames)), *figures)


def _mean(parts: Sequence[Comparison]) -> Comparison:
    first = parts[0]
    predicted = np.mean([p.predicted for p in parts], axis=0)
    per_atom = np.mean([p.per_atom for p in parts], axis=0)
    return Comparison(first.name, first.reference, predicted, per_atom, first.groups)
