"""What an importer has no counterpart for is refused by its name, and nothing of a network is lost unseen."""

import json

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from painn_ase.errors import InputError, ModelError
from painn_ase.importers import schnetpack

from helpers.foreign_checkpoints import SMALL_ATTRIBUTES, SMALL_KINDS, SchNetPackPickle, small_network, small_pickle

UNITS = {"energy_unit": "kcal/mol", "length_unit": "Ang"}


def refused(pickle, tmp_path, *words):
    """The sentence must hold all of `words`."""
    with pytest.raises(ModelError) as refusal:
        schnetpack.load(pickle.save(tmp_path / "m"), **UNITS)
    assert all(word in str(refusal.value) for word in words), str(refusal.value)


def retyped(place, kind):
    """The small network with another class at `place`."""
    pickle = small_pickle()
    pickle.module(place).__class__ = type(pickle.new(kind))
    return pickle


@pytest.mark.parametrize(
    ("place", "kind"),
    [
        ("", "schnetpack.task.AtomisticTask"),
        ("representation", "schnetpack.representation.so3net.SO3net"),
        ("representation", "schnetpack.representation.schnet.SchNet"),
        ("representation", "schnetpack.representation.field_schnet.FieldSchNet"),
        ("representation.embedding", "schnetpack.nn.embedding.NuclearEmbedding"),
        ("representation.radial_basis", "schnetpack.nn.radial.SomeRBF"),
        ("representation.cutoff_fn", "schnetpack.nn.cutoff.SwitchFunction"),
        ("input_modules.0", "schnetpack.atomistic.external_fields.StaticExternalFields"),
        ("output_modules.1", "schnetpack.atomistic.response.Response"),
        ("output_modules.1", "schnetpack.atomistic.nuclear_repulsion.ZBLRepulsionEnergy"),
        ("postprocessors.0", "schnetpack.transform.atomistic.ScaleProperty"),
    ],
)
def test_a_part_without_an_equal_is_refused_by_name(place, kind, tmp_path):
    refused(retyped(place, kind), tmp_path, kind.rpartition(".")[2])


def test_embeddings_of_charge_and_spin_are_refused(tmp_path):
    pickle = small_pickle()
    embeddings = pickle.new("torch.nn.modules.container.ModuleList")
    embeddings.add_module("0", pickle.new("schnetpack.nn.embedding.ElectronicEmbedding"))
    pickle.module("representation").add_module("electronic_embeddings", embeddings)
    refused(pickle, tmp_path, "charge or spin")


def test_an_additional_part_is_refused(tmp_path):
    pickle = small_pickle()
    pickle.module("representation").add_module("attention", pickle.new("schnetpack.nn.base.Dense"))
    refused(pickle, tmp_path, "attention")


def test_a_tensor_that_nothing_explains_is_refused(tmp_path):
    pickle = small_pickle()
    pickle.module("representation").register_buffer("correction", torch.ones(3))
    refused(pickle, tmp_path, "representation.correction")


def test_a_missing_tensor_is_named(tmp_path):
    state = small_network()
    del state["representation.mixing.1.mu_channel_mix.weight"]
    refused(SchNetPackPickle(state, SMALL_KINDS, SMALL_ATTRIBUTES), tmp_path, "mixing.1", "mu_channel_mix")


def test_a_misfit_tensor_is_named_with_both_shapes(tmp_path):
    pickle = small_pickle(representation__interactions__0__interatomic_context_net__0__weight=np.zeros((8, 9), "f4"))
    refused(pickle, tmp_path, "interactions.0", "(8, 8)", "(8, 9)")


def test_an_unknown_activation_is_named(tmp_path):
    pickle = small_pickle()
    pickle.activate(functional.softplus)
    refused(pickle, tmp_path, "softplus")


def test_mixed_activations_are_refused(tmp_path):
    pickle = small_pickle()
    pickle.module("representation.mixing.0.intraatomic_context_net.0").activation = functional.tanh
    refused(pickle, tmp_path, "one activation")


def test_forward_hooks_are_refused(tmp_path):
    pickle = small_pickle()
    pickle.module("representation")._forward_hooks[0] = "changes the result"
    refused(pickle, tmp_path, "not a plain torch module")


def test_offsets_of_another_property_are_refused(tmp_path):
    pickle = small_pickle()
    vars(pickle.module("postprocessors.1"))["_property"] = "gap"
    refused(pickle, tmp_path, "'gap'")


def test_outputs_per_atom_and_of_several_values_are_refused(tmp_path):
    for attribute, value in (("aggregation_mode", None), ("aggregation_mode", "max"), ("n_out", 3)):
        pickle = small_pickle()
        vars(pickle.module("output_modules.0"))[attribute] = value
        refused(pickle, tmp_path, "aggregation_mode")


DIPOLE = {"type": "DipoleMoment", "predict_magnitude": True}


def hyperparameters(*outputs):
    return {"representation": {}, "output_modules": [{"type": "Atomwise"}, *outputs]}


def state_file(tmp_path, extra=()):
    state = {name: value for name, value in small_network().items() if not name.startswith("postprocessors")}
    np.savez(tmp_path / "state.npz", **state, **dict(extra))
    return tmp_path / "state.npz"


def test_the_magnitude_of_a_dipole_is_refused_with_the_reason(tmp_path):
    with pytest.raises(ModelError, match="magnitude"):
        schnetpack.load(state_file(tmp_path), hyperparameters=hyperparameters(DIPOLE), **UNITS)


def test_units_must_be_known_and_complete(tmp_path):
    path = small_pickle().save(tmp_path / "m")
    with pytest.raises(InputError, match="did you mean 'kcal/mol'"):
        schnetpack.load(path, energy_unit="kcal/mole", length_unit="Ang")
    with pytest.raises(TypeError):
        schnetpack.load(path, energy_unit="eV")
    f = small_network()
    extra = {
        f"output_modules.1.outnet.{k}.{name}": f[f"output_modules.0.outnet.{k}.{name}"]
        for k in (0, 1)
        for name in ("weight", "bias")
    }
    with pytest.raises(InputError, match="dipole_unit"):
        schnetpack.load(state_file(tmp_path, extra), hyperparameters=hyperparameters({"type": "DipoleMoment"}), **UNITS)


@pytest.mark.parametrize("elements", [["C", "Xx"], [0], [], ["C", 100]])
def test_elements_must_exist(elements, tmp_path):
    with pytest.raises(InputError, match="elements"):
        schnetpack.load(small_pickle().save(tmp_path / "m"), elements=elements, **UNITS)


def test_elements_can_be_given_and_are_noted_when_they_are_not(tmp_path):
    path = small_pickle().save(tmp_path / "m")
    assert schnetpack.load(path, elements=["O", "C", 1], **UNITS).elements == (1, 6, 8)
    free = schnetpack.load(path, **UNITS)
    assert free.elements == tuple(range(1, 100))
    assert "elements" in free.provenance["imported"]["notes"][0]


def test_hyperparameters_may_lie_in_a_file_and_are_checked(tmp_path):
    path, file = state_file(tmp_path), tmp_path / "h.json"
    file.write_text(json.dumps(hyperparameters()))
    schnetpack.load(path, hyperparameters=file, **UNITS)
    for content in ("{", "[]"):
        file.write_text(content)
        with pytest.raises(InputError, match="JSON"):
            schnetpack.load(path, hyperparameters=file, **UNITS)
    with pytest.raises(ModelError, match="'actvation'"):
        schnetpack.load(path, hyperparameters={**hyperparameters(), "representation": {"actvation": "silu"}}, **UNITS)
    for wrong in ({"output_modules": ["Atomwise"]}, {"output_modules": 3}, {"postprocessors": [[]]}):
        with pytest.raises(ModelError, match="object"):
            schnetpack.load(path, hyperparameters=hyperparameters() | wrong, **UNITS)
    for wrong in ({"activation": []}, {"activation": "silly"}, {"epsilon": "small"}):
        with pytest.raises(ModelError, match=r"cannot be built|epsilon"):
            schnetpack.load(path, hyperparameters=hyperparameters() | {"representation": wrong}, **UNITS)
    with pytest.raises(ModelError, match="SomeHead"):
        schnetpack.load(path, hyperparameters=hyperparameters({"type": "SomeHead"}), **UNITS)


def test_importing_leaves_the_random_numbers_of_the_process_alone(tmp_path):
    path = small_pickle().save(tmp_path / "m")
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    schnetpack.load(path, **UNITS)
    assert torch.equal(torch.rand(3), expected)


def test_a_plain_torch_network_is_refused(tmp_path):
    torch.save(nn.Sequential(nn.Linear(2, 2)), tmp_path / "m")
    with pytest.raises(ModelError, match="Sequential"):
        schnetpack.load(tmp_path / "m", **UNITS)
    torch.save({"weights": torch.zeros(2)}, tmp_path / "m")
    with pytest.raises(ModelError, match="dict"):
        schnetpack.load(tmp_path / "m", **UNITS)
