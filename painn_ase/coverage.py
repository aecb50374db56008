"""What a model's training data covered, and whether a structure lies within it.

Three things are stored, all from geometry and labels alone, so that a check needs no network: the shortest distance
seen between each pair of elements, the largest force, and prototypes of the atomic environments. An environment is
the density of neighbours of each element on a radial grid; the angle between two bonds enters through the distance
between their ends, which is a pair of a third atom, so what one atom's numbers leave open its neighbours' fix.
Features of the network would be the other choice. They cost a network where the fast backends keep none, change with
every training, and are made to ignore what the labels did not need; neighbour densities are the same for every model
of the data. Distances are plain, not whitened: noise along directions that hardly vary must not decide.

For the bundled ethanol (391 frames) the 60 test frames of other trajectories score at most 0.95, while O-H torn to
1.5 Å, C-O to 1.9 Å, other molecules and dimers score above the limit of 1.1: a net for what is broken or new, coarser
than the disagreement of a committee (`forces_std`) and there with every single model.

A structure inside is no promise of accuracy, and one just outside may be predicted well. The check says where the
data end, which no error of the model can: networks are smooth and sure of themselves where they know nothing.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from ase.data import atomic_numbers, chemical_symbols
from numpy.typing import NDArray

from painn_ase.errors import ModelError
from painn_ase.graph import AtomicGraph
from painn_ase.neighbors import Pairs

Array = NDArray[np.float64]

CLOSER = 0.05  # Å below the shortest distance seen: a long run goes a little beyond the extremes of few frames
STRONGER = 1.5  # times the largest force seen
FARTHER = 1.1  # times the reach of the training environments
_SPACING, _FIRST = 0.5, 0.5  # Å, of the radial grid; Gaussians as wide as their spacing
_PROTOTYPES, _COMPONENTS = 48, 8  # per element at most
_ENVIRONMENTS = 20_000  # per element, that prototypes are chosen from
_FOLDS = 4


class CoverageWarning(UserWarning):
    """A structure lies outside of what a model was trained on."""


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
        found = cls(_rounded(mean), _rounded(axes), _rounded(scores[chosen]), 0.0)
        reach = found.distances(densities).max()
        for left_out in np.array_split(np.arange(len(scores)), _FOLDS) if len(scores) >= _FOLDS else ():
            rest = np.delete(scores, left_out, axis=0)
            part = cls(found.mean, found.axes, rest[_farthest(rest, _PROTOTYPES)], 0.0)
            reach = max(reach, part.distances(densities[left_out]).max())
        return cls(found.mean, found.axes, found.prototypes, float(_rounded(reach)))

    def distances(self, densities: Array) -> Array:
        """(environments,) distance of each from its nearest prototype."""
        centered = densities - self.mean
        # |x|² = |components|² + rest², so the components' own squares cancel
        squares = (self._offsets - 2 * (centered @ self._targets)).min(axis=1)
        return np.sqrt(np.maximum(squares + np.einsum("ec,ec->e", centered, centered), 0.0))

    @cached_property
    def _targets(self) -> Array:
        return (self.prototypes @ self.axes).T.copy()  # (channels, prototypes)

    @cached_property
    def _offsets(self) -> Array:
        return (self.prototypes**2).sum(axis=1)


@dataclass(frozen=True, eq=False)
class Coverage:
    """The extent of a model's training data. `of` measures it, `geometry` and `forces` compare a structure with it."""

    cutoff: float  # Å, of the pairs that were looked at
    closest: dict[tuple[int, int], float]  # Å, shortest distance seen for each pair of elements, lower number first
    force: float | None  # eV/Å, length of the largest force label; None without such labels
    environments: dict[int, Environments]  # by atomic number
    structures: int  # that were looked at

    @classmethod
    def of(cls, graphs: Sequence[AtomicGraph], forces: Iterable[np.ndarray], cutoff: float) -> Coverage:
        """The coverage of training structures with pairs within `cutoff` Å and their force labels in eV/Å."""
        closest: dict[tuple[int, int], float] = {}
        densities: dict[int, list[Array]] = {}
        elements = np.unique(np.concatenate([graph.numbers.numpy() for graph in graphs]))
        for graph in graphs:
            numbers, centers, neighbors, distances = _arrays(graph, cutoff)
            for pair, shortest in _shortest(numbers, centers, neighbors, distances).items():
                closest[pair] = min(shortest, closest.get(pair, np.inf))
            table = _densities(numbers, centers, neighbors, distances, elements, cutoff)
            for z in np.unique(numbers):
                densities.setdefault(int(z), []).append(table[numbers == z])
        largest = max((float(np.linalg.norm(f, axis=-1).max()) for f in forces), default=None)
        rng = np.random.default_rng(0)
        environments = {}
        for z, parts in sorted(densities.items()):
            rows = np.concatenate(parts)
            if len(rows) > _ENVIRONMENTS:
                rows = rows[rng.choice(len(rows), _ENVIRONMENTS, replace=False)]
            environments[z] = Environments.of(rows)
        closest = {pair: float(_rounded(d)) for pair, d in sorted(closest.items())}
        force = None if largest is None else float(_rounded(largest))
        return cls(float(cutoff), closest, force, environments, len(graphs))

    def geometry(self, numbers: np.ndarray, centers: np.ndarray, neighbors: np.ndarray, distances: Array) -> str | None:
        """A sentence about what of a geometry the training data did not cover, or None.

        `centers` and `neighbors` (pairs,) are a full list of pairs, as in a graph, and `distances` (pairs,) in Å; those
        beyond the cutoff are left out. Elements the model does not know are not looked at: they are errors elsewhere.
        """
        within = distances < self.cutoff
        if not within.all():
            centers, neighbors, distances = centers[within], neighbors[within], distances[within]
        return self._close(numbers, centers, neighbors, distances) or self._strange(
            numbers, centers, neighbors, distances
        )

    def graph(self, graph: AtomicGraph) -> str | None:
        """`geometry` of a graph; of a batch, atoms are counted through."""
        return self.geometry(*_arrays(graph, self.cutoff))

    def forces(self, forces: np.ndarray) -> str | None:
        """A sentence about a predicted force (atoms, 3) in eV/Å far above all force labels, or None."""
        if self.force is None:
            return None
        limit = STRONGER * self.force
        if np.vdot(forces, forces) <= limit * limit:  # then no single one is above; a microsecond in every step
            return None
        sizes = np.sqrt(np.einsum("ai,ai->a", forces, forces))
        worst = int(sizes.argmax())
        if sizes[worst] <= limit:
            return None
        return (
            f"the force on atom {worst} is {sizes[worst]:.3g} eV/Å; the largest in the training data {self.force:.3g}"
        )

    def score(self, graph: AtomicGraph) -> Array:
        """(atoms,) distance of each environment from the nearest prototype of its element, 1 where the data end.

        Above `FARTHER` an environment counts as outside; NaN for elements that were not in the data.
        """
        return self._scores(*_arrays(graph, self.cutoff))

    def _scores(self, numbers: np.ndarray, centers: np.ndarray, neighbors: np.ndarray, distances: Array) -> Array:
        table = _densities(numbers, centers, neighbors, distances, self._elements, self.cutoff)
        scores = np.full(len(numbers), np.nan)
        for z, known in self.environments.items():
            mine = numbers == z
            if mine.any():
                # data of a single geometry reach nowhere; the floor keeps rounding from being "outside"
                scores[mine] = known.distances(table[mine]) / max(known.reach, 1e-3)
        return scores

    def _close(self, numbers: np.ndarray, centers: np.ndarray, neighbors: np.ndarray, distances: Array) -> str | None:
        if not len(distances):
            return None
        limits = self._limits[numbers[centers], numbers[neighbors]]
        margin = distances - limits
        worst = int(margin.argmin())
        if margin[worst] >= 0:
            return None
        i, j, d, limit = int(centers[worst]), int(neighbors[worst]), distances[worst], limits[worst]
        pair = (
            f"atoms {i} ({chemical_symbols[numbers[i]]}) and {j} ({chemical_symbols[numbers[j]]}) are {d:.3g} Å apart"
        )
        if limit == np.inf:
            return f"{pair}; the training data hold no such pair within {self.cutoff:g} Å"
        return f"{pair}; the shortest such distance in the training data is {limit + CLOSER:.3g} Å"

    @cached_property
    def _limits(self) -> Array:
        """(100, 100) shortest distance allowed by atomic numbers; infinite for pairs that were never seen."""
        limits = np.full((100, 100), np.inf)
        for (a, b), shortest in self.closest.items():
            limits[a, b] = limits[b, a] = shortest - CLOSER
        return limits

    @cached_property
    def _elements(self) -> np.ndarray:
        return np.array(list(self.environments), dtype=int)

    def _strange(self, numbers: np.ndarray, centers: np.ndarray, neighbors: np.ndarray, distances: Array) -> str | None:
        scores = np.nan_to_num(self._scores(numbers, centers, neighbors, distances), nan=0.0)
        worst = int(scores.argmax())
        if scores[worst] <= FARTHER:
            return None
        return (
            f"the surroundings of atom {worst} ({chemical_symbols[numbers[worst]]}) are like none in the training data "
            f"({scores[worst]:.2g} times as far from them as they are from each other)"
        )

    # ---- files

    def to_dict(self) -> dict[str, Any]:
        """JSON-able; some kilobytes per element."""
        return {
            "structures": self.structures,
            "cutoff": self.cutoff,
            "closest": {f"{chemical_symbols[a]}-{chemical_symbols[b]}": d for (a, b), d in self.closest.items()},
            "force": self.force,
            "environments": {
                chemical_symbols[z]: {
                    "mean": e.mean.tolist(),
                    "axes": e.axes.tolist(),
                    "prototypes": e.prototypes.tolist(),
                    "reach": e.reach,
                }
                for z, e in self.environments.items()
            },
        }

    @classmethod
    def from_dict(cls, table: dict[str, Any], cutoff: float) -> Coverage:
        """The coverage that `to_dict` wrote for a model with this cutoff. Raises `ModelError` for anything else."""
        try:
            if table["cutoff"] != cutoff:  # before a grid is made of it
                raise ValueError(f"a cutoff of {table['cutoff']} Å beside the model's of {cutoff:g} Å")
            closest = {}
            for pair, distance in table["closest"].items():
                a, b = (atomic_numbers[symbol] for symbol in pair.split("-"))
                closest[a, b] = float(distance)
            environments = {
                atomic_numbers[symbol]: Environments(
                    np.array(e["mean"], dtype=float),
                    np.array(e["axes"], dtype=float).reshape(-1, len(e["mean"])),
                    np.array(e["prototypes"], dtype=float).reshape(-1, len(e["axes"])),
                    float(e["reach"]),
                )
                for symbol, e in table["environments"].items()
            }
            force = None if table["force"] is None else float(table["force"])
            found = cls(float(cutoff), closest, force, environments, int(table["structures"]))
            channels = len(_grid(found.cutoff)) * len(environments)
            if not all(len(e.prototypes) and len(e.mean) == channels for e in environments.values()):
                raise ValueError("prototypes of the wrong shape")
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise ModelError(f"the model's record of its training data's coverage is damaged: {error!r}") from None
        return found


class Guard:
    """Compares what a calculator evaluates with what its models' training data covered, and warns once.

    `outside` is a sentence about the structure last looked at, or None. Forces are looked at in every evaluation, at a
    microsecond. A geometry costs some fifty and is looked at when its pairs are new: always if the structure jumped
    (the list of pairs before served a single evaluation), else at most once in `EVERY` evaluations, for dynamics.
    """

    EVERY = 50

    def __init__(self, name: str, coverages: Sequence[Coverage]) -> None:
        unique: list[Coverage] = []
        for coverage in coverages:  # members of an ensemble often share their data
            if all(coverage.to_dict() != other.to_dict() for other in unique):
                unique.append(coverage)
        self.coverages = tuple(unique)
        self._name = name
        self._said = [False]  # shared with twins
        self._geometry: str | None = None
        self._force: str | None = None
        self._since_pairs, self._since_look = 0, 0  # evaluations

    @property
    def outside(self) -> str | None:
        return self._geometry or self._force

    @property
    def state(self) -> list[Any]:
        """What the guard knows of the structures it has seen; JSON-able, for `restore`."""
        return [self._geometry, self._force, self._since_pairs, self._since_look]

    def restore(self, state: Sequence[Any]) -> None:
        """Takes up an earlier `state`."""
        self._geometry, self._force, self._since_pairs, self._since_look = state

    def twin(self) -> Guard:
        """A guard with a state of its own that stays silent once this one has warned, and the other way round."""
        twin = copy(self)
        twin._geometry = twin._force = None
        twin._since_pairs = twin._since_look = 0
        return twin

    def new_pairs(self, numbers: np.ndarray, pairs: Pairs, positions: Array, cell: Array) -> None:
        """Takes a geometry whose pairs were just found."""
        jumped, self._since_pairs = self._since_pairs <= 1, 0
        if not jumped and self._since_look < self.EVERY:
            return
        self._since_look = 0
        vectors = pairs.vectors(positions, cell)
        distances = np.sqrt(np.einsum("pi,pi->p", vectors, vectors))
        found = (c.geometry(numbers, pairs.centers, pairs.neighbors, distances) for c in self.coverages)
        self._geometry = next((sentence for sentence in found if sentence), None)
        self._warn(self._geometry)

    def new_forces(self, forces: np.ndarray) -> None:
        """Takes the forces of an evaluation."""
        self._since_pairs += 1
        self._since_look += 1
        self._force = None
        for coverage in self.coverages:
            self._force = self._force or coverage.forces(forces)
        self._warn(self._force)

    def _warn(self, sentence: str | None) -> None:
        if sentence is None or self._said[0]:
            return
        self._said[0] = True
        warnings.warn(
            f"outside of what model {self._name!r} was trained on: {sentence}. Its results are extrapolated from here "
            "on. This is said once per calculator; calculator.outside says it of the present structure",
            CoverageWarning,
            stacklevel=2,
        )


def _arrays(graph: AtomicGraph, cutoff: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, Array]:
    """Elements, pairs within the cutoff, and their distances, in NumPy."""
    graph = graph.within(cutoff)
    distances = graph.vectors().norm(dim=-1).numpy()
    return graph.numbers.numpy(), graph.centers.numpy(), graph.neighbors.numpy(), distances


def _grid(cutoff: float) -> Array:
    return np.arange(_FIRST, cutoff, _SPACING)


def _densities(
    numbers: np.ndarray,
    centers: np.ndarray,
    neighbors: np.ndarray,
    distances: Array,
    elements: np.ndarray,
    cutoff: float,
) -> Array:
    """(atoms, elements · radii): Σ_j f(r_ij) exp(-(r_ij - R)²/2w²) over neighbours j of an element, R on a grid.

    f = ½(1 + cos πr/r_c), so that neighbours come and go smoothly. Neighbours of other elements are left out.
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


def _shortest(
    numbers: np.ndarray, centers: np.ndarray, neighbors: np.ndarray, distances: Array
) -> dict[tuple[int, int], float]:
    low, high = np.sort([numbers[centers], numbers[neighbors]], axis=0)
    shortest = np.full((100, 100), np.inf)
    np.minimum.at(shortest, (low, high), distances)
    return {(int(a), int(b)): float(shortest[a, b]) for a, b in np.argwhere(np.isfinite(shortest))}


def _farthest(points: Array, count: int) -> list[int]:
    """Indices of points that each lie farthest from those before it, the first farthest from the mean."""
    chosen = [int((points**2).sum(axis=1).argmax())]
    away = ((points - points[chosen[0]]) ** 2).sum(axis=1)
    while len(chosen) < min(count, len(points)) and away.max() > 0:
        chosen.append(int(away.argmax()))
        away = np.minimum(away, ((points - points[chosen[-1]]) ** 2).sum(axis=1))
    return chosen


def _rounded(values: Any) -> Any:
    """Five significant digits of the largest: what a JSON file needs to hold."""
    array = np.asarray(values, dtype=float)
    top = np.abs(array).max(initial=0.0)
    return np.round(array, 4 - int(np.floor(np.log10(top)))) if top > 0 else array
