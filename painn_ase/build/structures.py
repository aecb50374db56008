"""The structures that a build starts from: files, names, SMILES; with the charge and spin that were asked for."""

from __future__ import annotations

from pathlib import Path

import ase.io
from ase import Atoms
from ase.build import molecule
from ase.collections import g2

from painn_ase.build.request import Request
from painn_ase.data.identity import unlabelled
from painn_ase.errors import InputError, closest
from painn_ase.files import split_index
from painn_ase.model_files import bundled_models
from painn_ase.reference.level import charge_and_spin
from painn_ase.smiles import from_smiles, is_smiles
from painn_ase.structures import read_structure

CONFORMERS = 6  # of a molecule named by SMILES, at most


def starting_structures(request: Request) -> list[Atoms]:
    """The conformers that were named, without labels, with charge and multiplicity in info.

    Raises `InputError` if nothing is found under the name, for structures of different compositions, and for a charge
    or multiplicity that the electrons cannot have.
    """
    found = [unlabelled(atoms) for atoms in _named(request.structure, request.folder)]
    first = found[0]
    for atoms in found:
        if sorted(atoms.numbers) != sorted(first.numbers) or (atoms.pbc != first.pbc).any():
            raise InputError(
                f"structure: expected conformers of one molecule or crystal; {request.structure} holds "
                f"{first.symbols.formula} and {atoms.symbols.formula}"
            )
        if request.charge is not None:
            atoms.info["charge"] = request.charge
        if request.multiplicity is not None:
            atoms.info["multiplicity"] = request.multiplicity
        charge_and_spin(atoms, request.structure)
        if len(atoms) < 2:
            raise InputError("structure: expected at least two atoms; a single one has no forces to learn")
    return found


def in_words(structures: list[Atoms]) -> str:
    """Formula, charge, spin and number of what is built, in one line."""
    atoms = structures[0]
    charge, unpaired = charge_and_spin(atoms)
    cell = f", periodic along {int(atoms.pbc.sum())} vectors" if atoms.pbc.any() else ""
    held = f", {sum(len(c.index) for c in atoms.constraints if hasattr(c, 'index'))} atoms fixed"
    return (
        f"{atoms.symbols.formula}, {len(atoms)} atoms{cell}{held if atoms.constraints else ''}, charge {charge:+d}, "
        f"multiplicity {unpaired + 1} ({int(atoms.numbers.sum()) - charge} electrons), {len(structures)} "
        f"{'structure' if len(structures) == 1 else 'structures'}"
    )


def _named(text: str, folder: Path) -> list[Atoms]:
    if is_smiles(text):
        return from_smiles(text, CONFORMERS)
    name, index = split_index(text)
    for path in (Path(name), folder / name):
        if path.is_file() and not index:
            return _read(path)
        if path.is_file():
            return [read_structure(text if path == Path(name) else f"{path}@{index}")]
    if text in bundled_models():
        return [read_structure(text)]
    known = {key.lower(): key for key in g2.names}
    if text.lower() in known:
        return [molecule(known[text.lower()])]
    raise InputError(
        f"structure: expected a file that ASE reads, smiles:..., the name of a bundled model, or a molecule of ASE's "
        f"(ase.build.molecule), such as CH3CH2OH; got {text!r}{closest(text, [*bundled_models(), *g2.names])}"
    )


def _read(path: Path) -> list[Atoms]:
    try:
        return list(ase.io.read(path, ":"))
    except Exception as error:  # ASE's readers raise whatever a malformed file leads them to
        raise InputError(
            f"{path}: ASE cannot read structures from this file ({type(error).__name__}: {error})"
        ) from None
