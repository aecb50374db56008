"""The models of a learning calculator: generations of a committee, each trained from the weights of the one before."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from painn_ase.calculator import PaiNNCalculator
from painn_ase.data.sides import HELD, sides
from painn_ase.errors import SimulationError
from painn_ase.files import write_atomically
from painn_ase.learning.generation import Background, Outcome, member, train_generation
from painn_ase.model_files import load_model
from painn_ase.reference.labellers import labels_of
from painn_ase.training.parts import Part, Task, write_sides

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
    held_out: int = HELD  # one frame in so many validates, and never trains

    def parts(self, anew: bool) -> list[Part]:
        """The parts of a training."""
        if not anew:
            return [Part("absolute", "absolute", self.learning_rate, self.again)]
        half = self.first // 2
        return [
            Part("squared", "squared", self.learning_rate, half),
            Part("absolute", "absolute", self.learning_rate, self.first - half),
        ]

    @property
    def model(self) -> dict[str, Any]:
        """The architecture, as in a training configuration."""
        shape = {"features": self.features, "interactions": self.interactions, "cutoff": self.cutoff}
        return {"representation": {"kind": "painn"} | shape}


class Committee:
    """The present generation in `folder`, and the way to the next.

    A generation counts when `models.json` names it, which is written last and in one step: a kill during a training
    costs that training and nothing else.
    """

    def __init__(self, folder: Path, course: Course, properties: tuple[str, ...], start: Sequence[str | Path]) -> None:
        self._folder, self._course, self._properties = folder, course, properties
        self._start = list(start)
        self._background: Background | None = None
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
            return [member(self._place(self.generation), k) for k in range(self._course.members)]
        return [Path(name) for name in self._start]

    def knows(self, atoms: Atoms) -> bool:
        """Whether there are models, and all elements of the structure are theirs."""
        return self.calculator is not None and set(atoms.numbers) <= set(self.calculator.backend.elements)

    def surface(self, atoms: Atoms) -> tuple[float, np.ndarray] | None:
        """Energy in eV and forces in eV/Å of a structure; None where the models do not know it."""
        if self.calculator is None or not self.knows(atoms):
            return None
        energy = float(self.calculator.get_property("energy", atoms))
        return energy, np.asarray(self.calculator.get_property("forces", atoms))

    # ---- the next generation

    def train(self, frames: Sequence[Atoms]) -> dict[str, float]:
        """Makes the next generation from labelled frames; its mean absolute validation errors in eV, Å and e, means
        over the members."""
        place, members = self._prepared(frames)
        return self._take(train_generation(place, members), len(frames))

    def begin(self, frames: Sequence[Atoms]) -> None:
        """The same in a process of its own, which `finished` tells the end of; the models stay until `take`."""
        place, members = self._prepared(frames)
        self._background = Background(place, members, len(frames))

    @property
    def training(self) -> bool:
        """Whether `begin` was called and `take` not yet."""
        return self._background is not None

    @property
    def finished(self) -> bool:
        """Whether the process that `begin` started has ended."""
        return self._background is not None and self._background.ended

    def take(self) -> dict[str, float]:
        """Waits for the training that `begin` started, and changes to its models; errors as of `train`.

        Raises `SimulationError` if its process came to no end of its own; the models then stay.
        """
        background, self._background = self._background, None
        if background is None:
            raise SimulationError("no training is under way")
        return self._take(background.outcome(), background.frames)

    def _prepared(self, frames: Sequence[Atoms]) -> tuple[Path, list[list[dict[str, Any]]]]:
        """The folder of the next generation with its data, and the configurations of its members."""
        place, course = self._place(self.generation + 1), self._course
        shutil.rmtree(place, ignore_errors=True)  # of a training that a kill ended
        training, held = sides(frames, course.held_out)
        write_sides(place, training, held)
        weights = self._weights(frames)
        labels = labels_of(self._properties)
        task = Task(place, len(training), labels, course.batch_size, course.model, {})
        members = []
        for k in range(course.members):
            start = Path(weights[k % len(weights)]) if weights else None
            members.append(task.tables(course.parts(start is None), k, start, place / f"training-{k}"))
        return place, members

    def _take(self, outcome: Outcome, frames: int) -> dict[str, float]:
        self.seconds, self.trained = outcome.seconds, frames
        self.generation += 1
        state = {"generation": self.generation, "frames": frames, "seconds": self.seconds}
        write_atomically(self._folder / STATE, json.dumps(state) + "\n")
        self._load()
        for old in self._folder.glob("models-*"):
            if int(old.name.rpartition("-")[2]) <= self.generation - _KEPT:
                shutil.rmtree(old, ignore_errors=True)
        return outcome.errors

    def _weights(self, frames: Sequence[Atoms]) -> list[Path]:
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
