"""Which frames train, validate and test; no geometry is on two sides, nor validates what it once trained."""

import hashlib
import logging
from collections.abc import Iterable, Sequence, Set
from pathlib import Path

import numpy as np
from ase import Atoms

from painn_ase.data import check, read_frames
from painn_ase.data.labels import check_dialect, check_label_keys
from painn_ase.errors import InputError
from painn_ase.training.config import Data, Split
from painn_ase.training.data import MOLECULAR, Example, make_examples

logger = logging.getLogger(__name__)

_PARTS = ("train", "validation", "test")

_LOOKED_AT = 600  # frames, for a second; painn-ase convert --check looks at all


def load_splits(
    data: Data, cutoff: float, molecular: Set[str] = MOLECULAR, known: Set[str] = frozenset()
) -> dict[str, list[Example]]:
    """The examples of 'train', 'validation' and, where the configuration names files, 'test'; see `make_examples`.

    `known` are geometries that trained the model to go on from. A split leaves them to training; files of validation
    and test frames must hold none of them, and none of the training frames: `InputError` says which ones they do.
    """
    files = {part: [(path, read_frames(path)) for path in getattr(data, part)] for part in _PARTS}
    made = {part: _examples(part, found, data, cutoff, molecular) for part, found in files.items()}
    examples = made["train"]
    train = list(range(len(examples)))
    if data.validation:
        held = made["validation"]
    else:
        groups, geometries = [e.group for e in examples], [e.geometry for e in examples]
        train, validation = split_indices(groups, data.split, geometries, known)
        held = [examples[k] for k in validation]
        if known:
            strangers = sum(name not in known for name in geometries)
            logger.info("%d of the %d frames that the earlier model has not seen validate", len(held), strangers)
    times = [data.repeat.get(path.name, 1) for path in data.train]
    visits = repeated(train, np.cumsum([len(frames) for _, frames in files["train"]]).tolist(), times)
    splits = {"train": [examples[k] for k in visits], "validation": held}
    if data.test:
        splits["test"] = made["test"]
    _check_parts(splits, data.labels)
    _check_apart(splits, known)
    for finding in check([atoms for _, frames in files["train"] for atoms in frames], data.labels, most=_LOOKED_AT):
        logger.warning("training data: %s", finding)
    return splits


def _examples(
    part: str, files: list[tuple[Path, list[Atoms]]], data: Data, cutoff: float, molecular: Set[str]
) -> list[Example]:
    """The examples of one part's files, whose labels are looked at first; those of training know their groups.

    part: "train", "validation" or "test"
    files: with their frames
    data: labels, charge and split
    cutoff: of the pairs, in Å
    molecular: properties that periodic frames do not have
    """
    if files:
        names = ", ".join(path.name for path, _ in files)
        check_label_keys([atoms for _, frames in files for atoms in frames], data.labels, f"{names}: ")
    group = data.split.key if data.split.by == "info" and part == "train" else None
    made: list[Example] = []
    for path, frames in files:
        check_dialect(frames, data.labels, f"{path.name}: ")
        made += make_examples(
            frames,
            data.labels,
            cutoff,
            charge=data.charge,
            group=group,
            molecular=molecular,
            where=f"{path.name}, ",
        )
    return made


def _check_parts(splits: dict[str, list[Example]], labels: Iterable[str]) -> None:
    """Raises `InputError` for a label or an element that no training frame has."""
    for name in labels:
        if not any(name in e.labels for e in splits["train"]):
            raise InputError(f"label {name}: no training frame has it after the split; choose another split")
    known = {int(z) for e in splits["train"] for z in e.graph.numbers.unique()}
    for part, members in splits.items():
        strange = {int(z) for e in members for z in e.graph.numbers.unique()} - known
        if strange:
            raise InputError(f"{part} frames hold atomic numbers {sorted(strange)} that no training frame has")


def _check_apart(splits: dict[str, list[Example]], known: Set[str]) -> None:
    """Raises `InputError` for a geometry that would be judged by what it taught."""
    taught = {e.geometry for e in splits["train"]}
    before = {e.geometry for e in splits["validation"]}
    for part, sources in (
        ("validation", {"trains as well": taught, "trained the model in [run] start": known}),
        ("test", {"trains as well": taught, "trained the model in [run] start": known, "validates as well": before}),
    ):
        members = splits.get(part, [])
        for what, others in sources.items():
            shared = [k for k, e in enumerate(members) if e.geometry in others]
            if shared:
                numbers = ", ".join(map(str, shared[:8])) + (", ..." if len(shared) > 8 else "")
                raise InputError(
                    f"{part}: expected frames of their own; {len(shared)} of {len(members)} have a geometry that "
                    f"{what} (frames {numbers}, counted from 0), so their errors say nothing. Take them out of one of "
                    "the two"
                )


def repeated(indices: Sequence[int], ends: Sequence[int], times: Sequence[int]) -> list[int]:
    """`indices` of frames in files that end at `ends`, those of each file so many `times`; after the split, so that
    no frame is on both sides."""
    parts = np.split(np.asarray(indices, dtype=int), np.searchsorted(indices, ends[:-1]))
    return [int(k) for part, count in zip(parts, times, strict=True) for _ in range(count) for k in part]


def split_indices(
    groups: Sequence[str], split: Split, geometries: Sequence[str] | None = None, known: Set[str] = frozenset()
) -> tuple[list[int], list[int]]:
    """Indices of training and validation frames, whose names are `geometries` (all different where not given).

    Blocks of frames are never divided: those of one geometry and, by info, of one group. Blocks follow one another as
    hashes of the seed and of their names say, and the first of them, up to the wanted fraction of the frames, are
    validation: a frame keeps its place when others are added. Blocks with a `known` geometry are passed over.
    """
    names = list(map(str, range(len(groups)))) if geometries is None else list(geometries)
    by_info = split.by == "info"
    blocks = _blocks(names, groups if by_info else names)
    ranks = {name: hashlib.sha256(f"{split.seed} {name}".encode()).digest() for name in {*groups, *names}}
    blocks.sort(key=lambda block: min(ranks[groups[k] if by_info else names[k]] for k in block))
    wanted = max(1, round(split.validation * len(groups)))
    held: list[list[int]] = []
    passed = 0
    for block in blocks:
        if passed >= wanted and held:
            break
        passed += len(block)
        if known.isdisjoint(names[k] for k in block):
            held.append(block)
    if not held:
        raise InputError(
            "[data.split]: every frame trained the model in [run] start, and none is left to validate it; name a file "
            "of others: [data] validation"
        )
    if len(held) == len(blocks):  # one at least stays for training
        held.pop()
    if not held:
        what = f"groups in info[{split.key!r}]" if by_info else "frames of different geometries"
        raise InputError(
            f"[data.split]: expected at least two {what}; got one ({len(groups)} frames)"
            + (". Use by = 'seed'" if by_info else "")
        )
    chosen = {k for block in held for k in block}
    return [k for k in range(len(groups)) if k not in chosen], sorted(chosen)


def _blocks(names: Sequence[str], groups: Sequence[str]) -> list[list[int]]:
    """Indices of frames that share a name or a group, directly or through others."""
    parent = list(range(len(names)))

    def root(k: int) -> int:
        while parent[k] != k:
            parent[k] = parent[parent[k]]
            k = parent[k]
        return k

    first: dict[tuple[str, str], int] = {}
    for k, pair in enumerate(zip(names, groups, strict=True)):
        for what in zip(("geometry", "group"), pair, strict=True):
            parent[root(k)] = root(first.setdefault(what, k))
    found: dict[int, list[int]] = {}
    for k in range(len(names)):
        found.setdefault(root(k), []).append(k)
    return list(found.values())
