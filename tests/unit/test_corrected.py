"""A model with a correction to its energy keeps its dipole, and files of runs say what a sum is made of."""

import json

import h5py
import numpy as np
import pytest
from ase.calculators.lj import LennardJones
from ase.calculators.mixing import LinearCombinationCalculator, MixedCalculator, SumCalculator
from ase.io import read

from painn_ase import CorrectedCalculator, PaiNNCalculator, run_md
from painn_ase.capabilities import name_of, settings_of, weights_of
from painn_ase.errors import InputError
from painn_ase.structures import read_structure


def dispersion():
    return LennardJones(epsilon=1e-3, sigma=1.0, rc=6.0)


@pytest.fixture
def ethanol():
    return read_structure("ethanol")


def test_energies_and_forces_add_up_and_the_dipole_is_the_models(ethanol):
    model, correction = PaiNNCalculator("ethanol"), dispersion()
    both = CorrectedCalculator(PaiNNCalculator("ethanol"), dispersion())
    for _ in range(2):
        for name in ("dipole", "energy", "forces"):
            added = 0 if name == "dipole" else correction.get_property(name, ethanol)
            expected = model.get_property(name, ethanol) + added
            np.testing.assert_allclose(both.get_property(name, ethanol), expected, rtol=1e-12, atol=1e-6)
        assert {"dipole", "energy", "forces"} == set(both.results)
        ethanol.rattle(0.02, seed=1)
    assert "polarizability" in both.implemented_properties
    assert both.get_property("energy", ethanol, allow_calculation=False) is None


def test_dipoles_of_two_models_add_up_and_their_spreads_do_not(ethanol):
    one, two = (PaiNNCalculator(["ethanol", other]) for other in ("ethanol-2", "ethanol-3"))
    both = CorrectedCalculator(one, two)
    total = one.get_property("dipole", ethanol) + two.get_property("dipole", ethanol)
    np.testing.assert_array_equal(both.get_property("dipole", ethanol), total)
    assert "forces_std" not in both.implemented_properties
    assert "forces_std" in CorrectedCalculator(one, dispersion()).implemented_properties


def test_a_charge_given_with_the_atoms_is_not_answered_from_memory(ethanol):
    both = CorrectedCalculator(PaiNNCalculator("ethanol"), dispersion())
    both.get_property("dipole", ethanol)
    ethanol.info["charge"] = 1
    with pytest.warns(match="charge"):
        both.get_property("energy", ethanol)
    assert "dipole" not in both.results
    assert "charge" in both.outside


def test_nothing_to_add_is_refused():
    with pytest.raises(InputError, match="at least one calculator to add"):
        CorrectedCalculator(PaiNNCalculator("ethanol"))


def test_a_run_records_the_dipole_and_what_the_calculator_is_made_of(ethanol, tmp_path):
    ethanol.calc = CorrectedCalculator(PaiNNCalculator("ethanol"), dispersion())
    run = run_md(ethanol, steps=4, path=tmp_path / "a", record=["dipole"])
    assert run.observables("dipole")[1].shape == (5, 3)
    with h5py.File(tmp_path / "a.h5") as file:
        said = json.loads(file.attrs["metadata"])["calculator_parameters"]["parts"]
    assert [part["calculator"] for part in said] == ["painn", "lennardjones"]
    assert said[0]["parameters"]["model"] == "ethanol"
    assert said[1]["parameters"]["epsilon"] == 1e-3
    frame = read(tmp_path / "a.traj").calc
    assert [part["calculator"] for part in frame.parameters["parts"]] == ["painn", "lennardjones"]


@pytest.mark.parametrize(
    ("combine", "factors"),
    [
        (SumCalculator, [1.0, 1.0]),
        (lambda parts: LinearCombinationCalculator(parts, [0.25, 2]), [0.25, 2.0]),
        (lambda parts: MixedCalculator(*parts, 0.5, 0.5), [0.5, 0.5]),
    ],
)
def test_sums_of_ase_say_their_parts_factors_and_parameters(combine, factors):
    model = PaiNNCalculator("ethanol")
    inner = SumCalculator([dispersion(), dispersion()])
    total = combine([model, inner])
    said = settings_of(total)["parts"]
    assert [part["factor"] for part in said] == factors
    assert said[0]["parameters"] == settings_of(model)
    assert [part["calculator"] for part in said[1]["parameters"]["parts"]] == ["lennardjones", "lennardjones"]
    assert weights_of(total) == weights_of(model)
    assert "painn ethanol on the" in name_of(total)


def test_a_dipole_that_a_sum_hides_is_refused_with_the_way_out(ethanol, tmp_path):
    ethanol.calc = SumCalculator([PaiNNCalculator("ethanol"), dispersion()])
    with pytest.raises(InputError, match=r"painn does, but not lennardjones; painn_ase\.CorrectedCalculator"):
        run_md(ethanol, steps=4, path=tmp_path / "a", record=["dipole"])
