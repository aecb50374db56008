"""What a build knows before its first label: structures, reference, labels that can be had, cost of a call."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from ase import Atoms

from painn_ase.build.batches import WHY
from painn_ase.build.reference import Reference, parse_reference
from painn_ase.build.request import Request
from painn_ase.build.structures import in_words, starting_structures
from painn_ase.data.identity import unlabelled
from painn_ase.errors import InputError
from painn_ase.model_files import find_model
from painn_ase.model_files.header import read_header
from painn_ase.reference import Level, label
from painn_ase.reference.labellers import Models
from painn_ase.reference.level import charge_and_spin
from painn_ase.threads import available_cores

_RATTLE = 0.02  # Å, of the frames that are timed


@dataclass(frozen=True)
class Setup:
    """What is built, of what, by whom."""

    request: Request
    structures: list[Atoms]
    reference: Reference
    labels: tuple[str, ...]  # of the reference
    second: tuple[str, ...]  # labels of the level in request.polarizability
    notes: tuple[str, ...]  # sentences to say before anything begins

    @property
    def learned(self) -> tuple[str, ...]:
        """All labels that the networks learn."""
        return (*self.labels, *self.second)

    @property
    def processes(self) -> int:
        """Calls of the reference, and trainings, at a time."""
        return self.request.processes or available_cores()

    @property
    def scratch(self) -> Path:
        """Where calculators may write."""
        return self.request.output / "scratch"


def set_up(request: Request) -> Setup:
    """Finds structures and reference, and refuses at once what cannot be had.

    Raises `InputError` for spectra that no label leads to, unless "spectrum" asked for what is possible.
    """
    structures = starting_structures(request)
    reference = parse_reference(request.reference, request.folder)
    atoms = structures[0]
    labels = reference.labels(atoms, request.wants_raman and request.polarizability is None)
    second: tuple[str, ...] = ()
    if request.polarizability is not None:
        level = Level.parse(request.polarizability)
        second = ("polarizability",) if "dipole" in labels or atoms.pbc.any() else ("dipole", "polarizability")
        level.check(structures, second)
    if isinstance(reference.by, Level):
        reference.by.check(structures, labels)
    if request.start is not None:
        read_header(find_model(request.start))  # one that training cannot begin from is refused here
    notes = [in_words(structures), f"reference {reference.name}: {', '.join(labels)}"]
    notes += _missing(request, reference, (*labels, *second), bool(atoms.pbc.any()))
    return Setup(request, structures, reference, labels, second, tuple(notes))


def _missing(request: Request, reference: Reference, have: tuple[str, ...], periodic: bool) -> list[str]:
    """Sentences about heads that are left out; `InputError` if a spectrum that was asked for needs one of them."""
    notes = []
    for label_, purpose in (("dipole", "ir"), ("polarizability", "raman")):
        wanted = request.wants_infrared if purpose == "ir" else request.wants_raman
        if label_ in have or not wanted:
            continue
        reason = f"{reference.name} gives no {label_}" + (" of a periodic cell" if periodic else "")
        if purpose in request.purposes:
            cure = "" if periodic else "; name a level that does: --polarizability pbe0/def2-svpd"
            raise InputError(f"--for {purpose}: {reason}{cure}")
        notes.append(f"{reason}, so that head and the {purpose} spectrum are left out")
    return notes


def timed_frames(structures: list[Atoms]) -> list[Atoms]:
    """Two frames near the first structures, to learn what a call costs; they are labels like others."""
    frames = []
    for k in range(2):
        frame = unlabelled(structures[k % len(structures)])
        frame.rattle(_RATTLE, seed=k)  # fixed atoms stay
        frame.info |= {"source": "rattled", WHY: "cost of a call"}
        frames.append(frame)
    return frames


def seconds_of_call(setup: Setup, frames: list[Atoms], folder: Path) -> float | None:
    """Seconds of one call of the reference, of the second level included; None if all are labelled already.

    The first frame is not timed: it pays for what is loaded once.
    """
    total, timed = 0.0, False
    todo = [(setup.reference.by, setup.labels, "labelled")]
    if setup.second:
        todo.append((str(setup.request.polarizability), setup.second, "second"))
    for by, names, kind in todo:
        output = folder / f"00.{kind}.extxyz"
        label(frames[:1], by, output, properties=names)
        start = time.monotonic()
        outcome = label(frames, by, output, properties=names)
        if outcome.computed:
            total, timed = total + time.monotonic() - start, True
    return total if timed else None


def about(setup: Setup) -> dict[str, str]:
    """What the model's card says of its origin."""
    charge, unpaired = charge_and_spin(setup.structures[0])
    kind = "trained models" if isinstance(setup.reference.by, Models) else setup.reference.name
    second = f"; {', '.join(setup.second)} by {setup.request.polarizability}" if setup.second else ""
    return {
        "level of theory": kind + second,
        "data": f"made by painn-ase build: dynamics, normal modes and the models' own dynamics at "
        f"{setup.request.temperature:g} K",
        "range of validity": f"{setup.structures[0].symbols.formula}, charge {charge:+d}, multiplicity {unpaired + 1}, "
        f"dynamics at {setup.request.temperature:g} K",
    }
