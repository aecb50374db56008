"""Per-element references and scales that let the network start near zero mean and unit variance, inside and out."""

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from ase.data import chemical_symbols

from painn_ase.derivatives import evaluate
from painn_ase.errors import InputError
from painn_ase.heads import Head
from painn_ase.model import Model
from painn_ase.properties import PROPERTIES
from painn_ase.training.data import Example, batch_indices, collate

logger = logging.getLogger(__name__)

_COMPARED = 2000  # examples that references are shifted by
_BORN = "born_effective_charges"
_ISOTROPIC = {"energy": 1.0, "polarizability": 1.0 / 3.0}  # trace of a 3x3 label, or the label itself


def fit_normalization(model: Model, examples: Sequence[Example]) -> dict[str, float]:
    """Fills `references` and `scale` of the model's heads, and returns the `label_sizes`.

    The representation adapts its own constants to the structures, if it has any.
    References solve the least-squares problem  label ≈ Σ_Z n_Z reference_Z  of least norm, so compositions that
    do not tell the elements apart (a single molecule) are no obstacle. The energy's scale is the RMS force
    component; every other scale is the RMS of what the references leave over, or, of a dipole that has no labels but
    Born charges, theirs times 1 Å. Raises `InputError` for a label that does not vary.
    """
    for name in _ISOTROPIC:
        head = _head_of(model, name)
        if head is not None and any(name in e.labels for e in examples):
            _fit_references(model, head.references, name, examples)
    sizes = label_sizes(model, examples)
    model.representation.adapt([e.graph for e in examples])
    for head in model.heads.values():
        provided = head.provides
        names = (
            ("forces", *provided) if "energy" in provided else (*provided, _BORN) if "dipole" in provided else provided
        )
        scale = next((sizes[name] for name in names if name in sizes), None)
        if scale is not None:
            head.scale.fill_(scale)
    return sizes


def label_sizes(model: Model, examples: Sequence[Example]) -> dict[str, float]:
    """The size of each label, for the loss, beside the references that the model has.

    RMS values in internal units: of force, dipole and stress components, of the rest of the polarizability components,
    and of the rest of the energy per atom. Raises `InputError` for a label that does not vary.
    """
    sizes = {name: _rms(_residuals(model, name, examples)) for name in _labelled(examples)}
    for name, size in sizes.items():
        if not size > 1e-10:
            raise InputError(
                f"label {name}: nothing to learn, the composition alone explains every training label (rest "
                f"{size:.1e} {PROPERTIES[name].unit}); drop it from [data.labels] or add frames"
            )
    return sizes


def describe_normalization(model: Model) -> dict[str, Any]:
    """References by element symbol, and the scale, of every head (internal units); for the model's provenance."""
    return {
        name: {
            "scale": float(head.scale),
            "references": {chemical_symbols[z]: float(head.references[z]) for z in model.elements},
        }
        for name, head in model.heads.items()
    }


def _head_of(model: Model, name: str) -> Head | None:
    """The head that provides the property `name` itself; None for derivatives."""
    return next((head for head in model.heads.values() if name in head.provides), None)


def _fit_references(model: Model, references: torch.Tensor, name: str, examples: Sequence[Example]) -> None:
    labelled = [e for e in examples if name in e.labels]
    solution, rank = _by_element(model, labelled, [_isotropic(name, e.labels[name]) for e in labelled])
    references.zero_()
    references[list(model.elements)] = solution
    if rank < len(model.elements):
        logger.info(
            "%s references: the compositions fix %d of %d elements; the solution of least norm is used, and only "
            "its sum over a composition like those of the training set has a meaning",
            name,
            rank,
            len(model.elements),
        )


def shift_references(model: Model, examples: Sequence[Example], heads: Sequence[str]) -> None:
    """Moves the references of the named heads so that the model's mean error of each composition vanishes.

    The level of theory that trained a model has other energies of its atoms than that of new labels: one number for
    each element. Least squares of least norm, as in `fit_normalization`, of the model's errors: where the level is
    the same, next to nothing moves.
    """
    for name in _ISOTROPIC:
        head = _head_of(model, name)
        members = _some_of_each_composition([e for e in examples if name in e.labels])
        if head is None or not members or not any(model.heads[known] is head for known in heads):
            continue
        errors: list[float] = []
        for indices in batch_indices(members, 32):
            batch = collate([members[k] for k in indices])
            with torch.no_grad():
                predicted = evaluate(model, batch.graph, [name])[name]
            errors += [_isotropic(name, members[k].labels[name] - p) for k, p in zip(indices, predicted, strict=True)]
        solution, _ = _by_element(model, members, errors)
        head.references[list(model.elements)] += solution


def _some_of_each_composition(examples: list[Example]) -> list[Example]:
    """Of many examples at most some `_COMPARED`, as many of each composition, and all of few."""
    groups: dict[bytes, list[Example]] = {}
    for e in examples:
        groups.setdefault(np.bincount(e.graph.numbers, minlength=100).tobytes(), []).append(e)
    each = max(1, _COMPARED // max(1, len(groups)))
    some = [e for members in groups.values() for e in members[:: -(-len(members) // each)]]
    return some[:: max(1, len(some) // _COMPARED)]


def _by_element(model: Model, examples: Sequence[Example], values: Sequence[float]) -> tuple[torch.Tensor, int]:
    """The solution of least norm of  values ≈ Σ_Z n_Z x_Z  for the model's elements, and the rank."""
    counts = np.stack([np.bincount(e.graph.numbers, minlength=100)[list(model.elements)] for e in examples])
    solution, _, rank, _ = np.linalg.lstsq(counts.astype(float), np.array(values), rcond=1e-8)
    return torch.from_numpy(solution), int(rank)


def _isotropic(name: str, value: torch.Tensor) -> float:
    """Of an energy (1,) or () itself, of a tensor (1, 3, 3) or (3, 3) the third of the trace."""
    return _ISOTROPIC[name] * _trace(value)


def _trace(label: torch.Tensor) -> float:
    return float(label.reshape(3, 3).trace() if label.numel() == 9 else label)


def _residuals(model: Model, name: str, examples: Sequence[Example]) -> np.ndarray:
    """What the references leave of the labels, as a flat array; of the energy, per atom."""
    rest = []
    for e in examples:
        if name not in e.labels:
            continue
        label = e.labels[name]
        head = _head_of(model, name)
        if name in _ISOTROPIC and head is not None:
            offset = head.references[e.graph.numbers].sum()
            label = label - (offset if name == "energy" else offset * torch.eye(3, dtype=torch.float64))
        rest.append((label / e.graph.n_atoms if name == "energy" else label).flatten())
    return torch.cat(rest).numpy()


def _labelled(examples: Sequence[Example]) -> list[str]:
    return list(dict.fromkeys(name for e in examples for name in e.labels))


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(values))))
