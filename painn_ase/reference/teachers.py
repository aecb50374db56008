"""Trained models as labellers: what an accurate but slow network, or a committee, can teach a fast one."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from painn_ase.calculator import PaiNNCalculator
from painn_ase.model_files import WEIGHTS, find_model
from painn_ase.reference.foreign import FromCalculator


class FromModels(FromCalculator):
    """Labels by the mean of the models."""

    def __init__(self, models: Sequence[str], properties: tuple[str, ...], scratch: Path, threads: int = 1) -> None:
        self.folders = tuple(find_model(name) for name in models)
        super().__init__(functools.partial(PaiNNCalculator, self.folders, threads=threads), properties, scratch, True)

    def recipe(self) -> dict[str, Any]:
        """The models, by name and by what their weights are."""
        sums = [hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest() for folder in self.folders]
        return {"engine": "painn_ase", "models": [f.name for f in self.folders], "sha256 of weights": sums}
