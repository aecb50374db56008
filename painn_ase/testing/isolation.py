"""Good manners in a process: nothing global changes, copies are independent, forks, spawns and threads work."""

from __future__ import annotations

import copy
import multiprocessing
import pickle
import threading
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from painn_ase.capabilities import forget
from painn_ase.testing.process_state import process_state
from painn_ase.testing.report import Outcome, measured, not_applicable, verdict
from painn_ase.testing.subject import UNITS, Case, Subject

WAIT = 120.0  # seconds after which another process counts as hung


def global_state(subject: Subject, cases: list[Case]) -> Outcome:
    """Environment, random states, default precision, thread counts, error handling and folder are as before."""
    before = subject.state  # taken before the first call of all
    for case in cases:
        for name in subject.available(case):
            subject.value(name, case.atoms)
    after = process_state(subject.modules)
    changed = [name for name in before if before[name] != after.get(name)]
    return verdict(not changed, f"changed: {', '.join(changed)}" if changed else f"{len(before)} kinds of state")


def copied(duplicate: Callable[[Any], Any]) -> Callable[[Subject, Case], Outcome]:
    """The check that a copy says the same as the original, and that using it does not disturb the original."""

    def check(subject: Subject, case: Case) -> Outcome:
        expected = _values(subject.calc, case)
        twin = duplicate(subject.calc)
        other = Case(case.label, case.atoms.copy())
        other.atoms.rattle(0.05, seed=1)
        first = _values(twin, case)
        _values(twin, other)
        return _compare(subject, case, expected, [first, _values(subject.calc, case)])

    check.__doc__ = copied.__doc__
    return check


def pickled(calc: Any) -> Any:
    """A copy through pickle."""
    return pickle.loads(pickle.dumps(calc))


def in_process(method: str) -> Callable[[Subject, Case], Outcome]:
    """The check that a process started by `method` ("fork" or "spawn") computes the same, and ends."""

    def check(subject: Subject, case: Case) -> Outcome:
        if method not in multiprocessing.get_all_start_methods():
            return not_applicable(f"{method} does not exist here")
        expected = _values(subject.calc, case)
        context: Any = multiprocessing.get_context(method)
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=_answer, args=(theirs, subject.calc, case), daemon=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of forking a process with threads: what is tested
            process.start()
        theirs.close()
        try:
            if not ours.poll(WAIT):
                return verdict(False, f"no answer within {WAIT:g} s")
            found = ours.recv()
        except EOFError:
            process.join(WAIT)
            hint = ' (a script needs the guard if __name__ == "__main__":)' if method == "spawn" else ""
            return verdict(False, f"the process ended with code {process.exitcode} before it answered{hint}")
        finally:
            ours.close()
            process.join(5.0)
            if process.is_alive():
                process.kill()
        if isinstance(found, str):
            return verdict(False, found)
        return _compare(subject, case, expected, [found])

    check.__doc__ = in_process.__doc__
    return check


def in_threads(subject: Subject, cases: list[Case]) -> Outcome:
    """Two copies in two threads at once say of every property what they say alone.

    Once with deep copies, and once with what the calculator's own `clone` makes, if it has one: clones may share more.
    """
    worst: Outcome | None = None
    ways: list[Callable[[Any], Any]] = [copy.deepcopy]
    if callable(getattr(subject.calc, "clone", None)):
        ways.append(_clone)
    for duplicate in ways:
        outcome = _in_threads(subject, cases[:4], [duplicate(subject.calc) for _ in range(2)])
        worst = outcome if worst is None or not outcome.excess <= worst.excess else worst
    return worst or not_applicable("no structures")


def _clone(calc: Any) -> Any:
    return calc.clone()


def _in_threads(subject: Subject, cases: list[Case], twins: list[Any]) -> Outcome:
    asked = [list(subject.available(case)) for case in cases]
    expected = [_values(subject.calc, case, names) for case, names in zip(cases, asked, strict=True)]
    found: list[list[dict[str, np.ndarray]]] = [[], []]
    errors: list[BaseException] = []

    def work(k: int) -> None:
        try:
            for _ in range(5):
                for n in range(len(cases)) if k else reversed(range(len(cases))):
                    found[k].append(_values(twins[k], cases[n], asked[n]))
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(k,), daemon=True) for k in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT)
    if errors:
        raise errors[0]
    if any(thread.is_alive() for thread in threads):
        return verdict(False, f"no answer within {WAIT:g} s")
    worst: Outcome | None = None
    for n, case in enumerate(cases):
        answers = found[1][n :: len(cases)] + found[0][len(cases) - 1 - n :: len(cases)]
        outcome = _compare(subject, case, expected[n], answers)
        worst = outcome if worst is None or outcome.excess > worst.excess else worst
    return worst or not_applicable("no structures")


def _answer(connection: Any, calc: Any, case: Case) -> None:
    try:
        connection.send(_values(calc, case))
    except Exception as error:
        connection.send(f"{type(error).__name__}: {error}")
    finally:
        connection.close()


def _values(calc: Any, case: Case, names: Sequence[str] = ("energy", "forces")) -> dict[str, np.ndarray]:
    names = [n for n in names if n in calc.implemented_properties]
    forget(calc)
    return {name: np.array(calc.get_property(name, case.atoms.copy()), dtype=float) for name in names}


def _compare(subject: Subject, case: Case, expected: dict[str, np.ndarray], answers: list[dict]) -> Outcome:
    noise = subject.noise(case)
    worst: Outcome | None = None
    for name, value in expected.items():
        difference = max(float(np.abs(answer[name] - value).max(initial=0.0)) for answer in answers)
        outcome = measured(difference, noise[name].tolerance(), UNITS[name], name)
        worst = outcome if worst is None or outcome.excess > worst.excess else worst
    return worst or not_applicable("neither energy nor forces")
