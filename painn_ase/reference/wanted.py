"""Which labels a structure gets: those that its info["labels"] names, or else those of the whole run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase

from ase import Atoms

from painn_ase.errors import InputError

KEY = "labels"  # of info


def wanted(atoms: Atoms, properties: Sequence[str]) -> tuple[str, ...]:
    """The labels of a structure: the words or names in its info["labels"], or `properties` where there are none."""
    own = atoms.info.get(KEY)
    if own is None:
        return tuple(properties)
    return tuple(own.split() if isinstance(own, str) else own)


def asked(frames: Iterable[Atoms], properties: Sequence[str]) -> tuple[str, ...]:
    """All labels that some of the frames get, each once.

    Raises `InputError` for a frame whose info["labels"] names none.
    """
    found: dict[str, None] = {}
    for index, atoms in enumerate(frames):
        names = wanted(atoms, properties)
        if not names and KEY in atoms.info:
            raise InputError(f'frame {index}: expected names in info["{KEY}"], such as "energy forces"; got none')
        found |= dict.fromkeys(names)
    return tuple(found) or tuple(properties)


def want_by_source(frames: Sequence[Atoms], patterns: Mapping[str, Sequence[str]]) -> None:
    """Sets info["labels"] of the frames whose info["source"] matches a pattern, of several the first.

    frames: the structures, which are changed
    patterns: names of labels by pattern, {"*_wigner_*": ["energy", "forces", "polarizability"]}

    Raises `InputError` for a pattern that no source matches.
    """
    sources = [str(atoms.info.get("source", "")) for atoms in frames]
    for pattern in patterns:
        if not any(fnmatchcase(source, pattern) for source in sources):
            some = ", ".join(sorted(set(sources))[:3]) or "none"
            raise InputError(f"properties by source: no frame's info['source'] matches {pattern!r}; there are {some}")
    for atoms, source in zip(frames, sources, strict=True):
        names = next((names for pattern, names in patterns.items() if fnmatchcase(source, pattern)), None)
        if names is not None:
            atoms.info[KEY] = " ".join(names)
