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
from painn_ase.cards.measure.drift import Drift, drift_check
from painn_ase.cards.measure.dynamics import dynamics_check
from painn_ase.cards.measure.harmonic import HarmonicCheck, harmonic_check
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
    temperature: float = 300.0  # K; modes that turn freely at it do not count in the harmonic check
    nve: float = 0.0  # ps
    md: Sequence[tuple[float, ...]] = ()  # temperatures in K, lengths in ps and, of ring polymers, beads
    timestep: float | None = None  # fs; by default 0.5, with beads 0.25
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
    card = _Card.open(model, others, say)
    start = _structure(wanted, card.folder) if wanted.nve or wanted.md else Atoms()
    if wanted.coverage:
        _add_coverage(card.subject, wanted.coverage)
        card.store()
    if wanted.again or not AT_REST.intersection(card.subject.checks):
        card.subject.checks |= measure_at_rest(card.driver, _known_structure(wanted, card.folder), say)
        card.store()
    if wanted.test:
        _measure_errors(card, wanted)
        card.store()
    if wanted.harmonic:
        _measure_harmonic(card, wanted)
        card.store()
    if wanted.nve:
        drift = drift_check(card.driver, start, ps=wanted.nve, timestep=wanted.timestep)
        card.keep("nve", drift)
        card.store()
    for temperature, ps, *more in wanted.md:
        beads = int(more[0]) if more else 1
        step = wanted.timestep
        run = dynamics_check(card.driver, start, temperature=temperature, ps=ps, beads=beads, timestep=step)
        name = f"{temperature:g} K" + (f", {beads} beads" if beads > 1 else "")
        card.subject.checks.setdefault("md", {})[name] = run.to_dict() | {"members": len(card.members)}
        say(str(run))
        card.store()
    card.store()
    return card.subject


@dataclass(frozen=True)
class _Card:
    """A card that is being written."""

    folder: Path
    members: tuple[Model, ...]  # of the committee, the model itself first
    say: Callable

    @classmethod
    def open(cls, model: str | Path, others: Sequence[str | Path], say: Callable) -> _Card:
        folder = find_model(model)
        return cls(folder, (load_model(folder), *map(load_model, others)), say)

    @property
    def subject(self) -> Model:
        """The model whose card it is."""
        return self.members[0]

    @property
    def driver(self) -> Model | Sequence[Model]:
        """What moves atoms: the model, or the committee."""
        return self.subject if len(self.members) == 1 else self.members

    def keep(self, name: str, found: Drift | HarmonicCheck) -> None:
        self.subject.checks[name] = found.to_dict() | {"members": len(self.members)}
        self.say(str(found))

    def store(self) -> None:
        save_model(self.subject, self.folder, card=render_card(self.subject))


def _measure_errors(card: _Card, wanted: Measurements) -> None:
    """Errors on the test files, of the model and of the committee."""
    frames, labels = read_frames(wanted.test), trained_labels(card.subject)
    evaluation = evaluate_model(card.subject, frames, labels, group=wanted.group)
    card.subject.errors["test"] = evaluation.to_dict()
    card.say(evaluation.table())
    if len(card.members) > 1:
        of_all = committee(card.members, frames, labels, group=wanted.group)
        card.subject.checks["committee"] = of_all.to_dict()
        card.say(f"committee of {len(card.members)}\n{of_all.evaluation.table()}")


def _measure_harmonic(card: _Card, wanted: Measurements) -> None:
    """The harmonic check, and its picture where one is wanted."""
    check = harmonic_check(card.driver, read_frames(wanted.harmonic), temperature=wanted.temperature)
    card.keep("harmonic", check)
    if wanted.picture:
        place = Path(os.path.relpath(wanted.picture, card.folder)).as_posix()
        card.subject.checks["harmonic"]["picture"] = place
        card.say(f"picture: {harmonic_picture(check, wanted.picture, card.subject.name)}")


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
