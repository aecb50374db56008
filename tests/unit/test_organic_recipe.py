"""The recipe of the organic models: which molecules it takes, and what moves their atoms."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from painn_ase.smiles import from_smiles

RECIPE = Path(__file__).parents[2] / "models" / "organic"
Chem = pytest.importorskip("rdkit.Chem")


def script(name: str, monkeypatch):
    monkeypatch.syspath_prepend(RECIPE)
    spec = importlib.util.spec_from_file_location(f"organic_{name}", RECIPE / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def listed() -> dict[str, list[str]]:
    parts: dict[str, list[str]] = {}
    for line in (RECIPE / "molecules.txt").read_text().splitlines():
        part, smiles = line.split()
        parts.setdefault(part, []).append(smiles)
    return parts


def canonical(smiles: str) -> str:
    return Chem.MolToSmiles(Chem.MolFromSmiles(smiles), isomericSmiles=False)


def test_no_molecule_is_on_two_sides():
    parts = {part: {canonical(s) for s in found} for part, found in listed().items()}
    lines = (RECIPE / "test_molecules.txt").read_text().splitlines()
    fixed = {canonical(line) for line in lines if line and not line.startswith("#")}
    assert len(parts["test"]) == 500
    for part in ("validation", "test"):
        assert not parts["train"] & parts[part]
    assert not fixed & set().union(*parts.values())


def test_every_molecule_is_neutral_and_of_the_elements_and_sizes_that_the_card_says():
    larger = []
    for smiles in [s for found in listed().values() for s in found]:
        molecule = Chem.MolFromSmiles(smiles)
        assert Chem.GetFormalCharge(molecule) == 0
        assert {a.GetSymbol() for a in molecule.GetAtoms()} <= {"H", "C", "N", "O", "F", "S", "Cl"}
        larger += [smiles] * (molecule.GetNumAtoms() > 12)
        assert not any(a.GetNumRadicalElectrons() for a in molecule.GetAtoms())
    assert larger == ["NC(CO)C(=O)NC(CO)C(=O)O"]  # of 13, the only one


def test_growth_adds_one_atom_or_one_bond(monkeypatch):
    made = script("molecules", monkeypatch).grown("CC")

    assert {canonical(s) for s in ("CCC", "CC=O", "CC#N", "CCF")} <= {canonical(s) for s in made}


def test_what_does_not_last_is_left_out(monkeypatch):
    sensible = script("molecules", monkeypatch).sensible
    for smiles in ("OO", "C=CO", "OCO", "NCl", "O=C(O)N", "C1#CC1"):
        assert not sensible(Chem.MolFromSmiles(smiles)), smiles
    for smiles in ("CC(=O)N", "C1CC1", "CS(C)=O", "C[N+](=O)[O-]", "Oc1ccccc1", "FC(F)(F)CO"):
        assert sensible(Chem.MolFromSmiles(smiles)), smiles


def test_the_force_field_that_moves_atoms_has_forces_that_are_derivatives(monkeypatch):
    """RDKit's gradient reads distances of the geometry whose energy was asked for last."""
    atoms = from_smiles("CCO")[0]
    atoms.calc = script("sample", monkeypatch).MMFF94("CCO")
    atoms.positions += np.random.default_rng(0).normal(scale=0.05, size=atoms.positions.shape)
    forces = atoms.get_forces()
    for atom, axis in ((0, 0), (2, 1), (5, 2)):
        energies = []
        for step in (1e-4, -1e-4):
            moved = atoms.copy()
            moved.calc = atoms.calc
            moved.positions[atom, axis] += step
            energies.append(moved.get_potential_energy())
        assert forces[atom, axis] == pytest.approx(-(energies[0] - energies[1]) / 2e-4, abs=1e-6)
