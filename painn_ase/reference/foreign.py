"""Any ASE calculator as a labeller: a folder of its own for every structure, charge and spin obeyed or refused."""

from __future__ import annotations

import inspect
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import BaseCalculator, FileIOCalculator
from ase.calculators.genericfileio import GenericFileIOCalculator

from painn_ase.capabilities import forget, works_in_files
from painn_ase.data.identity import fingerprint
from painn_ase.errors import InputError, SimulationError
from painn_ase.reference.labellers import UNITS, check_names
from painn_ase.reference.level import charge_and_spin
from painn_ase.reference.wanted import asked, wanted

_OF_THE_STRUCTURE = {"charge", "multiplicity", "mult", "spin", "uhf", "tot_charge", "directory", "label", "prefix"}
_SAME = 1e-6  # Å, between the positions that were sent and those that came back


@dataclass
class FromCalculator:
    """Labels by the ASE calculators that `factory` makes: `factory()` once per process, `factory(atoms)` for each
    structure, with a further argument `directory` if it has one.

    Every structure is computed in an empty folder of its own within `scratch`, which becomes the calculator's
    `directory`; folders of failures stay. So no calculation can read what another has written.

    Polarizabilities are not taken from calculators: they agree on no unit, and those of semiempirical methods are no
    reference (GFN2-xTB gives 0.37 Å³ for water instead of 1.41).
    """

    factory: Callable[..., BaseCalculator]
    properties: tuple[str, ...]
    scratch: Path
    reads_info: bool = False  # whether the calculators read charge and multiplicity from info themselves
    _made: BaseCalculator | None = field(default=None, repr=False)
    _first: Atoms | None = field(default=None, repr=False)

    def recipe(self) -> dict[str, Any]:
        calculator = self.calculator(self._first, self.scratch)
        parameters = getattr(calculator, "parameters", {})
        kept = {k: repr(v) for k, v in parameters.items() if not self._arguments() or k not in _OF_THE_STRUCTURE}
        return {"engine": type(calculator).__name__, "parameters": kept}

    def check(self, frames: Sequence[Atoms]) -> None:
        """Raises `InputError` for labels it does not give, and for charges and spins that it would not see."""
        self._first, names = frames[0], asked(frames, self.properties)
        if "polarizability" in names:
            raise InputError(
                "polarizability: calculators agree on no unit for it, so a level of theory gives it, as in "
                "label(frames, 'pbe0/def2-svpd', ...) or --level pbe0/def2-svpd; leave it out of the properties of "
                "models and calculators"
            )
        calculator = self.calculator(self._first, self.scratch)
        have = calculator.implemented_properties
        check_names(names, [name for name in UNITS if name in have], type(calculator).__name__)
        if self.reads_info or "atoms" in self._arguments():
            return
        for index, atoms in enumerate(frames):
            charge, unpaired = charge_and_spin(atoms, f"frame {index}")
            electrons = int(atoms.numbers.sum()) - charge
            if charge or unpaired != electrons % 2:
                raise InputError(
                    f"frame {index}: info asks for charge {charge} and multiplicity {unpaired + 1}, but the function "
                    "that makes the calculator takes no structure, so the calculator would not know. Let it take one: "
                    'def make(atoms): return Calculator(charge=atoms.info.get("charge", 0), ...)'
                )

    def __call__(self, atoms: Atoms) -> dict[str, Any]:
        atoms = atoms.copy()
        with _folder(self.scratch / fingerprint(atoms)[:16]) as folder:
            calculator = self.calculator(atoms, folder)
            forget(calculator)  # nothing remains of the structure before, whatever the calculator compares
            _work_in(calculator, folder)
            atoms.calc = calculator
            names = wanted(atoms, self.properties)
            labels = {name: np.array(calculator.get_property(name, atoms), dtype=float) for name in names}
            _check_answer(calculator, atoms, folder)
        return labels

    def _arguments(self) -> list[str]:
        """What the factory must be given: "atoms", "directory", both, or neither."""
        required = [
            p.name
            for p in inspect.signature(self.factory).parameters.values()
            if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
        ]
        structure = [name for name in required if name != "directory"]
        if len(structure) > 1:
            raise InputError(
                f"label: expected a function that makes a calculator from nothing, from a structure, or from a "
                f"structure and a directory; this one wants {', '.join(required)}"
            )
        return ["atoms" if name in structure else name for name in required]

    def calculator(self, atoms: Atoms | None, folder: Path) -> BaseCalculator:
        """What the factory makes for the structure; that of `factory()` is made once."""
        given = {"atoms": atoms, "directory": folder}
        arguments = self._arguments()
        if not arguments:
            self._made = self._made or self.factory()
            return self._made
        return self.factory(*[given[name] for name in arguments])

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_made": None}


@contextmanager
def _folder(path: Path) -> Iterator[Path]:
    """A new and empty folder, removed after success."""
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    yield path
    shutil.rmtree(path, ignore_errors=True)


def _work_in(calculator: Any, folder: Path) -> None:
    """Gives the calculator, and those that it is a sum of, the folder to read and write in."""
    parts = getattr(getattr(calculator, "mixer", None), "calcs", [])
    for number, part in enumerate(parts):
        inner = folder / str(number)
        inner.mkdir()
        _work_in(part, inner)
    if not parts and works_in_files(calculator):
        calculator.directory = folder if isinstance(calculator.directory, Path) else str(folder)


def _check_answer(calculator: Any, atoms: Atoms, folder: Path) -> None:
    """Raises `SimulationError` if the results may belong to another structure than `atoms`."""
    if isinstance(calculator, FileIOCalculator | GenericFileIOCalculator) and not any(folder.iterdir()):
        raise SimulationError(
            f"{type(calculator).__name__} wrote nothing into its directory {folder}, so its files lie where those of "
            "other structures do. Let the function that makes it take the argument directory, and use it"
        )
    back = getattr(calculator, "atoms", None)
    if isinstance(back, Atoms):
        same = len(back) == len(atoms) and (back.numbers == atoms.numbers).all()
        away = np.abs(back.positions - atoms.positions).max(initial=0.0) if same else np.inf
        if not away < _SAME:
            raise SimulationError(
                f"{type(calculator).__name__} returned another structure than it was given "
                + (f"(an atom is {away:.2g} Å away)" if same else f"({back.symbols.formula})")
            )
