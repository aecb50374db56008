"""One calculator, one Atoms object, many changes: every answer must be that of a calculator without a past."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from ase import Atoms

from painn_ase.capabilities import forget
from painn_ase.testing.report import Outcome, not_applicable, verdict
from painn_ase.testing.subject import Case, Subject

LENGTH = 60  # changes in a row

Change = Callable[[Atoms, np.random.Generator], None]


def positions(atoms: Atoms, rng: np.random.Generator) -> None:
    """an atom moved by 0.001 Å"""
    atoms.positions[rng.integers(len(atoms))] += 1e-3 * rng.normal(size=3)


def displacements(atoms: Atoms, rng: np.random.Generator) -> None:
    """all atoms moved by 0.1 Å"""
    atoms.positions += 0.1 * rng.uniform(-1, 1, atoms.positions.shape)


def numbers(atoms: Atoms, rng: np.random.Generator) -> None:
    """an atom turned into another element of the structure"""
    i = int(rng.integers(len(atoms)))
    others = [z for z in sorted(set(atoms.numbers)) if z != atoms.numbers[i]]
    if others:
        atoms.numbers[i] = rng.choice(others)


def cell(atoms: Atoms, rng: np.random.Generator) -> None:
    """the cell strained, atoms where they are"""
    atoms.set_cell(atoms.cell.array * (1 + 0.02 * rng.uniform(-1, 1)), scale_atoms=False)


def pbc(atoms: Atoms, rng: np.random.Generator) -> None:
    """a boundary condition switched"""
    if atoms.cell.rank == 3:
        k = rng.integers(3)
        atoms.pbc[k] = not atoms.pbc[k]


def removal(atoms: Atoms, rng: np.random.Generator) -> None:
    """an atom removed"""
    if len(atoms) > 1:
        del atoms[int(rng.integers(len(atoms)))]


def addition(atoms: Atoms, rng: np.random.Generator) -> None:
    """an atom added"""
    atoms += Atoms([atoms.numbers[0]], [atoms.positions.max(axis=0) + rng.uniform(0.8, 1.5, 3)])


def charge(atoms: Atoms, rng: np.random.Generator) -> None:
    """info["charge"] changed"""
    atoms.info["charge"] = atoms.info.get("charge", 0) + int(rng.choice([-1, 1]))


def initial_charges(atoms: Atoms, rng: np.random.Generator) -> None:
    """initial charges changed"""
    atoms.set_initial_charges(rng.normal(size=len(atoms)))


def wrapping(atoms: Atoms, rng: np.random.Generator) -> None:
    """atoms wrapped into the cell, or moved out of it"""
    if atoms.pbc.any() and rng.random() < 0.5:
        atoms.wrap()
    else:
        atoms.positions += (rng.integers(-1, 2, (len(atoms), 3)) * atoms.pbc) @ atoms.cell.array


CHANGES: tuple[Change, ...] = (
    positions, displacements, numbers, cell, pbc, removal, addition, charge, initial_charges, wrapping
)  # fmt: skip


@dataclass(frozen=True)
class Expected:
    """What a calculator without a past says of a structure: a value and what it may be off by, or a refusal."""

    name: str
    value: np.ndarray | None
    tolerance: float


def notices(change: Change) -> Callable[[Subject, Case], Outcome]:
    """The check that a change is noticed, and its undoing too."""

    def check(subject: Subject, case: Case) -> Outcome:
        after = case.atoms.copy()
        change(after, np.random.default_rng(5))
        wrong, differs = [], False
        for name in [n for n in ("energy", "forces", "stress", "dipole", "charges") if n in subject.implemented]:
            first, second = _expected(subject, name, case.atoms), _expected(subject, name, after)
            differs |= _differ(first.value, second)
            forget(subject.calc)
            for atoms, expected in ((case.atoms, first), (after, second), (case.atoms, first)):
                problem = _problem(subject, atoms.copy(), expected)
                if problem:
                    wrong.append(problem)
        if wrong:
            return verdict(False, wrong[0])
        return verdict(True, "") if differs else not_applicable("changes nothing for this calculator")

    check.__doc__ = f"Notices {change.__doc__}, and its undoing."
    return check


def any_order(subject: Subject, cases: list[Case]) -> Outcome:
    """Sixty random changes on one calculator, each followed by a random property: no answer belongs to the past."""
    rng = np.random.default_rng(7)
    steps: list[tuple[Atoms, Expected]] = []
    atoms, made = cases[0].atoms.copy(), 0
    while made < LENGTH:
        kind = rng.random()
        if kind < 0.2:
            atoms = cases[rng.integers(len(cases))].atoms.copy()
        elif kind < 0.35 and steps:
            atoms = steps[rng.integers(len(steps))][0].copy()  # undo
        else:
            CHANGES[rng.integers(len(CHANGES))](atoms, rng)
        made += 1
        if _too_close(atoms):
            atoms = cases[0].atoms.copy()
        names = [n for n in ("energy", "forces", "stress", "dipole", "charges") if n in subject.implemented]
        steps.append((atoms.copy(), _expected(subject, str(rng.choice(names)), atoms)))
    forget(subject.calc)
    wrong = [text for atoms, expected in steps if (text := _problem(subject, atoms.copy(), expected))]
    return verdict(not wrong, f"{len(wrong)} of {len(steps)} answers wrong" + (f", first: {wrong[0]}" if wrong else ""))


def recovers(subject: Subject, case: Case) -> Outcome:
    """Positions that are not numbers give an error or NaN, never a number; afterwards everything is as before."""
    expected = _expected(subject, "energy", case.atoms)
    broken = case.atoms.copy()
    broken.positions[-1, 0] = np.nan
    try:
        with np.errstate(all="ignore"):
            found = subject.ask("energy", broken)
    except Exception as error:
        said = f"{type(error).__name__}: {error}"
    else:
        if found is not None and np.isfinite(found):
            return verdict(False, f"NaN in the positions gave an energy of {found:.6g} eV")
        said = f"energy {found}"
    problem = _problem(subject, case.atoms.copy(), expected)
    return verdict(not problem, problem or said)


def _expected(subject: Subject, name: str, atoms: Atoms) -> Expected:
    try:
        value = subject.value(name, atoms)
    except Exception:  # a random structure need not be one the calculator is made for
        return Expected(name, None, 0.0)
    return Expected(name, value, subject.tolerance(name, value))


def _problem(subject: Subject, atoms: Atoms, expected: Expected) -> str:
    """What is wrong with the answer for `atoms`, or nothing."""
    try:
        found = np.array(subject.ask(expected.name, atoms), dtype=float)
    except Exception as error:
        if expected.value is None:
            return ""
        return f"{expected.name}: {type(error).__name__} after other calls, a value without: {error}"
    if expected.value is None:
        return f"{expected.name}: a value after other calls, a refusal without"
    if _differ(found, expected):
        return f"{expected.name} is off by {_distance(found, expected.value):.2g} (noise {expected.tolerance:.2g})"
    return ""


def _differ(found: np.ndarray | None, expected: Expected) -> bool:
    if found is None or expected.value is None:
        return (found is None) != (expected.value is None)
    return not _distance(found, expected.value) <= expected.tolerance


def _distance(one: np.ndarray, other: np.ndarray) -> float:
    if one.shape != other.shape:
        return float("inf")
    return float(np.abs(one - other).max(initial=0.0))


def _too_close(atoms: Atoms, least: float = 0.6) -> bool:
    if len(atoms) < 2:
        return False
    distances = atoms.get_all_distances(mic=bool(atoms.pbc.any()))
    return bool((distances + np.diag(np.full(len(atoms), np.inf)) < least).any())


def check_changes() -> Iterable[tuple[str, Callable[[Subject, Case], Outcome]]]:
    """(name of the check, check) for every kind of change."""
    return [(f"notices {change.__name__.replace('_', ' ')}", notices(change)) for change in CHANGES]
