"""The committee of a round: networks of several seeds, trained side by side in processes of their own."""

from __future__ import annotations

import csv
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from painn_ase.reference import worker
from painn_ase.reference.labellers import UNITS

_ATOMS = 100  # of a batch
_STEPS, _FRAMES = 9000, 400  # steps of a training from random weights, for so many frames; more as the root of more
_LEAST, _MOST = 5000, 40_000
_SHARE = 0.55  # of the steps that take squares of errors; then come lengths, which heed the gentle frames
_AGAIN = 0.6  # of the steps, where weights are trained already
_EPOCH = 50  # steps at least, so that validation is a small part
_POLL = 0.5  # s


@dataclass(frozen=True)
class Course:
    """How the networks of a round are trained.

    frames: number of training frames
    atoms: of a frame
    labels: that are learned
    anew: from random weights (or those the build began from), else from the last round's
    """

    frames: int
    atoms: int
    labels: tuple[str, ...]
    anew: bool

    @property
    def batch_size(self) -> int:
        """Structures of a step."""
        return max(2, min(10, _ATOMS // self.atoms))

    @property
    def steps(self) -> int:
        """Steps of each network."""
        steps = min(_MOST, max(_LEAST, round(_STEPS * (self.frames / _FRAMES) ** 0.5)))
        return steps if self.anew else round(_AGAIN * steps)

    def parts(self) -> list[tuple[str, str, float, int]]:
        """Name, kind of loss, learning rate and steps of each part of the training."""
        if not self.anew:
            return [("refine", "absolute", 1e-3, self.steps)]
        first = round(_SHARE * self.steps)
        return [("squared", "squared", 3e-3, first), ("absolute", "absolute", 1e-3, self.steps - first)]


def tables(
    folder: Path, course: Course, seed: int, start: Path | None, model: dict[str, Any], about: dict[str, str]
) -> list[dict[str, Any]]:
    """The training configurations of one network, one after the other, as `painn_ase.training.parse_config` reads.

    folder: of the round, with train.extxyz and validation.extxyz; the network's is within
    course: steps and labels
    seed: of the network
    start: model folder that training begins from
    model: its architecture
    about: what the card should say
    """
    found = []
    for name, kind, rate, steps in course.parts():
        batches = -(-course.frames // course.batch_size)
        visits = max(1, -(-_EPOCH // batches))
        output = folder / f"member-{seed}" / name
        run = {
            "output": str(output),
            "epochs": max(1, round(steps / (visits * batches))),
            "batch_size": course.batch_size,
            "seed": seed,
            "threads": 1,
            "checkpoint_seconds": 20.0,
        }
        found.append(
            {
                "about": about,
                "data": {
                    "train": [str(folder / "train.extxyz")],
                    "validation": [str(folder / "validation.extxyz")],
                    "labels": {label: {"key": label, "unit": UNITS[label]} for label in course.labels},
                    "repeat": {"train.extxyz": visits},
                },
                "model": model,
                "loss": {"kind": kind},
                "optimizer": {"learning_rate": rate, "gradient_norm": 1.0, "ema": 0.99},
                "schedule": {"warmup": 100},
                "run": run | ({"start": str(start)} if start is not None else {}),
            }
        )
        start = output / "model"
    return found


def train_member(parts: Sequence[dict[str, Any]], on_epoch: Callable[[dict[str, float]], None] | None = None) -> None:
    """Trains the parts of one network, those that a kill left unfinished from where they were."""
    from painn_ase.training import parse_config, train
    from painn_ase.training.trainer import CHECKPOINT

    for table in parts:
        config = parse_config(table)
        outcome = train(config, resume=(config.run.output / CHECKPOINT).exists(), progress=False, on_epoch=on_epoch)
        if not outcome.finished:
            raise KeyboardInterrupt


def train_committee(
    members: Sequence[Sequence[dict[str, Any]]], processes: int, look: Callable[[float], None]
) -> list[Path]:
    """Model folders of the networks, whose configurations are `members`; `processes` train at a time.

    `look` is called now and then with the share of all steps that is done.
    """
    every = [table for parts in members for table in parts]
    folders = [Path(parts[-1]["run"]["output"]) / "model" for parts in members]
    if processes == 1:
        for parts in members:
            train_member(parts, lambda _row: look(_share(every)))
        return folders
    context = get_context("spawn")
    with ProcessPoolExecutor(min(processes, len(members)), context, initializer=worker.start, initargs=(1,)) as pool:
        futures: list[Future[None]] = [pool.submit(train_member, parts) for parts in members]
        try:
            while not all(future.done() for future in futures):
                look(_share(every))
                time.sleep(_POLL)
            for future in futures:
                future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return folders


def _share(parts: Sequence[dict[str, Any]]) -> float:
    """Epochs that were made, of all."""
    wanted = sum(table["run"]["epochs"] for table in parts)
    return sum(_epochs(Path(table["run"]["output"]) / "log.csv") for table in parts) / wanted


def _epochs(path: Path) -> int:
    try:
        rows = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
        return int(rows[-1]["epoch"]) if rows else 0
    except (OSError, ValueError, KeyError, TypeError):  # not begun, or a row that is being written
        return 0
