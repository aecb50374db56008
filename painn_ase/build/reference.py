"""The reference of a build: from its name on the command line to calculators and labels."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ase import Atoms
from ase.calculators.calculator import BaseCalculator

from painn_ase.calculator import PaiNNCalculator
from painn_ase.errors import InputError, ModelError
from painn_ase.model_files import find_model
from painn_ase.reference.calculator import KohnShamCalculator
from painn_ase.reference.foreign import FromCalculator
from painn_ase.reference.labellers import Models
from painn_ase.reference.level import Level
from painn_ase.reference.tight_binding import METHODS, tight_binding


@dataclass(frozen=True)
class Reference:
    """What labels the structures of a build; `by` is what `painn_ase.reference.label` takes."""

    name: str
    by: str | Level | Models | Callable[..., BaseCalculator]

    def calculator(self, atoms: Atoms, scratch: Path) -> BaseCalculator:
        """An ASE calculator at this level for the structure; one that works with files does so in `scratch`."""
        if isinstance(self.by, Level):
            return KohnShamCalculator(self.by)
        if isinstance(self.by, Models):
            return PaiNNCalculator(self.by.names[0])
        if isinstance(self.by, str):
            return tight_binding(atoms, METHODS[self.by])
        scratch.mkdir(parents=True, exist_ok=True)
        return FromCalculator(self.by, ("energy", "forces"), scratch).calculator(atoms, scratch)

    def labels(self, atoms: Atoms, polarizability: bool) -> tuple[str, ...]:
        """The labels that it gives of this structure and that a model can learn; polarizabilities if wanted.

        Raises `InputError` if it gives no energies and forces.
        """
        with TemporaryDirectory() as scratch:
            gives = set(self.calculator(atoms, Path(scratch)).implemented_properties)
        missing = {"energy", "forces"} - gives
        if missing:
            raise InputError(f"reference {self.name}: expected energies and forces; it gives no {', '.join(missing)}")
        found = ["energy", "forces"]
        found += ["stress"] if "stress" in gives and atoms.pbc.all() else []
        found += ["dipole"] if "dipole" in gives and not atoms.pbc.any() else []
        if polarizability and isinstance(self.by, Level) and not atoms.pbc.any():
            found.append("polarizability")
        return tuple(found)


def parse_reference(text: str, folder: Path = Path()) -> Reference:
    """The reference named `text`; files are relative to `folder`. Raises `InputError` for what names none."""
    name = text.strip()
    if name.lower() in METHODS:
        return Reference(name, name.lower())
    if ":" in name:
        return Reference(name, _function(name, folder))
    for candidate in (name, str(folder / name)):
        try:
            find_model(candidate)
        except ModelError:
            continue
        return Reference(name, Models(candidate))
    if "/" not in name:
        raise InputError(
            f"reference: expected gfn2, gfn1, FUNCTIONAL/BASIS such as pbe0/def2-svpd, a model, or refs.py:make, a "
            f"function that makes an ASE calculator; got {text!r}"
        )
    return Reference(name, Level.parse(name))


def _function(text: str, folder: Path) -> Callable[..., Any]:
    """The function FILE.py:NAME or MODULE:NAME."""
    place, _, name = text.rpartition(":")
    module = place
    if place.endswith(".py"):
        path = (folder / place).resolve()
        if not path.is_file():
            raise InputError(f"reference: {path} does not exist; expected FILE.py:FUNCTION")
        module = path.stem
        # Worker processes take it over, and find the function by its name; last, where it hides no module of others.
        if str(path.parent) not in sys.path:
            sys.path.append(str(path.parent))
    try:
        imported = import_module(module)
        other = getattr(imported, "__file__", None)
        if place.endswith(".py") and (other is None or Path(other).resolve() != path):
            raise InputError(f"reference: {path.name} has the name of another module ({other}); rename it")
        found = getattr(imported, name)
    except (ImportError, AttributeError) as error:
        raise InputError(f"reference: {text!r} names no function ({error}); expected refs.py:make") from None
    if not callable(found) or not (inspect.isfunction(found) or inspect.isclass(found)):
        raise InputError(f"reference: expected a function that makes an ASE calculator; {text!r} is {found!r}")
    return found
