"""What a training run writes down: a row per epoch, and the checksums of its data."""

import csv
import hashlib
from collections.abc import Iterable
from pathlib import Path

from painn_ase.files import write_atomically


class Log:
    """A CSV file with a row per epoch; rows after `epoch` are dropped when a run resumes from there."""

    def __init__(self, path: Path, columns: list[str], epoch: int) -> None:
        self.path, self.columns = path, columns
        kept: list[str] = []
        if epoch and path.is_file():
            kept = [line for line in path.read_text().splitlines()[1:] if _epoch(line) <= epoch]
        write_atomically(path, "\n".join([",".join(columns), *kept]) + "\n")

    def write(self, row: dict[str, float]) -> None:
        with open(self.path, "a", newline="") as file:
            csv.DictWriter(file, self.columns, restval="").writerow(row)


def _epoch(line: str) -> float:
    first = line.split(",", 1)[0]
    return int(first) if first.isdigit() else float("inf")


def checksums(paths: Iterable[Path]) -> dict[str, str]:
    """SHA-256 of each file by its name."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}
