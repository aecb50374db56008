"""Frames that were asked of the reference, batch by batch, and which of them train: decided once, by their names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms

from painn_ase.build.reference import Reference
from painn_ase.data.identity import fingerprint
from painn_ase.data.sides import sides
from painn_ase.reference import label
from painn_ase.reference.journal import rounded, stored
from painn_ase.reference.labelling import Labelled
from painn_ase.structures import write_frames

TORN = 8.0  # times the median of the largest forces
WHY = "why"  # info: what a frame was asked for


class Batches:
    """Files `<number>.extxyz` of frames that were chosen, and beside them what the reference said of them.

    A batch is chosen once: its file is made in one step, and a build that goes on after a kill takes what is in it.
    Labels are those of `painn_ase.reference.label`, whose journal labels nothing twice; frames that are in another
    batch, or among the `taken` ones, are left out when a batch is made.
    """

    def __init__(self, folder: Path, reference: Reference, labels: Sequence[str], processes: int) -> None:
        self.folder, self.reference, self.labels, self.processes = folder, reference, tuple(labels), processes
        self.second: str | None = None  # level of the labels that the reference does not give
        self.second_labels: tuple[str, ...] = ()
        folder.mkdir(parents=True, exist_ok=True)

    def path(self, number: int) -> Path:
        """The file of the chosen frames of a batch."""
        return self.folder / f"{number:02d}.extxyz"

    def exists(self, number: int) -> bool:
        """Whether the batch has been chosen."""
        return self.path(number).exists()

    def choose(self, number: int, frames: Sequence[Atoms], taken: Sequence[Atoms] = ()) -> int:
        """Writes the frames of a new batch, without those known already, and returns how many they are."""
        known = {fingerprint(rounded(atoms)) for atoms in taken}
        known |= {fingerprint(rounded(atoms)) for k in range(number) for atoms in self.frames(k)}
        kept: dict[str, Atoms] = {}
        for atoms in map(rounded, frames):
            name = fingerprint(atoms)
            if name not in known:
                kept.setdefault(name, atoms)
        write_frames(self.path(number), list(kept.values()))
        return len(kept)

    def frames(self, number: int) -> list[Atoms]:
        """The chosen frames of a batch."""
        return _read(self.path(number))

    def label(self, number: int, why: str | None = None) -> list[Labelled]:
        """Asks the reference for what the batch lacks; of the frames that were chosen for a reason only, if named."""
        frames = [atoms for atoms in self.frames(number) if why in (None, atoms.info.get(WHY))]
        done = [self._label(frames, self.reference.by, self._output(number), self.labels)]
        if self.second is not None:
            done.append(self._label(frames, self.second, self._output(number, "second"), self.second_labels))
        return done

    def _label(self, frames: list[Atoms], by, output: Path, labels: Sequence[str]) -> Labelled:  # type: ignore[no-untyped-def]
        return label(frames, by, output, properties=labels, processes=self.processes)

    def labelled(self, number: int) -> list[Atoms]:
        """The frames of a batch with all labels that there are."""
        frames = _read(self._output(number))
        if self.second is not None:
            add_labels(frames, _read(self._output(number, "second")), self.second_labels)
        return frames

    def parts(self, numbers: Sequence[int]) -> tuple[list[Atoms], list[Atoms]]:
        """Training and validation frames of the batches, by the names of their geometries; torn ones are left out."""
        return sides(gentle([atoms for number in numbers for atoms in self.labelled(number)]))

    def _output(self, number: int, kind: str = "labelled") -> Path:
        return self.folder / f"{number:02d}.{kind}.extxyz"


def gentle(frames: list[Atoms]) -> list[Atoms]:
    """The frames without those whose largest force is more than `TORN` times what is usual: accidents of sampling."""
    if not frames:
        return frames
    largest = np.array([np.linalg.norm(atoms.get_forces(apply_constraint=False), axis=1).max() for atoms in frames])
    limit = TORN * np.median(largest)
    return [atoms for atoms, force in zip(frames, largest, strict=True) if force <= limit]


def add_labels(frames: Sequence[Atoms], others: Sequence[Atoms], names: Sequence[str]) -> None:
    """Gives the frames the labels `names` that `others` of the same geometry have."""
    by_name = {fingerprint(atoms): atoms for atoms in others}
    for atoms in frames:
        other = by_name.get(fingerprint(atoms))
        for name in names if other is not None else ():
            value = stored(other, name)  # type: ignore[arg-type]
            if value is None:
                continue
            if name == "polarizability":
                atoms.info[name] = value.reshape(9)
            else:
                atoms.calc.results[name] = value


def _read(path: Path) -> list[Atoms]:
    return list(ase.io.read(path, ":")) if path.exists() else []
