"""Every neighbour list finds the pairs that the brute-force oracle finds, and refuses what has no meaning."""

import copy
import itertools
import pickle

import numpy as np
import pytest
from ase.neighborlist import primitive_neighbor_list

from painn_ase.errors import InputError
from painn_ase.neighbors import NEIGHBOR_LISTS, Pairs, check_distances, neighbor_list
from painn_ase.neighbors.matscipy import MOST_BINS

from helpers.systems import NASTY, molecule, random_system, single_atom, slab, triclinic

ORACLE = neighbor_list("brute_force")
MATSCIPY = neighbor_list("matscipy")


def as_set(pairs: Pairs) -> set[tuple[int, ...]]:
    found = [tuple(map(int, p)) for p in zip(pairs.centers, pairs.neighbors, *pairs.shifts.T, strict=True)]
    assert len(set(found)) == len(found), "a pair is listed twice"
    return set(found)


def of(neighbors, atoms, cutoff):
    return neighbors(atoms.positions, atoms.cell.array, atoms.pbc, cutoff)


def nasty_and_random(count):
    rng = np.random.default_rng(7)
    for build in NASTY.values():
        yield build(), 4.9
    for _ in range(count):
        yield random_system(rng), rng.uniform(1.5, 6.0)


def ase_cell(atoms):
    """A cell for ASE's own list, which wants three long vectors in general directions."""
    cell = atoms.cell.copy()
    cell[~atoms.pbc] = 0.0
    return cell.complete().array


def test_random_systems_are_of_every_kind():
    systems = [atoms for atoms, _ in nasty_and_random(200)]
    assert {int(atoms.pbc.sum()) for atoms in systems} == {0, 1, 2, 3}
    assert {bool(np.linalg.det(atoms.cell.array) < 0) for atoms in systems if atoms.pbc.all()} == {True, False}
    assert any(len(atoms) == 1 for atoms in systems)
    assert any(not atoms.cell.array[~atoms.pbc].any() for atoms in systems if atoms.pbc.sum() == 2)


def test_matscipy_list_equals_the_oracle_on_nasty_and_200_random_systems():
    for atoms, cutoff in nasty_and_random(200):
        assert as_set(of(MATSCIPY, atoms, cutoff)) == as_set(of(ORACLE, atoms, cutoff)), atoms


def test_oracle_equals_ase_primitive_neighbor_list():
    for atoms, cutoff in nasty_and_random(60):
        i, j, shifts = primitive_neighbor_list("ijS", atoms.pbc, ase_cell(atoms), atoms.positions, cutoff)
        assert as_set(of(ORACLE, atoms, cutoff)) == as_set(Pairs(i, j, shifts)), atoms


@pytest.mark.parametrize("name", ["matscipy", "brute_force"])
def test_lists_are_full_sorted_within_the_cutoff_and_open_where_not_periodic(name):
    for atoms, cutoff in nasty_and_random(30):
        pairs = of(neighbor_list(name), atoms, cutoff)
        assert all(array.dtype == np.int64 for array in (pairs.centers, pairs.neighbors, pairs.shifts))
        assert pairs.shifts.shape == (len(pairs), 3)
        assert (np.diff(pairs.centers) >= 0).all()
        assert (pairs.shifts[:, ~atoms.pbc] == 0).all()
        assert (np.linalg.norm(pairs.vectors(atoms.positions, atoms.cell.array), axis=1) < cutoff).all()
        forward = as_set(pairs)
        assert forward == {(j, i, -a, -b, -c) for i, j, a, b, c in forward}


def test_one_atom_meets_the_images_that_a_lattice_sum_counts():
    # simple cubic lattice of 1 Å: vectors shorter than 2.5 are those of the shells 1, √2, √3, 2, √5, √6
    pairs = MATSCIPY(np.zeros((1, 3)), np.eye(3), [True] * 3, 2.5)
    assert len(pairs) == 6 + 12 + 8 + 6 + 24 + 24


def test_cell_of_a_molecule_does_not_matter():
    atoms = molecule()
    for cell in (np.zeros((3, 3)), 0.5 * np.eye(3), np.full((3, 3), np.nan), 1e6 * np.eye(3)):
        pairs = MATSCIPY(atoms.positions, cell, [False] * 3, 5.0)
        assert as_set(pairs) == as_set(of(ORACLE, atoms, 5.0))


def test_supercell_has_the_same_neighbors_per_atom():
    atoms = triclinic()
    once, eight = of(MATSCIPY, atoms, 5.0), of(MATSCIPY, atoms.repeat(2), 5.0)
    counts = np.bincount(once.centers, minlength=len(atoms))
    assert (np.bincount(eight.centers, minlength=8 * len(atoms)) == np.tile(counts, 8)).all()


def test_atom_flung_far_away_costs_no_memory_and_no_pairs():
    # bins of the size of the cutoff over this distance would fill 10¹⁸ of them
    atoms = molecule()
    atoms.positions[3] += 1e6
    pairs = of(MATSCIPY, atoms, 5.0)
    assert as_set(pairs) == as_set(of(ORACLE, atoms, 5.0))
    assert 3 not in pairs.centers


def test_long_chain_beyond_the_last_bin_is_complete():
    chain = np.zeros((2 * MOST_BINS, 3))
    chain[:, 0] = 1.7 * np.arange(len(chain))
    pairs = MATSCIPY(chain, np.zeros((3, 3)), [False] * 3, 1.0 + 0.8)  # neighbours in the chain only
    assert len(pairs) == 2 * (len(chain) - 1)


@pytest.mark.parametrize("name", ["matscipy", "brute_force"])
def test_arguments_are_left_alone(name):
    atoms = slab()
    before = atoms.copy()
    of(neighbor_list(name), atoms, 4.0)
    assert atoms == before


@pytest.mark.parametrize("name", ["matscipy", "brute_force"])
@pytest.mark.parametrize(
    ("positions", "cell", "pbc", "cutoff", "message"),
    [
        (np.zeros((0, 3)), np.zeros((3, 3)), [False] * 3, 5.0, "at least one atom"),
        (np.zeros((3, 2)), np.zeros((3, 3)), [False] * 3, 5.0, r"shape \(atoms, 3\); got \(3, 2\)"),
        ([[0, 0, 0], [0, 0, np.nan]], np.zeros((3, 3)), [False] * 3, 5.0, r"1 of 2 atoms .* \(atoms 1\)"),
        ([[0, 0, 0], [np.inf, 0, 0]], np.zeros((3, 3)), [False] * 3, 5.0, "NaN, infinity or beyond"),
        ([[0, 0, 0], [1e12, 0, 0]], 4 * np.eye(3), [True] * 3, 5.0, "below 1e[+]08 Å; 1 of 2 atoms"),
        (np.zeros((1, 3)), np.eye(3), [False] * 3, 0.0, "cutoff: expected a finite number above zero in Å; got 0.0"),
        (np.zeros((1, 3)), np.zeros((3, 3)), [True, False, False], 5.0, "cell vector 0, which is zero; set pbc=False"),
        (np.zeros((1, 3)), np.diag([4.0, 4.0, 0.0]), [True] * 3, 5.0, "cell vector 2, which is zero"),
        (np.zeros((1, 3)), np.diag([4.0, 4.0, 0.01]), [True] * 3, 5.0, "cell vector 2, which is 0.01 Å long"),
        (np.zeros((1, 3)), np.diag([4.0, np.nan, 4.0]), [True] * 3, 5.0, "cell vector 1, which is not finite"),
        (np.zeros((1, 3)), [[4, 0, 0], [0, 4, 0], [4, 4, 0]], [True] * 3, 5.0, "0, 1, 2, which are linearly dependent"),
        (np.zeros((1, 3)), [[4, 0, 0], [8, 0, 0], [0, 0, 4]], [True, True, False], 5.0, "0, 1, which are linearly"),
        (np.zeros((1, 3)), np.eye(2), [True] * 3, 5.0, r"shape \(3, 3\); got \(2, 2\)"),
        ([[0, 0, 0], [1, 1, 1], [1, 1, 1.0002]], np.zeros((3, 3)), [False] * 3, 5.0, "atoms 1 and 2 are 2.0e-04 Å"),
        ([[0, 0, 0], [4, 0, 8]], 4 * np.eye(3), [True] * 3, 5.0, r"atoms 0 and 1 \(periodic image \(-1, 0, -2\)\)"),
    ],
)
def test_meaningless_geometry_is_refused_with_the_way_out(name, positions, cell, pbc, cutoff, message):
    with pytest.raises(InputError, match=message):
        neighbor_list(name)(np.asarray(positions, dtype=float), np.asarray(cell, dtype=float), pbc, cutoff)


def test_linearly_dependent_vectors_without_pbc_are_no_error():
    pairs = MATSCIPY(np.zeros((1, 3)), np.array([[4.0, 0, 0], [8.0, 0, 0], [0, 0, 0]]), [True, False, False], 5.0)
    assert as_set(pairs) == {(0, 0, -1, 0, 0), (0, 0, 1, 0, 0)}


def test_check_distances_accepts_no_pairs():
    atoms = single_atom()
    check_distances(of(MATSCIPY, atoms, 5.0), atoms.positions, atoms.cell.array)


def test_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(
        InputError, match="matscipy, torch_cluster, brute_force; got 'matscypy'; did you mean 'matscipy'"
    ):
        neighbor_list("matscypy")


@pytest.mark.parametrize("name", ["matscipy", "brute_force"])
def test_lists_know_their_name_copy_and_pickle(name):
    neighbors = neighbor_list(name)
    for twin in (copy.deepcopy(neighbors), pickle.loads(pickle.dumps(neighbors))):
        assert twin.name == name
        assert as_set(of(twin, slab(), 4.0)) == as_set(of(neighbors, slab(), 4.0))
    assert set(NEIGHBOR_LISTS) == {"matscipy", "torch_cluster", "brute_force"}


@pytest.mark.parametrize("build", NASTY.values(), ids=NASTY)
def test_nasty_structures_have_no_atoms_on_top_of_each_other(build):
    atoms = build()
    pairs = of(ORACLE, atoms, 3.0)
    vectors = pairs.vectors(atoms.positions, atoms.cell.array)
    assert np.linalg.norm(vectors, axis=1).min(initial=3.0) > 0.7


def test_moving_atoms_by_cell_vectors_changes_shifts_only():
    atoms = triclinic()
    before = of(MATSCIPY, atoms, 4.0)
    jumps = np.array(list(itertools.islice(itertools.product((-2, 0, 3), repeat=3), 3, 3 + len(atoms))))
    atoms.positions += jumps @ atoms.cell.array
    after = of(MATSCIPY, atoms, 4.0)
    moved = Pairs(before.centers, before.neighbors, before.shifts - jumps[before.neighbors] + jumps[before.centers])
    assert as_set(after) == as_set(moved)


def test_a_few_atoms_in_a_huge_periodic_cell_take_no_time():
    """10 to 20 s went into emptying the bins of a cell of 10⁵ Å."""
    import time

    positions = np.array([[0.0, 0, 0], [0.96, 0, 0], [99_999.5, 0.5, 0]])
    for edge in (1e4, 1e5):
        started = time.process_time()
        pairs = neighbor_list("matscipy")(positions, edge * np.eye(3), True, 5.0)
        assert time.process_time() - started < 0.5
        expected = neighbor_list("brute_force")(positions, edge * np.eye(3), True, 5.0)
        assert len(pairs) == len(expected) > 0
