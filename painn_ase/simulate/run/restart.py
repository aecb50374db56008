"""Restart: what a run needs to go on as if it had never stopped, and when it is saved.

A restart file is NumPy's .npz without pickled objects: arrays, and one JSON text for the rest. It replaces its
predecessor in one step and is written after the rows it vouches for have reached the disk; whatever the other files
hold beyond it is cut off when the run resumes. A process can be killed at any moment.
"""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
from ase import Atoms

from painn_ase.errors import InputError, positive
from painn_ase.files import write_atomically
from painn_ase.plain import plain

FORMAT = "painn_ase restart 1"


def file(path: str | os.PathLike, suffix: str) -> Path:
    """`path` with the suffix appended; a dot in the name, as in 'ethanol_0.5fs', is part of the name."""
    return Path(f"{os.fspath(path)}{suffix}")


@dataclass(frozen=True)
class State:
    """What brings a motion back: arrays, and values that JSON knows."""

    arrays: Mapping[str, np.ndarray]
    values: Mapping[str, Any] = field(default_factory=dict)

    def part(self, prefix: str) -> dict[str, np.ndarray]:
        """The arrays whose names begin with "`prefix` ", without it."""
        return {n[len(prefix) + 1 :]: array for n, array in self.arrays.items() if n.startswith(f"{prefix} ")}


@dataclass(frozen=True)
class Restart(State):
    """The state of a run after `step` steps. `identity` is what the run is made of: the same again is the same run."""

    step: int = 0
    identity: Mapping[str, Any] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        """Replaces the file `path` in one step."""
        text = json.dumps(
            plain({"format": FORMAT, "step": self.step, "identity": self.identity, "values": self.values})
        )
        content = io.BytesIO()
        arrays: dict[str, Any] = {f"array_{name}": array for name, array in self.arrays.items()}
        np.savez(content, json=np.array(text), **arrays)
        write_atomically(path, content.getvalue())

    @classmethod
    def load(cls, path: Path) -> Restart:
        """The state in a file; `InputError` if there is none or it is something else."""
        if not path.is_file():
            raise InputError(f"resume: {path} does not exist, so there is no run to continue; start one without resume")
        try:
            with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as data:
                rest = json.loads(str(data["json"]))
                arrays = {name[6:]: data[name] for name in data.files if name.startswith("array_")}
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise InputError(f"{path} is not a restart file of this package: {error}") from None
        found = rest.pop("format", None) if isinstance(rest, dict) else None
        if found != FORMAT:
            raise InputError(f"{path}: expected format {FORMAT!r}; got {found!r}")
        return cls(arrays, **rest)


def _difference(name: str, then: Any, now: Any) -> str:
    """What is said of a setting that changed: both values where they are short."""
    if isinstance(then, (list, dict)) or isinstance(now, (list, dict)):
        return name
    return f"{name} was {then!r}, now {now!r}"


class Checkpoint:
    """The restart file of a run: when it is due, and whether it is that of this run.

    path: of the run
    identity: what the run is made of, setting by setting; converted to what JSON has at once
    interval: seconds between saves
    """

    def __init__(self, path: str | os.PathLike, identity: Mapping[str, Any], interval: float) -> None:
        self.path, self._identity = file(path, ".restart.npz"), plain(identity)
        self._interval = positive("checkpoint", interval, "s", zero=True)
        self._saved = monotonic()

    def load(self, atoms: Atoms, steps: int) -> Restart | None:
        """The saved state; None if the run was stopped before it had one.

        The atoms may be in the state the run began with or, as after a run in the same process, in the saved one.
        Raises `InputError` if there is none, or it is that of another run or of more steps.
        """
        restart = Restart.load(self.path)
        now = {"positions": atoms.positions, "cell": atoms.cell.array, "momenta": atoms.get_momenta()}
        saved = restart.arrays
        if all(name in saved and np.array_equal(saved[name], value) for name, value in now.items()):
            self._identity |= {name: restart.identity[name] for name in now if name in restart.identity}
        self._check(restart.identity)
        if restart.step > steps:
            raise InputError(
                f"resume: the run has {restart.step} steps already; expected at least as many, got {steps}"
            )
        return restart if restart.arrays else None

    def _check(self, before: Mapping[str, Any]) -> None:
        """`InputError` that names what differs unless the identity `before` is that of this run."""
        now = self._identity
        changed = [
            _difference(key, before.get(key), now.get(key))
            for key in dict.fromkeys([*now, *before])
            if key not in now or before.get(key) != now[key]
        ]
        if changed:
            raise InputError(
                f"resume: the run of {self.path} was begun with other settings ({', '.join(changed)}); repeat the "
                "command it was begun with, or start anew with overwrite=True (--overwrite)"
            )

    @property
    def due(self) -> bool:
        return monotonic() - self._saved > self._interval

    def save(self, step: int, state: State) -> None:
        """Vouches for what the files of the run hold up to `step`; they must be on the disk already."""
        Restart(state.arrays, state.values, step, self._identity).save(self.path)
        self._saved = monotonic()
