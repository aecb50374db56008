"""Files of bead positions: extended XYZ for ASE and for labelling, or one XYZ file per bead as i-PI reads."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import numpy as np
from ase import Atoms
from ase.io.extxyz import write_extxyz

from painn_ase.errors import InputError, choice, whole
from painn_ase.plain import plainly
from painn_ase.simulate.run.motion import Snapshot
from painn_ase.simulate.run.restart import Restart, file

FORMATS = ("extxyz", "i-pi")


@dataclass(frozen=True)
class Beads:
    """Which beads are saved: all, or `count` of them, every `every` steps.

    With `count` the beads take turns, evenly spaced around the ring: what active learning wants, since neighbours
    on the ring are alike. `format` "extxyz" makes one file <path>.beads.xyz, a frame per bead, with step, time_fs and
    bead in its header; "i-pi" makes <path>.pos_<bead>.xyz for every bead, which i-PI and ASE
    read.
    """

    every: int = 100
    count: int | None = None
    format: str = "extxyz"

    def check(self, beads: int) -> None:
        """`InputError` unless this can be done with a ring of `beads`."""
        whole("every of Beads", self.every, 1)
        if self.count is not None and whole("count of Beads", self.count, 1) > beads:
            raise InputError(f"count of Beads: expected at most the {beads} beads there are; got {self.count}")
        choice("format of Beads", self.format, FORMATS)
        if self.format == "i-pi" and self.count is not None:
            raise InputError("Beads: i-PI's files hold every bead of every frame; leave count out")

    def files(self, path: Path, beads: int) -> list[Path]:
        """The files that will be written."""
        if self.format == "extxyz":
            return [file(path, ".beads.xyz")]
        digits = len(str(beads - 1))
        return [file(path, f".pos_{k:0{digits}d}.xyz") for k in range(beads)]

    def chosen(self, step: int, beads: int) -> np.ndarray:
        """The beads saved at a step."""
        if self.count is None:
            return np.arange(beads)
        return (np.arange(self.count) * beads // self.count + step // self.every) % beads


class BeadFiles:
    """Appends frames of beads to text files: a `Part` of the files of a run."""

    failed = False

    def __init__(self, plan: Beads, path: Path, atoms: Atoms, beads: int) -> None:
        plan.check(beads)
        self._plan, self._beads = plainly(plan), beads
        self._atoms = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
        self._atoms.info = {"charge": atoms.info["charge"]} if "charge" in atoms.info else {}
        self.paths = plan.files(path, beads)
        self._files: list[TextIO] = []

    def cut(self, restart: Restart, is_last: bool) -> None:
        """Shortens the files to the sizes in bytes they had when the restart was saved."""
        for path, size in zip(self.paths, restart.values["sizes"], strict=True):
            have = path.stat().st_size if path.is_file() else 0
            if have < size:
                raise InputError(
                    f"resume: {path} holds {have} bytes; {size} had been written when the restart was saved"
                )
            if have:
                os.truncate(path, size)

    def open(self, first: Snapshot | None) -> None:
        """Begins the files; without a `first` snapshot, appends to them."""
        begin = first is not None
        self._files = [open(name, "w" if begin else "a", encoding="utf-8") for name in self.paths]  # noqa: SIM115

    def take(self, snapshot: Snapshot) -> None:
        """The frames of a step that is due."""
        step, positions = snapshot.step, snapshot.copies
        if step % self._plan.every:
            return
        for k in self._plan.chosen(step, self._beads):
            if self._plan.format == "extxyz":
                image = self._atoms.copy()
                image.positions = positions[k]
                image.info |= {"step": step, "time_fs": snapshot.time, "bead": int(k)}
                write_extxyz(self._files[0], [image])
            else:
                self._files[k].write(ipi_frame(self._atoms, positions[k], step, int(k)))

    def sync(self) -> None:
        """Puts everything on the disk."""
        for one in self._files:
            one.flush()
            os.fsync(one.fileno())

    def abandon(self) -> None:
        """What was written stays: a restart cuts it off."""

    def close(self) -> None:
        """No more frames."""
        for one in self._files:
            one.close()


def ipi_frame(atoms: Atoms, positions: np.ndarray, step: int = 0, bead: int = 0) -> str:
    """One frame of XYZ with the comment line that i-PI reads the cell and the units from.

    i-PI wants the first cell vector along x and the second in the xy plane, so a tilted cell turns, with its atoms. A
    structure without a cell gets one of 100 Å: i-PI knows no open boundaries, and nothing looks at it.
    """
    if atoms.cell.rank == 3:
        cell, turn = atoms.cell.standard_form()
        positions, sizes = positions @ turn.T, cell.cellpar()
    else:
        sizes = np.array([100.0, 100.0, 100.0, 90.0, 90.0, 90.0])
    a, b, c, alpha, beta, gamma = sizes
    head = (
        f"{len(atoms)}\n# CELL(abcABC): {a:.8f} {b:.8f} {c:.8f} {alpha:.6f} {beta:.6f} {gamma:.6f}  "
        f"Step: {step}  Bead: {bead} positions{{angstrom}}  cell{{angstrom}}\n"
    )
    rows = zip(atoms.get_chemical_symbols(), positions, strict=True)
    return head + "".join(f"{symbol:>8s} {x:.12e} {y:.12e} {z:.12e}\n" for symbol, (x, y, z) in rows)
