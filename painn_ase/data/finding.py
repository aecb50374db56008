"""What a check of reference data says."""

from collections.abc import Sequence
from dataclasses import dataclass

_NAMED = 12  # frames


@dataclass(frozen=True)
class Finding:
    """Something that looks wrong in reference data: what, where, and what it may be."""

    check: str  # its short name: "slope", "stress", "duplicates", ...
    text: str
    frames: tuple[int, ...] = ()  # places in the data, where it concerns some frames only

    def __str__(self) -> str:
        where = f" [frames {named(self.frames)}]" if self.frames else ""
        return f"{self.check}: {self.text}{where}"


def named(frames: Sequence[int]) -> str:
    """The first frames of a list, as text."""
    return ", ".join(map(str, frames[:_NAMED])) + (f", ... ({len(frames)} in all)" if len(frames) > _NAMED else "")
