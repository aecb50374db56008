"""The yardstick: the reference's own minimum and Hessian, which no model is trained on."""

from __future__ import annotations

from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms

from painn_ase.build.batches import add_labels
from painn_ase.build.reference import Reference
from painn_ase.data.identity import unlabelled
from painn_ase.reference import derivatives, displaced_frames, label
from painn_ase.simulate import relax
from painn_ase.structures import write_frames

FMAX, TIGHT = 0.003, 0.001  # eV/Å, the second for where a first minimum was none
SADDLE = 10.0  # cm⁻¹: imaginary frequencies above belong to no minimum
_AWAY = 0.25  # Å, of the atom that moves most off a saddle point
_STEPS = 25  # of a relaxation, as far as its cost is estimated
_RATTLE = 0.02  # Å, off saddle points that a symmetric drawing may lie on


def calls(atoms: Atoms) -> int:
    """How many calls of the reference it takes, as far as that is known before."""
    return _STEPS + 6 * len(atoms) + 1


def minimum(atoms: Atoms, reference: Reference, folder: Path, fmax: float = FMAX) -> tuple[Atoms, str]:
    """The structure at the nearest minimum of the reference, and how it got there; goes on after a kill."""
    path = folder / "minimum.extxyz"
    if path.exists():
        found = ase.io.read(path)
        assert isinstance(found, Atoms)
        return found, "found before"
    folder.mkdir(parents=True, exist_ok=True)
    moving = unlabelled(atoms)
    moving.rattle(_RATTLE, seed=0)
    moving.calc = reference.calculator(moving, folder / "scratch")
    steps = folder / "relaxation"
    again = steps.with_name(steps.name + ".restart.npz").exists()
    outcome = relax(
        moving, fmax=fmax, optimizer="BFGS", path=steps, resume=again, overwrite=True, checkpoint=0.0, progress=False
    )
    relaxed = unlabelled(moving)
    if outcome.converged:
        write_frames(path, [relaxed])
    return relaxed, str(outcome)


def displacements(
    atoms: Atoms, reference: Reference, labels: tuple[str, ...], folder: Path, processes: int
) -> list[Atoms]:
    """The labelled frames of central differences about the minimum."""
    output = folder / "frames.extxyz"
    label(displaced_frames(atoms), reference.by, output, properties=labels, processes=processes)
    return list(ase.io.read(output, ":"))


def off_saddle(frames: list[Atoms]) -> Atoms | None:
    """A structure downhill of the saddle point that the frames are about; None if they are about a minimum.

    Flat torsions end in one: forces vanish there, too.
    """
    found = derivatives(frames).vibrations()
    if found.frequencies[0] > -SADDLE:
        return None
    move = found.displacements(0)
    atoms = unlabelled(found.atoms)
    atoms.positions += _AWAY * move / np.linalg.norm(move, axis=1).max()
    return atoms


def with_second(frames: list[Atoms], level: str, labels: tuple[str, ...], folder: Path, processes: int) -> list[Atoms]:
    """The same frames with the labels of another level as well."""
    output = folder / "second.extxyz"
    label(frames, level, output, properties=labels, processes=processes)
    add_labels(frames, list(ase.io.read(output, ":")), labels)
    return frames
