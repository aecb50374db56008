"""Frames that keep coming train or validate for ever."""

import numpy as np
from ase.build import molecule

from painn_ase.data.sides import sides


def test_frames_stay_on_their_side_of_the_split():
    frames = [molecule("H2O") for _ in range(60)]
    for seed, atoms in enumerate(frames):
        atoms.rattle(0.05, seed=seed)
    before: tuple[set, set] = (set(), set())
    for count in range(2, 61):
        now = tuple({id(atoms) for atoms in side} for side in sides(frames[:count]))
        assert all(old <= new for old, new in zip(before, now, strict=True))
        assert now[0]
        assert now[1]
        assert not now[0] & now[1]
        before = now
    assert 3 <= len(before[1]) <= 14  # one in eight of 58, and one


def test_positions_decide_the_side():
    atoms = [molecule("H2O") for _ in range(4)]
    assert [len(side) for side in sides(atoms[:1])] == [1, 1]
    assert np.sum([len(side) for side in sides(atoms)]) == 4
