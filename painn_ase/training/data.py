"""Frames with labels: read through ASE, converted to eV, Å and e once, turned into graphs once, batched fast."""

import gzip
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from io import StringIO
from itertools import permutations
from pathlib import Path
from typing import Any

import ase.db
import ase.io
import numpy as np
import torch
from ase import Atoms
from ase.io.formats import filetype
from torch import Tensor

from painn_ase import graph as graphs
from painn_ase import units
from painn_ase.coverage import Coverage
from painn_ase.errors import InputError, closest
from painn_ase.graph import AtomicGraph
from painn_ase.neighbors import graph_of
from painn_ase.properties import PROPERTIES
from painn_ase.training.config import Data, Label, Split

logger = logging.getLogger(__name__)

_VOIGT = np.array([[0, 5, 4], [5, 1, 3], [4, 3, 2]])  # xx, yy, zz, yz, xz, xy
_SYMMETRIC = ("stress", "polarizability", "quadrupole")
_MOLECULAR = frozenset({"dipole", "polarizability", "quadrupole"})


@dataclass(frozen=True)
class Example:
    """One frame: its graph, the labels it has (float64, internal units), and the group it belongs to."""

    graph: AtomicGraph
    labels: dict[str, Tensor]
    group: str = ""


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


def read_frames(paths: Path | str | Iterable[Path | str]) -> list[Atoms]:
    """All frames of extended XYZ files, ASE databases (.db) or other files that ASE reads, in order.

    Key-value pairs and data of a database row are put into `info`. Raises `InputError` for files that are
    missing, unreadable or empty.
    """
    frames: list[Atoms] = []
    for path in [paths] if isinstance(paths, str | Path) else paths:
        if not Path(path).is_file():
            raise InputError(f"data: expected a file of structures; {str(path)!r} does not exist")
        try:
            found = _reader(path)(path)
        except Exception as error:  # ASE's readers raise whatever the malformed file leads them to
            raise InputError(f"data: ASE cannot read {str(path)!r}: {type(error).__name__}: {error}") from error
        if not found:
            raise InputError(f"data: {str(path)!r} holds no structures")
        frames += found
    return frames


def _reader(path: Path | str) -> Callable[[Path | str], list[Atoms]]:
    readers = {".db": _read_database, ".gz": _read_compressed}
    return readers.get(Path(path).suffix, _read_any)


def _read_any(path: Path | str) -> list[Atoms]:
    return ase.io.read(path, ":")  # type: ignore[return-value]  # a list, since a slice is asked for


def _read_compressed(path: Path | str) -> list[Atoms]:
    """ASE's readers jump back and forth in a file; a compressed one would be decompressed anew at every jump."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        text = StringIO(file.read())
    return ase.io.read(text, ":", format=filetype(Path(path).stem, read=False))  # type: ignore[return-value]


def _read_database(path: Path | str) -> list[Atoms]:
    frames = []
    with ase.db.connect(path) as database:
        for row in database.select():
            atoms = row.toatoms()
            atoms.info.update(row.key_value_pairs)
            atoms.info.update(row.data)
            frames.append(atoms)
    return frames


def make_examples(
    frames: Sequence[Atoms],
    labels: dict[str, Label],
    cutoff: float,
    *,
    charge: str = "charge",
    group: str | None = None,
    molecular: Set[str] = _MOLECULAR,
) -> list[Example]:
    """Examples of `frames` with pairs within `cutoff` Å.

    A frame may lack some labels. `charge` is the key in info of the total charge (0 where absent), `group` that
    of the group a frame belongs to; `molecular` labels are refused in periodic frames (see `Model.molecular`).
    Periodic directions without a cell vector are treated as not periodic, with one line in the log. Raises
    `InputError` for a key that no frame has, labels of the wrong shape or not finite, empty structures, and atoms on
    top of each other.
    """
    _check_keys(frames, labels)
    examples, flattened = [], 0
    for index, atoms in enumerate(frames):
        graph, flat = _graph(atoms, cutoff, charge, f"frame {index}")
        flattened += flat
        found = {}
        for name, label in labels.items():
            raw = _raw(atoms, label.key)
            if raw is not None:
                found[name] = _label(name, label, raw, graph, f"frame {index}")
                if name in molecular:
                    _check_molecular(graph, f"frame {index}, label {name} ({label.key!r}): a {name}")
        if group is not None and group not in atoms.info:
            raise InputError(
                f"frame {index}: info has no {group!r}, which names its group; it has {_list(atoms.info)}"
                f"{closest(group, atoms.info)}"
            )
        examples.append(Example(graph, found, str(atoms.info[group]) if group is not None else ""))
    if flattened:
        logger.info("%d frames claim to be periodic along a zero cell vector: treated as not periodic", flattened)
    return examples


def _graph(atoms: Atoms, cutoff: float, charge_key: str, where: str) -> tuple[AtomicGraph, bool]:
    """The graph of `atoms`, and whether a periodic direction without a cell vector was dropped."""
    if len(atoms) == 0:
        raise InputError(f"{where} has no atoms")
    if not 0 < atoms.numbers.min() <= atoms.numbers.max() < 100:
        raise InputError(f"{where}: expected atomic numbers from 1 to 99; got {sorted(set(atoms.numbers.tolist()))}")
    flat = atoms.pbc & ~atoms.cell.array.any(axis=1)
    if flat.any():
        atoms = atoms.copy()
        atoms.pbc &= ~flat
    try:
        return graph_of(atoms, cutoff, charge=charge_key), bool(flat.any())
    except InputError as error:
        raise InputError(f"{where}: {error}") from None


def _raw(atoms: Atoms, key: str) -> Any:
    """The label stored as `key` in info, arrays or calculator results, in this order; None where there is none."""
    for place in (atoms.info, atoms.arrays, getattr(atoms.calc, "results", {})):
        if place.get(key) is not None:
            return place[key]
    return None


def _check_keys(frames: Sequence[Atoms], labels: dict[str, Label]) -> None:
    for name, label in labels.items():
        if all(_raw(atoms, label.key) is None for atoms in frames):
            present = {
                key
                for atoms in frames
                for place in (atoms.info, atoms.arrays, getattr(atoms.calc, "results", {}))
                for key in place
            } - {"numbers", "positions"}
            raise InputError(
                f"label {name}: no frame has the key {label.key!r}{closest(label.key, present)}; "
                f"keys present: {_list(present)}"
            )


def _label(name: str, label: Label, raw: Any, graph: AtomicGraph, where: str) -> Tensor:
    """The label as the network predicts it: (1, ...) or (atoms, ...), float64, internal unit."""
    rule = PROPERTIES[name]
    where = f"{where}, label {name} ({label.key!r})"
    try:
        value = np.asarray(raw, dtype=float)
    except (TypeError, ValueError):
        raise InputError(f"{where}: expected numbers; got {raw!r}") from None
    lead = graph.n_atoms if rule.per == "atom" else 1
    if name in _SYMMETRIC:
        value = _symmetric(value, where)
    elif value.size == lead * int(np.prod(rule.shape)):
        value = value.reshape(lead, *rule.shape)
    else:
        raise InputError(f"{where}: expected shape {(lead, *rule.shape)}; got {value.shape}")
    if not np.isfinite(value).all():
        raise InputError(f"{where}: holds NaN or infinity; leave the key out of frames without this label")
    if name == "quadrupole" and abs(np.trace(value[0])) > 1e-3 * np.abs(value).max():
        raise InputError(
            f"{where}: expected the traceless quadrupole ½ Σ q (3 r r - r² 1) about the centre of mass; the trace is "
            f"{np.trace(value[0]):.3g} {label.unit}. Convert second moments M = Σ q r r first: (3 M - tr M 1)/2"
        )
    if name == "hyperpolarizability":  # symmetric in all indices; what is not is rounding or noise
        value = np.mean([value.transpose(0, *order) for order in permutations((1, 2, 3))], axis=0)
    periodic = graph.pbc.squeeze(0)
    if name == "stress" and not bool(periodic.all()):
        raise InputError(f"{where}: stress needs a cell that is periodic in three directions; got pbc={_pbc(periodic)}")
    return torch.from_numpy(value * units.factor(label.unit, rule.units, f"label {name}"))


def _check_molecular(graph: AtomicGraph, what: str) -> None:
    periodic = graph.pbc.squeeze(0)
    if bool(periodic.any()):
        raise InputError(
            f"{what} built from positions is not defined under periodic boundaries; got pbc={_pbc(periodic)}. Set pbc "
            "to False if this is a molecule in a box, or leave the label out"
        )


def _symmetric(value: np.ndarray, where: str) -> np.ndarray:
    """(1, 3, 3) from 3x3, nine numbers or six in Voigt order; the antisymmetric part, rounding or noise, is dropped."""
    if value.size == 6:
        return value.reshape(6)[_VOIGT][None]
    if value.size == 9:
        value = value.reshape(3, 3)
        return 0.5 * (value + value.T)[None]
    raise InputError(f"{where}: expected 3x3, 9 or 6 (Voigt xx, yy, zz, yz, xz, xy) numbers; got shape {value.shape}")


def _pbc(periodic: Tensor) -> tuple[bool, ...]:
    return tuple(bool(p) for p in periodic)


def _list(words: Iterable[str]) -> str:
    return ", ".join(sorted(map(str, words))) or "none"


def load_splits(data: Data, cutoff: float, molecular: Set[str] = _MOLECULAR) -> dict[str, list[Example]]:
    """The examples of 'train', 'validation' and, where the configuration names files, 'test'; see `make_examples`."""
    group = data.split.key if data.split.by == "info" else None
    rules: Any = {"charge": data.charge, "molecular": molecular}
    files = [read_frames(path) for path in data.train]
    examples = make_examples([atoms for frames in files for atoms in frames], data.labels, cutoff, group=group, **rules)
    if data.validation:
        train = list(range(len(examples)))
        held = make_examples(read_frames(data.validation), data.labels, cutoff, **rules)
    else:
        train, validation = split_indices([e.group for e in examples], data.split)
        held = [examples[k] for k in validation]
    times = [data.repeat.get(path.name, 1) for path in data.train]
    visits = repeated(train, np.cumsum([len(frames) for frames in files]).tolist(), times)
    splits = {"train": [examples[k] for k in visits], "validation": held}
    if data.test:
        splits["test"] = make_examples(read_frames(data.test), data.labels, cutoff, **rules)
    for name in data.labels:
        if not any(name in e.labels for e in splits["train"]):
            raise InputError(f"label {name}: no training frame has it after the split; choose another split")
    known = {int(z) for e in splits["train"] for z in e.graph.numbers.unique()}
    for part, members in splits.items():
        strange = {int(z) for e in members for z in e.graph.numbers.unique()} - known
        if strange:
            raise InputError(f"{part} frames hold atomic numbers {sorted(strange)} that no training frame has")
    return splits


def repeated(indices: Sequence[int], ends: Sequence[int], times: Sequence[int]) -> list[int]:
    """`indices` of frames in files that end at `ends`, those of each file so many `times`; after the split, so that
    no frame is on both sides."""
    parts = np.split(np.asarray(indices, dtype=int), np.searchsorted(indices, ends[:-1]))
    return [int(k) for part, count in zip(parts, times, strict=True) for _ in range(count) for k in part]


def coverage_of(examples: Sequence[Example], cutoff: float) -> Coverage:
    """What the examples cover: a model trained on them stores it."""
    forces = [e.labels["forces"].numpy() for e in examples if "forces" in e.labels]
    return Coverage.of([e.graph for e in examples], forces, cutoff)


def split_indices(groups: Sequence[str], split: Split) -> tuple[list[int], list[int]]:
    """Indices of training and validation frames. By info, a group is never divided: whole groups, in an order
    drawn from the seed, become validation frames until their fraction is reached."""
    rng = np.random.default_rng(split.seed)
    wanted = max(1, round(split.validation * len(groups)))
    if split.by == "seed":
        if wanted >= len(groups):
            raise InputError(f"[data.split]: {len(groups)} frames leave none to train on; expected at least two")
        order = rng.permutation(len(groups)).tolist()
        return sorted(order[wanted:]), sorted(order[:wanted])
    names = sorted(set(groups))
    if len(names) < 2:
        raise InputError(
            f"[data.split]: expected at least two groups in info[{split.key!r}]; got {_list(names)}. Use by = 'seed'"
        )
    held: set[str] = set()
    for k in rng.permutation(len(names))[:-1]:  # one group at least stays for training
        held.add(names[k])
        if sum(g in held for g in groups) >= wanted:
            break
    train = [k for k, g in enumerate(groups) if g not in held]
    return train, [k for k, g in enumerate(groups) if g in held]


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
