"""What is measured: a calculator from whatever names a model, and where and when it was measured."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import torch

from painn_ase import __version__
from painn_ase.calculator import PaiNNCalculator
from painn_ase.model import Model

Subject: TypeAlias = str | Path | Model | Sequence[str | Path | Model] | PaiNNCalculator


def calculator_of(model: Subject, dtype: str = "float32") -> PaiNNCalculator:
    """A calculator as it is, or a new one of one or several models in the precision `dtype`."""
    return model if isinstance(model, PaiNNCalculator) else PaiNNCalculator(model, dtype=dtype)


def stamp() -> dict[str, Any]:
    """Date and versions, which go beside every stored figure."""
    today = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
    return {"date": today, "versions": {"painn_ase": __version__, "torch": torch.__version__}}


def rounded(value: Any, digits: int = 5) -> Any:
    """Floats, also inside lists and dictionaries, to significant digits: what a card's header should hold."""
    if isinstance(value, float):
        return float(f"{value:.{digits}g}")
    if isinstance(value, dict):
        return {key: rounded(v, digits) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(v, digits) for v in value]
    return value
