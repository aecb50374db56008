"""Learning while a simulation runs: a calculator that asks its reference where its models do not know.

Names are loaded when first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from painn_ase.learning.calculator import LearningCalculator
    from painn_ase.learning.committee import Course
    from painn_ase.learning.report import Report

_HOME = {"Course": "committee", "LearningCalculator": "calculator", "Report": "report"}

__all__ = ["Course", "LearningCalculator", "Report"]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"painn_ase.learning.{_HOME[name]}"), name)
    raise AttributeError(f"module 'painn_ase.learning' has no attribute {name!r}")
