"""A Verlet list gives the pairs of a fresh list at every step, whatever happened in between."""

import copy
import pickle

import numpy as np
import pytest

from painn_ase.errors import InputError
from painn_ase.neighbors import VerletList, neighbor_list
from painn_ase.neighbors.geometry import complete_cell

from helpers.systems import NASTY, crystal_atom, molecule, random_system, slab, triclinic, unwrapped, wire

MATSCIPY = neighbor_list("matscipy")


def verlet(cutoff=4.0, skin=1.0):
    return VerletList(MATSCIPY, cutoff, skin)


def update(skinned, atoms):
    return skinned.update(atoms.positions, atoms.cell.array, atoms.pbc)


def assert_equals_fresh_list(neighborhood, atoms, cutoff):
    """The skin's pairs within the cutoff are those of a new list, after the jumps of the atoms are taken off S."""
    positions, pairs = neighborhood.positions, neighborhood.pairs
    cell = complete_cell(atoms.cell.array, atoms.pbc)
    fractional = (atoms.positions - positions) @ np.linalg.inv(cell)
    jumps = np.rint(fractional).astype(int)
    assert np.abs(fractional - jumps).max() < 1e-9  # whole cell vectors, up to rounding
    assert not jumps[:, ~atoms.pbc].any()
    near = np.linalg.norm(pairs.vectors(positions, cell), axis=1) < cutoff
    shifts = pairs.shifts + jumps[pairs.centers] - jumps[pairs.neighbors]
    mine = sorted(zip(pairs.centers[near], pairs.neighbors[near], *shifts[near].T, strict=True))
    fresh = MATSCIPY(atoms.positions, atoms.cell.array, atoms.pbc, cutoff)
    assert mine == sorted(zip(fresh.centers, fresh.neighbors, *fresh.shifts.T, strict=True))


def disturb(atoms, rng):
    """One step of a hostile simulation: noise, drift, strain with or without the atoms, wrapping, jumps."""
    atoms.positions += rng.choice([0.0, 0.02, 0.1, 0.6]) * rng.normal(size=atoms.positions.shape)
    if rng.random() < 0.2:
        atoms.positions += rng.normal(size=3)
    if rng.random() < 0.5:
        strain = np.eye(3) + rng.choice([0.002, 0.02, 0.2]) * rng.uniform(-1, 1, (3, 3))
        atoms.set_cell(atoms.cell.array @ strain, scale_atoms=False)
        if rng.random() < 0.7:
            atoms.positions = atoms.positions @ strain
    if atoms.pbc.any() and rng.random() < 0.5:
        _jump(atoms, rng)


def _jump(atoms, rng):
    """Atoms into the cell (where ASE can do it), or by random whole cell vectors."""
    if atoms.cell.rank == 3 and rng.random() < 0.5:
        atoms.wrap()
    else:
        jumps = rng.integers(-2, 3, atoms.positions.shape) * atoms.pbc
        atoms.positions += jumps @ atoms.cell.array


def test_skin_equals_a_fresh_list_on_120_random_paths_of_strain_noise_and_wrapping():
    rng = np.random.default_rng(11)
    builds = reuses = 0
    for _ in range(120):
        atoms = random_system(rng)
        cutoff = rng.uniform(2.0, 5.0)
        skinned = verlet(cutoff, rng.choice([0.0, 0.3, 1.0, 2.0]))
        for _ in range(12):
            assert_equals_fresh_list(update(skinned, atoms), atoms, cutoff)
            disturb(atoms, rng)
            if min(np.linalg.svd(atoms.cell.array[atoms.pbc])[1], default=1.0) < 1.0:
                break  # the random strain has flattened the cell
        builds += skinned.builds
        reuses += skinned.reuses
    assert min(builds, reuses) > 100  # both branches were walked


def test_skin_equals_a_fresh_list_on_gentle_npt_paths_and_is_reused():
    rng = np.random.default_rng(12)
    for build in NASTY.values():
        atoms = build()
        skinned = verlet()
        for _ in range(25):
            assert_equals_fresh_list(update(skinned, atoms), atoms, 4.0)
            strain = np.eye(3) + 0.002 * rng.uniform(-1, 1, (3, 3))
            center = atoms.positions.mean(axis=0)
            atoms.set_cell(atoms.cell.array @ strain)
            atoms.positions = (atoms.positions - center) @ strain + center + 0.02 * rng.normal(size=(len(atoms), 3))
            if atoms.pbc.any():
                _jump(atoms, rng)
        assert skinned.reuses > 15, build.__name__


def test_shrinking_cell_brings_in_every_new_pair():
    atoms = triclinic()
    skinned = verlet()
    update(skinned, atoms)
    atoms.set_cell(0.7 * atoms.cell.array, scale_atoms=True)  # no atom moves against the lattice
    assert_equals_fresh_list(update(skinned, atoms), atoms, 4.0)
    assert skinned.builds == 2


def test_one_shrinking_cell_vector_is_enough_to_rebuild():
    atoms = crystal_atom()
    skinned = verlet(6.0, 0.4)
    update(skinned, atoms)
    atoms.cell[2] *= 0.8
    assert_equals_fresh_list(update(skinned, atoms), atoms, 6.0)
    assert skinned.builds == 2


def test_rotating_or_expanding_with_the_lattice_costs_no_rebuild():
    atoms = unwrapped()
    skinned = verlet(skin=0.1)
    pairs = update(skinned, atoms).pairs
    quarter_turn = np.array([[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    for change in (quarter_turn, 1.3 * np.eye(3), quarter_turn.T):  # |F⁻¹|₂ <= 1 and u = 0
        atoms.set_cell(atoms.cell.array @ change, scale_atoms=True)
        after = update(skinned, atoms)
        assert after.pairs is pairs
        assert_equals_fresh_list(after, atoms, 4.0)


@pytest.mark.parametrize("build", [unwrapped, triclinic, slab], ids=lambda build: build.__name__)
def test_wrapping_costs_no_rebuild_and_leaves_the_continuous_positions(build):
    atoms = build()
    atoms.positions -= 0.4 * atoms.cell.array[0]  # so that some atom is outside
    skinned = verlet()
    before = update(skinned, atoms)
    atoms.wrap()
    assert np.abs(atoms.positions - before.positions).max() > 1.0
    after = update(skinned, atoms)
    assert after.pairs is before.pairs
    assert np.abs(after.positions - before.positions).max() < 1e-12  # rounding of a few Å
    assert (skinned.builds, skinned.reuses) == (1, 1)


def test_wire_without_other_cell_vectors_follows_its_jumps():
    atoms = wire()
    skinned = verlet()
    pairs = update(skinned, atoms).pairs
    atoms.positions[1] -= 3 * atoms.cell.array[1]
    after = update(skinned, atoms)
    assert after.pairs is pairs
    assert_equals_fresh_list(after, atoms, 4.0)


def test_pairs_are_the_same_object_until_two_atoms_moved_half_the_skin():
    atoms = molecule()
    skinned = verlet(skin=1.0)
    first = update(skinned, atoms).pairs
    atoms.positions[4, 1] += 0.49
    assert update(skinned, atoms).pairs is first
    atoms.positions[4, 1] += 0.02
    assert update(skinned, atoms).pairs is not first
    assert (skinned.builds, skinned.reuses) == (2, 1)


def test_without_a_skin_every_move_builds_and_only_a_move():
    atoms = triclinic()
    skinned = verlet(skin=0.0)
    first = update(skinned, atoms).pairs
    assert update(skinned, atoms).pairs is first
    atoms.positions[0, 0] += 1e-9
    assert update(skinned, atoms).pairs is not first
    atoms.set_cell(atoms.cell.array * (1 + 1e-9), scale_atoms=True)
    update(skinned, atoms)
    assert (skinned.builds, skinned.reuses) == (3, 1)


def test_cell_of_a_molecule_may_change_freely():
    atoms = molecule()
    skinned = verlet()
    update(skinned, atoms)
    for cell in (np.eye(3), 7.0 * np.eye(3), np.full((3, 3), np.nan)):
        skinned.update(atoms.positions, cell, atoms.pbc)
    assert (skinned.builds, skinned.reuses) == (1, 3)


def test_new_pbc_or_number_of_atoms_builds_anew():
    atoms = triclinic()
    skinned = verlet()
    update(skinned, atoms)
    atoms.pbc = [True, True, False]
    assert_equals_fresh_list(update(skinned, atoms), atoms, 4.0)
    del atoms[2]
    assert_equals_fresh_list(update(skinned, atoms), atoms, 4.0)
    assert skinned.builds == 3


def test_arrays_of_the_caller_are_neither_kept_nor_changed():
    atoms = triclinic()
    before = atoms.copy()
    skinned = verlet()
    first = update(skinned, atoms)
    again = update(skinned, atoms)
    assert atoms == before
    atoms.positions += 100.0  # in place, as ASE does
    atoms.cell[:] = 50.0
    for neighborhood in (first, again):
        assert np.array_equal(neighborhood.positions, before.positions)
        assert not np.shares_memory(neighborhood.positions, atoms.positions)
        neighborhood.positions[:] = np.nan  # and a consumer cannot reach the reference
    assert update(skinned, before).pairs is first.pairs


@pytest.mark.parametrize("bad", [np.nan, -np.inf, 1e200])
@pytest.mark.parametrize("build", [molecule, triclinic], ids=lambda build: build.__name__)
def test_broken_positions_are_refused_and_the_list_survives(build, bad):
    atoms = build()
    skinned = verlet()
    pairs = update(skinned, atoms).pairs
    broken = atoms.copy()
    broken.positions[0, 0] = bad
    with pytest.raises(InputError, match="NaN, infinity or beyond"):
        update(skinned, broken)
    assert update(skinned, atoms).pairs is pairs


def test_broken_cell_is_refused():
    atoms = triclinic()
    skinned = verlet()
    update(skinned, atoms)
    for cell, message in (
        (np.zeros((3, 3)), "zero"),
        (np.full((3, 3), np.nan), "not finite"),
        (np.ones((3, 3)), "depend"),
    ):
        with pytest.raises(InputError, match=message):
            skinned.update(atoms.positions, cell, atoms.pbc)


@pytest.mark.parametrize("skin", [-0.1, np.nan, np.inf])
def test_meaningless_skin_is_refused(skin):
    with pytest.raises(InputError, match="skin: expected a finite number"):
        verlet(skin=skin)


@pytest.mark.parametrize(
    "twin_of", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))], ids=["deepcopy", "pickle"]
)
def test_copies_carry_the_list_and_go_their_own_way(twin_of):
    atoms = triclinic()
    skinned = verlet()
    update(skinned, atoms)
    twin = twin_of(skinned)
    update(twin, atoms)
    assert (twin.builds, twin.reuses) == (1, 1)
    atoms.positions[0] += 2.0
    assert_equals_fresh_list(update(twin, atoms), atoms, 4.0)
    assert (skinned.builds, skinned.reuses) == (1, 0)
