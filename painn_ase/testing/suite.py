"""The suite: every check by name, and one call that runs them all."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from ase import Atoms

from painn_ase.errors import InputError
from painn_ase.testing import derivatives, interface, isolation, sequences, symmetries
from painn_ase.testing.endurance import memory
from painn_ase.testing.report import Outcome, Report, not_applicable
from painn_ase.testing.structures import nasty
from painn_ase.testing.subject import Case, Subject, refused

OfOne = Callable[[Subject, Case], Outcome]
OfAll = Callable[[Subject, list[Case]], Outcome]

_EVERY: dict[str, OfOne] = {
    "forces are -dE/dr": derivatives.forces,
    "stress is dE/dε / V": derivatives.stress,
    "no stress without a volume": derivatives.stress_without_volume,
    "energies sum to energy": derivatives.atomic_energies,
    "translation": symmetries.follows(symmetries.moved),
    "1000 Å from the origin": symmetries.follows(symmetries.far_away),
    "rotation": symmetries.follows(symmetries.turned),
    "reflection": symmetries.follows(symmetries.reflected),
    "order of atoms": symmetries.follows(symmetries.reordered),
    "unwrapped atoms": symmetries.follows(symmetries.unwrapped),
    "other cell, same lattice": symmetries.follows(symmetries.skewed),
    "left-handed cell": symmetries.follows(symmetries.left_handed),
    "cell where not periodic": symmetries.follows(symmetries.other_open_cell),
    "supercell": symmetries.follows(symmetries.supercell),
    "molecules far apart": symmetries.far_apart,
    "shapes and types": interface.shapes,
}
_FIRST: dict[str, OfOne] = {
    "property not implemented": interface.unknown_property,
    "free energy": interface.free_energy,
    "Atoms are left alone": interface.atoms_untouched,
    "results are the caller's": interface.own_results,
    "one evaluation per geometry": interface.one_evaluation,
    "JSON-able parameters": interface.json_parameters,
    **dict(sequences.check_changes()),
    "recovers from NaN": sequences.recovers,
    "pickle": isolation.copied(isolation.pickled),
    "deepcopy": isolation.copied(copy.deepcopy),
    "fork": isolation.in_process("fork"),
    "spawn": isolation.in_process("spawn"),
}
_ALL: dict[str, OfAll] = {
    "implemented properties": interface.implemented,
    "any order of calls": sequences.any_order,
    "global state": isolation.global_state,
    "two threads": isolation.in_threads,
}
CHECKS = (*_EVERY, *_FIRST, *_ALL, "memory")
"""Names of the checks, in the order of the report."""


def check_calculator(
    calc: Any,
    atoms_list: Atoms | Iterable[Atoms],
    *,
    calls: int = 0,
    relatives: bool = True,
    only: Sequence[str] = (),
) -> Report:
    """Runs the conformance suite on any ASE calculator and returns the `Report`; it is truthy if nothing failed.

    calc: any ASE calculator
    atoms_list: structures the calculator is made for; each is used slightly displaced
    calls: if positive, memory and open files are watched over that many calls (10000 is a good number)
    relatives: also try each structure in a tight tilted box, with fewer periodic directions, sheared, and a single atom
    only: names of checks (`CHECKS`), to run no others

    What the calculator refuses in words (NotImplementedError, ValueError, RuntimeError) counts as not applicable, what
    crashes or is wrong as failed.

    Tolerances are not fixed numbers: the noise of every property is measured first (from differences of high order of
    nine nearby points, doi:10.1137/100786125), and a finite difference comes with an estimate of its own error. So
    networks in float32 and potentials in float64 are held to what they can do; a calculator whose energy is too rough
    to be differentiated fails.

    Takes some thousand evaluations. Raises `InputError` without structures or for an unknown name.
    """
    given = [atoms_list] if isinstance(atoms_list, Atoms) else list(atoms_list)
    unknown = [name for name in only if name not in CHECKS]
    if unknown or not given:
        wanted = f"checks: expected some of {', '.join(CHECKS)}; got {unknown}" if unknown else "expected structures"
        raise InputError(f"check_calculator: {wanted}")
    subject = Subject(calc)
    cases, outcomes = _accepted(subject, given, relatives)
    if not cases:
        return Report(subject.name, tuple(outcomes))
    first = max(cases, key=lambda case: (len(set(case.atoms.numbers)), min(len(case.atoms), 3)))
    for name in only or CHECKS:
        if name in _EVERY:
            outcomes += [_run(name, partial(_EVERY[name], subject, case), case.label) for case in cases]
        elif name in _FIRST:
            outcomes.append(_run(name, partial(_FIRST[name], subject, first), first.label))
        elif name in _ALL:
            outcomes.append(_run(name, partial(_ALL[name], subject, cases)))
        else:
            outcomes.append(_run(name, partial(memory(calls), subject, first), first.label))
    return Report(subject.name, tuple(outcomes), _precision(subject, first))


def _accepted(subject: Subject, given: Sequence[Atoms], relatives: bool) -> tuple[list[Case], list[Outcome]]:
    """The structures, and their relatives if wanted, that the calculator accepts; and what it said of each."""
    families = [list(nasty(one, f"{k}: {one.get_chemical_formula()}").items()) for k, one in enumerate(given)]
    cases: list[Case] = []
    outcomes: list[Outcome] = []
    for family in families:
        for n, (label, atoms) in enumerate(family if relatives else family[:1]):
            outcomes.append(_accepts(subject, Case(label, atoms), must=n == 0))
            cases += [Case(label, atoms)] if outcomes[-1].status == "pass" else []
    return cases, outcomes


def _accepts(subject: Subject, case: Case, must: bool) -> Outcome:
    """Whether the calculator has anything to say about a structure; a relative of those given may be refused."""
    name, status = "accepts the structure", "pass"
    said = ""
    try:
        subject.value("energy" if "energy" in subject.implemented else subject.implemented[0], case.atoms)
        subject.noise(case)
    except Exception as error:
        status, said = "fail" if must else "not applicable", f"{type(error).__name__}: {error}"
    return Outcome(name, status, said, structure=case.label)  # type: ignore[arg-type]


def _run(name: str, check: Callable[[], Outcome], structure: str = "") -> Outcome:
    try:
        found = check()
    except Exception as error:
        said = f"{type(error).__name__}: {error}"
        found = not_applicable(f"refused: {said}") if refused(error) else Outcome("", "fail", said)
    return replace(found, check=name, structure=structure)


def _precision(subject: Subject, case: Case) -> str:
    parts = [f"{name} ± {noise.level:.1g}" for name, noise in subject.noise(case).items()]
    return f"measured noise of {case.label}: {', '.join(parts)}"
