"""Selection takes what is far from the known, and what models disagree about."""

import numpy as np
import pytest
from ase.build import bulk, molecule
from scipy.spatial.transform import Rotation

from painn_ase import PaiNNCalculator
from painn_ase.errors import InputError
from painn_ase.reference import (
    disagreement,
    distance_descriptors,
    environment_descriptors,
    farthest_points,
    model_descriptors,
    select,
)

from helpers.random_models import random_model


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
    "environments": environment_descriptors,
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


def committee():
    return [random_model(seed=seed, heads={"energy": {}}) for seed in (0, 1)]


def test_select_leaves_broken_geometries_out():
    frames = ethanols(5)
    scores = disagreement(frames, PaiNNCalculator(committee()))
    ceiling = np.sort(scores)[-2]
    for audits in (0, 5):
        chosen = select(frames, 5, models=committee(), ceiling=ceiling, audits=audits)
        assert {id(a) for a in chosen} == {id(frames[k]) for k in range(5) if k != np.argmax(scores)}


def test_select_writes_the_disagreement_and_orders_by_it():
    chosen = select(ethanols(6), 3, models=committee())
    scores = [atoms.info["forces_std"] for atoms in chosen]
    assert scores == sorted(scores, reverse=True)
    assert len(scores) == 3


@pytest.mark.parametrize("models", [0, 1, 2])
def test_select_avoids_known_frames(models):
    frames = ethanols(6)
    models = committee()[:models]
    chosen = select(frames, 6, models=models, known=frames[:4])
    assert {id(atoms) for atoms in chosen} == {id(atoms) for atoms in frames[4:]}


def test_a_committee_chooses_no_near_duplicates():
    """Ten frames 1e-4 Å apart of the geometry that is disputed most are one."""
    frames = ethanols(12)
    worst = frames[int(np.argmax(disagreement(frames, PaiNNCalculator(committee()))))]
    twins = [worst.copy() for _ in range(10)]
    for seed, twin in enumerate(twins):
        twin.rattle(1e-4, seed=seed)
    chosen = select([*frames, *twins], 22, models=committee())
    alike = [a for a in chosen if np.abs(a.positions - worst.positions).max() < 0.01]
    assert len(chosen) == 12
    assert len(alike) == 1


def test_weights_are_multiplied_by_distances():
    """On a line with 0 known: 3·1, 2·2 and 1·3 for the rows 1, 2, 3; after 2 all are one away."""
    line, weights = np.array([[1.0], [2.0], [3.0]]), np.array([3.0, 2.0, 1.0])
    assert farthest_points(line, 3, known=np.zeros((1, 1)), weights=weights).tolist() == [1, 0, 2]


def sources(**kinds):
    frames = ethanols(sum(kinds.values()))
    for atoms, name in zip(frames, [kind for kind, number in kinds.items() for _ in range(number)], strict=True):
        atoms.info["source"] = name
    return frames


def counted(chosen):
    names = [atoms.info["source"] for atoms in chosen]
    return {name: names.count(name) for name in sorted(set(names))}


def test_even_quotas_take_as_many_of_each_source():
    frames = sources(md_300K_min0=2, md_800K_min0=10, wigner_min0=5, wigner_min1=5)
    assert counted(select(frames, 8, quotas="even", models=committee()))["md_300K_min0"] == 2
    kinds = {"md_300K_min0": 2, "md_800K_min0": 4, "wigner": 4}  # the two minima are one kind
    found = counted(select(frames, 10, quotas="even"))
    assert {"wigner": found.pop("wigner_min0", 0) + found.pop("wigner_min1", 0)} | found == kinds


def test_quotas_by_pattern_leave_the_rest_to_other_sources():
    frames = sources(md_300K_min0=6, md_800K_min0=6, wigner_min0=6)
    chosen = select(frames, 9, quotas={"md_300K*": 5, "*wigner*": 1})
    assert counted(chosen) == {"md_300K_min0": 5, "md_800K_min0": 3, "wigner_min0": 1}
    with pytest.raises(InputError, match="md_300K, md_800K, wigner"):
        select(frames, 9, quotas={"dimer*": 5})
    with pytest.raises(InputError, match="add up"):
        select(frames, 9, quotas={"*": 10})


def test_audits_are_drawn_at_random_and_named():
    frames = sources(md=20)
    chosen = select(frames, 8, models=committee(), audits=3, seed=1)
    why = [atoms.info["selected"] for atoms in chosen]
    assert why == ["disagreement"] * 5 + ["audit"] * 3
    other = select(frames, 8, models=committee(), audits=3, seed=2)
    assert {id(a) for a in chosen[5:]} != {id(a) for a in other[5:]}
    assert len({id(a) for a in chosen}) == 8


def test_several_compositions_and_crystals_are_compared_by_environments():
    frames = [*ethanols(4), molecule("H2O"), molecule("CH4"), bulk("Si", cubic=True)]
    assert len(select([*frames, *frames], 14)) == 7
