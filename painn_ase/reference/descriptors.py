"""Structures as rows of numbers, whose distances say how alike they are in any orientation and order of like atoms."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from ase import Atoms

from painn_ase.coverage.environments import neighbor_densities
from painn_ase.errors import InputError
from painn_ase.graph import AtomicGraph, batch
from painn_ase.model import Model, check_elements
from painn_ase.training.data import make_examples

_BATCH = 64  # structures described together
_CUTOFF = 5.0  # Å, of environments that no model describes


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
                f"got {atoms.symbols.formula}, pbc={atoms.pbc.tolist()}. Describe the frames by their environments or "
                "with a model instead"
            )
        first, second = np.triu_indices(len(atoms), 1)
        inverse = 1 / atoms.get_all_distances()[first, second]
        kinds = np.sort(atoms.numbers[np.stack([first, second])], axis=0)
        rows.append(inverse[np.lexsort((inverse, kinds[1], kinds[0]))])
    return np.array(rows)


def environment_descriptors(frames: Sequence[Atoms], cutoff: float = _CUTOFF) -> np.ndarray:
    """Means and standard deviations over the atoms of each element of their neighbour densities, (frames, numbers).

    The densities are those that a model's coverage is made of, with neighbours within `cutoff` Å: any molecules and
    crystals are compared, and no model is needed.
    """
    elements = np.unique(np.concatenate([atoms.numbers for atoms in frames]))

    def densities(graph: AtomicGraph) -> np.ndarray:
        vectors = graph.vectors().numpy()
        arrays = (graph.numbers.numpy(), graph.centers.numpy(), graph.neighbors.numpy())
        return neighbor_densities(*arrays, np.linalg.norm(vectors, axis=1), elements, cutoff)

    rows = [_by_element(g, torch.from_numpy(densities(g)), elements.tolist()) for g in _batches(frames, cutoff)]
    return np.concatenate(rows)


def model_descriptors(frames: Sequence[Atoms], model: Model) -> np.ndarray:
    """Means and standard deviations over the atoms of each element of the model's scalar features, (frames, numbers).

    Elements that a structure lacks count zero. Raises `InputError` for elements the model does not know.
    """
    for atoms in frames:
        check_elements(model.name, model.elements, atoms.numbers)
    rows = []
    for graph in _batches(frames, model.cutoff):
        with torch.no_grad():
            features = model.representation(graph, graph.vectors().to(model.dtype)).scalars.double()
        rows.append(_by_element(graph, features, model.elements))
    return np.concatenate(rows)


def _batches(frames: Sequence[Atoms], cutoff: float) -> list[AtomicGraph]:
    graphs = [example.graph for example in make_examples(frames, {}, cutoff)]
    return [batch(graphs[start : start + _BATCH]) for start in range(0, len(graphs), _BATCH)]


def _by_element(graph: AtomicGraph, features: torch.Tensor, elements: Sequence[int]) -> np.ndarray:
    """Means and standard deviations of `features` (atoms, numbers) over the atoms of each element of a structure."""
    columns = []
    for element in elements:
        of = (graph.numbers == element).double()[:, None]  # (atoms, 1)
        number = graph.sum_atoms(of).clamp(min=1)
        mean = graph.sum_atoms(features * of) / number
        variance = graph.sum_atoms(features**2 * of) / number - mean**2
        columns += [mean, variance.clamp(min=0).sqrt()]
    return torch.cat(columns, dim=1).numpy()
