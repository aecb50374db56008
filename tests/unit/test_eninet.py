"""The line graph and ENINet on it: arcs, angles, the ablation, and what pairs do not have to pass on."""

from functools import partial

import numpy as np
import pytest
import torch

from painn_ase import neighbors
from painn_ase.nn.line_graph import legendre, line_graph
from painn_ase.representations import ENINet, PaiNN

from helpers.systems import NASTY, molecule

graph_of = partial(neighbors.graph_of, cutoff=4.0)


@pytest.mark.parametrize("name", ["molecule", "triclinic", "crystal_atom", "single_atom", "slab"])
def test_arcs_are_all_ordered_pairs_of_pairs_at_one_atom(name):
    graph = graph_of(NASTY[name]())
    distances = graph.vectors().norm(dim=-1)
    lines = line_graph(graph, distances, 3.0)
    near = [p for p in range(graph.n_pairs) if distances[p] < 3.0]
    assert lines.pairs.tolist() == near
    expected = {(p, q) for p in near for q in near if p != q and graph.centers[p] == graph.centers[q]}
    found = list(zip(lines.pairs[lines.listeners].tolist(), lines.pairs[lines.speakers].tolist(), strict=True))
    assert len(found) == len(expected)
    assert set(found) == expected


def test_legendre_polynomials_are_those_of_numpy():
    x = torch.linspace(-1, 1, 11, dtype=torch.float64)
    for count in (1, 2, 6):
        np.testing.assert_allclose(
            legendre(x, count), np.polynomial.legendre.legvander(x.numpy(), count - 1), atol=1e-14
        )


def test_without_many_body_messages_it_is_painn():
    options = {"features": 8, "cutoff": 4.0, "epsilon": 0.05}
    painn, other = PaiNN(**options), ENINet(many_body=False, **options)
    other.load_state_dict(painn.state_dict())
    graph = graph_of(molecule())
    one, two = (network(graph, graph.vectors()) for network in (painn, other))
    assert torch.equal(one.scalars, two.scalars)
    assert torch.equal(one.vectors, two.vectors)


def test_a_pair_at_the_line_cutoff_has_nothing_to_say_and_hears_in_vain():
    """A pair that comes into the line graph changes the features continuously; by 1e-6 Å, with the cosine, by 1e-12."""
    torch.manual_seed(0)
    network = ENINet(features=8, cutoff=4.0, line_cutoff=2.5, channels=4).double()
    atoms = molecule()
    direction = atoms.positions[-1] - atoms.positions[0]
    direction /= np.linalg.norm(direction)
    found = []
    for distance in (2.5 - 1e-6, 2.5 + 1e-6):
        atoms.positions[-1] = atoms.positions[0] + distance * direction
        graph = graph_of(atoms)
        found.append((line_graph(graph, graph.vectors().norm(dim=-1), 2.5), network(graph, graph.vectors()).scalars))
    (inside, one), (outside, other) = found
    assert len(inside.pairs) == len(outside.pairs) + 2
    change = float((one - other).detach().abs().max())
    assert 0 < change < 1e-4  # the smooth rest of the network, in proportion to 2e-6 Å
