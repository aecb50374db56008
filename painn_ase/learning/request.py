"""What a learning calculator is asked for: what it starts from, and requests that are refused."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ase import Atoms

from painn_ase.data import read_frames
from painn_ase.errors import InputError, choice, positive, whole
from painn_ase.reference.labellers import UNITS

Start = str | Path | Sequence[str | Path] | Sequence[Atoms] | None

_READABLE = (".xyz", ".extxyz", ".traj", ".db")


def started(start: Start) -> tuple[list[Atoms], list[str | Path]]:
    """Frames and models of `start`."""
    if start is None:
        return [], []
    if isinstance(start, str | Path):
        return (read_frames(start), []) if Path(start).suffix in _READABLE else ([], [start])
    given = list(start)
    if all(isinstance(one, Atoms) for one in given):
        return [one for one in given if isinstance(one, Atoms)], []
    if all(isinstance(one, str | Path) for one in given):
        return [], [one for one in given if isinstance(one, str | Path)]
    raise InputError("start: expected frames (Atoms, or a file), or trained models (names or folders); got a mixture")


def check(
    threshold: float | str, batch: int, budget: int, on_failure: str, tolerance: float, properties: Sequence[str]
) -> None:
    """Raises `InputError` for impossible requests."""
    if threshold != "auto":
        positive("threshold ('auto' or a number)", threshold, "eV/Å")
    whole("batch", batch, 1)
    whole("budget", budget, 1)
    positive("tolerance", tolerance, "eV/Å")
    choice("on_failure", on_failure, ("stop", "model"))
    if not {"energy", "forces"} <= set(properties) <= set(UNITS) - {"polarizability"}:
        raise InputError(
            f"properties: expected energy and forces, and perhaps stress and dipole; got {', '.join(properties)}"
        )
