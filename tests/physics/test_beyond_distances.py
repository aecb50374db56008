"""What networks can tell apart: pairs of structures that agree in all that distances, or local angles, can say."""

import importlib.util
from collections import Counter
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

# the example makes the claim; here it is proved
_path = Path(__file__).parents[2] / "examples" / "09_beyond_distances.py"
_spec = importlib.util.spec_from_file_location("beyond_distances", _path)
example = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(example)

SEEDS = range(5)
CUTOFF = example.PAIRS["chains"][1]
BLIND = {  # which pairs a network cannot tell apart
    "SchNet": {"rectangles", "chains", "opposed bonds", "rings"},
    "PaiNN without vectors": {"rectangles", "chains", "opposed bonds", "rings"},
    "PaiNN, vectors stay local": {"chains", "opposed bonds"},
    "PaiNN": {"opposed bonds"},
    "PaiNN with a cross product": {"opposed bonds"},
    "PaiNN with tensors": {"opposed bonds"},
    "ACE": {"chains"},
    "ENINet without many-body vectors": {"opposed bonds"},
    "SchNet in tensor frames": {"opposed bonds"},
    "SchNet in tensor frames, scalar messages": {"chains", "opposed bonds"},
    "PaiNN in tensor frames": {"opposed bonds"},
}
NETWORKS = dict(example.NETWORKS) | {
    "PaiNN with a cross product": {"kind": "painn_variant", "cross_product": True},
    "PaiNN with tensors": {"kind": "painn_variant", "tensor_features": True},
    "MACE with a fusion block": {"kind": "mace", "interactions": 2, "fusion": [["A", "A"], "A"]},
    "Cormorant with a fusion block": {"kind": "cormorant", "features": 8, "fusion": ["M", ["F", "M"]]},
    "ENINet without many-body vectors": {"kind": "eninet", "many_body": False},
    "SchNet in tensor frames, scalar messages": {"kind": "tensor_frames", "vector_channels": 0, "tensor_channels": 0},
}


def neighborhoods(atoms, cutoff):
    """Per atom: its neighbours' indices and vectors within the cutoff."""
    vectors = atoms.positions[None] - atoms.positions[:, None]
    distances = np.linalg.norm(vectors, axis=-1)
    near = (distances < cutoff) & ~np.eye(len(atoms), dtype=bool)
    return [[(j, vectors[i, j]) for j in np.flatnonzero(near[i])] for i in range(len(atoms))]


def label(*numbers):
    return tuple(round(float(x), 9) + 0.0 for x in numbers)


def distance_classes(atoms, cutoff):
    """Atoms sorted by all that rounds of messages over distances can ever tell of them (colour refinement)."""
    colors, around = list(atoms.numbers), neighborhoods(atoms, cutoff)
    for _ in range(len(atoms) + 1):  # no more rounds than atoms can refine the classes
        colors = [
            hash((colors[i], tuple(sorted((label(np.linalg.norm(v)), colors[j]) for j, v in around[i]))))
            for i in range(len(atoms))
        ]
    return Counter(colors)


def angle_classes(atoms, cutoff):
    """The same with the angles between every two neighbours in each message, too."""
    colors, around = list(atoms.numbers), neighborhoods(atoms, cutoff)
    for _ in range(len(atoms) + 1):
        seen = []
        for i in range(len(atoms)):
            singles = sorted((label(np.linalg.norm(v)), colors[j]) for j, v in around[i])
            doubles = sorted(
                (*sorted([(label(np.linalg.norm(v)), colors[j]), (label(np.linalg.norm(w)), colors[k])]), label(v @ w))
                for (j, v), (k, w) in combinations(around[i], 2)
            )
            seen.append(hash((colors[i], tuple(singles), tuple(doubles))))
        colors = seen
    return Counter(colors)


def gram_spectrum(atoms):
    """Invariant of the whole structure under motion: the eigenvalues of its weighted matrix of scalar products."""
    x = (atoms.positions - atoms.positions.mean(0)) * np.sqrt(atoms.numbers)[:, None]
    return np.linalg.eigvalsh(x.T @ x)


def full_distances(atoms):
    """All distances with what they join: equal for congruent structures, and here for the rectangles, too."""
    pairs = combinations(range(len(atoms)), 2)
    return Counter((label(atoms.get_distance(i, j)), *sorted(atoms.numbers[[i, j]])) for i, j in pairs)


def test_rectangles_agree_in_every_distance_with_any_cutoff():
    one, other = example.rectangles()
    assert full_distances(one) == full_distances(other)
    for cutoff in (1.3, 1.5, 2.2, 5.0):
        assert distance_classes(one, cutoff) == distance_classes(other, cutoff)
    assert len(distance_classes(one, 5.0)) == 2  # all carbon atoms look alike, and all oxygen atoms


def test_rectangles_are_not_the_same_structure():
    one, other = example.rectangles()
    assert np.abs(gram_spectrum(one) - gram_spectrum(other)).max() > 0.1
    assert angle_classes(one, 5.0) != angle_classes(other, 5.0)


def test_chains_agree_in_every_distance_and_angle_within_the_cutoff():
    one, other = example.chains()
    assert distance_classes(one, CUTOFF) == distance_classes(other, CUTOFF)
    assert angle_classes(one, CUTOFF) == angle_classes(other, CUTOFF)
    assert all(1 <= len(around) <= 2 for atoms in (one, other) for around in neighborhoods(atoms, CUTOFF))


def test_chains_are_not_the_same_structure():
    one, other = example.chains()
    assert full_distances(one) != full_distances(other)


def test_opposed_bonds_agree_in_distances_and_in_sums_of_directions_but_not_in_angles():
    one, other = example.opposed()
    assert distance_classes(one, 1.3) == distance_classes(other, 1.3)
    assert angle_classes(one, 1.3) != angle_classes(other, 1.3)
    for atoms in (one, other):
        (bonds, *others) = neighborhoods(atoms, 1.3)
        np.testing.assert_allclose(sum(v for _, v in bonds), 0, atol=1e-15)
        assert all([j for j, _ in around] == [0] for around in others)


@pytest.mark.parametrize("pair", example.PAIRS)
@pytest.mark.parametrize("network", NETWORKS)
def test_networks_tell_apart_what_they_should_for_every_initialisation(network, pair):
    for seed in SEEDS:
        one, other = example.energies(NETWORKS[network], *example.PAIRS[pair], seed)
        if pair in BLIND.get(network, ()):
            assert abs(one - other) < 1e-12 * max(1.0, abs(one)), seed  # sums in another order: rounding
        else:
            assert abs(one - other) > 1e-7, seed  # eV; rounding is 1e-15


@pytest.mark.parametrize("interactions", [1, 6])
def test_more_rounds_of_distances_do_not_help(interactions):
    for pair in example.PAIRS.values():
        one, other = example.energies({"kind": "schnet", "interactions": interactions}, *pair, seed=0)
        assert abs(one - other) < 1e-12 * max(1.0, abs(one))


def test_two_six_rings_and_two_five_rings_are_one_graph_to_messages_but_not_in_space():
    """The textbook failure of colour refinement (1-WL). A cutoff below the second neighbours leaves bonds alone."""
    one, other = example.rings()
    assert distance_classes(one, 2.3) == distance_classes(other, 2.3)
    assert angle_classes(one, 2.3) != angle_classes(other, 2.3)
    assert sorted(map(len, neighborhoods(one, 2.3))) == [2] * 8 + [3] * 2
    for network in ("SchNet", "PaiNN without vectors"):  # blind within 2.3 Å; distances across a ring suffice
        assert abs(np.diff(example.energies(NETWORKS[network], (one, other), 3.0, 0))) > 1e-7
