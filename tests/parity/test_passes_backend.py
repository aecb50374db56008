"""The compiled passes as a backend: the same numbers as plain torch, in float64 to rounding."""

import copy
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch

from painn_ase.backends import PassesBackend, TorchBackend, choose_backend
from painn_ase.errors import InputError
from painn_ase.graph import batch
from painn_ase.native.library import why_unavailable
from painn_ase.neighbors import graph_of

from helpers.random_models import NATIVE, random_model
from helpers.training_cases import structures

pytestmark = pytest.mark.skipif(why_unavailable() is not None, reason="the compiled library was not built")

REPULSION = {"strength": 0.4, "sigma": 1.1, "power": 6.0}
MODELS = {
    **{name: {"architecture": name} for name in NATIVE},
    "repulsion": {"repulsion": REPULSION},
    "mixing bias": {"mixing_bias": True},
    "mean of references": {"heads": {"energy": {"mean": True, "mean_references": True}}},
    "other heads": {"heads": {"energy": {"linear": True}, "quadrupole": {}, "dipole": {}}},
}


def graph(kind: str = "molecules", skin: float = 0.0):
    return batch([graph_of(atoms, 4.0 + skin, charge=charge) for atoms, charge in structures(kind)])


@pytest.mark.parametrize("kind", ["molecules", "cells"])
@pytest.mark.parametrize("name", MODELS)
def test_energy_and_its_derivatives_are_those_of_the_network(name, kind):
    model = random_model(**MODELS[name])
    wanted = ["energy", "energies", "forces", *(["stress"] if kind == "cells" else [])]
    expected = TorchBackend(model, dtype="float64").evaluate(graph(kind), wanted)
    found = PassesBackend(model).evaluate(graph(kind), wanted)
    single = PassesBackend(model, "float32").evaluate(graph(kind), wanted)
    for key in wanted:
        scale = np.abs(expected[key]).max()
        np.testing.assert_allclose(found[key], expected[key], rtol=0, atol=1e-11 * scale)
        np.testing.assert_allclose(single[key], expected[key], rtol=0, atol=1e-5 * scale)


def test_pairs_beyond_the_cutoff_have_no_effect():
    backend = PassesBackend(random_model(repulsion=REPULSION))
    near, far = (backend.evaluate(graph(skin=skin), ["energy", "forces"]) for skin in (0.0, 1.0))
    for key, value in near.items():
        np.testing.assert_allclose(far[key], value, rtol=0, atol=1e-12 * np.abs(value).max())


def test_other_properties_are_read_off_the_same_weights():
    model, molecules = random_model(), graph()
    names = ["forces", "dipole", "polarizability"]
    expected = TorchBackend(model, dtype="float64").evaluate(molecules, names)
    found = PassesBackend(model).evaluate(molecules, names)
    for key in names:
        np.testing.assert_allclose(found[key], expected[key], rtol=1e-10, atol=1e-11)


def test_what_is_asked_for_later_belongs_to_the_same_graph():
    model, cells = random_model(heads={"energy": {}}), graph("cells")
    backend = PassesBackend(model)
    energy = backend.evaluate(cells, ["energy"])["energy"]
    later = backend.evaluate(cells, ["stress", "energy"])
    at_once = PassesBackend(model).evaluate(cells, ["energy", "stress"])
    moved = backend.evaluate(replace(cells, positions=cells.positions * 1.01), ["energy"])["energy"]
    np.testing.assert_array_equal(later["energy"], energy)
    np.testing.assert_array_equal(later["stress"], at_once["stress"])
    assert np.all(moved != energy)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda b: b.twin(), lambda b: pickle.loads(pickle.dumps(b))])
def test_copies_answer_alike_whatever_becomes_of_the_model(copied):
    model = random_model(repulsion=REPULSION)
    backend, molecules = PassesBackend(model), graph()
    forces = backend.evaluate(molecules, ["forces"])["forces"]
    twin = copied(backend)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(2.0)
    np.testing.assert_array_equal(twin.evaluate(molecules, ["forces"])["forces"], forces)
    again = replace(molecules, positions=molecules.positions.clone())
    np.testing.assert_array_equal(backend.evaluate(again, ["forces"])["forces"], forces)


def test_threads_make_the_same_bits():
    model, cells = random_model(), graph("cells")
    one, two = (PassesBackend(model, threads=n).evaluate(cells, ["energy", "forces", "stress"]) for n in (1, 2))
    for key in one:
        np.testing.assert_array_equal(one[key], two[key])


def test_float64_and_what_the_kernel_does_not_know_are_compiled_by_choice_of_the_package():
    plain, repulsive = random_model(), random_model(repulsion=REPULSION)
    assert isinstance(choose_backend(plain, dtype="float64"), PassesBackend)
    assert isinstance(choose_backend(plain, "native", dtype="float64"), PassesBackend)
    assert isinstance(choose_backend(repulsive), PassesBackend)
    assert isinstance(choose_backend(random_model("schnet"), dtype="float64"), TorchBackend)
    with pytest.raises(InputError, match="SchNet; use backend='torch'"):
        choose_backend(random_model("schnet"), "native", dtype="float64")


def test_stress_of_a_molecule_is_refused():
    with pytest.raises(InputError, match="three directions"):
        PassesBackend(random_model()).evaluate(graph(), ["stress"])
    with pytest.raises(InputError, match="this model has none"):
        PassesBackend(random_model(heads={"dipole": {}}))
