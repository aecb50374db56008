"""How good a model is: its predictions beside the labels, errors per property and group, parity plot."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase import Atoms
from torch import Tensor

from painn_ase.data import Label
from painn_ase.derivatives import evaluate
from painn_ase.errors import InputError, MissingPackageError
from painn_ase.model import Model, check_elements
from painn_ase.properties import PROPERTIES, TRAINABLE
from painn_ase.shown import Shown
from painn_ase.training.data import Batch, Example, batch_indices, collate, make_examples
from painn_ase.training.labels import trained_charge
from painn_ase.training.loss import errors


@dataclass(frozen=True)
class Comparison:
    """Labels of one property and what the model says instead, one row per labelled structure or atom."""

    name: str
    reference: np.ndarray  # (rows, ...) internal units
    predicted: np.ndarray  # (rows, ...) internal units
    per_atom: np.ndarray  # (rows, ...) predicted - reference; of the energy, divided by the number of atoms
    groups: np.ndarray  # (rows,) names

    def of(self, group: str) -> "Comparison":
        """The rows of one group."""
        keep = self.groups == group
        return Comparison(self.name, self.reference[keep], self.predicted[keep], self.per_atom[keep], self.groups[keep])

    def error(self) -> "Error":
        """Errors per component, in the unit that people read."""
        unit, factor = PROPERTIES[self.name].report
        return _error(self.name, unit, factor * (self.predicted - self.reference))


@dataclass(frozen=True)
class Error:
    """Statistics of the errors of one property over all components; of the energy, per structure."""

    name: str
    unit: str
    mae: float
    rmse: float
    max: float
    count: int  # of components

    def __str__(self) -> str:
        return f"{self.name} {self.mae:.3g} {self.unit}"


@dataclass(frozen=True, repr=False)
class Evaluation(Shown):
    """A model compared with labelled frames."""

    comparisons: dict[str, Comparison]
    structures: int
    outside: tuple[tuple[int, str], ...] | None = None  # frames outside of the model's coverage; None: not known

    @property
    def errors(self) -> list[Error]:
        """Error of each property; the energy also per atom."""
        return _errors(self.comparisons)

    @property
    def groups(self) -> dict[str, list[Error]]:
        """Errors by group of frames; empty where the frames were not grouped."""
        names = sorted({str(g) for c in self.comparisons.values() for g in c.groups} - {""})
        return {g: _errors({n: c.of(g) for n, c in self.comparisons.items() if g in c.groups}) for g in names}

    def __repr__(self) -> str:
        return f"Evaluation({self.structures} structures: {', '.join(map(str, self.errors))})"

    def __str__(self) -> str:
        return self.table()

    def coverage(self) -> str:
        """A sentence on how many frames lie outside of what the model's training data covered."""
        if self.outside is None:
            return "the model does not store what its training data covered"
        if not self.outside:
            return f"all {self.structures} frames lie inside of what the training data covered"
        first, why = self.outside[0]
        return (
            f"{len(self.outside)} of {self.structures} frames lie outside of what the training data covered; the first "
            f"is frame {first}: {why}"
        )

    def table(self) -> str:
        """The errors as a table that reads well as text and as Markdown."""
        rows: list[tuple[str, ...]] = [("property", "MAE", "RMSE", "max", "unit", "components")]
        for group, members in [("", self.errors), *self.groups.items()]:
            rows += [(f"{group}: {e.name}" if group else e.name, *_numbers(e)) for e in members]
        widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
        lines = ["| " + " | ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)) + " |" for row in rows]
        lines.insert(1, "|" + "|".join("-" * (w + 2) for w in widths) + "|")
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """The errors as JSON-able dictionaries, for a model's header."""
        result: dict[str, Any] = {"structures": self.structures, "properties": _plain(self.errors)}
        if self.groups:
            result["groups"] = {group: _plain(members) for group, members in self.groups.items()}
        return result


def evaluate_model(
    model: Model,
    frames: Sequence[Atoms],
    labels: dict[str, Label],
    *,
    batch_size: int = 32,
    charge: str | float | None = None,
    group: str | None = None,
) -> Evaluation:
    """The model's predictions for labelled frames beside the labels.

    model: the trained model
    frames: structures with labels
    labels: under which key and in which unit each property is stored
    batch_size: structures in one evaluation
    charge: total charge in e, or the key in `info` that holds it; by default as in the training
    group: key in `info` by which errors are also given separately

    Raises `InputError` for labels the model does not predict, elements it
    does not know, and everything `make_examples` refuses.
    """
    missing = set(labels) - model.learnable
    if missing:
        have = ", ".join(name for name in TRAINABLE if name in model.learnable)
        raise InputError(f"model {model.name!r} predicts {have}; there are labels for {', '.join(sorted(missing))}")
    for atoms in frames:
        check_elements(model.name, model.elements, atoms.numbers)
    charge = trained_charge(model) if charge is None else charge
    examples = make_examples(frames, labels, model.cutoff, charge=charge, group=group, molecular=model.molecular)
    batches = (collate([examples[k] for k in indices]) for indices in batch_indices(examples, batch_size))
    return Evaluation(compare(model, batches), len(frames), _outside(model, examples))


def _outside(model: Model, examples: Sequence[Example]) -> tuple[tuple[int, str], ...] | None:
    """Index of each frame that the model's training data do not cover, and why."""
    if model.coverage is None:
        return None
    sentences = [model.coverage.graph(example.graph) for example in examples]
    return tuple((index, sentence) for index, sentence in enumerate(sentences) if sentence)


def compare(model: Model, batches: Iterable[Batch]) -> dict[str, Comparison]:
    """Labels and predictions of all batches by property, in the order of the batches."""
    device = next(model.parameters()).device

    def predictions() -> Iterator[tuple[Batch, Mapping[str, Tensor]]]:
        for cpu_batch in batches:
            batch = cpu_batch.to(device)
            with torch.no_grad():
                yield batch, evaluate(model, batch.graph, batch.labels)

    return compare_predictions(predictions())


def compare_predictions(predicted: Iterable[tuple[Batch, Mapping[str, Tensor]]]) -> dict[str, Comparison]:
    """As `compare`, from batches with what was predicted of them."""
    rows: dict[str, list[tuple[np.ndarray, ...]]] = {}
    for batch, predictions in predicted:
        names = np.array(batch.groups, dtype=object)
        for name, label in batch.labels.items():
            mask = batch.masks.get(name, slice(None))
            group = names if PROPERTIES[name].per == "structure" else names[batch.graph.structures.cpu().numpy()]
            kept = group[mask.cpu().numpy() if name in batch.masks else slice(None)]  # type: ignore[union-attr]
            prediction = predictions[name]
            arrays = (label[mask], prediction[mask], errors(name, prediction, batch))
            rows.setdefault(name, []).append((*(a.cpu().numpy() for a in arrays), kept))
    ordered = [name for name in TRAINABLE if name in rows]
    return {name: Comparison(name, *(np.concatenate(c) for c in zip(*rows[name], strict=True))) for name in ordered}


def parity_plot(evaluation: Evaluation, path: str | Path) -> Path:
    """Draws predicted against reference values, a panel per property, and returns the path of the figure.

    Energies are shown relative to the mean reference. The suffix of `path` chooses the format. Raises
    `MissingPackageError` without matplotlib.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingPackageError("matplotlib", "a parity plot", "plot") from None
    panels = list(evaluation.comparisons.values())
    figure = Figure(figsize=(2.6 * len(panels), 2.7), dpi=300, layout="constrained")
    FigureCanvasAgg(figure)
    for axes, comparison in zip(np.atleast_1d(figure.subplots(1, len(panels))), panels, strict=True):
        _panel(axes, comparison)
    figure.savefig(path)
    return Path(path)


def _panel(axes: Any, comparison: Comparison) -> None:
    unit, factor = PROPERTIES[comparison.name].unit, 1.0
    if comparison.name in ("stress", "polarizability", "hyperpolarizability"):
        unit, factor = PROPERTIES[comparison.name].report
    origin = comparison.reference.mean() if comparison.name == "energy" else 0.0
    x, y = (factor * (v - origin).ravel() for v in (comparison.reference, comparison.predicted))
    low, high = min(x.min(), y.min()), max(x.max(), y.max())
    margin = 0.05 * (high - low) or 1.0
    limits = (low - margin, high + margin)
    axes.plot(limits, limits, color="0.6", linewidth=0.8, zorder=1)
    # thousands of force components would make a vector figure megabytes
    axes.scatter(x, y, s=5, alpha=0.5, linewidths=0, color="#1f5fa8", zorder=2, rasterized=len(x) > 1000)
    axes.set(xlim=limits, ylim=limits, aspect="equal")
    what = "energy - mean" if comparison.name == "energy" else comparison.name
    axes.set_xlabel(f"reference {what} ({unit})", fontsize=8)
    axes.set_ylabel(f"predicted ({unit})", fontsize=8)
    axes.tick_params(labelsize=7)
    error = comparison.error()
    text = f"MAE {error.mae:.3g} {error.unit}\nRMSE {error.rmse:.3g} {error.unit}"
    axes.text(0.04, 0.96, text, transform=axes.transAxes, va="top", fontsize=7)


def _errors(comparisons: dict[str, Comparison]) -> list[Error]:
    found = []
    for name, comparison in comparisons.items():
        found.append(comparison.error())
        if name == "energy":
            unit, factor = PROPERTIES[name].report
            found.append(_error("energy per atom", unit, factor * comparison.per_atom))
    return found


def _error(name: str, unit: str, difference: np.ndarray) -> Error:
    size = np.abs(difference)
    return Error(
        name, unit, float(size.mean()), float(np.sqrt(np.square(size).mean())), float(size.max()), int(size.size)
    )


def _numbers(e: Error) -> tuple[str, ...]:
    return f"{e.mae:.4g}", f"{e.rmse:.4g}", f"{e.max:.4g}", e.unit, str(e.count)


def _plain(members: list[Error]) -> dict[str, Any]:
    return {e.name: {"mae": e.mae, "rmse": e.rmse, "max": e.max, "unit": e.unit, "count": e.count} for e in members}
