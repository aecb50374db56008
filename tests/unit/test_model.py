"""Building models: the paper's size, and mistakes that fail when the model is built."""

from functools import partial

import pytest
import torch

from painn_ase import neighbors
from painn_ase.derivatives import evaluate
from painn_ase.errors import InputError
from painn_ase.graph import batch
from painn_ase.model import Model

from helpers.random_models import ARCHITECTURES, random_model
from helpers.systems import NASTY


def config(**representation):
    return {"representation": {"kind": "painn", **representation}, "heads": {"energy": {}}, "elements": [1, 6, 8]}


graph_of = partial(neighbors.graph_of, cutoff=4.0)


def test_default_network_has_the_size_of_the_paper():
    """12,800 + 24,192 + 198,144 + 345,600 + 8,321: embedding, filters, messages, updates, readout."""
    model = Model.from_config(config())
    assert sum(p.numel() for p in model.parameters()) == 589_057


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (config() | {"head": {}}, "did you mean 'heads'"),
        ({"representation": {"kind": "painn"}, "heads": {"energy": {}}}, "'elements' is missing"),
        (config(kind="pain"), "did you mean 'painn'"),
        (config(feature=64), "did you mean 'features'"),
        (config(radial={"kind": "besel"}), "did you mean 'bessel'"),
        (config(radial={"kind": "bessel", "n": 3}), "unknown option 'n'"),
        (config(cutoff_function={"kind": "polynomial", "p": 1}), "p >= 2"),
        (config(activation="silly"), "did you mean 'silu'"),
        (config(cutoff=-1.0), "cutoff"),
        (config(features=0), "from 1 to 4096"),
        (config() | {"heads": {"dipol": {}}}, "did you mean 'dipole'"),
        (config() | {"heads": {"energy": {"hiden": [3]}}}, "did you mean 'hidden'"),
        (config() | {"heads": {}}, "at least one head"),
        (config() | {"elements": [0]}, "atomic numbers from 1 to 99"),
    ],
)
def test_mistakes_in_a_description_are_named(broken, message):
    with pytest.raises(InputError, match=message):
        Model.from_config(broken)


@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
def test_batch_gives_what_its_structures_give_alone(architecture):
    model = random_model(architecture)
    names = ["energy", "energies", "forces"]
    graphs = [graph_of(NASTY[name]()) for name in sorted(NASTY)]
    alone = [evaluate(model, g, names) for g in graphs]
    together = evaluate(model, batch(graphs), names)
    for name in names:
        torch.testing.assert_close(together[name], torch.cat([one[name] for one in alone]), rtol=1e-11, atol=1e-11)
    molecules = [g for g in graphs if not g.pbc.any()]
    tensors = sorted(model.properties & {"dipole", "polarizability"})
    together = evaluate(model, batch(molecules), tensors)
    for name in tensors:
        alone_values = torch.cat([evaluate(model, g, [name])[name] for g in molecules])
        # far_molecule sits 1000 Å away: its centred positions carry 1e-13 Å
        torch.testing.assert_close(together[name], alone_values, rtol=1e-9, atol=1e-9)
    crystals = [g for g in graphs if g.pbc.all()]
    together = evaluate(model, batch(crystals), ["stress"])
    alone_stress = torch.cat([evaluate(model, g, ["stress"])["stress"] for g in crystals])
    torch.testing.assert_close(together["stress"], alone_stress, rtol=1e-11, atol=1e-11)


def test_asking_for_what_a_model_lacks_names_what_it_has():
    model = random_model(heads={"energy": {}})
    with pytest.raises(InputError, match="provides energies, energy, forces, stress; asked for dipole"):
        evaluate(model, graph_of(NASTY["molecule"]()), ["dipole"])
    with pytest.raises(InputError, match="did you mean 'forces'"):
        evaluate(model, graph_of(NASTY["molecule"]()), ["force"])


def test_first_message_carries_no_vectors_and_a_lonely_atom_no_message():
    model = random_model()
    features = model.representation(graph_of(NASTY["single_atom"]()), torch.zeros(0, 3, dtype=torch.float64))
    assert torch.count_nonzero(features.vectors) == 0
    assert torch.isfinite(features.scalars).all()


def test_gradients_stay_finite_where_vectors_vanish():
    """A single atom and a perfect crystal have zero vectors: |V| needs its ε, or dipoles and training give NaN."""
    model = random_model()
    for name in ("single_atom", "crystal_atom"):
        graph = graph_of(NASTY[name]())
        results = evaluate(model, graph, ["energy", "forces"], create_graph=True)
        loss = results["energy"].sum() + results["forces"].square().sum()
        if not graph.pbc.any():
            loss = loss + evaluate(model, graph, ["dipole"])["dipole"].sum()
        gradients = torch.autograd.grad(loss, list(model.parameters()), allow_unused=True)
        assert all(torch.isfinite(g).all() for g in gradients if g is not None)
