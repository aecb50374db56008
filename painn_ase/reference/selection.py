"""Which frames to label: where models disagree, or where the structures known so far are farthest."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from ase import Atoms

from painn_ase.calculator import PaiNNCalculator
from painn_ase.checkpoint import load_model
from painn_ase.errors import InputError
from painn_ase.graph import batch
from painn_ase.model import Model, check_elements
from painn_ase.training.data import make_examples

_BATCH = 64  # structures described together


def select(
    frames: Sequence[Atoms],
    count: int,
    *,
    models: Sequence[str | Path | Model] = (),
    known: Sequence[Atoms] = (),
    ceiling: float = np.inf,
) -> list[Atoms]:
    """`count` of the frames, the most useful first.

    frames: proposals
    count: how many to choose
    models: two or more: choose the frames they disagree most about; one: those whose features in that model are
        farthest from each other and from the `known` frames; none: the same by sorted distances
    known: frames that are labelled already
    ceiling: with two or more models, frames with a larger `forces_std` (eV/Å) are left out as broken geometries

    With two or more models the largest `forces_std` of a frame goes into info["forces_std"].
    """
    if count < 1 or not frames:
        raise InputError(f"select: expected frames and a count >= 1; got {len(frames)} frames and {count}")
    if len(models) > 1:
        if known:
            raise InputError("select: disagreement does not use known frames; leave them out, or name one model")
        scores = disagreement(frames, PaiNNCalculator(models))
        chosen = most_disagreed(scores, count, ceiling)
        for index in chosen:
            frames[index].info["forces_std"] = float(scores[index])
    else:
        model = models[0] if models else None
        model = load_model(model) if isinstance(model, str | Path) else model
        together = [*frames, *known]
        rows = distance_descriptors(together) if model is None else model_descriptors(together, model)
        chosen = farthest_points(rows[: len(frames)], count, rows[len(frames) :])
    return [frames[index] for index in chosen]


def disagreement(frames: Sequence[Atoms], calculator: PaiNNCalculator) -> np.ndarray:
    """The largest `forces_std` of any atom, (frames,) in eV/Å, by a calculator over several models.

    Seung, Opper and Sompolinsky, Query by Committee (1992), doi:10.1145/130385.130417.
    """
    if "forces_std" not in calculator.implemented_properties:
        raise InputError("disagreement: expected a calculator of several models, PaiNNCalculator([...]); got one model")
    return np.array([np.max(calculator.get_property("forces_std", atoms.copy())) for atoms in frames])


def most_disagreed(scores: np.ndarray, count: int, ceiling: float = np.inf) -> np.ndarray:
    """Indices of the `count` highest scores, highest first, without those above `ceiling` (broken geometries)."""
    order = np.argsort(-scores, kind="stable")
    return order[scores[order] <= ceiling][:count]


def farthest_points(descriptors: np.ndarray, count: int, known: np.ndarray | None = None) -> np.ndarray:
    """Indices of `count` rows, each as far as possible from those before it and from the rows of `known`.

    Without `known` the first is the row nearest to the mean. Rows at no distance from a chosen one are duplicates and
    are never taken, so fewer indices may come back. Gonzalez, Theor. Comput. Sci. 38, 293 (1985),
    doi:10.1016/0304-3975(85)90224-5: no choice of `count` covers the rows with less than half its radius.
    """
    rows = np.asarray(descriptors, dtype=float)
    if rows.ndim != 2 or not np.isfinite(rows).all():
        raise InputError(f"descriptors: expected a finite array (frames, numbers); got shape {rows.shape}")
    chosen: list[int] = []
    if known is not None and len(known):
        distances = np.min([np.linalg.norm(rows - row, axis=1) for row in np.asarray(known)], axis=0)
    else:
        chosen.append(int(np.argmin(np.linalg.norm(rows - rows.mean(axis=0), axis=1))))
        distances = np.linalg.norm(rows - rows[chosen[0]], axis=1)
    while len(chosen) < min(count, len(rows)):
        farthest = int(np.argmax(distances))
        if distances[farthest] <= 1e-9 * (1 + np.abs(rows).max()):
            break
        chosen.append(farthest)
        distances = np.minimum(distances, np.linalg.norm(rows - rows[farthest], axis=1))
    return np.array(chosen[:count], dtype=int)


def distance_descriptors(frames: Sequence[Atoms]) -> np.ndarray:
    """Inverse distances sorted within each pair of elements, (frames, pairs) in 1/Å; needs no model.

    They do not depend on the orientation or on the order of like atoms. Raises `InputError` if compositions differ.
    """
    reference = sorted(frames[0].numbers) if frames else []
    rows = []
    for index, atoms in enumerate(frames):
        if sorted(atoms.numbers) != reference or atoms.pbc.any():
            raise InputError(
                f"frame {index}: sorted distances compare molecules of one composition, {frames[0].symbols.formula}; "
                f"got {atoms.symbols.formula}, pbc={atoms.pbc.tolist()}. Describe the frames with a model instead"
            )
        first, second = np.triu_indices(len(atoms), 1)
        inverse = 1 / atoms.get_all_distances()[first, second]
        kinds = np.sort(atoms.numbers[np.stack([first, second])], axis=0)
        rows.append(inverse[np.lexsort((inverse, kinds[1], kinds[0]))])
    return np.array(rows)


def model_descriptors(frames: Sequence[Atoms], model: Model) -> np.ndarray:
    """Means and standard deviations over the atoms of each element of the model's scalar features, (frames, numbers).

    Elements that a structure lacks count zero. Raises `InputError` for elements the model does not know.
    """
    for atoms in frames:
        check_elements(model.name, model.elements, atoms.numbers)
    examples = make_examples(frames, {}, model.cutoff)
    rows = []
    for start in range(0, len(examples), _BATCH):
        graph = batch([example.graph for example in examples[start : start + _BATCH]])
        with torch.no_grad():
            features = model.representation(graph, graph.vectors().to(model.dtype)).scalars.double()
        columns = []
        for element in model.elements:
            of = (graph.numbers == element).double()[:, None]  # (atoms, 1)
            number = graph.sum_atoms(of).clamp(min=1)
            mean = graph.sum_atoms(features * of) / number
            variance = graph.sum_atoms(features**2 * of) / number - mean**2
            columns += [mean, variance.clamp(min=0).sqrt()]
        rows.append(torch.cat(columns, dim=1).numpy())
    return np.concatenate(rows)
