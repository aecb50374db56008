"""Reference labels for structures: in parallel processes, resumable, one failure at a time."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import BaseCalculator
from ase.calculators.singlepoint import SinglePointCalculator

from painn_ase.data.identity import fingerprint
from painn_ase.errors import InputError, SimulationError, whole
from painn_ase.files import make_way
from painn_ase.progress import Meter
from painn_ase.reference.foreign import FromCalculator
from painn_ase.reference.journal import Journal, labels_of, rounded
from painn_ase.reference.labellers import UNITS, KohnSham, Labeller, Models
from painn_ase.reference.level import Level
from painn_ase.reference.pool import outcomes
from painn_ase.reference.tight_binding import METHODS, TightBinding
from painn_ase.reference.wanted import KEY, wanted
from painn_ase.versions import versions


@dataclass(frozen=True)
class Labelled:
    """The outcome of `label`."""

    path: Path  # of the labelled frames
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
    by: str | Level | Models | Callable[..., BaseCalculator],
    output: str | os.PathLike,
    *,
    properties: Sequence[str] = ("energy", "forces"),
    processes: int = 1,
    threads: int = 1,
    overwrite: bool = False,
) -> Labelled:
    """What came of labelling `frames` with the `properties`; the labels are in `output`, extended XYZ.

    frames: the structures
    by: a level of theory: "pbe0/def2-svpd" or a `Level`, computed with PySCF, or "gfn2" and "gfn1", with tblite;
        `Models` that were trained, whose mean it is; or a function that makes an ASE calculator (one at the top of a
        module if `processes` > 1), from nothing, from the structure (`make(atoms)`), or from the structure and a folder
        (`make(atoms, directory)`)
    output: extended XYZ file of the labelled frames
    properties: what to compute, of frames that do not name their own in info["labels"], such as "dipole polarizability"
    processes: frames labelled at a time
    threads: of each process
    overwrite: begin anew where `output` exists

    Each structure has a folder of its own, the calculator's `directory`, within `<output>.scratch`. Every frame goes to
    the output as soon as it is done, and the output is put into the order of the input at the end. Called again with
    the same recipe, for instance after a kill or with more frames, it computes only what is missing, of frames that
    want more labels than they have, too. A frame whose
    calculation fails, in whatever way, is left out and recorded in `<output>.json`, beside the recipe; what it wrote
    stays in its folder.

    energy (eV), forces (eV/Å), stress (eV/Å³) and dipole (e·Å) are what ASE's reader puts into `atoms.calc.results`;
    polarizability is in info, nine numbers in Å³. Positions are rounded to 8 decimals before the calculation, so the
    labels belong to exactly what is written. Entries of info are kept, as are initial magnetic moments and charges,
    tags and masses. "charge" and "multiplicity" in info are obeyed; a function that takes no structure cannot know of
    them, and is refused where they are not 0 and the lowest.

    Raises `InputError` for impossible requests and an output of another recipe, `SimulationError` if every
    frame fails.
    """
    structures, output = _checked(frames, processes, threads), Path(output)
    scratch = output.absolute().with_name(output.name + ".scratch")
    wanted = _in_order(properties)
    labeller = labeller_of(by, wanted, scratch, threads)
    labeller.check(structures)
    journal = _open_journal(output, labeller, wanted, overwrite)
    try:
        return _fill(journal, structures, labeller, processes, threads)
    finally:
        with suppress(OSError):  # folders of failures stay
            scratch.rmdir()


def _checked(frames: Iterable[Atoms], processes: int, threads: int) -> list[Atoms]:
    """The structures as they are written; `InputError` for none of them, or for impossible counts."""
    whole("processes", processes, 1)
    whole("threads", threads, 1)
    structures = [rounded(atoms) for atoms in frames]
    if not structures:
        raise InputError("label: expected at least one frame; got none")
    return structures


def _in_order(properties: Sequence[str]) -> tuple[str, ...]:
    """The properties in the order of `UNITS`; unknown ones last, for the labeller to refuse with its list."""
    return (*(name for name in UNITS if name in properties), *(name for name in properties if name not in UNITS))


def _open_journal(output: Path, labeller: Labeller, properties: tuple[str, ...], overwrite: bool) -> Journal:
    """What was labelled before by the same recipe, to be gone on with; nothing if `overwrite`."""
    if overwrite:
        make_way([output, output.with_name(output.name + ".json")], overwrite=True)
    return Journal(output, labeller.recipe() | {"properties": {name: UNITS[name] for name in properties}})


def _fill(journal: Journal, structures: list[Atoms], labeller: Labeller, processes: int, threads: int) -> Labelled:
    """Labels what the journal lacks and finishes it."""
    keys = [fingerprint(atoms) for atoms in structures]
    have = {key: labels_of(atoms) for key, atoms in journal.done.items()}
    missing = {}
    for index, (key, atoms) in reversed(list(enumerate(zip(keys, structures, strict=True)))):
        names = [name for name in wanted(atoms, labeller.properties) if name not in have.get(key, {})]
        if names:
            missing[key] = (index, names)
    todo = dict(sorted(missing.values()))
    tasks = [(index, _wanting(structures[index], names)) for index, names in todo.items()]
    failed: dict[int, str] = {}
    with Meter(len(todo), "frame", "label") as shown:
        for index, outcome in outcomes(labeller, tasks, processes, threads):
            if isinstance(outcome, str):
                failed[index] = outcome
            else:
                journal.append(_annotated(structures[index], have.get(keys[index], {}) | outcome))
            shown.update()
    failed = dict(sorted(failed.items()))
    reasons = [{"frame": index, "reason": reason} for index, reason in failed.items()]
    counts = {name: sum(name in labels_of(atoms) for atoms in journal.done.values()) for name in UNITS}
    facts = {"frames": len(journal.done), "labels": {name: count for name, count in counts.items() if count}}
    packages = versions("painn-ase", "ase", "pyscf", "tblite")
    journal.finish(keys, facts | {"failed": reasons, "versions": packages})
    if not journal.done:
        raise SimulationError(f"all {len(keys)} frames failed, the first because: {next(iter(failed.values()))}")
    return Labelled(journal.path, len(keys), len(todo) - len(failed), len(keys) - len(todo), failed)


def _wanting(atoms: Atoms, names: Sequence[str]) -> Atoms:
    """The frame as a labeller gets it: of its labels only those that are missing."""
    copy = atoms.copy()
    copy.info[KEY] = " ".join(names)
    return copy


def _annotated(atoms: Atoms, labels: dict[str, Any]) -> Atoms:
    """The frame with its labels where readers expect them."""
    if "polarizability" in labels:
        atoms.info["polarizability"] = np.asarray(labels.pop("polarizability")).reshape(9)
    atoms.calc = SinglePointCalculator(atoms, **labels)
    return atoms


def labeller_of(
    by: str | Level | Models | Callable[..., BaseCalculator], properties: tuple[str, ...], scratch: Path, threads: int
) -> Labeller:
    if isinstance(by, str) and by.strip().lower() in METHODS:
        return TightBinding(by.strip().lower(), properties, scratch)
    if isinstance(by, str):
        by = Level.parse(by)
    if isinstance(by, Level):
        return KohnSham(by, properties, threads)
    if isinstance(by, Models):
        from painn_ase.reference.teachers import FromModels  # torch, which quantum chemistry does without

        return FromModels(by.names, properties, scratch, threads)
    if not callable(by):
        raise InputError(
            f"label: expected a level of theory, `Models`, or a function that makes a calculator; got {by!r}"
        )
    return FromCalculator(by, properties, scratch)
