"""The output of a labelling run: grows frame by frame, survives a kill, and ends in the order of the input."""

import hashlib
import json
import os
from io import StringIO
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
from ase import Atoms

from painn_ase.data.identity import DECIMALS, LASTING, fingerprint
from painn_ase.errors import InputError
from painn_ase.files import write_atomically
from painn_ase.reference.labellers import UNITS


def rounded(atoms: Atoms) -> Atoms:
    """Elements, rounded positions, cell, info, and arrays that calculators read: all but what was labelled before.

    Constraints are left out: a label is of all atoms.
    """
    positions = np.round(atoms.positions, DECIMALS) + 0.0  # no negative zeros
    clean = Atoms(atoms.numbers, positions, cell=atoms.cell, pbc=atoms.pbc, info=dict(atoms.info))
    for name in LASTING:
        if atoms.has(name):
            clean.set_array(name, atoms.get_array(name))
    for name in ("energy", "free_energy", "forces", "stress", "dipole", "polarizability"):
        clean.info.pop(name, None)
    return clean


class Journal:
    """`path`, in extended XYZ, and `<path>.json`, which says how the labels were made and what failed.

    Opening an existing pair resumes it: `done` maps fingerprints to labelled frames, and a frame that a kill left
    half written is cut off. Raises `InputError` if the files were made with another `recipe`, or by something else.
    """

    def __init__(self, path: Path, recipe: dict[str, Any]) -> None:
        self.path, self.recipe = path, recipe
        self.about = path.with_name(path.name + ".json")
        self.done: dict[str, Atoms] = {}
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() or self.about.exists():
            self._resume()
        else:
            self._write_about({})

    def append(self, atoms: Atoms) -> None:
        """Adds a labelled frame and returns when it is on the disk."""
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(_text([atoms]))
            file.flush()
            os.fsync(file.fileno())
        self.done[fingerprint(atoms)] = atoms

    def finish(self, order: list[str], facts: dict[str, Any]) -> None:
        """Rewrites the output in the `order` of fingerprints (those without labels left out), others after them."""
        others = [key for key in self.done if key not in set(order)]
        content = _text([self.done[key] for key in [*order, *others] if key in self.done])
        write_atomically(self.path, content)
        self._write_about(facts | {"sha256": hashlib.sha256(content.encode()).hexdigest()})

    def _resume(self) -> None:
        try:
            recorded = json.loads(self.about.read_text(encoding="utf-8"))["recipe"]
        except (OSError, ValueError, KeyError):
            raise InputError(
                f"{self.path} exists, but {self.about.name}, which says how it was made, does not or is no such "
                "record. Choose another output or pass overwrite=True (--overwrite)"
            ) from None
        if recorded != json.loads(json.dumps(self.recipe)):
            changed = sorted(k for k in recorded.keys() | self.recipe if recorded.get(k) != self.recipe.get(k))
            raise InputError(
                f"{self.path} was labelled with another recipe (different: {', '.join(changed)}; see "
                f"{self.about.name}). Choose another output or pass overwrite=True (--overwrite)"
            )
        if self.path.exists():
            text = self.path.read_text(encoding="utf-8")
            whole = _complete(text)
            if len(whole) < len(text):
                os.truncate(self.path, len(whole.encode()))
            frames = ase.io.read(StringIO(whole), ":", format="extxyz") if whole else []
            self.done = {fingerprint(atoms): _relabelled(atoms) for atoms in frames}

    def _write_about(self, facts: dict[str, Any]) -> None:
        text = json.dumps({"recipe": self.recipe} | facts, indent=1, ensure_ascii=False)
        write_atomically(self.about, text + "\n")


def _text(frames: list[Atoms]) -> str:
    text = StringIO()
    for atoms in frames:
        ase.io.write(text, atoms, format="extxyz")
    return text.getvalue()


def _complete(text: str) -> str:
    """The frames of `text` that were written to their end."""
    lines, start = text.splitlines(keepends=True), 0
    while start < len(lines):
        count = lines[start].strip()
        end = start + 2 + int(count) if count.isdigit() else len(lines) + 1
        if end > len(lines) or not lines[end - 1].endswith("\n"):
            break
        start = end
    return "".join(lines[:start])


def _relabelled(atoms: Atoms) -> Atoms:
    """A frame as it was written: with the polarizability as nine numbers in info, wherever ASE put it."""
    value = stored(atoms, "polarizability")
    if value is not None:
        atoms.info["polarizability"] = value.reshape(9)
        atoms.calc.results.pop("polarizability", None)
    return atoms


def labels_of(atoms: Atoms) -> dict[str, Any]:
    """All labels that a frame of an output has, by name."""
    found = {name: stored(atoms, name) for name in UNITS}
    return {name: value if value.ndim else float(value) for name, value in found.items() if value is not None}


def stored(atoms: Atoms, name: str) -> np.ndarray | None:
    """The label `name` of a frame that was read; None if it has none.

    ASE reads a polarizability into info, but into the calculator's results once `PaiNNCalculator` has told it of
    the property.
    """
    value = getattr(atoms.calc, "results", {}).get(name)
    value = atoms.info.get(name) if value is None else value
    return None if value is None else np.asarray(value, dtype=float)
