"""The models of a learning calculator: generations of a committee, each trained from the weights of the one before."""

from __future__ import annotations

import json
import logging
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ase.io
from ase import Atoms

from painn_ase.calculator import PaiNNCalculator
from painn_ase.data.identity import geometry
from painn_ase.files import write_atomically
from painn_ase.model_files import load_model
from painn_ase.properties import PROPERTIES
from painn_ase.reference.labellers import UNITS
from painn_ase.training import parse_config, train

log = logging.getLogger(__name__)

STATE = "models.json"
_KEPT = 2  # generations


@dataclass(frozen=True)
class Course:
    """How the committee is trained. A step is a batch; half of the first training takes squared errors."""

    members: int = 2
    features: int = 64
    interactions: int = 3
    cutoff: float = 5.0  # Å
    first: int = 3000  # steps from random weights
    again: int = 1000  # steps from trained weights
    batch_size: int = 6
    learning_rate: float = 2e-3
    held_out: int = 8  # one frame in so many validates, and never trains

    def parts(self, anew: bool) -> list[tuple[str, str, int]]:
        """Name, kind of loss and steps of each part."""
        if not anew:
            return [("absolute", "absolute", self.again)]
        return [("squared", "squared", self.first // 2), ("absolute", "absolute", self.first - self.first // 2)]


class Committee:
    """The present generation in `folder`, and the way to the next.

    A generation counts when `models.json` names it, which is written last and in one step: a kill during a training
    costs that training and nothing else.
    """

    def __init__(self, folder: Path, course: Course, properties: tuple[str, ...], start: Sequence[str | Path]) -> None:
        self._folder, self._course, self._properties = folder, course, properties
        self._start = list(start)
        self.calculator: PaiNNCalculator | None = None
        self.generation, self.trained, self.seconds = 0, 0, 0.0
        path = folder / STATE
        if path.exists():
            state = json.loads(path.read_text(encoding="utf-8"))
            self.generation, self.trained, self.seconds = state["generation"], state["frames"], state["seconds"]
        self._load()

    @property
    def folders(self) -> list[Path]:
        """Of the models."""
        if self.generation:
            return [self._place(self.generation) / f"member-{k}" for k in range(self._course.members)]
        return [Path(name) for name in self._start]

    def knows(self, atoms: Atoms) -> bool:
        """Whether there are models, and all elements of the structure are theirs."""
        return self.calculator is not None and set(atoms.numbers) <= set(self.calculator.backend.elements)

    def train(self, frames: Sequence[Atoms]) -> dict[str, float]:
        """Makes the next generation from labelled frames; its mean absolute validation errors in eV, Å and e, means
        over the members."""
        start, number = time.perf_counter(), self.generation + 1
        place = self._place(number)
        shutil.rmtree(place, ignore_errors=True)  # of a training that a kill ended
        place.mkdir(parents=True)
        training, held = split(frames, self._course.held_out)
        ase.io.write(place / "train.extxyz", training)
        ase.io.write(place / "validation.extxyz", held)
        weights = self._weights(frames)
        errors: list[dict[str, float]] = []
        for member in range(self._course.members):
            begin = weights[member % len(weights)] if weights else None
            errors.append(self._train_member(place, member, len(training), begin))
        self.seconds = time.perf_counter() - start
        self.generation, self.trained = number, len(frames)
        state = {"generation": number, "frames": len(frames), "seconds": self.seconds}
        write_atomically(self._folder / STATE, json.dumps(state) + "\n")
        self._load()
        for old in self._folder.glob("models-*"):
            if int(old.name.rpartition("-")[2]) <= number - _KEPT:
                shutil.rmtree(old, ignore_errors=True)
        return {name: sum(e[name] for e in errors) / len(errors) for name in errors[0]}

    def _train_member(self, place: Path, member: int, frames: int, start: str | Path | None) -> dict[str, float]:
        home = place / f"training-{member}"
        for name, kind, steps in self._course.parts(start is None):
            table = self._table(place, home / name, kind, steps, frames, member)
            table["run"] |= {} if start is None else {"start": str(start)}
            outcome = train(parse_config(table), progress=False)
            start = outcome.folder
        shutil.move(outcome.folder, place / f"member-{member}")
        comparisons = outcome.evaluations["validation"].comparisons
        return {name: c.error().mae / PROPERTIES[name].report[1] for name, c in comparisons.items()}

    def _table(self, place: Path, output: Path, kind: str, steps: int, frames: int, member: int) -> dict[str, Any]:
        """The training configuration of a part."""
        course = self._course
        batches = -(-frames // course.batch_size)
        visits = max(1, -(-50 // batches))  # of an epoch, so that validation is a small part
        return {
            "data": {
                "train": [str(place / "train.extxyz")],
                "validation": [str(place / "validation.extxyz")],
                "labels": {name: {"key": name, "unit": UNITS[name]} for name in self._properties},
                "repeat": {"train.extxyz": visits},
            },
            "model": {
                "representation": {
                    "kind": "painn",
                    "features": course.features,
                    "interactions": course.interactions,
                    "cutoff": course.cutoff,
                }
            },
            "loss": {"kind": kind},
            "optimizer": {"learning_rate": course.learning_rate, "gradient_norm": 1.0, "ema": 0.99},
            "schedule": {"warmup": min(100, steps // 4)},
            "run": {
                "output": str(output),
                "epochs": max(1, round(steps / (visits * batches))),
                "batch_size": course.batch_size,
                "seed": member,
                "threads": 1,
                "checkpoint_seconds": 1e6,
                "checkpoint_epochs": 1_000_000,
            },
        }

    def _weights(self, frames: Sequence[Atoms]) -> list[Path | str]:
        """Where the next generation begins: nowhere if frames have elements that the present models lack."""
        if self.calculator is None or not all(self.knows(atoms) for atoms in frames):
            return []
        return list(self.folders)

    def _load(self) -> None:
        models = [load_model(folder) for folder in (self.folders if self.generation else self._start)]
        if models:
            self.calculator = PaiNNCalculator(models if len(models) > 1 else models[0], threads=1)
            if self.calculator.coverage is not None:
                self.calculator.coverage.quiet()  # the reference is asked instead

    def _place(self, generation: int) -> Path:
        return self._folder / f"models-{generation}"


def split(frames: Sequence[Atoms], every: int) -> tuple[list[Atoms], list[Atoms]]:
    """Frames that train, and those that validate: one in `every` by its geometry. A frame stays on its side for ever.

    The first frame trains and the second validates, so that no side is empty; one alone does both.
    """
    sides: tuple[list[Atoms], list[Atoms]] = ([], [])
    for number, atoms in enumerate(frames):
        held = number == 1 if number < 2 else int(geometry(atoms), 16) % every == 0
        sides[held].append(atoms)
    return sides[0], sides[1] or sides[0]
