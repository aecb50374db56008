"""A structure that several domains share has the energies, forces and stress that it has in one piece."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.neighborlist import neighbor_list

from painn_ase import PaiNNCalculator
from painn_ase.backends.kernel import Kernel
from painn_ase.native import library as c

from helpers.domains import Slab, evaluate_in_slabs
from helpers.native_systems import RUNNABLE, water_box
from helpers.random_models import NATIVE, random_model

pytestmark = pytest.mark.skipif(not RUNNABLE, reason="the native kernel was not built")

ENERGY = {"heads": {"energy": {}}}


def silicon(*size: int) -> Atoms:
    atoms = bulk("Si", cubic=True) * size
    atoms.set_cell(atoms.cell.array @ [[1.01, 0, 0], [0.2, 1, 0], [0.13, -0.1, 1]], scale_atoms=True)
    atoms.rattle(0.05, seed=1)
    return atoms


def assert_same(model, atoms: Atoms, shared: dict[str, np.ndarray]) -> None:
    """Equal to the calculator within float32 rounding of the largest force."""
    whole = atoms.copy()
    whole.calc = PaiNNCalculator(model, backend="native")
    forces = whole.get_forces()
    scale = max(1.0, np.abs(forces).max())
    assert np.abs(shared["forces"] - forces).max() < 3e-6 * scale
    np.testing.assert_allclose(shared["energies"], whole.get_potential_energies(), rtol=3e-6, atol=3e-6)
    np.testing.assert_allclose(shared["virials"].sum(axis=0), shared["virial"], rtol=1e-9, atol=1e-9)
    if atoms.pbc.all():
        stress = whole.get_stress(voigt=False)
        assert np.abs(shared["virial"] / atoms.get_volume() - stress).max() < 3e-6 * max(1.0, np.abs(stress).max())


@pytest.mark.parametrize("architecture", NATIVE)
@pytest.mark.parametrize("slabs", [1, 2, 3])
@pytest.mark.parametrize("images", [False, True])
def test_domains_agree_with_the_whole(architecture, slabs, images):
    atoms = silicon(1, 2, 2)
    model = random_model(architecture, **ENERGY)
    assert_same(model, atoms, evaluate_in_slabs(model, atoms, slabs, images=images))


def test_images_have_their_atoms_features_and_hand_on_what_they_hear():
    """An engine may pass features on from ghost to ghost: an image says what its atom says, and hears for its atom."""
    kernel, atoms = Kernel(random_model(features=16, interactions=3, **ENERGY), ""), bulk("Si", cubic=True)
    slab = Slab(kernel, atoms, np.arange(8), neighbor_list("ijS", atoms, 5.0), 1, images=True)
    image = slab.owned + 5
    atom = int(slab.images[5])
    slab.call("forward", 0, slab.positions.ctypes.data)
    nodes = slab.get(c.NODES, 96, [image])
    assert np.array_equal(nodes, slab.get(c.NODES, 96, [atom]))
    slab.put(c.NODES, [image], nodes + 1)
    assert np.array_equal(nodes, slab.get(c.NODES, 96, [atom]))
    for t in (1, 2):
        slab.call("forward", t, slab.positions.ctypes.data)
    slab.call("backward", 2)
    before = slab.get(c.HEARD, 80, [atom])
    slab.put(c.HEARD, [image], np.ones((1, 80), dtype=np.float32))
    assert not slab.get(c.HEARD, 80, [image]).any()
    assert np.array_equal(slab.get(c.HEARD, 80, [atom]), before + 1)


@pytest.mark.parametrize("interactions", [1, 2, 4])
@pytest.mark.parametrize("features", [16, 64])
def test_any_number_of_interactions_with_and_without_radial_sums(interactions, features):
    """With 64 features and 4 radial functions the first message goes through moments, with 16 it does not."""
    model = random_model(features=features, interactions=interactions, radial={"kind": "bessel", "count": 4}, **ENERGY)
    atoms = water_box(3)
    assert_same(model, atoms, evaluate_in_slabs(model, atoms, 2))


@pytest.mark.parametrize("instruction_set", RUNNABLE)
def test_every_instruction_set(instruction_set):
    model = random_model(features=48, radial={"kind": "bessel", "count": 4}, **ENERGY)
    atoms = water_box(2)
    assert_same(model, atoms, evaluate_in_slabs(model, atoms, 2, instruction_set=instruction_set))


@pytest.mark.parametrize("images", [False, True])
def test_cells_smaller_than_the_cutoff_molecules_and_empty_domains(images):
    model = random_model(**ENERGY)  # and more domains than some have atoms
    for atoms in (bulk("Si"), molecule("CH3CH2OH"), Atoms("O", pbc=False), Atoms("OH", [[0, 0, 0], [0, 0, 1]])):
        atoms.rattle(0.05, seed=2)
        assert_same(model, atoms, evaluate_in_slabs(model, atoms, 3, images=images))


def test_bits_do_not_depend_on_threads():
    model = random_model(features=32, **ENERGY)
    atoms = silicon(2, 2, 2)
    one, two = (evaluate_in_slabs(model, atoms, 2, threads=threads) for threads in (1, 2))
    for name, value in one.items():
        assert np.array_equal(value, two[name])


def test_sorted_domains_agree_with_the_whole():
    """From 512 atoms on, atoms and ghosts are kept in the order of a curve through space."""
    model = random_model(**ENERGY)
    atoms = silicon(5, 5, 6)
    assert_same(model, atoms, evaluate_in_slabs(model, atoms, 2))


def test_wrong_rows_and_elements_are_refused():
    model = random_model(**ENERGY)
    kernel = Kernel(model, "")
    atoms = molecule("H2O")
    empty = np.zeros(0, int), np.zeros(0, int), np.zeros((0, 3), int)
    slab = Slab(kernel, atoms, np.arange(3), empty, 1)
    with pytest.raises(AssertionError, match="two different atoms"):
        slab.set(atoms.numbers.astype(np.int32), [[7], [], []])
    with pytest.raises(AssertionError, match="atomic number 14 is none"):
        slab.set(np.array([14, 1, 1], dtype=np.int32), [[], [], []])
    with pytest.raises(AssertionError, match="expected atoms before"):
        slab.call("forward", 0, slab.positions.ctypes.data)
    with pytest.raises(AssertionError, match="rows of the embedding"):
        Slab(kernel, Atoms("Fm"), np.arange(1), empty, 1)


def test_energies_that_are_means_have_no_domains():
    kernel = Kernel(random_model(heads={"energy": {"mean": True}}), "")
    with pytest.raises(AssertionError, match="sum over atoms"):
        Slab(kernel, Atoms("O"), np.arange(1), (np.zeros(0, int), np.zeros(0, int), np.zeros((0, 3), int)), 1)
