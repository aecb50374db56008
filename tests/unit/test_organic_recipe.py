"""The recipe of the organic models: which molecules it takes, and what moves their atoms."""

import importlib.util
import sys
from itertools import chain
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from painn_ase.errors import InputError
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
    names = ("train", "further", "many", "wide", "validation", "test")
    assert parts.keys() == set(names)
    for k, part in enumerate(names):
        for other in names[:k]:
            assert not parts[other] & parts[part]
    assert not fixed & set().union(*parts.values())
    lines = (RECIPE / "force_molecules.txt").read_text().splitlines()
    assert {canonical(line) for line in lines[1:]} <= parts["train"] | parts["further"] | parts["many"]


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


def labelled(smiles: str, largest: float = 1.0) -> Atoms:
    """A conformer with forces that are zero but for one of `largest` eV/Å."""
    atoms = from_smiles(smiles)[0]
    forces = np.zeros((len(atoms), 3))
    forces[0, 2] = largest
    atoms.calc = SinglePointCalculator(atoms, energy=0.0, forces=forces)
    atoms.info["smiles"] = smiles
    return atoms


@pytest.mark.parametrize(
    "smiles", ["O", "C1CC1", "C1CCC1", "OC(=O)CC(=O)O", "CC(C)(C)C(C)(C)C", "CSSC", "FC(F)(F)C(F)(F)F"]
)
def test_molecules_at_rest_are_trained_on(smiles, monkeypatch):
    """Small rings, crowded groups, hydrogen bonds: what is near within two bonds, or near without reacting."""
    assert script("gather", monkeypatch).sound(labelled(smiles))


def test_contacts_of_atoms_that_no_angle_joins_are_not_trained_on(monkeypatch):
    """Covalent radii: C 0.76, O 0.66, H 0.31 Å; with 0.5 Å, O and H must keep 1.47 Å, and H and H 1.12 Å."""
    sound = script("gather", monkeypatch).sound
    waters = labelled("O")
    other = labelled("O")
    for distance, expected in ((1.55, True), (1.40, False)):
        other.positions += waters.positions[1] - other.positions[0]
        along = waters.positions[1] - waters.positions[0]
        other.positions += distance * along / np.linalg.norm(along)
        turned = other.positions[0] - (other.positions[1:] - other.positions[0]).sum(axis=0)
        if np.dot(turned - other.positions[0], along) > 0:  # its hydrogens point away from the bond
            other.positions = 2 * other.positions[0] - other.positions
        pair = Atoms("OH2OH2", np.concatenate([waters.positions, other.positions]), info={"smiles": "O.O"})
        pair.calc = SinglePointCalculator(pair, energy=0.0, forces=np.zeros((6, 3)))
        assert pair.get_distance(1, 3) == pytest.approx(distance)
        assert sound(pair) is expected


def test_strong_forces_are_not_trained_on(monkeypatch):
    gather = script("gather", monkeypatch)
    assert gather.sound(labelled("CCO", gather.LARGEST - 0.01))
    assert not gather.sound(labelled("CCO", gather.LARGEST + 0.01))
    assert not gather.sound(labelled("CCO", np.nan))


def test_of_a_molecule_so_many_frames_are_trained_on_and_the_tests_are_left_as_they_are(monkeypatch, tmp_path):
    gather = script("gather", monkeypatch)
    frames = [labelled(smiles) for smiles in ("C", "CC", "C") for _ in range(4)] + [labelled("C=C=C")]
    strong = labelled("CC", 20.0)
    for name in ("train-000", "further-000", "test-000"):
        ase.io.write(tmp_path / f"{name}.extxyz", [*frames, strong])
    gather.main(tmp_path, tmp_path, 5)
    of = [a.info["smiles"] for a in ase.io.read(tmp_path / "train.extxyz", ":")]
    assert (of.count("C"), of.count("CC")) == (2 * 5, 2 * 4)
    trusted = [a.info["smiles"] for a in ase.io.read(tmp_path / "trusted-train.extxyz", ":")]
    assert trusted == [smiles for smiles in of if smiles != "C=C=C"]
    assert of.count("C=C=C") == 2
    held = [a.info["smiles"] for a in ase.io.read(tmp_path / "trusted-test.extxyz", ":")]
    assert held == [a.info["smiles"] for a in (*frames, strong) if a.info["smiles"] != "C=C=C"]
    assert (tmp_path / "test.extxyz").read_bytes() == (tmp_path / "test-000.extxyz").read_bytes()


def test_own_labels_train_validate_and_test_on_other_molecules_and_leave_energies_out(monkeypatch, tmp_path):
    gather = script("gather", monkeypatch)
    gather.own_labels(tmp_path)
    sides = {side: ase.io.read(tmp_path / f"own-{side}.extxyz", ":") for side in ("train", "validation", "test")}
    molecules = {side: {a.info["smiles"] for a in frames} for side, frames in sides.items()}
    assert not molecules["train"] & (molecules["validation"] | molecules["test"])
    assert not molecules["validation"] & molecules["test"]
    known = {"energy", "forces", "dipole", "polarizability"}  # the last is read into info or among the results
    labels = {s: {frozenset(known & (a.info | a.calc.results).keys()) for a in f} for s, f in sides.items()}
    response = frozenset({"dipole", "polarizability"})
    assert labels == {
        "train": {response, response | {"forces"}},
        "validation": {response, response | {"forces"}},
        "test": {response},
    }


def test_hydrogen_fluoride_keeps_its_name_in_a_file(monkeypatch, tmp_path):
    """ASE's reader takes the word F for false."""
    files = script("files", monkeypatch)
    ase.io.write(tmp_path / "frames.extxyz", [labelled("F"), labelled("FC")])
    assert [files.smiles_of(atoms) for atoms in ase.io.read(tmp_path / "frames.extxyz", ":")] == ["F", "FC"]


def test_errors_of_a_model_of_a_method_and_of_a_file_are_those_of_their_labels(monkeypatch, tmp_path, capsys):
    """Labels that are off by 1 eV/Å in one component of three, by 0.3 e·Å in one of three, and by 10 % in α."""
    judge = script("judge", monkeypatch)
    frames = []
    for said in (0.0, 1.0):
        atoms = labelled("F", said)
        atoms.calc.results |= {"dipole": np.array([0.3 * said, 0.0, 0.0])}
        atoms.info |= {"polarizability": (1.0 + 0.1 * said) * np.eye(3).ravel(), "source": "gfn2_md_300K_min0"}
        frames.append(atoms)
    ase.io.write(tmp_path / "labels.extxyz", frames[:1])
    ase.io.write(tmp_path / "other.extxyz", frames[1:])
    judge.errors(tmp_path / "labels.extxyz", str(tmp_path / "other.extxyz"))
    said = capsys.readouterr().out
    assert "all: 1 frames, forces 166.7 meV/Å, dipole 0.1000 e·Å, mean polarizability 10.00 %" in said
    assert "kind md_300K" in said


def test_a_file_that_exists_is_not_made_again_and_a_molecule_that_fails_costs_only_itself(
    monkeypatch, tmp_path, capsys
):
    files = script("files", monkeypatch)
    monkeypatch.setattr(files, "EACH", 2)
    asked = []

    def frames_of(smiles: str, number: int) -> list[Atoms]:
        asked.append(number)
        if smiles == "CC":
            raise InputError("no such molecule")
        return [Atoms("H", [[number, 0, 0]])]

    def write() -> list[float]:
        files.write_files(tmp_path, "train", ["C", "CC", "CCC", "CCCC"], frames_of, lambda groups, _: chain(*groups))
        paths = sorted(tmp_path.glob("train-*.extxyz"))
        return sorted(a.positions[0, 0] for path in paths for a in ase.io.read(path, ":"))

    assert write() == [0, 2, 3]
    assert sorted(asked) == [0, 1, 2, 3]
    assert "CC: no such molecule" in capsys.readouterr().out
    (tmp_path / "train-001.extxyz").unlink()
    assert write() == [0, 2, 3]
    assert len(asked) == 6


@pytest.mark.filterwarnings("ignore::painn_ase.coverage.CoverageWarning")
@pytest.mark.parametrize("model", ["organic", "organic-small"])
def test_the_guard_of_organic_models_objects_to_what_it_does_not_know(model, monkeypatch, capsys):
    """Ions, radicals, P, Br and molecules far apart; `guard` fails where nothing is said, or too much."""
    script("judge", monkeypatch).guard(model)
    assert "acetate" in capsys.readouterr().out


def test_dynamics_are_visited_where_models_disagree_most(monkeypatch):
    visit = script("visit", monkeypatch)
    monkeypatch.setattr(visit, "dynamics", lambda *_: ([labelled("C", k) for k in range(6)], [0.1, 0.5, 0.3, 0.2, 0.4]))
    calculator = visit.PaiNNCalculator("organic-small")
    chosen = visit.visited("CO", 0, calculator)
    assert [atoms.get_forces().max() for atoms in chosen] == [0, 2, 3, 5]
