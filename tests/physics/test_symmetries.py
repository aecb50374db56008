"""Symmetries of space, of identical atoms and of lattices, for every head, architecture and precision."""

import numpy as np
import pytest
from ase import Atoms
from scipy.stats import ortho_group

from painn_ase import PaiNNCalculator

from helpers.random_models import ARCHITECTURES, random_model
from helpers.systems import NASTY, molecule, slab, triclinic

# float32 networks round at 6e-8 relative to their largest intermediate; a few hundred roundings add up
TOLERANCE = {"float64": 1e-10, "float32": 3e-5}


@pytest.fixture(scope="module", params=["float64", "float32"])
def dtype(request):
    return request.param


@pytest.fixture(scope="module", params=sorted(ARCHITECTURES))
def calculator(request, dtype):
    """One for all structures: building it takes longer than asking it."""
    return PaiNNCalculator(random_model(request.param), dtype=dtype)


def everything(calculator: PaiNNCalculator, atoms: Atoms) -> dict[str, np.ndarray]:
    """All properties that are defined for `atoms`; stress as a 3x3 matrix times the volume."""
    model = calculator.backend.model
    names = {"energy", "energies", "forces"} | (model.properties & {"dipole", "polarizability"})
    names -= model.molecular if atoms.pbc.any() else set()
    results = {name: np.asarray(calculator.get_property(name, atoms)) for name in names}
    if atoms.pbc.all():
        xx, yy, zz, yz, xz, xy = calculator.get_property("stress", atoms)
        results["virial"] = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]]) * atoms.get_volume()
    return results


def assert_equal(found: dict, expected: dict, tolerance: float) -> None:
    assert found.keys() == expected.keys()
    # pair contributions to a force can cancel to nothing; what is rounded is of the size of the energies and the virial
    largest = max(float(np.abs(expected.get(name, 0.0)).max()) for name in ("energies", "virial"))
    for name, value in expected.items():
        scale = max(1.0, largest, float(np.abs(value).max()))
        np.testing.assert_allclose(found[name], value, rtol=0, atol=tolerance * scale, err_msg=name)


def turned(results: dict, q: np.ndarray) -> dict:
    """How the properties must change when everything is turned by the orthogonal matrix q (row vectors: x qᵀ)."""
    rules = {"forces": lambda x: x @ q.T, "dipole": lambda x: q @ x}
    rules |= dict.fromkeys(("virial", "polarizability"), lambda x: q @ x @ q.T)
    return {name: rules.get(name, lambda x: x)(value) for name, value in results.items()}


@pytest.mark.parametrize("name", sorted(NASTY))
@pytest.mark.parametrize("handedness", [1, -1], ids=["rotation", "reflection"])
def test_properties_turn_with_the_structure(calculator, dtype, name, handedness):
    q = ortho_group.rvs(3, random_state=7)
    q *= handedness * np.linalg.det(q)
    atoms = NASTY[name]()
    image = atoms.copy()
    image.set_positions(atoms.positions @ q.T)
    image.set_cell(atoms.cell.array @ q.T)
    expected = turned(everything(calculator, atoms), q)
    # far from the origin the rotated positions themselves are rounded: 1000 Å in float64 leave 1e-13 Å
    assert_equal(everything(calculator, image), expected, TOLERANCE[dtype])


@pytest.mark.parametrize("name", sorted(NASTY))
def test_nothing_changes_when_the_structure_is_moved_by_100_angstrom(calculator, dtype, name):
    atoms = NASTY[name]()
    expected = everything(calculator, atoms)
    atoms.positions += [100.0, -60.0, 80.0]
    assert_equal(everything(calculator, atoms), expected, TOLERANCE[dtype])


@pytest.mark.parametrize("name", ["molecule", "slab", "triclinic"])
def test_order_of_atoms_does_not_matter(calculator, dtype, name):
    atoms = NASTY[name]()
    order = np.random.default_rng(3).permutation(len(atoms))
    expected = everything(calculator, atoms)
    for per_atom in ("forces", "energies"):
        expected[per_atom] = expected[per_atom][order]
    assert_equal(everything(calculator, atoms[order]), expected, TOLERANCE[dtype])


@pytest.mark.parametrize("name", ["slab", "tilted_slab", "wire", "triclinic", "left_handed"])
def test_atoms_may_be_moved_by_whole_cell_vectors(calculator, dtype, name):
    atoms = NASTY[name]()
    expected = everything(calculator, atoms)
    jumps = np.random.default_rng(5).integers(-4, 5, (len(atoms), 3)) * atoms.pbc
    atoms.positions += jumps @ atoms.cell.array
    assert_equal(everything(calculator, atoms), expected, TOLERANCE[dtype])


def test_cell_of_a_molecule_does_not_matter(calculator, dtype):
    assert_equal(
        everything(calculator, NASTY["molecule_with_cell"]()), everything(calculator, molecule()), TOLERANCE[dtype]
    )


def test_distant_molecules_add_up(calculator, dtype):
    atoms, other = molecule(), molecule()
    other.rotate(70, "y")
    other.rattle(0.1, seed=1)
    apart = other.copy()
    apart.positions += [0.0, 50.0, 0.0]
    one, two, both = (everything(calculator, a) for a in (atoms, other, atoms + apart))
    assert both["energy"] == pytest.approx(one["energy"] + two["energy"], abs=TOLERANCE[dtype] * 100)
    np.testing.assert_allclose(both["forces"], np.concatenate([one["forces"], two["forces"]]), atol=TOLERANCE[dtype])


@pytest.mark.parametrize("name", ["triclinic", "left_handed", "crystal_atom", "slab"])
def test_supercell_has_the_energy_forces_and_stress_of_its_cells(calculator, dtype, name):
    atoms = NASTY[name]()
    repeats = tuple(2 if periodic else 1 for periodic in atoms.pbc)
    copies = int(np.prod(repeats))
    one, many = everything(calculator, atoms), everything(calculator, atoms.repeat(repeats))
    expected = one | {
        "energy": one["energy"] * copies,
        "energies": np.tile(one["energies"], copies),
        "forces": np.tile(one["forces"], (copies, 1)),
    }
    for extensive in {"virial", "polarizability"} & one.keys():  # the latter per cell, where it is not from positions
        expected[extensive] = one[extensive] * copies
    assert_equal(many, expected, 3 * TOLERANCE[dtype])


def test_forces_sum_to_zero_and_exert_no_torque(calculator, dtype):
    atoms = molecule()
    atoms.rattle(0.1, seed=2)
    forces = everything(calculator, atoms)["forces"]
    np.testing.assert_allclose(forces.sum(0), 0, atol=10 * TOLERANCE[dtype])
    np.testing.assert_allclose(np.cross(atoms.positions, forces).sum(0), 0, atol=100 * TOLERANCE[dtype])


def test_random_models_are_worth_testing():
    """The vectors of the networks matter: without them the tests above would pass for the wrong reason."""
    results = everything(PaiNNCalculator(random_model(), dtype="float64"), molecule())
    alpha = results["polarizability"]
    assert np.abs(alpha - np.trace(alpha) / 3 * np.eye(3)).max() > 1e-2
    assert np.linalg.norm(results["dipole"]) > 1e-2
    assert np.abs(results["forces"]).max() > 1e-2
    for periodic in (slab(), triclinic()):
        calculator = PaiNNCalculator(random_model(), dtype="float64")
        for name in ("dipole", "polarizability", "born_effective_charges"):
            with pytest.raises(NotImplementedError, match="periodic"):
                calculator.get_property(name, periodic)
