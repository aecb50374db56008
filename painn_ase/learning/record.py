"""What a learning calculator writes down: questions to the reference, changes of models, and lines of log on them."""

from __future__ import annotations

import csv
import io
import logging
import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from painn_ase.files import hold

log = logging.getLogger(__name__)

CALLS, CHANGES, LINES, LABELS = "calls.csv", "changes.csv", "log.txt", "labels.extxyz"
_CALLS = (
    "evaluation",  # number of the structure among all that were evaluated
    "fingerprint",  # of the structure, as in labels.extxyz
    "why",
    "disagreement",  # eV/Å, largest forces_std of an atom; empty without a committee
    "error",  # eV/Å, largest error of a force of the models; empty without a model
    "energy_error",  # eV, of the models
    "seconds",  # of the reference
    "model",  # generation that was asked about
)
_CHANGES = (
    "evaluation",
    "model",  # generation that began
    "frames",  # labelled, of which some validate
    "seconds",  # of the training
    "force_error",  # eV/Å, mean absolute error of force components on the validation frames
    "energy_step",  # eV, energy of the new models less that of the old ones, of the last structure
    "force_step",  # eV/Å, root mean square of the same of force components
    "threshold",  # eV/Å
)


class Table:
    """A CSV file that grows row by row; a row that a kill left half written is cut off."""

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self._path, self._columns = path, columns
        self.rows: list[dict[str, str]] = []
        if path.exists():
            text = path.read_text(encoding="utf-8")
            whole = text[: text.rfind("\n") + 1]
            if whole != text:
                os.truncate(path, len(whole.encode()))
            self.rows = list(csv.DictReader(io.StringIO(whole)))
        if not path.exists() or not path.stat().st_size:
            self._append(columns)

    def add(self, row: Mapping[str, Any]) -> None:
        """Adds a row, which is on the disk when this returns; numbers have seven digits."""
        text = {name: _written(row.get(name)) for name in self._columns}
        self._append([text[name] for name in self._columns])
        self.rows.append(text)

    def numbers(self, *names: str) -> list[tuple[float, ...]]:
        """The columns `names` of the rows that have all of them."""
        return [tuple(float(row[n]) for n in names) for row in self.rows if all(row[n] for n in names)]

    def _append(self, cells: Sequence[str]) -> None:
        line = io.StringIO()
        csv.writer(line, lineterminator="\n").writerow(cells)
        with open(self._path, "a", encoding="utf-8") as file:
            file.write(line.getvalue())
            file.flush()
            os.fsync(file.fileno())


class Record:
    """The files calls.csv, changes.csv and log.txt in the folder of a learning calculator, which no other process may
    write as long as this lives: `InputError` where one does."""

    def __init__(self, folder: Path) -> None:
        self._hold = hold(folder / LABELS)
        self.calls, self.changes = Table(folder / CALLS, _CALLS), Table(folder / CHANGES, _CHANGES)
        self._lines = folder / LINES

    def say(self, text: str) -> None:
        """A line in the log, of the folder and of Python."""
        log.info(text)
        with open(self._lines, "a", encoding="utf-8") as file:
            file.write(f"{datetime.now():%Y-%m-%d %H:%M:%S} {text}\n")


def _written(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.7g}" if isinstance(value, float) else str(value)
