"""From Atoms to the graph that networks work on: pairs, image jumps and the total charge, in one place."""

from math import isfinite
from numbers import Real
from typing import Any

import numpy as np
import torch
from ase import Atoms

from painn_ase.errors import InputError
from painn_ase.graph import AtomicGraph
from painn_ase.neighbors.base import NeighborList, Pairs
from painn_ase.neighbors.matscipy import MatscipyNeighborList
from painn_ase.neighbors.verlet import VerletList


def total_charge(atoms: Atoms, charge: float | str = "charge") -> float:
    """The total charge of `atoms` in e: `charge` itself, or what `atoms.info` holds under that key (0 if absent).

    Raises `InputError` for anything but a finite real number. Text, booleans and None are not numbers.
    """
    if not isinstance(charge, str):
        return checked_charge(charge, "charge")
    return checked_charge(atoms.info[charge], f"atoms.info[{charge!r}]") if charge in atoms.info else 0.0


def checked_charge(given: Any, where: str, expected: str = "total charge: expected a number in e") -> float:
    """`given` as a float; `InputError` that names `where` it came from if it is not a finite number."""
    value = given.item() if isinstance(given, np.generic | np.ndarray) and given.size == 1 else given
    if isinstance(value, bool) or not isinstance(value, Real) or not isfinite(value):
        raise InputError(f"{expected} in {where}; got {given!r}")
    return float(value)


def excess_multiplicity(atoms: Atoms, charge: float) -> float | None:
    """What the multiplicity that `atoms` state exceeds the lowest of their electrons by; None if they state none.

    It is `info["multiplicity"]`, else `info["spin"]`, 2S + 1 as well, or zero. Raises `InputError` for no number.
    """
    key = next((key for key in ("multiplicity", "spin") if atoms.info.get(key) is not None), None)
    if key is None:
        return None
    stated = checked_charge(atoms.info[key], f"atoms.info[{key!r}]", "multiplicity: expected a number")
    return max(0.0, stated - 1.0 - (int(atoms.numbers.sum()) - round(charge)) % 2)


def graph_of(
    atoms: Atoms, cutoff: float, *, charge: float | str = "charge", neighbor_list: NeighborList | None = None
) -> AtomicGraph:
    """The graph of `atoms` with all pairs closer than `cutoff` Å.

    `charge` is the total charge in e or the key of `atoms.info` that holds it, see `total_charge`; `neighbor_list`
    finds the pairs (matscipy's linked cells by default). Raises `InputError` for structures without a meaning, see
    `NeighborList`.
    """
    value = total_charge(atoms, charge)
    find = neighbor_list or MatscipyNeighborList()
    positions, cell = atoms.positions.copy(), periodic_part(atoms.cell.array, atoms.pbc)
    return _graph(atoms, positions, cell, find(positions, cell, atoms.pbc, cutoff), value)


def periodic_part(cell: np.ndarray, pbc: np.ndarray) -> np.ndarray:
    """A copy of `cell` (3, 3) with zeros for the vectors that are not periodic, whatever they were."""
    if pbc.all():
        return cell.copy()
    return np.where(pbc[:, None], cell, 0.0) if pbc.any() else np.zeros((3, 3))


class GraphBuilder:
    """Graphs of one structure as it moves, with pairs from a `VerletList`.

    While the list is reused, and elements and charge stay, everything but positions and cell is the same object from
    graph to graph, and backends may cache by identity. `charge` in e overrides `atoms.info["charge"]` unless None.
    """

    def __init__(self, verlet: VerletList, charge: float | None = None) -> None:
        self.verlet = verlet
        self.charge = None if charge is None else checked_charge(charge, "the keyword charge")
        self.pairs: Pairs | None = None  # of the last graph
        self._last: AtomicGraph | None = None
        self._last_numbers = np.empty(0, dtype=int)
        self._last_charge = 0.0
        self._periodic = False

    def charge_of(self, atoms: Atoms) -> float:
        """The total charge in e that the graph of `atoms` gets."""
        return total_charge(atoms) if self.charge is None else self.charge

    def build(self, atoms: Atoms) -> AtomicGraph:
        """The graph of `atoms`. Errors are those of `graph_of`; after one the next graph is made from nothing."""
        last, self._last = self._last, None
        charge, numbers, cell = self.charge_of(atoms), atoms.arrays["numbers"], atoms.cell.array
        near = self.verlet.update(atoms.positions, cell, atoms.pbc)
        kept = last is not None and near.pairs is self.pairs and charge == self._last_charge
        if kept and last is not None and (self._last_numbers == numbers).all():
            # boundary conditions are those of before, as the pairs are; no cell is zero before and now
            cells = torch.from_numpy(periodic_part(cell, atoms.pbc)[None]) if self._periodic else last.cells
            graph = last.moved(torch.from_numpy(near.positions), cells)
        else:
            graph = _graph(atoms, near.positions, periodic_part(cell, atoms.pbc), near.pairs, charge)
            self._periodic = bool(atoms.pbc.any())
            self._last_numbers = graph.numbers.numpy()
        self.pairs, self._last, self._last_charge = near.pairs, graph, charge
        return graph

    def recall(self, atoms: Atoms, positions: np.ndarray, cell: np.ndarray) -> None:
        """Finds the pairs of `atoms` anew as they were found for `positions` (Å) and `cell`, in the same order."""
        self.verlet.rebuild(positions, cell, atoms.pbc)
        self.pairs = self._last = None

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"pairs": None, "_last": None}


def _graph(atoms: Atoms, positions: np.ndarray, cell: np.ndarray, pairs: Pairs, charge: float) -> AtomicGraph:
    """A graph that owns its arrays; `positions` and `cell` are given away."""
    return AtomicGraph.from_arrays(
        atoms.numbers.copy(),
        positions,
        pairs.centers,
        pairs.neighbors,
        pairs.shifts,
        cell,
        atoms.pbc.copy(),
        charge,
    )
