"""ASE's conventions: shapes and types, refusals, results that are nobody else's, and one evaluation per geometry."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from ase.calculators.calculator import PropertyNotImplementedError, all_properties
from ase.io.jsonio import encode

from painn_ase.capabilities import has_calculate
from painn_ase.testing.report import Outcome, measured, not_applicable, verdict
from painn_ase.testing.subject import KINDS, Case, Subject, refused

SHAPES: dict[int | str, tuple[int, ...]] = {0: (), 1: (3,), 2: (3, 3), "voigt": (6,)}


def shapes(subject: Subject, case: Case) -> Outcome:
    """A number is a float, an array has ASE's shape and is float64, and every value is finite."""
    seen = []
    for name in subject.available(case):
        found = subject.ask(name, case.atoms.copy())
        per_atom, rank = KINDS[name]
        wanted = (len(case.atoms), *SHAPES[rank]) if per_atom else SHAPES[rank]
        wrong = _wrong(found, wanted)
        if wrong:
            return verdict(False, f"{name}: {wrong}")
        seen.append(name)
    return verdict(True, ", ".join(seen))


def _wrong(found: Any, wanted: tuple[int, ...]) -> str:
    if wanted == ():
        if not isinstance(found, float | int) or isinstance(found, bool):
            return f"expected a float; got {type(found).__name__} {np.shape(found) or ''}".rstrip()
    elif not isinstance(found, np.ndarray):
        return f"expected an array; got {type(found).__name__}"
    elif found.shape != wanted:
        return f"expected shape {wanted}; got {found.shape}"
    elif found.dtype != np.float64:
        return f"expected float64; got {found.dtype}"
    return "" if np.isfinite(found).all() else "not finite"


def implemented(subject: Subject, cases: list[Case]) -> Outcome:
    """`implemented_properties` are those that are produced, no more and no fewer."""
    produced, unknown = set(), set()
    for case in cases:
        for name in subject.implemented:
            try:
                subject.value(name, case.atoms)
            except Exception as error:
                if not refused(error):
                    return verdict(False, f"{name}: {type(error).__name__}: {error}")
            else:
                produced.add(name)
        unknown |= set(getattr(subject.calc, "results", {})) - set(subject.implemented)
    missing = sorted(set(subject.implemented) - produced)
    if unknown:
        return verdict(False, f"in results but not in implemented_properties: {', '.join(sorted(unknown))}")
    absent = [name for name in missing if not any(_defined(name, case) for case in cases)]
    broken = sorted(set(missing) - set(absent))
    note = f"; not defined for the structures given: {', '.join(absent)}" if absent else ""
    if broken:
        return verdict(False, f"in implemented_properties, but refused for every structure: {', '.join(broken)}")
    return verdict(bool(produced), ", ".join(sorted(produced)) + note)


def _defined(name: str, case: Case) -> bool:
    """Whether physics lets any calculator give the property for this structure."""
    if name in ("stress", "stresses"):
        return bool(case.atoms.pbc.all())
    return name in ("energy", "free_energy", "energies", "forces", "magmom", "magmoms") or not case.atoms.pbc.any()


def unknown_property(subject: Subject, case: Case) -> Outcome:
    """A property that is not implemented is refused with PropertyNotImplementedError."""
    absent = next((p for p in ("magmoms", "dipole", "charges", *all_properties) if p not in subject.implemented), None)
    if absent is None:
        return not_applicable("everything is implemented")
    try:
        found = subject.value(absent, case.atoms)
    except PropertyNotImplementedError:
        return verdict(True, absent)
    except Exception as error:
        return verdict(False, f"{absent}: {type(error).__name__}: {error}")
    return verdict(False, f"{absent}, which is not in implemented_properties, gave {found}")


def free_energy(subject: Subject, case: Case) -> Outcome:
    """`get_potential_energy(force_consistent=True)` works: filters and thermostats of ASE ask for it."""
    atoms = case.atoms.copy()
    atoms.calc = subject.calc
    try:
        found = atoms.get_potential_energy(force_consistent=True)
    except NotImplementedError as error:
        return verdict(False, f"{type(error).__name__}: {error}")
    energy = atoms.get_potential_energy()
    return verdict(np.isfinite(found), f"free energy {found:.6g} eV, energy {energy:.6g} eV")


def atoms_untouched(subject: Subject, case: Case) -> Outcome:
    """The user's Atoms are the same after a calculation: positions, cell, arrays, info, constraints."""
    atoms = case.atoms.copy()
    atoms.info["note"] = {"mine": [1, 2]}
    before = atoms.copy()
    for name in subject.available(case):
        subject.ask(name, atoms)
    changed = [name for name in before.arrays if not np.array_equal(before.arrays[name], atoms.arrays.get(name))]
    changed += [name for name in atoms.arrays if name not in before.arrays]
    changed += [name for name in ("info", "constraints") if repr(getattr(atoms, name)) != repr(getattr(before, name))]
    changed += [name for name in ("cell", "pbc") if not np.array_equal(getattr(atoms, name), getattr(before, name))]
    return verdict(not changed, f"changed: {', '.join(changed)}" if changed else "")


def own_results(subject: Subject, case: Case) -> Outcome:
    """Returned arrays belong to the caller: writing to one changes no later answer, a later answer changes none."""
    names = [n for n in subject.available(case) if SHAPES[KINDS[n][1]] or KINDS[n][0]]
    if not names:
        return not_applicable("no arrays")
    atoms = case.atoms.copy()
    for name in names:
        subject.value(name, atoms)
        first = subject.ask(name, atoms)
        kept = first.copy()
        atoms.positions += 0.05
        atoms.positions[0] += 0.05
        try:
            subject.ask(name, atoms)
        finally:
            atoms.positions = case.atoms.positions
        if not np.array_equal(first, kept):
            return verdict(False, f"{name}: the array of one geometry was overwritten by the next")
        again = subject.ask(name, atoms)
        expected = again.copy()
        again[...] = 1e6
        if np.array_equal(subject.ask(name, atoms), again):
            return verdict(False, f"{name}: what the caller wrote to the returned array was returned as a result")
        if not np.allclose(subject.ask(name, atoms), expected, rtol=1e-3, atol=1e-3):
            return verdict(False, f"{name}: changed after the caller wrote to the returned array")
    return verdict(True, ", ".join(names))


def one_evaluation(subject: Subject, case: Case) -> Outcome:
    """Forces, energy and stress of one geometry cost one evaluation, asked in any order and again."""
    calc = subject.calc
    if not has_calculate(calc):
        return not_applicable("no method 'calculate' to count")
    names = [n for n in ("forces", "energy", "free_energy", "stress") if n in subject.available(case)]
    original, calls = calc.calculate, []

    def counted(*arguments: Any, **keywords: Any) -> Any:
        calls.append(1)
        return original(*arguments, **keywords)

    atoms = case.atoms.copy()
    atoms.positions[0] += 1e-3
    calc.calculate = counted
    try:
        for name in [*names, *reversed(names)]:
            subject.ask(name, atoms)
    finally:
        del calc.calculate
    return measured(len(calls), 1, "evaluations", ", ".join(names))


def json_parameters(subject: Subject, case: Case) -> Outcome:
    """`todict()` is JSON-able and the calculator has a name: trajectories and databases write both."""
    if not hasattr(subject.calc, "todict"):
        return not_applicable("no todict()")
    text = encode(subject.calc.todict())
    json.loads(text)
    name = getattr(subject.calc, "name", None)
    return verdict(isinstance(name, str), f"name {name!r}, {len(text)} bytes of JSON")
