"""Every calculator that `painn-ase check` knows by name can compute the structures that come with it."""

import numpy as np
import pytest

from painn_ase import PaiNNCalculator
from painn_ase.errors import InputError
from painn_ase.structures import read_structure
from painn_ase.testing.subjects import NAMED, find_calculator


@pytest.mark.parametrize("name", NAMED)
def test_named_calculator_comes_with_structures_it_can_compute(name):
    calc, structures = find_calculator(name)
    assert len(structures) > 1
    for atoms in structures:
        forces = calc.get_property("forces", atoms)
        assert forces.shape == (len(atoms), 3)
        assert np.isfinite(forces).all()
        # no pair so close that rounding is all there is: the largest of these is 25 eV/Å, in the box of water
        assert np.abs(forces).max() < 50
        assert np.isfinite(calc.get_property("energy", atoms))


def test_model_comes_with_its_example_and_takes_keywords():
    calc, structures = find_calculator("ethanol", dtype="float64")
    assert isinstance(calc, PaiNNCalculator)
    assert calc.parameters["dtype"] == "float64"
    assert [atoms.get_chemical_formula() for atoms in structures] == ["C2H6O"]


def test_given_structures_replace_the_ones_it_comes_with(tmp_path):
    atoms = read_structure("ethanol")
    atoms.rattle(0.01)
    atoms.write(tmp_path / "other.xyz")
    _, structures = find_calculator("ethanol", [str(tmp_path / "other.xyz")])
    np.testing.assert_allclose(structures[0].positions, atoms.positions, atol=1e-7)


def test_import_path_names_any_calculator_and_needs_a_structure():
    calc, structures = find_calculator("ase.calculators.emt:EMT", ["ethanol"])
    assert calc.name == "emt"
    assert len(structures) == 1
    with pytest.raises(InputError, match="comes without a structure"):
        find_calculator("ase.calculators.emt:EMT")


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("nowhere_at_all:thing", "ModuleNotFoundError"),
        ("ase.calculators.emt:EMTT", "AttributeError"),
        ("ase.calculators.emt:parameters", "TypeError"),
    ],
)
def test_import_path_that_makes_no_calculator_is_refused_with_the_cause(text, cause):
    with pytest.raises(InputError, match=rf"expected module:name .* got '{text}' \({cause}"):
        find_calculator(text, ["ethanol"])
