"""`gfn2` and `gfn1` are levels: of tblite's numbers, for molecules, ions, radicals and crystals."""

import json

import numpy as np
import pytest
from ase.build import bulk, molecule
from ase.io import read

from painn_ase.cli import main
from painn_ase.errors import InputError
from painn_ase.reference import gfn2_xtb, label

pytest.importorskip("tblite")


def ion(charge=1):
    atoms = molecule("CH3CH2OH")
    atoms.info["charge"] = charge
    atoms.rotate(30, (1, 2, 3))
    return atoms


def test_labels_are_tblites_with_the_charge_of_each_frame(tmp_path):
    given = [ion(0), ion(1), ion(-1)]
    outcome = label(given, "gfn2", tmp_path / "out.extxyz", properties=["energy", "forces", "dipole"])
    assert not outcome.failed
    for atoms, original in zip(read(outcome.path, ":"), given, strict=True):
        original.calc = gfn2_xtb(original)
        assert atoms.get_potential_energy() == pytest.approx(original.get_potential_energy(), abs=1e-6)
        np.testing.assert_allclose(atoms.get_forces(), original.get_forces(), atol=1e-5)
    recipe = json.loads((tmp_path / "out.extxyz.json").read_text())["recipe"]
    assert recipe["method"] == "GFN2-xTB"
    assert "version" in recipe


def test_dipoles_of_ions_do_not_depend_on_where_they_are_nor_on_isotopes(tmp_path):
    here, there = ion(), ion()
    there.positions += [3.0, -2.0, 1.0]
    there.set_masses([m + (z == 1) for m, z in zip(there.get_masses(), there.numbers, strict=True)])
    outcome = label([here, there], "GFN2", tmp_path / "out.extxyz", properties=["dipole"])
    first, second = (atoms.get_dipole_moment() for atoms in read(outcome.path, ":"))
    np.testing.assert_allclose(first, second, atol=1e-5)


def test_a_crystal_has_stress_by_gfn1(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    bulk("NaCl", "rocksalt", a=5.64).write("salt.xyz", format="extxyz")
    words = "label salt.xyz --level gfn1 --properties energy forces stress --output out.extxyz"
    assert main(words.split()) == 0
    assert read("out.extxyz").get_stress().shape == (6,)


@pytest.mark.parametrize(
    ("atoms", "properties", "words"),
    [(ion(), ["polarizability"], "third of it"), (bulk("NaCl", "rocksalt", a=5.64), ["dipole"], "no dipole of a"),
     (ion(), ["stress"], "periodic in three directions")],
)  # fmt: skip
def test_what_it_does_not_define_is_refused(tmp_path, atoms, properties, words):
    with pytest.raises(InputError, match=words):
        label([atoms], "gfn2", tmp_path / "out.extxyz", properties=properties)
