"""Every property, of models and of ensembles, goes through every format of ASE that keeps results, and comes back."""

import ase.db
import numpy as np
import pytest
from ase.build import molecule
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import read, write
from ase.outputs import all_outputs

from painn_ase import PaiNNCalculator
from painn_ase.ase_outputs import IN_DATABASES, register_properties
from painn_ase.data import read_frames
from painn_ase.properties import PROPERTIES, SPREAD

register_properties()
FORMATS = ("extxyz", "traj", "json", "db")
NAMES = sorted({*PROPERTIES, *(name + SPREAD for name in PROPERTIES), "free_energy", "born_effective_charges"})


def with_results(*names, seed=0):
    """Water with random results of the shapes in ASE's table."""
    atoms, rng = molecule("H2O"), np.random.default_rng(seed)
    results = {}
    for name in names:
        shape = tuple(3 if axis == "natoms" else axis for axis in all_outputs[name].shapespec)
        results[name] = rng.normal(size=shape) if shape else float(rng.normal())
    atoms.calc = SinglePointCalculator(atoms, **results)
    return atoms, results


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("name", NAMES)
def test_a_property_comes_back_from_a_file_that_was_written_twice(tmp_path, name, format):
    atoms, results = with_results(name)
    write(tmp_path / f"a.{format}", atoms)
    write(tmp_path / f"b.{format}", read(tmp_path / f"a.{format}"))
    found = read(tmp_path / f"b.{format}").calc
    assert set(found.results) == {name}
    digits = 0.51e-8 if format == "extxyz" else 0  # columns of extxyz have 8 digits
    np.testing.assert_allclose(found.results[name], results[name], rtol=0, atol=digits)
    assert np.shape(found.results[name]) == np.shape(results[name])
    assert name in found.export_properties()


def test_all_that_an_ensemble_has_evaluated_is_in_the_file(tmp_path):
    atoms = molecule("CH3CH2OH")
    atoms.calc = PaiNNCalculator(["ethanol", "ethanol-2"])
    names = [name for name in atoms.calc.implemented_properties if not name.startswith("stress")]
    expected = {name: atoms.calc.get_property(name, atoms) for name in names}
    for format in FORMATS:
        write(tmp_path / f"a.{format}", atoms)
        found = read(tmp_path / f"a.{format}").calc.results
        assert set(found) == set(names) > {"forces_std", "polarizability", "born_effective_charges"}
        for name, value in expected.items():
            np.testing.assert_allclose(found[name], value, rtol=0, atol=0.51e-8)


def test_rows_of_a_database_keep_the_data_of_their_users_and_no_results_of_an_earlier_structure(tmp_path):
    first, results = with_results("energy", "polarizability")
    second, others = with_results("energy", "quadrupole", seed=1)
    with ase.db.connect(tmp_path / "a.db") as database:
        key = database.write(first, data={"remark": "mine"}, kind="water")
        row = database.get(key)
        np.testing.assert_array_equal(row.polarizability, results["polarizability"])
        np.testing.assert_array_equal(row.data[IN_DATABASES]["polarizability"], results["polarizability"])
        database.update(key, kind="ice", data={"more": 1})
        row = database.get(kind="ice")
        assert "polarizability" in row.toatoms().calc.results
        assert {"remark", "more"} < set(row.data)
        database.update(key, atoms=second)
        row = database.get(key)
        assert set(row.toatoms().calc.results) == {"energy", "quadrupole"}
        np.testing.assert_array_equal(row.quadrupole, others["quadrupole"])
        assert row.data.remark == "mine"
        database.update(key, atoms=with_results("energy")[0])
        assert IN_DATABASES not in database.get(key).data
        database.update(key, atoms=first)
        with ase.db.connect(tmp_path / "b.db") as other:
            copied = other.get(other.write(database.get(key)))
            np.testing.assert_array_equal(copied.polarizability, results["polarizability"])
            assert copied.data.remark == "mine"


def test_keys_of_users_are_still_theirs(tmp_path):
    """ASE forbids names of properties as keys, those that it knows when its database is first imported."""
    with ase.db.connect(tmp_path / "a.db") as database:
        key = database.write(molecule("H2O"), forces_std=0.1)
        assert database.get(key).key_value_pairs == {"forces_std": 0.1}


@pytest.mark.parametrize("format", FORMATS)
def test_training_data_are_read_with_their_polarizabilities(tmp_path, format):
    atoms, results = with_results("energy", "polarizability")
    write(tmp_path / f"a.{format}", atoms)
    (frame,) = read_frames(tmp_path / f"a.{format}")
    np.testing.assert_array_equal(frame.calc.results["polarizability"], results["polarizability"])
    assert not frame.info or IN_DATABASES not in frame.info
