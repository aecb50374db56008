"""Structures named on the command line: a file that ASE reads, or a bundled model's example structure."""

from pathlib import Path

from ase import Atoms
from ase.io import read
from ase.io.formats import UnknownFileTypeError

from painn_ase.checkpoint import bundled_models
from painn_ase.errors import InputError, closest

EXAMPLE = "structure.xyz"  # in a bundled model's folder


def read_structure(name_or_path: str | Path) -> Atoms:
    """The last frame of a file, or the example structure of the bundled model with that name.

    Raises `InputError` when there is neither.
    """
    path = Path(name_or_path)
    bundled = bundled_models()
    if not path.is_file() and str(name_or_path) in bundled:
        path = bundled[str(name_or_path)] / EXAMPLE
    if not path.is_file():
        names = ", ".join(bundled) or "none found"
        raise InputError(
            f"structure: expected a file or the name of a bundled model ({names}); got {str(name_or_path)!r}"
            f"{closest(str(name_or_path), bundled)}"
        )
    try:
        atoms = read(path)
    except (UnknownFileTypeError, ValueError, KeyError, IndexError, OSError, StopIteration, EOFError) as error:
        raise InputError(f"{path}: ASE cannot read a structure from this file ({error})") from None
    assert isinstance(atoms, Atoms)
    return atoms
