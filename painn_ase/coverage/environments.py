"""Environments of atoms as numbers, and prototypes of those in the training data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_SPACING, _FIRST = 0.5, 0.5  # Å, of the radial grid; Gaussians as wide as their spacing
_PROTOTYPES, _COMPONENTS = 48, 8  # per element at most
_FOLDS = 4


@dataclass(frozen=True, eq=False)
class Environments:
    """Prototypes of the environments of one element, in the principal components of their neighbour densities.

    The distance of an environment x from prototype p is √(|(x - mean)·axes - p|² + rest²), where rest is the length of
    what the components leave of x: a direction in which the training data never varied counts in full.
    """

    mean: Array  # (channels,)
    axes: Array  # (components, channels), orthonormal
    prototypes: Array  # (prototypes, components)
    reach: float  # largest distance of a training environment from prototypes that were chosen without it

    @classmethod
    def of(cls, densities: Array) -> Environments:
        """Prototypes of training environments (environments, channels) by farthest-point sampling.

        The reach is found by leaving out one quarter after the other: the largest distance of what was left out from
        prototypes of the rest. It says how far new samples of the same kind lie, also where data are few.
        """
        mean = densities.mean(axis=0)
        _, singular, axes = np.linalg.svd(densities - mean, full_matrices=False)
        kept = max(1, min(_COMPONENTS, int(np.sum(singular > 1e-3 * max(singular[0], 1e-12)))))
        axes = axes[:kept]
        scores = (densities - mean) @ axes.T
        chosen = _farthest(scores, _PROTOTYPES)
        found = cls(rounded(mean), rounded(axes), rounded(scores[chosen]), 0.0)
        reach = found.distances(densities).max()
        for left_out in np.array_split(np.arange(len(scores)), _FOLDS) if len(scores) >= _FOLDS else ():
            rest = np.delete(scores, left_out, axis=0)
            part = cls(found.mean, found.axes, rest[_farthest(rest, _PROTOTYPES)], 0.0)
            reach = max(reach, part.distances(densities[left_out]).max())
        return cls(found.mean, found.axes, found.prototypes, float(rounded(reach)))

    def distances(self, densities: Array) -> Array:
        """(environments,) distance of each from its nearest prototype."""
        return Prototypes([self]).distances(densities, np.zeros(len(densities), dtype=int))

    def to_dict(self) -> dict[str, Any]:
        """JSON-able; some kilobytes."""
        return {
            "mean": self.mean.tolist(),
            "axes": self.axes.tolist(),
            "prototypes": self.prototypes.tolist(),
            "reach": self.reach,
        }

    @classmethod
    def from_dict(cls, table: dict[str, Any], channels: int) -> Environments:
        """What `to_dict` wrote of densities with this many channels. Some error of Python's for anything else."""
        found = cls(
            np.array(table["mean"], dtype=float),
            np.array(table["axes"], dtype=float).reshape(-1, len(table["mean"])),
            np.array(table["prototypes"], dtype=float).reshape(-1, len(table["axes"])),
            float(table["reach"]),
        )
        if len(found.mean) != channels or not len(found.prototypes):
            raise ValueError("prototypes of the wrong shape")
        return found


class Prototypes:
    """Those of several elements in one table, so that all atoms of a structure are compared in one go."""

    def __init__(self, elements: Sequence[Environments]) -> None:
        points = [one.prototypes for one in elements]
        most = max(len(p) for p in points)
        points = [np.concatenate([p, np.repeat(p[:1], most - len(p), axis=0)]) for p in points]  # as many of each
        self._means = np.array([one.mean for one in elements])
        self._offsets = np.array([(p**2).sum(axis=1) for p in points])
        self._targets = np.concatenate([(p @ one.axes).T for one, p in zip(elements, points, strict=True)], axis=1)

    def distances(self, densities: Array, kinds: np.ndarray) -> Array:
        """(environments,) distance of each from the nearest prototype of its element.

        densities: (environments, channels)
        kinds: place of its element among those given, (environments,)
        """
        centered = densities - self._means[kinds]
        products = (centered @ self._targets).reshape(len(kinds), *self._offsets.shape)[np.arange(len(kinds)), kinds]
        # |x|² = |components|² + rest², so the components' own squares cancel
        squares = (self._offsets[kinds] - 2 * products).min(axis=1)
        return np.sqrt(np.maximum(squares + np.einsum("ec,ec->e", centered, centered), 0.0))


def channels(cutoff: float, elements: int) -> int:
    """How many numbers an environment has."""
    return elements * len(_grid(cutoff))


def _grid(cutoff: float) -> Array:
    return np.arange(_FIRST, cutoff, _SPACING)


def neighbor_densities(
    numbers: np.ndarray,
    centers: np.ndarray,
    neighbors: np.ndarray,
    distances: Array,
    elements: np.ndarray,
    cutoff: float,
) -> Array:
    """(atoms, elements · radii): Σ_j f(r_ij) exp(-(r_ij - R)²/2w²) over neighbours j of an element, R on a grid.

    f = ½(1 + cos πr/r_c), so that neighbours come and go smoothly. Neighbours of other elements are left out.

    numbers: atomic numbers, (atoms,)
    centers, neighbors: indices of the atoms of each pair, (pairs,)
    distances: in Å, (pairs,)
    elements: atomic numbers that get columns, (elements,)
    cutoff: r_c in Å
    """
    grid = _grid(cutoff)
    kind = np.full(100, len(elements))
    kind[elements] = np.arange(len(elements))
    rows = np.exp(-0.5 * ((distances[:, None] - grid) / _SPACING) ** 2)
    rows *= (0.5 + 0.5 * np.cos(np.pi / cutoff * distances))[:, None]
    channels = (len(elements) + 1) * len(grid)
    place = (centers * channels + kind[numbers[neighbors]] * len(grid))[:, None] + np.arange(len(grid))
    sums: Array = np.bincount(place.ravel(), rows.ravel(), len(numbers) * channels).astype(float)
    return sums.reshape(len(numbers), channels)[:, : -len(grid)]


def _farthest(points: Array, count: int) -> list[int]:
    """Indices of points that each lie farthest from those before it, the first farthest from the mean."""
    chosen = [int((points**2).sum(axis=1).argmax())]
    away = ((points - points[chosen[0]]) ** 2).sum(axis=1)
    while len(chosen) < min(count, len(points)) and away.max() > 0:
        chosen.append(int(away.argmax()))
        away = np.minimum(away, ((points - points[chosen[-1]]) ** 2).sum(axis=1))
    return chosen


def rounded(values: Any) -> Any:
    """Five significant digits of the largest: what a JSON file needs to hold."""
    array = np.asarray(values, dtype=float)
    top = np.abs(array).max(initial=0.0)
    return np.round(array, 4 - int(np.floor(np.log10(top)))) if top > 0 else array
