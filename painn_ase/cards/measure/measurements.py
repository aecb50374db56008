"""Measures what is asked for, stores it in the model's header, and writes the card from that header."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import ase.io
from ase import Atoms

from painn_ase.cards.measure.committee import committee
from painn_ase.cards.measure.drift import drift_check
from painn_ase.cards.measure.dynamics import dynamics_check
from painn_ase.cards.measure.harmonic import harmonic_check
from painn_ase.cards.measure.picture import harmonic_picture
from painn_ase.cards.measure.rest import AT_REST, measure_at_rest
from painn_ase.cards.render import render_card
from painn_ase.errors import InputError
from painn_ase.model import Model
from painn_ase.model_files import find_model, load_model, save_model
from painn_ase.structures import EXAMPLE, read_structure
from painn_ase.training import evaluate_model, read_frames, trained_labels
from painn_ase.training.data import coverage_of, make_examples


@dataclass(frozen=True)
class Measurements:
    """What to measure for a card; what is left out keeps the figures it has."""

    test: Sequence[str] = ()  # files of labelled frames that were never trained on
    group: str | None = None  # key in info by which their errors are also given separately
    harmonic: Sequence[str] = ()  # files of displaced, labelled frames
    picture: str | None = None  # where the picture of the harmonic check goes
    nve: float = 0.0  # ps
    md: Sequence[tuple[float, ...]] = ()  # temperatures in K, lengths in ps and, of ring polymers, beads
    timestep: float = 0.5  # fs; ring polymers take 0.25
    structure: str | None = None  # for dynamics; by default the one beside the model
    coverage: Sequence[str] = ()  # training files of a model that was trained before models stored their coverage
    again: bool = False  # also what is measured at rest and is there already


def measure(model: str | Path, wanted: Measurements, others: Sequence[str | Path] = (), say: Callable = print) -> Model:
    """Measures a model, stores header and card in its folder after each part, and returns it.

    With `others`, the committee of all of them is measured on the test files, and drives the dynamics and the
    harmonic check, too. What a structure at rest shows (`measure_at_rest`) is measured without being asked for, if the
    header does not have it. `say` is called with text about each part. Raises `InputError` for files that lack what a
    check needs.
    """
    folder = find_model(model)
    subject = load_model(folder)
    members = [subject, *(load_model(other) for other in others)]
    driver = subject if len(members) == 1 else members
    start = _structure(wanted, folder) if wanted.nve or wanted.md else Atoms()

    def store() -> None:
        save_model(subject, folder, card=render_card(subject))

    if wanted.coverage:
        _add_coverage(subject, wanted.coverage)
        store()
    if wanted.again or not AT_REST.intersection(subject.checks):
        subject.checks |= measure_at_rest(driver, _known_structure(wanted, folder), say)
        store()
    if wanted.test:
        frames, labels = read_frames(wanted.test), trained_labels(subject)
        evaluation = evaluate_model(subject, frames, labels, group=wanted.group)
        subject.errors["test"] = evaluation.to_dict()
        say(evaluation.table())
        if others:
            together = committee(members, frames, labels, group=wanted.group)
            subject.checks["committee"] = together.to_dict()
            say(f"committee of {len(members)}\n{together.evaluation.table()}")
        store()
    if wanted.harmonic:
        check = harmonic_check(driver, read_frames(wanted.harmonic))
        subject.checks["harmonic"] = check.to_dict() | {"members": len(members)}
        say(check.table())
        if wanted.picture:
            subject.checks["harmonic"]["picture"] = Path(os.path.relpath(wanted.picture, folder)).as_posix()
            say(f"picture: {harmonic_picture(check, wanted.picture, subject.name)}")
        store()
    if wanted.nve:
        drift = drift_check(driver, start, ps=wanted.nve, timestep=wanted.timestep)
        subject.checks["nve"] = drift.to_dict() | {"members": len(members)}
        say(str(drift))
        store()
    for temperature, ps, *more in wanted.md:
        beads = int(more[0]) if more else 1
        run = dynamics_check(
            driver,
            start,
            temperature=temperature,
            ps=ps,
            beads=beads,
            timestep=None if beads > 1 else wanted.timestep,
        )
        name = f"{temperature:g} K" + (f", {beads} beads" if beads > 1 else "")
        subject.checks.setdefault("md", {})[name] = run.to_dict() | {"members": len(members)}
        say(str(run))
        store()
    store()
    return subject


def _structure(wanted: Measurements, folder: Path) -> Atoms:
    atoms = _known_structure(wanted, folder)
    if atoms is None:
        raise InputError(f"dynamics need a structure: there is no {EXAMPLE} in {folder}; name one with --structure")
    return atoms


def _known_structure(wanted: Measurements, folder: Path) -> Atoms | None:
    """The structure that was named, or the one beside the model; None if there is neither."""
    if wanted.structure:
        return read_structure(wanted.structure)
    if not (folder / EXAMPLE).is_file():
        return None
    atoms = ase.io.read(folder / EXAMPLE)
    assert isinstance(atoms, Atoms)
    return atoms


def _add_coverage(model: Model, files: Sequence[str]) -> None:
    """Stores what the training files cover, after making sure that they are the ones the model was trained on."""
    sums = model.provenance.get("data_sha256", {})
    known = {sums.get(name) for name in model.provenance.get("training", {}).get("data", {}).get("train", ())}
    for name in files:
        if not Path(name).is_file() or hashlib.sha256(Path(name).read_bytes()).hexdigest() not in known:
            raise InputError(f"{name}: not a file that model {model.name!r} was trained on (its header has other sums)")
    frames, labels = read_frames(files), trained_labels(model)
    examples = make_examples(frames, labels, model.cutoff, molecular=model.molecular)
    model.coverage = coverage_of(examples, model.cutoff)
