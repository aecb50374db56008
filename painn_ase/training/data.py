"""Frames with labels: converted to eV, Å and e once, turned into graphs once, batched fast."""

import logging
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass

import numpy as np
import torch
from ase import Atoms
from torch import Tensor

from painn_ase import graph as graphs
from painn_ase.coverage import Coverage
from painn_ase.data import Label, geometry
from painn_ase.data.labels import check_label_keys, check_molecular, label_value, periodicity, raw_label
from painn_ase.errors import InputError, closest
from painn_ase.graph import AtomicGraph
from painn_ase.heads.frame import fragments
from painn_ase.neighbors import graph_of
from painn_ase.properties import DERIVED_FROM, PROPERTIES

logger = logging.getLogger(__name__)

MOLECULAR = frozenset({"dipole", "polarizability", "quadrupole"})


@dataclass(frozen=True)
class Example:
    """One frame: its graph, the labels it has (float64, internal units), the group it belongs to, and its name."""

    graph: AtomicGraph
    labels: dict[str, Tensor]
    group: str = ""
    geometry: str = ""  # `painn_ase.data.geometry` of the frame


@dataclass(frozen=True)
class Batch:
    """Several frames side by side. A mask says which structures (or atoms) carry a label where not all do."""

    graph: AtomicGraph
    labels: dict[str, Tensor]
    masks: dict[str, Tensor]
    groups: tuple[str, ...]

    def to(self, device: torch.device | str) -> "Batch":
        labels = {name: value.to(device) for name, value in self.labels.items()}
        masks = {name: value.to(device) for name, value in self.masks.items()}
        return Batch(self.graph.to(device), labels, masks, self.groups)


def make_examples(
    frames: Sequence[Atoms],
    labels: dict[str, Label],
    cutoff: float,
    *,
    charge: str | float = "charge",
    group: str | None = None,
    molecular: Set[str] = MOLECULAR,
    where: str = "",
) -> list[Example]:
    """Examples of `frames` with pairs within `cutoff` Å; `labels` say what is stored where.

    A frame may lack some labels. `charge` is the total charge of all frames in e, or the key in info that holds it (0
    where absent), `group` the key of the group a frame belongs to; `molecular` labels are refused in periodic frames
    (see `Model.molecular`). `where` begins what errors say of a frame: its file.
    Periodic directions without a cell vector are treated as not periodic, with one line in the log. Raises
    `InputError` for a key that no frame has, labels of the wrong shape or not finite, empty structures, and atoms on
    top of each other.
    """
    if not where:  # files are looked at together, in `load_splits`
        check_label_keys(frames, labels)
    examples, flattened = [], 0
    for index, atoms in enumerate(frames):
        here = f"{where}frame {index}"
        graph, flat = _graph(atoms, cutoff, charge, here)
        flattened += flat
        found = {}
        for name, label in labels.items():
            raw = raw_label(atoms, label)
            if raw is not None:
                found[name] = torch.from_numpy(label_value(name, label, raw, atoms, here))
                told, source = f"{here}, label {name} ({label.key!r})", DERIVED_FROM.get(name, name)
                if source in molecular:
                    check_molecular(atoms, source, told)
                    if source in ("dipole", "quadrupole") and float(graph.charges[0]) != 0.0:
                        _check_whole(graph, cutoff, told)
                if name == "born_effective_charges":
                    _check_sum(found[name], float(graph.charges[0]), told)
        if group is not None and group not in atoms.info:
            raise InputError(
                f"{here}: info has no {group!r}, which names its group; it has "
                f"{', '.join(sorted(atoms.info)) or 'none'}{closest(group, atoms.info)}"
            )
        member = str(atoms.info[group]) if group is not None else ""
        examples.append(Example(graph, found, member, geometry(atoms)))
    if flattened:
        logger.info("%d frames claim to be periodic along a zero cell vector: treated as not periodic", flattened)
    return examples


def _check_whole(graph: AtomicGraph, cutoff: float, where: str) -> None:
    """Raises `InputError` for an ion in several fragments, whose dipole no head can learn."""
    try:
        fragments(graph, cutoff, "its dipole").refuse_ions(graph.charges)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None


def _check_sum(born: Tensor, charge: float, where: str) -> None:
    """Raises `InputError` for Born charges of an ion that sum to its charge: those of dipoles about the centre of mass,
    and of a cell's dipole, sum to zero. A smaller sum is noise of the reference, which no head can follow."""
    mean = float(born.sum(dim=0).trace()) / 3
    if abs(mean) > abs(charge) / 2 > 0:
        raise InputError(
            f"{where}: expected Born charges that sum to zero over the atoms, derivatives of the dipole about the "
            f"centre of mass; their sum is {mean:.3g} e on the diagonal, for a total charge of {charge:g} e. Subtract "
            "Q m_i/M from the diagonals first"
        )


def _graph(atoms: Atoms, cutoff: float, charge: str | float, where: str) -> tuple[AtomicGraph, bool]:
    """The graph of `atoms`, and whether a periodic direction without a cell vector was dropped."""
    if len(atoms) == 0:
        raise InputError(f"{where} has no atoms")
    if not 0 < atoms.numbers.min() <= atoms.numbers.max() < 100:
        raise InputError(f"{where}: expected atomic numbers from 1 to 99; got {sorted(set(atoms.numbers.tolist()))}")
    flat = atoms.pbc & ~periodicity(atoms)
    if flat.any():
        atoms = atoms.copy()
        atoms.pbc &= ~flat
    try:
        return graph_of(atoms, cutoff, charge=charge), bool(flat.any())
    except InputError as error:
        raise InputError(f"{where}: {error}") from None


def _pbc(periodic: Tensor) -> tuple[bool, ...]:
    return tuple(bool(p) for p in periodic)


def coverage_of(examples: Sequence[Example], cutoff: float) -> Coverage:
    """What the examples cover: a model trained on them stores it."""
    forces = [e.labels["forces"].numpy() for e in examples if "forces" in e.labels]
    return Coverage.of([e.graph for e in examples], forces, cutoff)


def collate(examples: Sequence[Example]) -> Batch:
    """The examples as one batch; a label that only some of them have gets a mask."""
    labels, masks = {}, {}
    for name in dict.fromkeys(name for e in examples for name in e.labels):
        rule = PROPERTIES[name]
        rows, present = [], []
        for e in examples:
            value = e.labels.get(name)
            lead = e.graph.n_atoms if rule.per == "atom" else 1
            rows.append(torch.zeros(lead, *rule.shape, dtype=torch.float64) if value is None else value)
            present += [value is not None] * lead
        labels[name] = torch.cat(rows)
        if not all(present):
            masks[name] = torch.tensor(present)
    return Batch(graphs.batch([e.graph for e in examples]), labels, masks, tuple(e.group for e in examples))


def batch_indices(
    examples: Sequence[Example], size: int, rng: np.random.Generator | None = None
) -> Iterator[np.ndarray]:
    """Indices of each batch: nearly equal sizes of at most `size`, shuffled if `rng` is given.

    Periodic and isolated structures never share a batch, because stress is defined only for the former and
    dipoles only for the latter.
    """
    kinds: dict[tuple[bool, ...], list[int]] = {}
    for k, example in enumerate(examples):
        kinds.setdefault(_pbc(example.graph.pbc.squeeze(0)), []).append(k)
    batches: list[np.ndarray] = []
    for members in kinds.values():
        order = np.array(members) if rng is None else rng.permutation(members)
        batches += np.array_split(order, -(-len(order) // size))
    order = np.arange(len(batches)) if rng is None else rng.permutation(len(batches))
    return (batches[k] for k in order)
