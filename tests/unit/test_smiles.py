"""Molecules by SMILES: known conformers, charges, isotopes; refusals that name the way out."""

import numpy as np
import pytest

from painn_ase.errors import InputError, MissingPackageError
from painn_ase.smiles import from_smiles
from painn_ase.structures import read_structure


def test_without_rdkit_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "rdkit", None)
    with pytest.raises(MissingPackageError, match=r"painn-ase\[smiles\]"):
        from_smiles("CCO")


class TestWithRDKit:
    @pytest.fixture(autouse=True)
    def _needs_rdkit(self):
        pytest.importorskip("rdkit", reason="rdkit is not installed: pip install 'painn-ase[smiles]'")

    @pytest.mark.parametrize(("smiles", "count"), [("CCO", 2), ("CCCC", 2), ("NC=O", 1), ("c1ccccc1", 1)])
    def test_conformers_of_textbooks(self, smiles, count):
        """Ethanol and butane are anti and gauche (mirror images are one), formamide and benzene rigid."""
        assert len(from_smiles(smiles, 10)) == count

    def test_the_first_conformer_of_butane_is_anti_and_the_second_gauche(self):
        anti, gauche = from_smiles("CCCC", 10, seed=3)
        assert anti.get_dihedral(0, 1, 2, 3) == pytest.approx(180, abs=1)
        assert min(gauche.get_dihedral(0, 1, 2, 3), 360 - gauche.get_dihedral(0, 1, 2, 3)) == pytest.approx(65, abs=5)

    def test_charge_spin_and_isotopes_are_kept(self):
        assert from_smiles("CC(=O)[O-]")[0].info == {"charge": -1}
        assert from_smiles("C[CH2]")[0].info == {"multiplicity": 2}
        assert sorted(from_smiles("[2H]O")[0].get_masses()) == pytest.approx([1.008, 2.0141, 15.999])

    def test_a_seed_gives_one_result(self):
        one, other = (from_smiles("OCCO", 3, seed=1) for _ in range(2))
        assert all(np.array_equal(a.positions, b.positions) for a, b in zip(one, other, strict=True))

    def test_what_is_no_smiles_is_refused(self, capfd):
        for text in ("smiles:ethanol", "smiles:", "smiles:C(C"):
            with pytest.raises(InputError, match="SMILES"):
                read_structure(text)
        assert capfd.readouterr().err == ""  # RDKit says nothing of its own

    def test_structures_are_read_by_smiles_with_at_signs(self):
        assert read_structure("smiles:C[C@H](N)O").symbols.formula.format("hill") == "C2H7NO"
