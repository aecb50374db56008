"""The calculator as ASE sees it: caching, one evaluation per geometry, shapes, refusals, copies."""

import copy
import pickle

import ase.io
import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk
from ase.calculators.calculator import PropertyNotImplementedError
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import Trajectory

from painn_ase import PaiNNCalculator
from painn_ase.errors import InputError, ModelError

from helpers.random_models import random_model
from helpers.systems import NASTY, molecule, single_atom, slab, triclinic


@pytest.fixture
def model():
    return random_model()


@pytest.fixture
def calculator(model):
    return PaiNNCalculator(model, dtype="float64")


class Counting:
    """Counts evaluations of the network, which is what costs time."""

    def __init__(self, calculator: PaiNNCalculator) -> None:
        self.count = 0
        network = calculator.backend.models[0].representation
        self.handle = network.register_forward_hook(self.called)

    def called(self, *_):
        self.count += 1


def test_shapes_and_types_are_those_of_ase(calculator):
    atoms = triclinic()
    atoms.calc = calculator
    n = len(atoms)
    assert type(atoms.get_potential_energy()) is float
    assert atoms.get_potential_energy(force_consistent=True) == atoms.get_potential_energy()
    assert atoms.get_forces().shape == (n, 3)
    assert atoms.get_potential_energies().shape == (n,)
    assert atoms.get_stress().shape == (6,)
    assert atoms.get_stress(voigt=False).shape == (3, 3)
    atoms = molecule()
    atoms.calc = calculator
    assert atoms.get_dipole_moment().shape == (3,)
    assert calculator.get_polarizability(atoms).shape == (3, 3)
    assert all(value.dtype == np.float64 for value in calculator.results.values() if isinstance(value, np.ndarray))


def test_everything_about_one_geometry_takes_one_network_evaluation(model):
    calculator = PaiNNCalculator(model, dtype="float64", backend="torch")
    counting = Counting(calculator)
    atoms = molecule()
    atoms.calc = calculator
    atoms.get_forces()
    atoms.get_potential_energy()
    atoms.get_dipole_moment()
    calculator.get_polarizability(atoms)
    assert counting.count == 1
    atoms.positions[0, 0] += 0.01
    calculator.get_polarizability(atoms)
    atoms.get_forces()
    assert counting.count == 2


def test_stress_comes_with_the_forces_of_a_periodic_structure(model):
    calculator = PaiNNCalculator(model, dtype="float64", backend="torch")
    counting = Counting(calculator)
    atoms = triclinic()
    atoms.calc = calculator
    atoms.get_forces()
    atoms.get_stress()
    assert counting.count == 1


def test_heads_asked_later_agree_with_heads_asked_together(model):
    atoms = molecule()
    later, together = PaiNNCalculator(model, dtype="float64"), PaiNNCalculator(model, dtype="float64")
    later.get_property("forces", atoms)
    together.calculate(atoms, ["dipole", "polarizability", "forces"])
    for name in ("dipole", "polarizability", "forces"):
        np.testing.assert_array_equal(later.get_property(name, atoms), together.results[name])


@pytest.mark.parametrize(
    "change",
    [
        lambda a: a.positions.__setitem__((2, 1), a.positions[2, 1] + 1e-14),
        lambda a: a.numbers.__setitem__(1, 6),
        lambda a: a.set_cell(a.cell.array * 1.01),
        lambda a: a.set_pbc([True, True, False]),
        lambda a: a.info.__setitem__("charge", 1),
    ],
    ids=["positions", "numbers", "cell", "pbc", "charge"],
)
def test_every_change_of_the_structure_is_noticed(calculator, change):
    atoms = triclinic()
    atoms.calc = calculator
    atoms.get_potential_energy()
    assert calculator.check_state(atoms) == []
    change(atoms)
    assert calculator.check_state(atoms) != []
    fresh = PaiNNCalculator(calculator.backend.model, dtype="float64")
    np.testing.assert_allclose(atoms.get_forces(), fresh.get_property("forces", atoms), atol=1e-12)


def test_one_calculator_serves_structures_in_any_order(calculator):
    """Sizes, elements and boundary conditions change call by call; nothing of the last structure may remain."""
    rng = np.random.default_rng(0)
    fresh = {}
    for name, build in NASTY.items():
        fresh[name] = PaiNNCalculator(calculator.backend.model, dtype="float64").get_property("forces", build())
    for name in rng.permutation(list(NASTY) * 3):
        np.testing.assert_allclose(calculator.get_property("forces", NASTY[name]()), fresh[name], atol=1e-11)


def test_total_charge_moves_the_dipole_and_only_that(calculator):
    atoms = molecule()
    neutral = calculator.get_property("dipole", atoms)
    energy = calculator.get_property("energy", atoms)
    atoms.info["charge"] = 1
    charged = calculator.get_property("dipole", atoms)
    assert calculator.get_property("energy", atoms) == energy
    # q_i += 1/N: the dipole moves by the mean position, measured from the centre of mass
    expected = atoms.positions.mean(0) - atoms.get_center_of_mass()
    np.testing.assert_allclose(charged - neutral, expected, atol=1e-10)
    keyword = PaiNNCalculator(calculator.backend.model, dtype="float64", charge=1)
    np.testing.assert_allclose(keyword.get_property("dipole", molecule()), charged, atol=1e-12)


def test_charges_are_given_only_where_they_are_defined():
    with_dipoles = PaiNNCalculator(random_model())
    assert "charges" not in with_dipoles.implemented_properties
    heads = {"energy": {}, "dipole": {"atomic_dipoles": False}}
    calculator = PaiNNCalculator(random_model(heads=heads), dtype="float64", charge=-1)
    atoms = molecule()
    atoms.calc = calculator
    charges = atoms.get_charges()
    assert charges.sum() == pytest.approx(-1, abs=1e-12)
    np.testing.assert_allclose(
        atoms.get_dipole_moment(), charges @ (atoms.positions - atoms.get_center_of_mass()), atol=1e-12
    )


def test_atoms_and_results_are_nobodys_buffers(calculator):
    atoms = triclinic()
    atoms.info["note"] = "mine"
    before = atoms.copy()
    atoms.calc = calculator
    forces = atoms.get_forces()
    assert atoms == before
    assert atoms.info == before.info
    kept = forces.copy()
    atoms.rattle(0.05, seed=1)
    atoms.get_forces()
    np.testing.assert_array_equal(forces, kept)


def test_wrapping_atoms_costs_no_new_neighbor_list(calculator):
    atoms = NASTY["unwrapped"]()
    atoms.calc = calculator
    forces = atoms.get_forces()
    atoms.wrap()
    np.testing.assert_allclose(atoms.get_forces(), forces, atol=1e-12)
    assert calculator.neighbor_list.builds == 1


def test_skin_changes_nothing_but_the_number_of_builds(model):
    lean, thick = (PaiNNCalculator(model, dtype="float64", skin=skin) for skin in (0.0, 1.0))
    atoms = triclinic()
    for seed in range(10):
        atoms.rattle(0.03, seed=seed)
        np.testing.assert_allclose(thick.get_property("forces", atoms), lean.get_property("forces", atoms), atol=1e-11)
    assert thick.neighbor_list.builds < lean.neighbor_list.builds


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda c: pickle.loads(pickle.dumps(c)), lambda c: c.clone()])
def test_copies_give_the_same_results_and_do_not_interfere(calculator, duplicate):
    atoms, other = molecule(), triclinic()
    expected = calculator.get_property("forces", atoms)
    twin = duplicate(calculator)
    np.testing.assert_array_equal(twin.get_property("forces", other), calculator.get_property("forces", other))
    np.testing.assert_array_equal(twin.get_property("forces", atoms), expected)
    assert calculator.check_state(other) == []


def test_clones_share_weights(calculator):
    assert calculator.clone().backend.model is calculator.backend.model


def test_polarizability_survives_files_and_get_properties(calculator, tmp_path):
    atoms = molecule()
    atoms.calc = calculator
    alpha = calculator.get_polarizability(atoms)
    with Trajectory(tmp_path / "a.traj", "w", atoms) as trajectory:
        trajectory.write()
    ase.io.write(tmp_path / "a.xyz", atoms, format="extxyz")
    for name in ("a.traj", "a.xyz"):
        again = ase.io.read(tmp_path / name)
        np.testing.assert_allclose(again.calc.results["polarizability"], alpha, atol=1e-8)
    results = atoms.get_properties(["energy", "polarizability"])
    np.testing.assert_array_equal(results["polarizability"], alpha)
    single = SinglePointCalculator(atoms, polarizability=alpha)
    np.testing.assert_array_equal(single.get_property("polarizability"), alpha)


def test_results_are_exactly_the_implemented_properties(calculator):
    for atoms in (molecule(), triclinic(), slab()):
        produced = set()
        for name in calculator.implemented_properties:
            try:
                calculator.get_property(name, atoms)
                produced.add(name)
            except PropertyNotImplementedError as error:
                assert "pbc" in str(error) or "periodic" in str(error)  # noqa: PT017
        assert set(calculator.results) == produced


@pytest.mark.parametrize("build", [molecule, single_atom, slab, NASTY["wire"]])
def test_stress_without_a_volume_is_refused(calculator, build):
    with pytest.raises(PropertyNotImplementedError, match="periodic in three directions"):
        calculator.get_property("stress", build())


def test_dipole_of_a_periodic_cell_is_refused(calculator):
    with pytest.raises(PropertyNotImplementedError, match="only up to lattice vectors"):
        calculator.get_property("dipole", slab())


def test_unknown_element_is_refused_when_attached_and_when_it_appears(calculator):
    with pytest.raises(InputError, match=r"knows H, C, O, Si; structure has N \(atoms 0, 1\)"):
        Atoms("N2", positions=[[0, 0, 0], [0, 0, 1.1]]).calc = calculator
    atoms = molecule()
    atoms.calc = calculator
    atoms.numbers[3] = 9
    with pytest.raises(InputError, match=r"structure has F \(atoms 3\)"):
        atoms.get_forces()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda a: a.positions.__setitem__((4, 0), np.nan), r"atoms 4"),
        (lambda a: a.positions.__setitem__(5, a.positions[2]), r"atoms 2 and 5 are"),
        (lambda a: a.__delitem__(slice(None)), r"at least one atom"),
        (lambda a: a.set_pbc(True), r"cell vector 0, which is zero"),
        (lambda a: a.info.__setitem__("charge", "minus one"), r"expected a number in e"),
    ],
    ids=["nan", "coincident", "empty", "zero cell with pbc", "charge"],
)
def test_bad_structures_are_named(calculator, spoil, message):
    atoms = molecule()
    spoil(atoms)
    with pytest.raises(InputError, match=message):
        calculator.get_property("energy", atoms)
    # and the calculator still works
    assert np.isfinite(calculator.get_property("energy", molecule()))


def test_atoms_that_meet_within_the_skin_are_an_error_not_nan(calculator):
    atoms = Atoms("H2", positions=[[0, 0, 0], [0, 0, 0.2]])
    atoms.calc = calculator
    atoms.get_forces()
    atoms.positions[1] = 0
    with pytest.raises(InputError, match="atoms 0 and 1"):
        atoms.get_forces()


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"dtype": "float16"}, "float32, float64"),
        ({"device": "quantum"}, "device"),
        ({"skin": -1.0}, "skin"),
        ({"neighbors": "matscipi"}, "did you mean 'matscipy'"),
    ],
)
def test_bad_keywords_are_named(model, keywords, message):
    with pytest.raises(InputError, match=message):
        PaiNNCalculator(model, **keywords)


def test_missing_model_lists_what_there_is():
    with pytest.raises(ModelError, match="bundled name"):
        PaiNNCalculator("ethanool")


def test_nothing_global_changes(model):
    state, threads, dtype = torch.random.get_rng_state(), torch.get_num_threads(), torch.get_default_dtype()
    numpy_state = np.random.get_state()[1].copy()  # noqa: NPY002
    calculator = PaiNNCalculator(model, dtype="float32")
    calculator.get_property("forces", molecule())
    assert torch.equal(torch.random.get_rng_state(), state)
    assert (torch.get_num_threads(), torch.get_default_dtype()) == (threads, dtype)
    np.testing.assert_array_equal(np.random.get_state()[1], numpy_state)  # noqa: NPY002
    assert model.dtype == torch.float64  # the model handed in was not cast under its owner


def test_parameters_are_json(calculator):
    from ase.io.jsonio import decode, encode

    assert decode(encode(calculator.todict())) == calculator.todict()


def test_large_crystal_and_its_unit_cell_agree(calculator):
    """A thousand atoms: the path of large systems gives the small one's answer."""
    cell = bulk("Si", cubic=True)
    big = cell.repeat((5, 5, 5))
    per_atom = calculator.get_property("energy", cell) / len(cell)
    assert calculator.get_property("energy", big) / len(big) == pytest.approx(per_atom, rel=1e-11)


def test_ensemble_of_models_gives_means_and_spreads_in_ase_shapes():
    models = [random_model(seed=seed) for seed in range(3)]
    together = PaiNNCalculator(models, dtype="float64")
    alone = [PaiNNCalculator(m, dtype="float64") for m in models]
    atoms = triclinic()
    for name in ("energy", "forces", "stress"):
        values = np.array([c.get_property(name, atoms) for c in alone])
        np.testing.assert_allclose(together.get_property(name, atoms), values.mean(0), atol=1e-12)
    forces = np.array([c.get_property("forces", atoms) for c in alone])
    spread = np.sqrt(((forces - forces.mean(0)) ** 2).sum((0, 2)) / 2)
    np.testing.assert_allclose(together.get_property("forces_std", atoms), spread, atol=1e-12)
    assert type(together.results["energy_std"]) is float
    with pytest.raises(PropertyNotImplementedError, match="periodic in three directions"):
        together.get_property("stress_std", molecule())
