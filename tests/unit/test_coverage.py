"""What training data covered: exact where it is countable, invariant as physics is, and silent about similar data."""

import json
from functools import partial
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule

from painn_ase import neighbors
from painn_ase.coverage import CLOSER, FARTHER, STRONGER, Coverage
from painn_ase.coverage.environments import Environments, Prototypes
from painn_ase.errors import ModelError

CUTOFF = 5.0
TRAIN = Path(__file__).parents[2] / "models" / "ethanol" / "data" / "train.extxyz"


graph_of = partial(neighbors.graph_of, cutoff=CUTOFF)


def coverage_of(frames: list[Atoms], forces=()) -> Coverage:
    return Coverage.of([graph_of(a) for a in frames], forces, CUTOFF)


def rattled(atoms: Atoms, count: int, seed: int, size: float = 0.05) -> list[Atoms]:
    rng = np.random.default_rng(seed)
    frames = [atoms.copy() for _ in range(count)]
    for frame in frames:
        frame.positions += size * rng.normal(size=frame.positions.shape)
    return frames


@pytest.fixture(scope="module")
def ethanol():
    frames = ase.io.read(TRAIN, ":200")
    return frames, coverage_of(frames, [a.get_forces() for a in frames])


def test_the_shortest_distances_and_the_largest_force_are_those_of_the_data(ethanol):
    frames, coverage = ethanol
    for (a, b), shortest in coverage.closest.items():
        distances = [f.get_all_distances() for f in frames]
        expected = min(
            d[i, j]
            for f, d in zip(frames, distances, strict=True)
            for i in range(len(f))
            for j in range(i)
            if sorted(f.numbers[[i, j]]) == [a, b]
        )
        assert shortest == pytest.approx(expected, rel=1e-4)  # five digits are stored
    largest = max(np.linalg.norm(f.get_forces(), axis=1).max() for f in frames)
    assert coverage.force == pytest.approx(largest, rel=1e-4)
    assert coverage.structures == 200


def test_training_structures_lie_inside(ethanol):
    frames, coverage = ethanol
    assert all(coverage.graph(graph_of(f)) is None for f in frames)
    assert max(coverage.score(graph_of(f)).max() for f in frames) <= 1.0 + 1e-3  # stored digits


@pytest.mark.parametrize("count", [20, 200])
def test_new_structures_of_the_same_kind_lie_inside_also_where_data_are_few(count):
    coverage = coverage_of(rattled(molecule("CH3CH2OH"), count, seed=0))
    scores = [coverage.score(graph_of(f)).max() for f in rattled(molecule("CH3CH2OH"), 100, seed=1)]
    # of few frames the extremes are not known: a rare frame outside is right
    assert np.mean(np.array(scores) > FARTHER) <= (0.1 if count == 20 else 0.02)


def test_scores_do_not_depend_on_the_frame_nor_on_the_order_of_atoms(ethanol):
    frames, coverage = ethanol
    atoms = frames[0].copy()
    order = np.random.default_rng(0).permutation(len(atoms))
    turned = atoms[order]
    turned.rotate(73, (1, 2, 3))
    turned.translate([10, -20, 30])
    # the network of pairs is the same; what is left is rounding
    assert coverage.score(graph_of(turned)) == pytest.approx(coverage.score(graph_of(atoms))[order], abs=1e-9)


def test_a_supercell_scores_as_its_cell():
    small = bulk("Si", cubic=True)
    coverage = coverage_of(rattled(small, 20, seed=0))
    moved = rattled(small, 1, seed=5)[0]
    one, many = (coverage.score(graph_of(a)) for a in (moved, moved.repeat((2, 1, 3))))
    assert many == pytest.approx(np.tile(one, 6), abs=1e-9)


def test_pairs_beyond_the_cutoff_are_not_looked_at(ethanol):
    frames, coverage = ethanol
    wide = graph_of(frames[3], cutoff=CUTOFF + 1.5)
    assert wide.n_pairs > graph_of(frames[3], cutoff=3.0).n_pairs
    assert coverage.score(wide) == pytest.approx(coverage.score(graph_of(frames[3])), abs=1e-12)
    assert coverage.graph(wide) is None


def test_a_closer_pair_is_named(ethanol):
    _, coverage = ethanol
    atoms = molecule("CH3CH2OH")
    shortest = coverage.closest[6, 8]
    c, o = 1, 2
    atoms.set_distance(c, o, shortest - CLOSER + 0.001, fix=0)
    assert "and 2 (O)" not in (coverage.graph(graph_of(atoms)) or "")
    atoms.set_distance(c, o, shortest - CLOSER - 0.001, fix=0)
    sentence = coverage.graph(graph_of(atoms))
    assert "atoms 1 (C) and 2 (O)" in sentence
    assert f"{shortest:.3g} Å" in sentence


def test_a_pair_of_elements_that_never_met_is_named(ethanol):
    _, coverage = ethanol
    two = molecule("CH3CH2OH")
    other = molecule("CH3CH2OH")
    other.translate([0, 0, 4.5])
    two += other
    assert "no such pair within 5 Å" in coverage.graph(graph_of(two))


@pytest.mark.parametrize(("i", "j", "length"), [(2, 3, 2.0), (1, 2, 2.2), (0, 1, 2.4)], ids=["O-H", "C-O", "C-C"])
def test_a_bond_torn_apart_is_strange(ethanol, i, j, length):
    _, coverage = ethanol
    atoms = molecule("CH3CH2OH")
    assert coverage.graph(graph_of(atoms)) is None
    assert sorted(atoms.numbers[[i, j]]) == sorted(atoms.numbers[[j, i]])
    atoms.set_distance(i, j, length, fix=0)
    assert coverage.graph(graph_of(atoms)) is not None


def test_one_strong_force_is_named_and_many_weak_ones_are_not():
    coverage = Coverage(CUTOFF, {}, 2.0, {}, 1)
    weak = np.full((10_000, 3), 1.0)  # longer together than the limit, each below it
    assert coverage.forces(weak) is None
    weak[1234] = [0.0, 0.0, STRONGER * 2.0 + 0.01]
    assert "atom 1234" in coverage.forces(weak)
    assert Coverage(CUTOFF, {}, None, {}, 1).forces(1e9 * weak) is None


def test_a_file_holds_it_in_kilobytes(ethanol):
    frames, coverage = ethanol
    text = json.dumps(coverage.to_dict())
    assert len(text) < 25_000
    again = Coverage.from_dict(json.loads(text), CUTOFF)
    assert again.to_dict() == coverage.to_dict()
    for frame in frames[:5]:
        assert (again.score(graph_of(frame)) == coverage.score(graph_of(frame))).all()


@pytest.mark.parametrize(
    "damage",
    [
        lambda t: t.pop("closest"),
        lambda t: t["closest"].update({"C-Xx": 1.0}),
        lambda t: t["environments"]["C"].update(mean=[1.0]),
        lambda t: t["environments"]["C"].update(prototypes="many"),
        lambda t: t["environments"]["C"].update(prototypes=[]),
        lambda t: t.update(cutoff=1e300),
        lambda t: t.update(structures=None),
        lambda t: t.update(environments=[]),
    ],
)
def test_a_damaged_record_is_refused(ethanol, damage):
    table = json.loads(json.dumps(ethanol[1].to_dict()))
    damage(table)
    with pytest.raises(ModelError, match="coverage is damaged"):
        Coverage.from_dict(table, CUTOFF)


def test_distances_of_several_elements_at_once_are_those_of_the_formula():
    rng = np.random.default_rng(4)
    elements = [Environments.of(rng.normal(size=(count, 6)) + count) for count in (5, 60)]
    densities, kinds = rng.normal(scale=3.0, size=(9, 6)), rng.integers(2, size=9)
    found = Prototypes(elements).distances(densities, kinds)
    for x, k, distance in zip(densities, kinds, found, strict=True):
        one = elements[k]
        along = one.axes @ (x - one.mean)
        rest = x - one.mean - along @ one.axes
        expected = min(np.sqrt(((along - p) ** 2).sum() + rest @ rest) for p in one.prototypes)
        assert distance == pytest.approx(expected, rel=1e-4)  # axes are kept with five digits
