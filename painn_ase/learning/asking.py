"""The reference of a learning calculator: asked once for a structure, tried again when it fails, its labels kept."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
from ase import Atoms
from ase.calculators.calculator import BaseCalculator
from ase.calculators.singlepoint import SinglePointCalculator

from painn_ase.data.identity import fingerprint, unlabelled
from painn_ase.errors import SimulationError
from painn_ase.learning.record import LABELS
from painn_ase.reference.journal import Journal, rounded, stored
from painn_ase.reference.labellers import Models
from painn_ase.reference.labelling import labeller_of
from painn_ase.reference.level import Level
from painn_ase.reference.pool import attempt

TRIES = 3

By = str | Level | Models | Callable[..., BaseCalculator]


@dataclass(frozen=True)
class Labels:
    """What the reference says of one structure, in eV, Å and e, and what it cost."""

    values: dict[str, Any]
    seconds: float


class Reference:
    """Asks what `label` takes for its `by`, and keeps every answer in `folder`/labels.extxyz before it is given.

    What the file holds already is not computed again. The recipe of another reference is refused, as by `label`.
    """

    def __init__(self, by: By, folder: Path, properties: tuple[str, ...], threads: int) -> None:
        self._labeller = labeller_of(by, properties, folder.absolute() / "scratch", threads)
        self._folder, self._properties = folder, properties
        self._journal: Journal | None = None  # opened with the first structure, which some recipes depend on
        self.failures: list[str] = []  # reasons, of this process

    def open(self, atoms: Atoms) -> None:
        """Checks that the reference can label structures like this one, and opens the file of labels."""
        if self._journal is None:
            self._labeller.check([_asked(atoms)])
            recipe = self._labeller.recipe() | {"properties": list(self._properties)}
            self._journal = Journal(self._folder / LABELS, recipe)

    @property
    def frames(self) -> dict[str, Atoms]:
        """The labelled frames by fingerprint, in the order in which they came."""
        return {} if self._journal is None else self._journal.done

    def known(self, atoms: Atoms) -> dict[str, Any] | None:
        """The labels of a structure that was labelled before; None for any other."""
        frame = self.frames.get(fingerprint(_asked(atoms)))
        if frame is None:
            return None
        found = {name: stored(frame, name) for name in self._properties}
        return {n: float(v) if np.ndim(v) == 0 else np.asarray(v) for n, v in found.items() if v is not None}

    def ask(self, atoms: Atoms, why: str) -> Labels:
        """Labels of a structure, which are on the disk when this returns.

        Raises `SimulationError` when three tries have failed; the structure is then in `folder`/failed.extxyz.
        """
        self.open(atoms)
        assert self._journal is not None
        frame, start = _asked(atoms), time.perf_counter()
        for _ in range(TRIES):
            outcome = attempt(self._labeller, frame)
            if not isinstance(outcome, str):
                break
            self.failures.append(outcome)
        else:
            ase.io.write(self._folder / "failed.extxyz", frame, append=True)
            raise SimulationError(
                f"the reference failed {TRIES} times for a structure that is now in {self._folder / 'failed.extxyz'}: "
                f"{outcome}. Run again to go on from the labels that there are, or pass on_failure='model' to have the "
                "models answer where the reference cannot"
            )
        frame.info["why"] = why
        frame.calc = SinglePointCalculator(frame, **outcome)
        seconds = time.perf_counter() - start
        self._journal.append(frame)
        return Labels({k: float(v) if np.ndim(v) == 0 else np.asarray(v) for k, v in outcome.items()}, seconds)

    def take(self, frames: Sequence[Atoms]) -> list[Atoms]:
        """Keeps frames that have all labels already; returns those that do not, and those that are new to the file."""
        missing = []
        for atoms in frames:
            results = getattr(atoms.calc, "results", {})
            self.open(atoms)
            assert self._journal is not None
            if not set(self._properties) <= set(results):
                missing.append(atoms)
            elif self.known(atoms) is None:
                frame = _asked(atoms)
                frame.info["why"] = "given"
                frame.calc = SinglePointCalculator(frame, **{name: results[name] for name in self._properties})
                self._journal.append(frame)
        return missing


def _asked(atoms: Atoms) -> Atoms:
    """The structure as it is labelled: positions as a file holds them, without what simulations write into it."""
    return rounded(unlabelled(atoms))
