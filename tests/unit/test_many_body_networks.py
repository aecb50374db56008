"""Networks of many-body messages, ICTP and MACE: their layers' tensors, their body order, their options."""

import itertools
from functools import partial

import numpy as np
import pytest
import torch

from painn_ase import neighbors
from painn_ase.errors import InputError
from painn_ase.graph import AtomicGraph
from painn_ase.nn import packed, spherical
from painn_ase.nn.atomic_basis import NeighborSum
from painn_ase.nn.two_body import TwoBody
from painn_ase.representations import ICTP, MACE, Cormorant, Representation

from helpers.systems import molecule, triclinic

graph_of = partial(neighbors.graph_of, cutoff=4.0)


def network(kind=ICTP, **options):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return kind(**{"features": 4, "cutoff": 4.0, **options}).double()


@pytest.mark.parametrize("max_rank", [2, 3])
@pytest.mark.parametrize("build", [molecule, triclinic])
def test_tensors_stay_symmetric_and_traceless_through_every_layer(max_rank, build):
    model, seen = network(max_rank=max_rank, hidden_rank=max_rank, interactions=3), []
    for layer in model.layers:
        for module in (layer.two_body, layer.products, layer):
            module.register_forward_hook(lambda _module, _inputs, output: seen.append(output.detach()))
    graph = graph_of(build())
    features = model(graph, graph.vectors())
    assert len(seen) == 9
    checked = 0
    for h in seen:
        for rank in range(2, max_rank + 1):
            if not len(h[packed.span(rank)]):
                continue  # the last layer, whose features of rank 3 no head could read
            tensors = packed.unpack(h[packed.span(rank)], rank)
            scale = tensors.abs().max()
            assert scale > 1e-3
            assert (tensors - tensors.transpose(0, rank - 1)).abs().max() < 1e-12 * scale
            assert torch.einsum("ii...->...", tensors).abs().max() < 1e-12 * scale
            checked += 1
    assert checked == (9 if max_rank == 2 else 7 + 9)
    t = features.tensors.detach()
    assert (t - t.transpose(1, 2)).abs().max() < 1e-12
    assert torch.einsum("aiif->af", t).abs().max() < 1e-12


def center_scalars(model: Representation, positions: np.ndarray) -> torch.Tensor:
    """Scalars of the first of these carbon atoms, all within the cutoff of it."""
    n = len(positions)
    i, j = (x.ravel() for x in np.meshgrid(range(n), range(n), indexing="ij"))
    keep = i != j
    graph = AtomicGraph.from_arrays(
        np.full(n, 6), positions, i[keep], j[keep], np.zeros((keep.sum(), 3)), pbc=[False] * 3
    )
    with torch.no_grad():
        return model(graph, graph.vectors()).scalars[0]


@pytest.mark.parametrize(
    ("correlation", "kind", "options"),
    [
        *((n, ICTP, {"correlation": n, "coupled": coupled}) for n in (1, 2, 3) for coupled in (False, True)),
        *((n, MACE, {"correlation": n}) for n in (1, 2, 3)),
        (2, MACE, {"fusion": ["A", "A"]}),
        (3, MACE, {"fusion": [["A", "A"], "A"]}),
        (2, Cormorant, {"fusion": ["M", ["F", "M"]]}),
    ],
)
def test_one_layer_correlates_exactly_as_many_neighbours_as_asked(correlation, kind, options):
    """Σ over subsets S of the neighbours of (-1)^|S| s(S) vanishes for more than `correlation` of them, not before."""
    model = network(kind, interactions=1, **options)
    if kind is Cormorant:  # its invariants F_l · F_l double the order
        model.readout.weight.data[:, model.features :] = 0.0
    neighbors = np.random.default_rng(1).normal(size=(4, 3)) * 1.2
    for count in range(1, 5):
        total = sum(
            (-1) ** size * center_scalars(model, np.concatenate([np.zeros((1, 3)), neighbors[list(chosen)]]))
            for size in range(count + 1)
            for chosen in itertools.combinations(range(count), size)
        )
        assert (total.abs().max() < 1e-12) == (count > correlation), count


def test_messages_are_sums_over_neighbours_of_cartesian_products():
    """A of the second kind of layer (neighbours with tensors), against a loop over pairs and paths."""
    model = network(max_rank=2, hidden_rank=2)
    two_body, graph = model.layers[1].two_body, graph_of(triclinic())
    near = model._neighborhoods(graph, graph.vectors())
    h = torch.randn(9, graph.n_atoms, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    found = two_body(h, near)
    vectors = graph.vectors()
    d = vectors.norm(dim=1)
    t = packed.harmonics(vectors / d[:, None], 2)
    r = two_body.radial(model.radial(d) * model.cutoff_function(d)[:, None]).unflatten(1, (3, 4))  # (pairs, l1, F)
    g = two_body.up(h)
    expected = torch.zeros_like(found)
    for l3, mix in enumerate(two_body.mix):
        for (l1, l2), weight in zip(packed.even_paths(2, 2, l3), mix.weight, strict=True):
            g_j = r[:, None, l1] * g[packed.span(l1)][:, graph.neighbors].transpose(0, 1)  # (pairs, 2l1+1, F)
            product = torch.einsum("cab,paf,pb->pcf", packed.coupling(l1, l2, l3), g_j, t[l2])
            sums = torch.zeros(graph.n_atoms, 2 * l3 + 1, 4, dtype=torch.float64)
            sums = sums.index_add(0, graph.centers, product)
            expected[packed.span(l3)] += (sums @ weight).transpose(0, 1) * two_body.scales[l3]
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_atomic_basis_of_mace_is_a_sum_over_neighbours_with_a_radial_function_per_path():
    """MACE's A-features, neighbours with tensors, against a loop over pairs and paths."""
    model = network(MACE, hidden_rank=2)
    basis, graph = model.layers[1].two_body, graph_of(triclinic())
    h = torch.randn(9, graph.n_atoms, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    vectors = graph.vectors()
    d = vectors.norm(dim=1)
    y = spherical.harmonics(vectors / d[:, None], 2)
    r = basis.radial(model.radial(d) * model.cutoff_function(d)[:, None]).unflatten(1, (-1, 4))  # (pairs, paths, F)
    g, sums = basis.sums.up(h), basis.sums
    weights = [w for mix in sums.mix for w in mix.weight]
    assert len(sums.paths) == len(set(sums.paths)) == len(weights) == 3 + 4 + 4
    expected = torch.zeros_like(h)
    for k, ((l1, l2, l3), weight) in enumerate(zip(sums.paths, weights, strict=True)):
        g_j = r[:, None, k] * g[packed.span(l2)][:, graph.neighbors].transpose(0, 1)  # (pairs, 2l2+1, F)
        product = torch.einsum("cab,pa,pbf->pcf", spherical.clebsch_gordan(l1, l2, l3), y[l1], g_j)
        total = torch.zeros(graph.n_atoms, 2 * l3 + 1, 4, dtype=torch.float64).index_add(0, graph.centers, product)
        expected[packed.span(l3)] += (total @ weight).transpose(0, 1) * sums.scales[l3]
    torch.testing.assert_close(basis(h, model._neighborhoods(graph, vectors)), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("build", [molecule, triclinic])
@pytest.mark.parametrize(
    ("kind", "options"), [(ICTP, {"hidden_rank": 2}), (MACE, {"hidden_rank": 2}), (Cormorant, {"interactions": 2})]
)
def test_two_body_tensors_start_alike_whatever_the_structures(build, kind, options):
    """Before training, A has components of RMS 1/2 for sparse and for dense structures: its cubes stay in hand."""
    model, seen = network(kind, **options), []
    graph = graph_of(build())
    model.adapt([graph] * 40)
    for module in model.modules():
        if isinstance(module, TwoBody | NeighborSum):
            module.register_forward_hook(lambda _module, _inputs, output: seen.append(output.detach()))
    model(graph, graph.vectors())
    sizes = [float(a[packed.span(rank)].square().mean().sqrt()) for a in seen for rank in range(3)]
    assert sizes == pytest.approx([0.5] * 6, rel=1e-6)


@pytest.mark.parametrize("kind", [ICTP, MACE, Cormorant])
def test_atoms_with_few_neighbours_do_not_feel_the_empty_slots_of_others(kind):
    """A batch pads every atom to the largest number of neighbours; what is padded is nothing at all."""
    model, atoms = network(kind), molecule()
    pair = atoms[:2]
    pair.positions += 100.0
    alone, together = graph_of(pair), graph_of(atoms + pair)
    features = model(alone, alone.vectors()).scalars
    torch.testing.assert_close(model(together, together.vectors()).scalars[-2:], features, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("kind", [ICTP, MACE, Cormorant])
@pytest.mark.parametrize(
    ("options", "rank"),
    [
        ({}, 2),
        ({"max_rank": 3}, 2),
        ({"hidden_rank": 0}, 2),
        ({"max_rank": 1}, 1),
        ({"output_rank": 0}, 0),
        ({"max_rank": 0}, 0),
    ],
)
def test_features_have_the_ranks_that_heads_are_promised(kind, options, rank):
    options = {name: value for name, value in options.items() if name in kind().config}  # Cormorant: no hidden_rank
    model, graph = network(kind, **options), graph_of(molecule())
    features = model(graph, graph.vectors())
    assert model.max_rank == rank
    assert (features.vectors is not None) == (rank >= 1)
    assert (features.tensors is not None) == (rank >= 2)
    assert kind(**model.config).config == model.config


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_rank": 4}, "max_rank: expected a whole number from 0 to 3"),
        ({"max_rank": 1, "hidden_rank": 2}, "hidden_rank: expected a whole number from 0 to 1"),
        ({"max_rank": 1, "output_rank": 2}, "output_rank: expected a whole number from 0 to 1"),
        ({"correlation": 4}, "correlation: expected a whole number from 1 to 3"),
        ({"cutoff": -1.0}, "cutoff"),
        ({"radial_layers": [0]}, "radial_layers"),
        ({"features": 0}, "features"),
        ({"kind": MACE, "correlation": 4}, "MACE correlation: expected a whole number from 1 to 3"),
        ({"kind": MACE, "fusion": ["A", "B"]}, r'fusion: expected pairs of A .* as \[\["A", "A"\], "A"\]; got \'B\''),
        ({"kind": Cormorant, "max_rank": 4}, "Cormorant max_rank: expected a whole number from 0 to 3"),
        ({"kind": Cormorant, "fusion": ["F"]}, "fusion: expected pairs of F or M"),
    ],
)
def test_impossible_options_are_named(options, message):
    with pytest.raises(InputError, match=message):
        network(**options)


def test_a_float32_network_in_float64_turns_exactly():
    """Products are constants of the algebra, not weights: a cast does not leave their rounding behind."""
    model = network().float().double()
    atoms = molecule()
    q = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    turned = atoms.copy()
    turned.positions = atoms.positions @ q.T
    one, two = graph_of(atoms), graph_of(turned)
    t, u = model(one, one.vectors()).tensors, model(two, two.vectors()).tensors
    q = torch.from_numpy(q)
    torch.testing.assert_close(u, torch.einsum("ij,ajkf,lk->ailf", q, t, q), rtol=1e-12, atol=1e-12)
