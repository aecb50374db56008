"""One set of constants, ASE's, and one meaning for every spelling of a unit."""

import ase.units
import pytest

from painn_ase import units
from painn_ase.errors import InputError
from painn_ase.training import parse_labels

OF_ASE = {
    "HARTREE": ase.units.Hartree,
    "BOHR": ase.units.Bohr,
    "KCAL_PER_MOL": ase.units.kcal / ase.units.mol,
    "KJ_PER_MOL": ase.units.kJ / ase.units.mol,
    "DEBYE": ase.units.Debye,
    "GIGAPASCAL": ase.units.GPa,
    "COULOMB_CONSTANT": ase.units.Hartree * ase.units.Bohr,
    "SPEED_OF_LIGHT": ase.units._c,
    "PLANCK": ase.units._hplanck,
    "BOLTZMANN": ase.units._k,
    "AVOGADRO": ase.units._Nav,
    "ELEMENTARY_CHARGE": ase.units._e,
    "VACUUM_PERMITTIVITY": ase.units._eps0,
    "ATOMIC_MASS": ase.units._amu,
    "ASE_TIME": 1 / ase.units.fs,
    "ATOMIC_TIME": 1e15 * ase.units._aut,
}


@pytest.mark.parametrize("name", OF_ASE)
def test_constants_are_those_of_ase(name):
    assert getattr(units, name) == pytest.approx(OF_ASE[name], rel=1e-15)  # a rounding or two apart


@pytest.mark.parametrize(
    ("table", "spellings"),
    [
        ("LENGTH", ("Ang", "Å", "\u212b", "A", "angstrom", "Angstrom")),
        ("LENGTH", ("Bohr", "bohr", "a0")),
        ("ENERGY", ("Hartree", "hartree", "Ha", "Eh")),
        ("ENERGY", ("kcal/mol", "kcal / mol", "kcal mol^-1", "kcal·mol⁻¹")),
        ("FORCE", ("eV/Å", "eV/A", "eV/Ang", "eV A^-1")),
        ("FORCE", ("kcal/mol/Å", "kcal/mol/A", "kcal mol^-1 A^-1")),
        ("FORCE", ("Hartree/Bohr", "Ha/bohr", "Ha/a0", "a.u.", "au")),
        ("DIPOLE", ("e*Bohr", "e·Bohr", "e*bohr", "e bohr", "e*a0", "a.u.", "au")),
        ("DIPOLE", ("e·Å", "e*Ang", "e*A", "e A")),
        ("DIPOLE", ("Debye", "debye", "D")),
        ("POLARIZABILITY", ("Bohr^3", "bohr^3", "bohr³", "a0^3", "Bohr**3")),
        ("POLARIZABILITY", ("e²Å²/eV", "e^2Ang^2/eV", "e^2*A^2/eV", "e**2 Å**2 / eV")),
        ("STRESS", ("eV/Å³", "eV/A^3", "eV/Ang^3", "eV/angstrom**3")),
    ],
)
def test_spellings_of_a_unit_are_equal(table, spellings):
    values = {units.factor(s, getattr(units, table), "x") for s in spellings}
    assert max(values) == pytest.approx(min(values), rel=1e-15)


@pytest.mark.parametrize("unit", ["MeV", "EV", "", "eV/", "/", "eV/Å^4", "2 eV", "e.V", "mol", "Å^99999999"])
def test_what_is_no_known_unit_is_refused(unit):
    with pytest.raises(InputError, match="expected one of eV"):
        units.factor(unit, units.ENERGY, "energy")


def test_labels_take_the_spellings_too():
    labels = parse_labels(["forces=F:eV/A", "dipole=mu:e*bohr", "polarizability=a:bohr^3"])
    assert labels["forces"].unit == "eV/A"
