"""Reference labels for structures: in parallel processes, resumable, one failure at a time."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from importlib import metadata
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import BaseCalculator, CalculatorError
from ase.calculators.singlepoint import SinglePointCalculator
from tqdm import tqdm

from painn_ase.data.identity import fingerprint
from painn_ase.errors import InputError, SimulationError
from painn_ase.files import claim
from painn_ase.reference import worker
from painn_ase.reference.journal import Journal, rounded
from painn_ase.reference.labellers import UNITS, FromCalculator, KohnSham, Labeller, Models
from painn_ase.reference.level import Level

# One structure's failure. Anything else is a mistake of the program or of the request, and ends the run.
_FAILURES = (SimulationError, CalculatorError, ArithmeticError, np.linalg.LinAlgError, RuntimeError)


@dataclass(frozen=True)
class Labelled:
    """The outcome of `label`."""

    path: Path
    frames: int  # in the input
    computed: int  # labelled now
    found: int  # labelled before
    failed: dict[int, str]  # index of the frame -> reason

    def __str__(self) -> str:
        text = f"{self.path}: {self.frames} frames, {self.computed} labelled now, {self.found} before"
        reasons = "".join(f"\n  frame {index}: {reason}" for index, reason in self.failed.items())
        return text + (f", {len(self.failed)} FAILED and left out:{reasons}" if self.failed else "")


def label(
    frames: Iterable[Atoms],
    by: str | Level | Models | Callable[[], BaseCalculator],
    output: str | os.PathLike,
    *,
    properties: Sequence[str] = ("energy", "forces"),
    processes: int = 1,
    threads: int = 1,
    overwrite: bool = False,
) -> Labelled:
    """What came of labelling `frames` with the `properties`; the labels are in `output`, extended XYZ.

    `by` is a level of theory ("pbe0/def2-svpd" or a `Level`), computed with PySCF; `Models` that were trained, whose
    mean it is; or a function without arguments that makes an ASE calculator (one at the top of a module if
    `processes` > 1). Each process has `threads` threads.

    Every frame goes to the output as soon as it is done, and the output is put into the order of the input at the
    end. Called again with the same recipe, for instance after a kill or with more frames, it computes only what is
    missing. A frame whose calculation fails is left out and recorded in `<output>.json`, beside the recipe.

    energy (eV), forces (eV/Å), stress (eV/Å³) and dipole (e·Å) are what ASE's reader puts into `atoms.calc.results`;
    polarizability is in info, nine numbers in Å³. Positions are rounded to 8 decimals before the calculation, so the
    labels belong to exactly what is written. Entries of info are kept; "charge" and "multiplicity" are obeyed.

    Raises `InputError` for impossible requests and an output of another recipe, `SimulationError` if a process dies
    or every frame fails.
    """
    structures = [rounded(atoms) for atoms in frames]
    if not structures:
        raise InputError("label: expected at least one frame; got none")
    if processes < 1 or threads < 1:
        raise InputError(f"expected processes and threads >= 1; got {processes} and {threads}")
    wanted = tuple(name for name in UNITS if name in properties)
    wanted += tuple(name for name in properties if name not in UNITS)  # refused by the labeller, with its list
    labeller = _labeller(by, wanted, threads)
    labeller.check(structures)
    output = Path(output)
    if overwrite:
        claim([output, output.with_name(output.name + ".json")], overwrite=True)
    units = {name: UNITS[name] for name in wanted}
    journal = Journal(output, labeller.recipe() | {"properties": units})
    keys = [fingerprint(atoms) for atoms in structures]
    return _fill(journal, structures, keys, labeller, processes, threads)


def _fill(
    journal: Journal, structures: list[Atoms], keys: list[str], labeller: Labeller, processes: int, threads: int
) -> Labelled:
    """Labels what the journal lacks and finishes it."""
    missing = {key: index for index, key in reversed(list(enumerate(keys))) if key not in journal.done}
    todo = sorted(missing.values())
    failed: dict[int, str] = {}
    with tqdm(total=len(todo), unit="frame", desc="label", disable=None, file=sys.stderr) as bar:
        for index, outcome in _outcomes(labeller, [(i, structures[i]) for i in todo], processes, threads):
            if isinstance(outcome, str):
                failed[index] = outcome
            else:
                journal.append(_annotated(structures[index], outcome))
            bar.update()
    failed = dict(sorted(failed.items()))
    reasons = [{"frame": index, "reason": reason} for index, reason in failed.items()]
    journal.finish(keys, {"frames": len(journal.done), "failed": reasons, "versions": _versions()})
    if not journal.done:
        raise SimulationError(f"all {len(keys)} frames failed, the first because: {next(iter(failed.values()))}")
    return Labelled(journal.path, len(keys), len(todo) - len(failed), len(keys) - len(todo), failed)


def _outcomes(
    labeller: Labeller, tasks: list[tuple[int, Atoms]], processes: int, threads: int
) -> Iterator[tuple[int, dict[str, Any] | str]]:
    """Labels, or the reason why there are none, by index, as they come."""
    if processes == 1 or not tasks:
        for index, atoms in tasks:
            yield index, _attempt(labeller, atoms)
        return
    pool = ProcessPoolExecutor(
        min(processes, len(tasks)), get_context("spawn"), initializer=worker.start, initargs=(threads,)
    )
    try:
        futures = {pool.submit(_attempt, labeller, atoms): index for index, atoms in tasks}
        for future in as_completed(futures):
            yield futures.pop(future), future.result()
    except BrokenProcessPool:
        raise SimulationError(
            "a worker process died (out of memory?). What was finished is kept; run again with fewer processes"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _attempt(labeller: Labeller, atoms: Atoms) -> dict[str, Any] | str:
    try:
        labels = labeller(atoms)
    except InputError:
        raise
    except _FAILURES as error:
        return f"{type(error).__name__}: {error}"
    strange = [name for name, value in labels.items() if not np.isfinite(value).all()]
    return f"not finite: {', '.join(strange)}" if strange else labels


def _annotated(atoms: Atoms, labels: dict[str, Any]) -> Atoms:
    """The frame with its labels where readers expect them."""
    if "polarizability" in labels:
        atoms.info["polarizability"] = np.asarray(labels.pop("polarizability")).reshape(9)
    atoms.calc = SinglePointCalculator(atoms, **labels)
    return atoms


def _labeller(
    by: str | Level | Models | Callable[[], BaseCalculator], properties: tuple[str, ...], threads: int
) -> Labeller:
    if isinstance(by, str):
        by = Level.parse(by)
    if isinstance(by, Level):
        return KohnSham(by, properties, threads)
    if isinstance(by, Models):
        from painn_ase.reference.teachers import FromModels  # torch, which quantum chemistry does without

        return FromModels(by.names, properties, threads)
    if not callable(by):
        raise InputError(
            f"label: expected a level of theory, `Models`, or a function that makes a calculator; got {by!r}"
        )
    return FromCalculator(by, properties)


def _versions() -> dict[str, str]:
    """Packages that decide about the last digits."""
    found = {"python": platform.python_version()}
    for package in ("painn-ase", "ase", "pyscf", "tblite"):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found
