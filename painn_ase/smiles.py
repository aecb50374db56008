"""Molecules from SMILES: three-dimensional conformers by RDKit, with charge and multiplicity."""

from __future__ import annotations

from typing import Any

import numpy as np
from ase import Atoms

from painn_ase.errors import InputError, MissingPackageError

PREFIX = "smiles:"  # of a SMILES string where a file could stand
_TRIES = 6  # embeddings for each conformer that is wanted
_SAME_ENERGY = 0.01  # kcal/mol, of relaxed conformers that are one or each other's mirror image ...
_SAME_SHAPE = 0.01  # ... if their moments of inertia agree so well, too


def is_smiles(word: str) -> bool:
    """Whether a word names a molecule by SMILES, as in smiles:CCO, and not a file."""
    return word.startswith(PREFIX)


def from_smiles(smiles: str, count: int = 1, *, seed: int = 0) -> list[Atoms]:
    """At most `count` conformers of a molecule, in the order of their energy in the force field MMFF94.

    smiles: with or without "smiles:" before it
    count: of conformers; fewer come back where the force field has fewer minima. Mirror images count as one
    seed: of the distances that embedding begins with

    info["charge"] and info["multiplicity"] are those of the formula, isotopes become masses. Distance geometry with
    torsion preferences: Riniker and Landrum, J. Chem. Inf. Model. 55, 2562 (2015), doi:10.1021/acs.jcim.5b00654.
    Raises `MissingPackageError` without RDKit, `InputError` for what is no SMILES or cannot be embedded.
    """
    if count < 1:
        raise InputError(f"conformers: expected a number >= 1; got {count}")
    chem, embedding, rdbase = _rdkit(smiles)
    text = smiles.removeprefix(PREFIX)
    with rdbase.BlockLogs():
        parsed = chem.MolFromSmiles(text)
        if parsed is None or not parsed.GetNumAtoms():
            raise InputError(f"SMILES: RDKit reads no molecule from {text!r}; expected one such as CCO or CC(=O)[O-]")
        molecule = chem.AddHs(parsed)
        settings = embedding.ETKDGv3()
        settings.randomSeed = seed + 1  # of 0 RDKit would make every conformer the same
        tries = _TRIES * count if count > 1 else 1
        found = list(embedding.EmbedMultipleConfs(molecule, tries, settings))
        if not found:
            settings.useRandomCoords = True
            found = list(embedding.EmbedMultipleConfs(molecule, 1, settings))
        if not found:
            raise InputError(f"SMILES: RDKit finds no geometry of {text!r}; give a file with one")
        known = embedding.MMFFHasAllMoleculeParams(molecule)
        relax = embedding.MMFFOptimizeMoleculeConfs if known else embedding.UFFOptimizeMoleculeConfs
        energies = [energy for _, energy in relax(molecule, maxIters=2000)]
    chosen: list[tuple[float, Atoms]] = []
    for energy, number in sorted(zip(energies, found, strict=True)):
        atoms = _atoms(chem, molecule, number)
        if len(chosen) < count and not any(_same(energy - low, atoms, other) for low, other in chosen):
            chosen.append((energy, atoms))
    return [atoms for _, atoms in chosen]


def _rdkit(smiles: str) -> tuple[Any, Any, Any]:
    try:
        from rdkit import Chem, rdBase
        from rdkit.Chem import AllChem
    except ImportError:
        raise MissingPackageError("rdkit", f"a molecule by SMILES ({smiles})", "smiles") from None
    return Chem, AllChem, rdBase


def _same(higher: float, one: Atoms, other: Atoms) -> bool:
    moments = one.get_moments_of_inertia(), other.get_moments_of_inertia()
    return higher < _SAME_ENERGY and bool(np.allclose(*moments, rtol=_SAME_SHAPE, atol=1e-3))


def _atoms(chem: Any, molecule: Any, number: int) -> Atoms:
    numbers = [atom.GetAtomicNum() for atom in molecule.GetAtoms()]
    atoms = Atoms(numbers, np.array(molecule.GetConformer(number).GetPositions()))
    isotopes = {atom.GetIdx(): atom.GetMass() for atom in molecule.GetAtoms() if atom.GetIsotope()}
    if isotopes:
        masses = atoms.get_masses()
        masses[list(isotopes)] = list(isotopes.values())
        atoms.set_masses(masses)
    charge = chem.GetFormalCharge(molecule)
    unpaired = sum(atom.GetNumRadicalElectrons() for atom in molecule.GetAtoms())
    if charge:
        atoms.info["charge"] = charge
    if unpaired:
        atoms.info["multiplicity"] = unpaired + 1
    return atoms
