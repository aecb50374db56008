"""A training in parts, each from the weights of the one before: its configurations and its run."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from painn_ase.data import Label
from painn_ase.structures import write_frames
from painn_ase.training.config import parse_config
from painn_ase.training.trainer import CHECKPOINT, LOG, MODEL, Trained, train

TRAIN, VALIDATION = "train.extxyz", "validation.extxyz"
_EPOCH = 50  # steps at least, so that validation is a small part
_WARMUP = 100  # steps, or a quarter of a short part
_CHECKPOINT = 20.0  # s


@dataclass(frozen=True)
class Part:
    """Steps of one loss, in the folder `name`."""

    name: str
    kind: Literal["squared", "absolute"]
    learning_rate: float
    steps: int


@dataclass(frozen=True)
class Task:
    """What the networks of a committee share: data, labels, architecture.

    folder: with train.extxyz and validation.extxyz, which `write` makes
    frames: number of those that train
    labels: that are learned, by property
    batch_size: structures of a step
    model: architecture, as in a training configuration
    about: what the card should say
    """

    folder: Path
    frames: int
    labels: Mapping[str, Label]
    batch_size: int
    model: Mapping[str, Any]
    about: Mapping[str, str]

    def tables(self, parts: Sequence[Part], seed: int, start: Path | None, output: Path) -> list[dict[str, Any]]:
        """The training configurations of one network, one after the other, as `parse_config` reads them.

        parts: of the training
        seed: of the network
        start: model folder that the first part begins from; None for random weights
        output: folder of the parts' folders
        """
        found = []
        for part in parts:
            found.append(self._table(part, seed, start, output / part.name))
            start = output / part.name / MODEL
        return found

    def _table(self, part: Part, seed: int, start: Path | None, output: Path) -> dict[str, Any]:
        batches = -(-self.frames // self.batch_size)
        visits = max(1, -(-_EPOCH // batches))  # of each frame in an epoch
        run = {
            "output": str(output),
            "epochs": max(1, round(part.steps / (visits * batches))),
            "batch_size": self.batch_size,
            "seed": seed,
            "threads": 1,
            "checkpoint_seconds": _CHECKPOINT,
        }
        return {
            "about": dict(self.about),
            "data": {
                "train": [str(self.folder / TRAIN)],
                "validation": [str(self.folder / VALIDATION)],
                "labels": {name: {"key": label.key, "unit": label.unit} for name, label in self.labels.items()},
                "repeat": {TRAIN: visits},
            },
            "model": dict(self.model),
            "loss": {"kind": part.kind},
            "optimizer": {"learning_rate": part.learning_rate, "gradient_norm": 1.0, "ema": 0.99},
            "schedule": {"warmup": min(_WARMUP, part.steps // 4)},
            "run": run | ({"start": str(start)} if start is not None else {}),
        }


def write_sides(folder: Path, training: Sequence[Any], held: Sequence[Any]) -> None:
    """Writes the frames that train and those that validate where `Task` reads them."""
    folder.mkdir(parents=True, exist_ok=True)
    write_frames(folder / TRAIN, list(training))
    write_frames(folder / VALIDATION, list(held))


def train_parts(
    tables: Sequence[Mapping[str, Any]], on_epoch: Callable[[dict[str, float]], None] | None = None
) -> Trained:
    """Trains the parts of one network, those that a kill left unfinished from where they were; what the last gave.

    `on_epoch` is called with each row of the logs. An interrupt is raised again as `KeyboardInterrupt`.
    """
    for table in tables:
        config = parse_config(dict(table))
        outcome = train(config, resume=(config.run.output / CHECKPOINT).exists(), progress=False, on_epoch=on_epoch)
        if not outcome.finished:
            raise KeyboardInterrupt
    return outcome


def share_done(tables: Sequence[Mapping[str, Any]]) -> float:
    """Epochs that were made, of all that these configurations ask for."""
    wanted = sum(table["run"]["epochs"] for table in tables)
    return sum(_epochs(Path(table["run"]["output"]) / LOG) for table in tables) / wanted


def _epochs(path: Path) -> int:
    try:
        rows = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
        return int(rows[-1]["epoch"]) if rows else 0
    except (OSError, ValueError, KeyError, TypeError):  # not begun, or a row that is being written
        return 0
