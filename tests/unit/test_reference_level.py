"""Levels of theory are checked before any work is done."""

import pytest
from ase import Atoms
from ase.build import molecule

from painn_ase.errors import InputError
from painn_ase.reference import Level
from painn_ase.reference.level import charge_and_spin


@pytest.mark.parametrize("text", ["pbe0", "/def2-svp", "pbe0/", ""])
def test_a_level_is_functional_slash_basis(text):
    with pytest.raises(InputError, match="pbe0/def2-svpd"):
        Level.parse(text)


@pytest.mark.parametrize(
    ("basis", "diffuse"),
    [("def2-svpd", True), ("def2-tzvpd", True), ("def2-qzvppd", True), ("aug-cc-pvdz", True), ("6-31+g*", True),
     ("ma-def2-svp", True), ("jun-cc-pvtz", True), ("augccpvdz", True), ("def2-svp", False), ("def2-tzvpp", False),
     ("cc-pvtz", False), ("6-31g*", False), ("sto-3g", False)],
)  # fmt: skip
def test_diffuse_functions_are_told_by_the_name(basis, diffuse):
    assert Level("pbe0", basis).diffuse == diffuse


def of(formula, **info):
    atoms = molecule(formula)
    atoms.info.update(info)
    return atoms


def test_charge_and_multiplicity_come_from_info():
    assert charge_and_spin(of("H2O")) == (0, 0)
    assert charge_and_spin(of("OH")) == (0, 1)
    assert charge_and_spin(of("OH", charge=-1)) == (-1, 0)
    assert charge_and_spin(of("O2", multiplicity=3)) == (0, 2)


@pytest.mark.parametrize("info", [{"multiplicity": 2}, {"charge": 0.5}, {"charge": 10}, {"multiplicity": 0}])
def test_impossible_electrons_are_refused(info):
    with pytest.raises(InputError, match=r"electrons"):
        charge_and_spin(of("H2O", **info))


def test_polarizabilities_need_diffuse_functions_unless_insisted():
    pytest.importorskip("pyscf")
    with pytest.raises(InputError, match="def2-svpd"):
        Level.parse("pbe0/def2-svp").check([molecule("H2O")], ["polarizability"])
    Level.parse("pbe0/def2-svp", compact_basis=True).check([molecule("H2O")], ["polarizability"])
    Level.parse("pbe0/def2-svp").check([molecule("H2O")], ["energy", "dipole"])


@pytest.mark.parametrize(
    ("level", "atoms", "words"),
    [("pbe00/def2-svp", molecule("H2O"), "functional"), ("pbe0/def2-svpx", molecule("H2O"), "basis"),
     ("pbe0/6-31g", Atoms("U"), "for U"), ("pbe0/def2-svp", Atoms("He", cell=[5, 5, 5], pbc=True), "pbc")],
)  # fmt: skip
def test_what_cannot_be_computed_is_refused_in_a_sentence(level, atoms, words):
    pytest.importorskip("pyscf")
    with pytest.raises(InputError, match=words):
        Level.parse(level).check([atoms], ["energy"])
