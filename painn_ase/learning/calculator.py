"""An ASE calculator that answers from a committee of models, asks its reference where they do not know, and learns."""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, PropertyNotImplementedError, all_changes

from painn_ase.calculator import PaiNNCalculator
from painn_ase.data.identity import fingerprint
from painn_ase.errors import InputError, SimulationError
from painn_ase.learning.asking import By, Reference
from painn_ase.learning.committee import Committee, Course
from painn_ase.learning.judge import Judge
from painn_ase.learning.record import Record
from painn_ase.learning.report import Report, report_of
from painn_ase.learning.request import Start, check, started
from painn_ase.learning.retraining import Answered, Retraining
from painn_ase.properties import FORCES_SPREAD


class LearningCalculator(Calculator):
    """Energies and forces by a committee of models that learns from `make_reference` while a simulation runs.

    make_reference: what `painn_ase.reference.label` takes: a function that makes an ASE calculator, a level of theory
        ("gfn2", "pbe0/def2-svpd", `Level`), or `Models`
    folder: of labels, models and records; what it holds is gone on from
    start: labelled or bare frames (Atoms, or a file), or trained models (names or folders) of the same level of theory
    threshold: of `forces_std` in eV/Å, above which the reference is asked; "auto" learns it from pairs of disagreement
        and true error, so that four structures in five just below it have forces within `tolerance`
    batch: new labels at least between two trainings
    budget: calls of the reference in all
    on_failure: when a call has failed three times, or the budget is used up: "stop" raises `SimulationError`, "model"
        has the models answer all the same, with a warning
    tolerance: largest error of any force in eV/Å that goes unasked, with threshold "auto"
    properties: labels that are asked for and learned
    course: how the committee is trained
    threads: of the reference
    background: train in a process of its own while the run goes on with the present models

    The reference is asked, and answers, where there is no model, where the coverage of the training data is left,
    where the committee disagrees, and in one structure of 200, drawn by its geometry (an audit). An objection of the
    coverage or committee that proved harmless (errors within `tolerance`) is not heard within 0.1 Å of that structure.
    A structure that was labelled before is answered from the labels. Training, from the weights so far, comes when new
    labels have cost as much time as a training, or are a tenth more; models change between structures only. Every call
    is a row of calls.csv, every change of models one of changes.csv with the step in energy that it makes, and both are
    lines of log.txt.

    With `background` a training takes one thread at a lower priority, and new labels wait for the one after it; its
    models answer from the first structure after its end, which `changes.csv` names and which depends on how fast the
    machine was: two such runs differ. One process at a time may use a folder.

    Velocities are kept when models change, and `discontinuity` is what has to be taken off energies so that a conserved
    energy goes on: `run_md` does so. A run killed at any moment goes on from the folder with all labels, and from the
    answer that it was saved with, though the models may have learned since. `freeze()` gives the `PaiNNCalculator` of
    the present models; spectra want that one.
    """

    name = "learning"

    def __init__(
        self,
        make_reference: By,
        folder: str | Path,
        start: Start = None,
        threshold: float | str = "auto",
        batch: int = 8,
        budget: int = 300,
        on_failure: str = "stop",
        *,
        tolerance: float = 0.2,
        properties: Sequence[str] = ("energy", "forces"),
        course: Course = Course(),  # noqa: B008  (frozen)
        threads: int = 1,
        background: bool = False,
    ) -> None:
        """Takes up what `folder` holds; the reference is not asked yet. The parameters are described with the class.

        Raises `InputError` for impossible requests.
        """
        super().__init__()
        check(threshold, batch, budget, on_failure, tolerance, properties)
        self.folder = Path(folder)
        frames, models = started(start)
        self._record = Record(self.folder)
        self._reference = Reference(make_reference, self.folder, tuple(properties), threads)
        self._committee = Committee(self.folder, course, tuple(properties), models)
        pairs = [(spread, error) for spread, error in self._record.calls.numbers("disagreement", "error")]
        self._judge = Judge(None if threshold == "auto" else float(threshold), tolerance, pairs)
        self._retraining = Retraining(self._committee, self._judge, self._record, batch, background)
        self._start, self._batch, self._budget, self._on_failure = frames, batch, budget, on_failure
        self.implemented_properties = sorted({"free_energy", *properties})
        # what makes a run another one: a run that stopped for want of a budget goes on with a larger one
        self.parameters = {
            "folder": str(folder),
            "threshold": threshold,
            "tolerance": tolerance,
            "course": asdict(course),
        }
        self.evaluations = max((int(row["evaluation"]) for row in self._record.calls.rows), default=0)
        self._last: Answered | None = None
        self._model_seconds = 0.0
        self._warned = self._begun = False

    # ---- what users ask

    @property
    def threshold(self) -> float:
        """The disagreement (eV/Å of `forces_std`) from which on the reference is asked."""
        return self._judge.threshold

    @property
    def discontinuity(self) -> float:
        """Energy in eV by which the present answer lies off the surface that the first answers began on."""
        last, steps = self._last, self._retraining.steps
        return steps + (0.0 if last is None or last.energy is None else last.values["energy"] - last.energy)

    @property
    def report(self) -> Report:
        """Calls, labels, trainings, time saved and errors so far."""
        frames, latest = len(self._reference.frames), self._committee.generation
        return report_of(self._record, self.evaluations, frames, self._model_seconds, self.threshold, latest)

    def freeze(self) -> PaiNNCalculator:
        """The present models as a calculator that learns no more: of all members, whose mean it is.

        Waits for a training that is under way in the background, and is of its models.
        Raises `InputError` where there are none yet.
        """
        self._retraining.take(self._last, self.evaluations)
        if not self._committee.folders:
            raise InputError(
                f"freeze: there is no model yet in {self.folder}; it comes with the first {self._batch} labels"
            )
        folders = self._committee.folders
        return PaiNNCalculator(folders if len(folders) > 1 else folders[0])

    @property
    def memory(self) -> dict[str, Any]:
        """The last answer, and by how much it lies off the surface of the first ones: what a saved run must `recall`.

        The models may learn between the moment a run was saved and a kill, and would answer otherwise.
        """
        return {} if self._last is None else self.results | {"discontinuity": self.discontinuity}

    def recall(self, atoms: Atoms, memory: Mapping[str, Any], properties: Sequence[str] = ("energy",)) -> None:
        """Answers for `atoms` as when `memory` was taken; energies step to the present models at this structure."""
        self._reference.open(atoms)
        self._begin(atoms)
        values = dict(memory)
        before = values.pop("discontinuity")
        self.atoms, energy = atoms.copy(), self._energy_of_models(atoms)
        self._take(atoms, values, energy)
        self._retraining.steps = before + (0.0 if energy is None else energy - values["energy"])
        self.calculate(atoms, properties, [])

    # ---- what ASE calls

    def check_state(self, atoms: Atoms, tol: float = 0.0) -> list[str]:
        """As ASE, and exactly, with charge and multiplicity in info."""
        changes = super().check_state(atoms, tol)
        old = self.atoms
        if old is not None and any(old.info.get(key) != atoms.info.get(key) for key in ("charge", "multiplicity")):
            changes.append("info")
        return changes

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = tuple(all_changes),
    ) -> None:
        """Fills `results`: of a new structure energy and forces, the rest from the models when asked for."""
        for name in properties:
            if name not in self.implemented_properties:
                have = ", ".join(self.implemented_properties)
                raise PropertyNotImplementedError(f"this calculator learns {have}; it has no {name}")
        if system_changes or not self.results:
            self._learn_if_due()
            super().calculate(atoms, properties, system_changes)
            self.results = {}
            assert self.atoms is not None
            self._answer(self.atoms)
        for name in properties:
            if name not in self.results:
                self.results[name] = self._models().get_property(name, self.atoms)

    def todict(self, skip_default: bool = True) -> dict[str, Any]:
        """JSON-able settings."""
        return dict(self.parameters)

    # ---- parts

    def _models(self) -> PaiNNCalculator:
        assert self._committee.calculator is not None
        return self._committee.calculator

    def _answer(self, atoms: Atoms) -> None:
        """Fills `results` and `_last`."""
        self._reference.open(atoms)
        self._begin(atoms)
        before = self._reference.known(atoms)
        if before is not None:
            self._take(atoms, before, self._energy_of_models(atoms))
            return
        self.evaluations += 1
        forces, spread, why = self._judged(atoms)
        if why and forces is not None and not self._may_ask():
            why = ""
        if not why:
            assert forces is not None
            energy = float(self._models().get_property("energy", atoms))
            self._take(atoms, {"energy": energy, "forces": forces}, energy)
            return
        self._ask(atoms, why, forces, spread)

    def _judged(self, atoms: Atoms) -> tuple[np.ndarray | None, float | None, str]:
        """Forces of the models, their disagreement, and why the reference should answer; empty if it need not."""
        if not self._committee.knows(atoms):
            return None, None, "no model"
        start = time.perf_counter()
        try:
            forces = self._models().get_property("forces", atoms)
        except SimulationError:  # not finite
            return None, None, "no model"
        deviations = self._models().results.get(FORCES_SPREAD)
        spread = None if deviations is None else float(np.max(deviations))
        why = self._judge.objection(atoms, spread, lambda: bool(self._models().outside))
        self._model_seconds += time.perf_counter() - start
        return forces, spread, why

    def _ask(self, atoms: Atoms, why: str, forces: np.ndarray | None, spread: float | None) -> None:
        """Answers from the reference, and writes down what that says of the models."""
        energy = None if forces is None else float(self._models().get_property("energy", atoms))
        if len(self._record.calls.rows) >= self._budget:
            raise SimulationError(
                f"the budget of {self._budget} calls of the reference is used up, and no model knows this structure; "
                "raise budget"
            )
        try:
            labels = self._reference.ask(atoms, why)
        except SimulationError as failure:
            self._record.say(f"structure {self.evaluations}: {failure}")
            if self._on_failure == "stop" or forces is None:
                raise
            self._warn(str(failure))
            assert energy is not None
            self._take(atoms, {"energy": energy, "forces": forces}, energy)
            return
        row: dict[str, Any] = {
            "evaluation": self.evaluations,
            "fingerprint": fingerprint(list(self._reference.frames.values())[-1]),
            "why": why,
            "seconds": labels.seconds,
            "model": self._committee.generation,
            "disagreement": spread,
        }
        if forces is not None:
            error = float(np.linalg.norm(labels.values["forces"] - forces, axis=1).max())
            row |= {"error": error, "energy_error": energy - labels.values["energy"]}
            self._judge.learn(atoms, why, spread, error)
        self._record.calls.add(row)
        self._take(atoms, labels.values, energy)

    def _may_ask(self) -> bool:
        """Whether the budget allows a call; where it does not, stops or warns as `on_failure` says."""
        if len(self._record.calls.rows) < self._budget:
            return True
        text = f"the budget of {self._budget} calls of the reference is used up"
        if self._on_failure == "stop":
            raise SimulationError(f"{text}; raise budget, or go on with the models alone: freeze()")
        self._warn(text)
        return False

    def _warn(self, text: str) -> None:
        if not self._warned:
            warnings.warn(f"{text}; the models answer (this is said once)", stacklevel=2)
            self._record.say(f"structure {self.evaluations}: {text}; the models answer")
        self._warned = True

    def _take(self, atoms: Atoms, values: dict[str, Any], energy: float | None) -> None:
        self.results = dict(values) | {"free_energy": values["energy"]}
        self._last = Answered(atoms.copy(), dict(values), energy)

    def _energy_of_models(self, atoms: Atoms) -> float | None:
        return float(self._models().get_property("energy", atoms)) if self._committee.knows(atoms) else None

    # ---- learning

    def _begin(self, atoms: Atoms) -> None:
        """Once: notes labels that a kill left unnoted, labels what there is to start from, and learns from it."""
        if self._begun:
            return
        self._begun = True
        noted = {row["fingerprint"] for row in self._record.calls.rows}
        for key, frame in self._reference.frames.items():
            if key not in noted and frame.info.get("why") != "given":
                facts = {"evaluation": self.evaluations, "model": self._committee.generation}
                self._record.calls.add(facts | {"fingerprint": key, "why": frame.info.get("why")})
        for frame in self._reference.take(self._start):
            if self._reference.known(frame) is None:
                self._ask(frame, "start", None, None)
        self._last = None  # a frame to start from is no neighbour of what follows
        self._learn_if_due()

    def _learn_if_due(self) -> None:
        """Trains if it is time, or takes up what was trained in the background; called between structures."""
        self._retraining.between(list(self._reference.frames.values()), self._last, self.evaluations)
