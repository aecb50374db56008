"""Structures named on the command line: a file that ASE reads, or a bundled model's example structure."""

import logging
from collections.abc import Sequence
from pathlib import Path

from ase import Atoms
from ase.io import read, write

from painn_ase.data.labels import DIALECTS
from painn_ase.errors import InputError, closest, in_short
from painn_ase.files import replacement, split_index, storage_errors
from painn_ase.model_files import bundled_models
from painn_ase.smiles import from_smiles, is_smiles

logger = logging.getLogger(__name__)

EXAMPLE = "structure.xyz"  # in a bundled model's folder
_CONFORMERS = 5  # of a molecule named by SMILES, the lowest of which is taken


def read_structure(name_or_path: str | Path) -> Atoms:
    """The last frame of a file, the frame FILE@INDEX, the example structure of the bundled model with that name, or the
    lowest of some conformers of a molecule named by SMILES, as in smiles:CCO.

    Raises `InputError` when there is none of these, or what ASE cannot read.
    """
    if is_smiles(str(name_or_path)):
        return from_smiles(str(name_or_path), _CONFORMERS)[0]
    name, index = split_index(str(name_or_path))
    path = Path(name)
    bundled = bundled_models()
    if not path.is_file() and str(name_or_path) in bundled:
        path = bundled[str(name_or_path)] / EXAMPLE
    if not path.is_file():
        names = ", ".join(bundled) or "none found"
        raise InputError(
            f"structure: expected a file, the name of a bundled model ({names}) or SMILES as in smiles:CCO; got "
            f"{str(name_or_path)!r}{closest(str(name_or_path), bundled)}"
        )
    try:
        found = read(path, index or -1)
    except Exception as error:  # ASE's readers raise whatever a malformed file leads them to
        what = in_short(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)
        raise InputError(f"{path}: ASE cannot read a structure from this file ({what})") from None
    if not isinstance(found, Atoms):
        raise InputError(f"structure: expected one frame, as in {name}@0; {name_or_path} names {len(found)}")
    return found


def without_labels(atoms: Atoms) -> Atoms:
    """The structure without labels of a geometry it is about to leave, in place: REF_energy, dft_forces, ..."""
    words = {word for spellings in DIALECTS.values() for word in spellings}
    dropped = []
    for place in (atoms.info, atoms.arrays):
        stale = [key for key in place if key.lower() in words]
        dropped += stale
        for key in stale:
            del place[key]
    if dropped:
        logger.info("left out of the structure, as labels of its old geometry: %s", ", ".join(dropped))
    return atoms


def write_frames(path: Path, frames: Sequence[Atoms]) -> None:
    """Writes extended XYZ in one step: what was there before stays until all frames are on the disk."""
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    with replacement(path) as temporary:
        write(temporary, list(frames), format="extxyz")


def constraints_lost(path: Path, atoms: Atoms) -> list[str]:
    """Kinds of constraints of the structure that the file written of it does not hold."""
    if not atoms.constraints:
        return []
    kept = read(path, -1)
    assert isinstance(kept, Atoms)
    held = {type(constraint).__name__ for constraint in kept.constraints}
    return sorted({type(constraint).__name__ for constraint in atoms.constraints} - held)
