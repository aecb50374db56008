"""Selection takes what is far from the known, and what models disagree about."""

import numpy as np
import pytest
from ase.build import molecule
from scipy.spatial.transform import Rotation

from painn_ase import PaiNNCalculator
from painn_ase.errors import InputError
from painn_ase.reference import (
    disagreement,
    distance_descriptors,
    farthest_points,
    model_descriptors,
    most_disagreed,
    select,
)

from random_models import random_model


def ethanols(count, amplitude=0.1):
    frames = [molecule("CH3CH2OH") for _ in range(count)]
    for seed, atoms in enumerate(frames):
        atoms.rattle(amplitude, seed=seed)
    return frames


def turned(atoms):
    """The same geometry in another orientation, with like atoms in another order."""
    order = np.argsort(-atoms.numbers, kind="stable")[::-1]
    copy = atoms[order]
    copy.positions = Rotation.random(rng=3).apply(copy.positions)
    return copy


DESCRIBE = {
    "distances": distance_descriptors,
    "model": lambda frames: model_descriptors(frames, random_model(heads={"energy": {}})),
}


def test_farthest_points_cover_a_line_by_halving():
    line = np.arange(0.0, 9.0)[:, None]
    assert farthest_points(line, 5).tolist() == [4, 0, 8, 2, 6]


def test_farthest_points_stay_away_from_known_rows():
    line = np.arange(0.0, 9.0)[:, None]
    assert farthest_points(line, 2, known=np.array([[0.0], [1.0]])).tolist() == [8, 4]  # 4 and 5 tie at 3 and 4
    assert farthest_points(line, 9, known=line[:8]).tolist() == [8]


def test_duplicates_are_never_chosen():
    rows = np.repeat(np.random.default_rng(0).normal(size=(4, 3)), 5, axis=0)
    chosen = farthest_points(rows, 20)
    assert len(chosen) == 4
    assert {index // 5 for index in chosen} == {0, 1, 2, 3}


def test_greedy_radius_is_at_most_twice_the_best():
    """Gonzalez' bound, against every choice of three out of twelve."""
    from itertools import combinations

    rows = np.random.default_rng(1).normal(size=(12, 2))
    distances = np.linalg.norm(rows[:, None] - rows, axis=-1)
    best = min(distances[:, list(choice)].min(axis=1).max() for choice in combinations(range(12), 3))
    assert distances[:, farthest_points(rows, 3)].min(axis=1).max() <= 2 * best


@pytest.mark.parametrize("describe", DESCRIBE.values(), ids=DESCRIBE)
def test_descriptors_ignore_orientation_and_order_of_like_atoms(describe):
    atoms = ethanols(1)[0]
    same, twin, other = describe([atoms, turned(atoms), ethanols(2)[1]])
    assert np.abs(same - twin).max() < 1e-10 * np.abs(same).max()  # float64 rounding
    assert np.abs(same - other).max() > 1e-3 * np.abs(same).max()


def test_sorted_distances_refuse_different_compositions():
    with pytest.raises(InputError, match="one composition"):
        distance_descriptors([molecule("CH3CH2OH"), molecule("H2O")])


def test_model_descriptors_compare_different_compositions():
    rows = model_descriptors([molecule("CH3CH2OH"), molecule("H2O")], random_model(heads={"energy": {}}))
    assert rows.shape == (2, 2 * 4 * 16)  # mean and deviation, elements, features
    assert (rows[1].reshape(4, 2, 16)[1] == 0).all()  # no carbon in water


def test_disagreement_is_the_largest_deviation_of_a_force():
    frames = ethanols(3)
    models = [random_model(seed=seed, heads={"energy": {}}) for seed in (0, 1)]
    scores = disagreement(frames, PaiNNCalculator(models, dtype="float64"))
    for atoms, score in zip(frames, scores, strict=True):
        forces = [PaiNNCalculator(m, dtype="float64").get_property("forces", atoms) for m in models]
        expected = np.linalg.norm(np.std(forces, axis=0, ddof=1), axis=1).max()
        assert score == pytest.approx(expected, rel=1e-9)
    with pytest.raises(InputError, match="several models"):
        disagreement(frames, PaiNNCalculator(models[0]))


def test_most_disagreed_leaves_broken_geometries_out():
    assert most_disagreed(np.array([0.1, 5.0, 0.3, 0.2]), 2, ceiling=1.0).tolist() == [2, 3]


def test_select_writes_the_disagreement_and_orders_by_it():
    models = [random_model(seed=seed, heads={"energy": {}}) for seed in (0, 1)]
    chosen = select(ethanols(6), 3, models=models)
    scores = [atoms.info["forces_std"] for atoms in chosen]
    assert scores == sorted(scores, reverse=True)
    assert len(scores) == 3


@pytest.mark.parametrize("models", [[], ["one"]])
def test_select_avoids_known_frames(models):
    frames = ethanols(6)
    models = [random_model(heads={"energy": {}})] if models else []
    chosen = select(frames, 6, models=models, known=frames[:4])
    assert {id(atoms) for atoms in chosen} == {id(atoms) for atoms in frames[4:]}
