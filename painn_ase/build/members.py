"""The networks of a round: how long they train, and their trainings in processes of their own."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from painn_ase.reference import worker
from painn_ase.training.parts import Part, share_done, train_parts
from painn_ase.training.trainer import MODEL

_ATOMS = 100  # of a batch
_STEPS, _FRAMES = 9000, 400  # steps of a training from random weights, for so many frames; more as the root of more
_LEAST, _MOST = 5000, 40_000
_SHARE = 0.55  # of the steps that take squares of errors; then come lengths, which heed the gentle frames
_AGAIN = 0.6  # of the steps, where weights are trained already
_POLL = 0.5  # s


@dataclass(frozen=True)
class Course:
    """How the networks of a round are trained.

    frames: number of training frames
    atoms: of a frame
    anew: from random weights (or those the build began from), else from the last round's
    """

    frames: int
    atoms: int
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

    def parts(self) -> list[Part]:
        """The parts of the training."""
        if not self.anew:
            return [Part("refine", "absolute", 1e-3, self.steps)]
        first = round(_SHARE * self.steps)
        return [Part("squared", "squared", 3e-3, first), Part("absolute", "absolute", 1e-3, self.steps - first)]


def train_committee(
    members: Sequence[Sequence[dict[str, Any]]], processes: int, look: Callable[[float], None]
) -> list[Path]:
    """Model folders of the networks, whose configurations are `members`; `processes` train at a time.

    `look` is called now and then with the share of all steps that is done.
    """
    every = [table for tables in members for table in tables]
    folders = [Path(tables[-1]["run"]["output"]) / MODEL for tables in members]
    if processes == 1:
        for tables in members:
            train_parts(tables, lambda _row: look(share_done(every)))
        return folders
    context = get_context("spawn")
    with ProcessPoolExecutor(min(processes, len(members)), context, initializer=worker.start, initargs=(1,)) as pool:
        futures: list[Future[None]] = [pool.submit(_train, tables) for tables in members]
        try:
            while not all(future.done() for future in futures):
                look(share_done(every))
                time.sleep(_POLL)
            for future in futures:
                future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return folders


def _train(tables: Sequence[dict[str, Any]]) -> None:
    """Returns nothing, for models would travel back between processes."""
    train_parts(tables)
