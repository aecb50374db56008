"""The extent of a model's training data: measured, compared with a structure, kept in the model's file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from ase.data import atomic_numbers, chemical_symbols

from painn_ase.coverage.environments import Array, Environments, Prototypes, channels, neighbor_densities, rounded
from painn_ase.errors import ModelError
from painn_ase.graph import AtomicGraph, connected_parts

CLOSER = 0.05  # Å below the shortest distance seen: a long run goes a little beyond the extremes of few frames
STRONGER = 1.5  # times the largest force seen
FARTHER = 1.1  # times the reach of the training environments
_ENVIRONMENTS = 20_000  # per element, that prototypes are chosen from


@dataclass(frozen=True, eq=False)
class Coverage:
    """The extent of a model's training data. `of` measures it, `geometry` and `forces` compare a structure with it."""

    cutoff: float  # Å, of the pairs that were looked at
    closest: dict[tuple[int, int], float]  # Å, shortest distance seen for each pair of elements, lower number first
    force: float | None  # eV/Å, length of the largest force label; None without such labels
    environments: dict[int, Environments]  # by atomic number
    structures: int  # that were looked at
    charges: tuple[float, ...] | None = None  # e, total charges seen, ascending; None where nobody wrote them down
    radicals: bool | None = (
        None  # whether some molecule had an odd number of electrons; None: no molecules, or as above
    )
    apart: bool | None = None  # whether some structure was in parts that no chain of pairs joins; None: as above

    @classmethod
    def of(cls, graphs: Sequence[AtomicGraph], forces: Iterable[np.ndarray], cutoff: float) -> Coverage:
        """The coverage of training structures with pairs within `cutoff` Å and their force labels in eV/Å."""
        closest: dict[tuple[int, int], float] = {}
        densities: dict[int, list[Array]] = {}
        apart = False
        elements = np.unique(np.concatenate([graph.numbers.numpy() for graph in graphs]))
        for graph in graphs:
            numbers, centers, neighbors, distances = _arrays(graph, cutoff)
            for pair, shortest in _shortest(numbers, centers, neighbors, distances).items():
                closest[pair] = min(shortest, closest.get(pair, np.inf))
            apart = apart or connected_parts(len(numbers), centers, neighbors)[0] > graph.n_structures
            table = neighbor_densities(numbers, centers, neighbors, distances, elements, cutoff)
            for z in np.unique(numbers):
                densities.setdefault(int(z), []).append(table[numbers == z])
        largest = max((float(np.linalg.norm(f, axis=-1).max()) for f in forces), default=None)
        rng = np.random.default_rng(0)
        environments = {}
        for z, tables in sorted(densities.items()):
            rows = np.concatenate(tables)
            if len(rows) > _ENVIRONMENTS:
                rows = rows[rng.choice(len(rows), _ENVIRONMENTS, replace=False)]
            environments[z] = Environments.of(rows)
        closest = {pair: float(rounded(d)) for pair, d in sorted(closest.items())}
        force = None if largest is None else float(rounded(largest))
        charges = tuple(sorted({float(q) for graph in graphs for q in graph.charges}))
        molecules = [graph for graph in graphs if not graph.pbc.any()]
        odd = any((int(g.numbers.sum()) - round(float(g.charges.sum()))) % 2 for g in molecules) if molecules else None
        return cls(float(cutoff), closest, force, environments, len(graphs), charges, odd, apart)

    def geometry(
        self,
        numbers: np.ndarray,
        centers: np.ndarray,
        neighbors: np.ndarray,
        distances: Array,
        structures: int = 1,
    ) -> str | None:
        """A sentence about what of a geometry the training data did not cover, or None.

        numbers: atomic numbers, (atoms,)
        centers, neighbors: a full list of pairs, as in a graph, (pairs,)
        distances: in Å, (pairs,); pairs beyond the cutoff are left out
        structures: how many of them the atoms are

        Elements the model does not know are not looked at: they are errors elsewhere.
        """
        within = distances < self.cutoff
        if not within.all():
            centers, neighbors, distances = centers[within], neighbors[within], distances[within]
        return (
            self._close(numbers, centers, neighbors, distances)
            or self._apart(len(numbers), centers, neighbors, structures)
            or self._strange(numbers, centers, neighbors, distances)
        )

    def graph(self, graph: AtomicGraph) -> str | None:
        """`geometry` of a graph; of a batch, atoms are counted through."""
        return self.geometry(*_arrays(graph, self.cutoff), graph.n_structures)

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

    def state(self, charge: float, spin: float | None, radical: bool = False) -> str | None:
        """A sentence about a total charge in e or a spin that the training data did not hold, or None.

        charge: in e
        spin: what the structure says its multiplicity exceeds the lowest of its electrons by; no data hold any
        radical: whether it is a molecule with an odd number of electrons
        """
        if self.charges is None and charge != 0.0:
            return f"the total charge is {charge:+g} e; the model does not say which charges its training data had"
        if self.charges is not None and all(abs(charge - known) > 1e-6 for known in self.charges):
            known = ", ".join(f"{q:+g}" if q else "0" for q in self.charges)
            return f"the total charge is {charge:+g} e; structures in the training data have {known}"
        if spin:
            return f"the multiplicity is {spin:g} above the lowest; no term of the model depends on it"
        if radical and self.radicals is False:
            return "the number of electrons is odd; no molecule in the training data has an odd number"
        return None

    def score(self, graph: AtomicGraph) -> Array:
        """(atoms,) distance of each environment from the nearest prototype of its element, 1 where the data end.

        Above `FARTHER` an environment counts as outside; NaN for elements that were not in the data.
        """
        return self._scores(*_arrays(graph, self.cutoff))

    def _scores(self, numbers: np.ndarray, centers: np.ndarray, neighbors: np.ndarray, distances: Array) -> Array:
        if not self.environments:
            return np.full(len(numbers), np.nan)
        table = neighbor_densities(numbers, centers, neighbors, distances, self._elements, self.cutoff)
        kinds = self._kinds[numbers]
        scores: Array = self._prototypes.distances(table, kinds) / self._reaches[kinds]
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

    @cached_property
    def _kinds(self) -> np.ndarray:
        """(100,) place among `_elements` by atomic number; of elements that were not in the data the last, NaN."""
        kinds = np.full(100, -1)
        kinds[self._elements] = np.arange(len(self._elements))
        return kinds

    @cached_property
    def _reaches(self) -> Array:
        # data of a single geometry reach nowhere; the floor keeps rounding from being "outside"
        return np.array([max(known.reach, 1e-3) for known in self.environments.values()] + [np.nan])

    @cached_property
    def _prototypes(self) -> Prototypes:
        return Prototypes(list(self.environments.values()))

    def _strange(self, numbers: np.ndarray, centers: np.ndarray, neighbors: np.ndarray, distances: Array) -> str | None:
        scores = np.nan_to_num(self._scores(numbers, centers, neighbors, distances), nan=0.0)
        worst = int(scores.argmax())
        if scores[worst] <= FARTHER:
            return None
        return (
            f"the surroundings of atom {worst} ({chemical_symbols[numbers[worst]]}) are like none in the training data "
            f"({scores[worst]:.2g} times as far from them as they are from each other)"
        )

    def _apart(self, atoms: int, centers: np.ndarray, neighbors: np.ndarray, structures: int) -> str | None:
        if self.apart:
            return None
        parts, _ = connected_parts(atoms, centers, neighbors)
        if parts <= structures:
            return None
        data = (
            "the model does not say whether its training data had such"
            if self.apart is None
            else "no structure in the training data does"
        )
        return (
            f"the structure falls into {parts} parts that are {self.cutoff:g} Å or more from each other, where the "
            f"model has no forces between them; {data}"
        )

    # ---- files

    def to_dict(self) -> dict[str, Any]:
        """JSON-able; some kilobytes per element."""
        return {
            "structures": self.structures,
            "cutoff": self.cutoff,
            "closest": {f"{chemical_symbols[a]}-{chemical_symbols[b]}": d for (a, b), d in self.closest.items()},
            "force": self.force,
            "charges": None if self.charges is None else list(self.charges),
            "radicals": self.radicals,
            "apart": self.apart,
            "environments": {chemical_symbols[z]: e.to_dict() for z, e in self.environments.items()},
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
            count = channels(cutoff, len(table["environments"]))
            environments = {
                atomic_numbers[symbol]: Environments.from_dict(e, count) for symbol, e in table["environments"].items()
            }
            force = None if table["force"] is None else float(table["force"])
            given = table.get("charges")  # this and what follows: absent from the files of older versions
            charges = None if given is None else tuple(sorted(float(q) for q in given))
            odd, apart = (None if table.get(key) is None else bool(table[key]) for key in ("radicals", "apart"))
            return cls(float(cutoff), closest, force, environments, int(table["structures"]), charges, odd, apart)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise ModelError(f"the model's record of its training data's coverage is damaged: {error!r}") from None


def _arrays(graph: AtomicGraph, cutoff: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, Array]:
    """Elements, pairs within the cutoff, and their distances, in NumPy."""
    graph = graph.within(cutoff)
    distances = graph.vectors().norm(dim=-1).numpy()
    return graph.numbers.numpy(), graph.centers.numpy(), graph.neighbors.numpy(), distances


def _shortest(
    numbers: np.ndarray, centers: np.ndarray, neighbors: np.ndarray, distances: Array
) -> dict[tuple[int, int], float]:
    low, high = np.sort([numbers[centers], numbers[neighbors]], axis=0)
    shortest = np.full((100, 100), np.inf)
    np.minimum.at(shortest, (low, high), distances)
    return {(int(a), int(b)): float(shortest[a, b]) for a, b in np.argwhere(np.isfinite(shortest))}
