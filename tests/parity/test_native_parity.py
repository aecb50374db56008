"""The native kernel says what the torch backend says in float64, to the rounding of float32."""

import numpy as np
import pytest
import torch
from ase import Atoms

from painn_ase import load_model
from painn_ase.backends import NativeBackend, TorchBackend
from painn_ase.graph import batch
from painn_ase.native.library import why_unavailable
from painn_ase.neighbors import graph_of
from painn_ase.structures import read_structure

from helpers.native_systems import RUNNABLE, pulled, water_box
from helpers.random_models import NATIVE, random_model
from helpers.systems import NASTY

pytestmark = pytest.mark.skipif(why_unavailable() is not None, reason=str(why_unavailable()))

# Of the largest force, dipole, ... of the system. Where those cancel, rounding is relative to their terms, which are
# of order one (eV/Å, e·Å, e²Å²/eV, eV/Å³) in these random models.
TOLERANCE = 3e-6


def properties_of(atoms: Atoms) -> list[str]:
    names = ["energy", "energies", "forces"]
    if atoms.pbc.all():
        names.append("stress")
    if not atoms.pbc.any():
        names += ["dipole", "polarizability"]
    return names


def assert_agree(found: dict, expected: dict, amplified: float = 1.0) -> None:
    for name, value in expected.items():
        scale = max(1.0, np.abs(value).max(initial=0.0))
        if name == "energy":  # a sum of atomic energies, of which each is rounded
            scale = max(1.0, np.abs(expected["energies"]).sum())
        np.testing.assert_allclose(found[name], value, rtol=0, atol=TOLERANCE * amplified * scale, err_msg=name)


@pytest.fixture(scope="module", params=sorted(NATIVE))
def model(request):
    return random_model(request.param)


@pytest.fixture(scope="module")
def exact(model):
    return TorchBackend(model, dtype="float64")


@pytest.fixture(scope="module", params=RUNNABLE)
def native(request, model):
    return NativeBackend(model, instruction_set=request.param)


@pytest.mark.parametrize("name", sorted(NASTY))
def test_native_agrees_with_torch_in_float64(native, exact, name):
    atoms = NASTY[name]()
    graph = graph_of(atoms, native.cutoff + 0.5)
    names = properties_of(atoms)
    assert_agree(native.evaluate(graph, names), exact.evaluate(graph, names))


def test_batches_agree_structure_by_structure(native, exact):
    kinds = [graph_of(NASTY[name](), native.cutoff) for name in ("molecule", "single_atom", "hydrogen", "far_molecule")]
    graphs = [pulled(kinds[k % 4], seed=k) for k in range(32)]  # more atoms than one group holds
    names = properties_of(Atoms("H"))
    together = native.evaluate(batch(graphs), names)
    assert_agree(together, exact.evaluate(batch(graphs), names))
    alone = [native.evaluate(graph, names) for graph in graphs]
    for name in names:
        np.testing.assert_array_equal(together[name], np.concatenate([a[name] for a in alone]))


def test_sizes_may_change_from_call_to_call(native, exact):
    for name in ("molecule", "single_atom", "triclinic", "hydrogen", "slab", "molecule", "crystal_atom"):
        atoms = NASTY[name]()
        graph = graph_of(atoms, native.cutoff)
        names = properties_of(atoms)
        for _ in range(2):
            graph = pulled(graph)
            assert_agree(native.evaluate(graph, names), exact.evaluate(graph, names))


def test_water_in_thousands_of_atoms_agrees(native, exact):
    atoms = water_box(9)  # 2187 atoms: sorted in space inside the kernel
    graph = graph_of(atoms, native.cutoff)
    names = ["energy", "energies", "forces", "stress"]
    assert_agree(native.evaluate(graph, names), exact.evaluate(graph, names))


@pytest.mark.parametrize(
    ("features", "interactions", "hidden"), [(16, 1, []), (48, 4, [24, 8]), (80, 2, None), (256, 1, None)]
)
@pytest.mark.parametrize("instruction_set", RUNNABLE)
def test_every_width_and_depth_agrees(instruction_set, features, interactions, hidden):
    heads = {"energy": {"hidden": hidden, "mean": True}, "polarizability": {"hidden": [24, 5]}}
    heads["dipole"] = {"atomic_dipoles": False}
    model = random_model(features=features, interactions=interactions, heads=heads)
    native = NativeBackend(model, instruction_set=instruction_set)
    graph = graph_of(NASTY["molecule"](), model.cutoff)
    names = ["energy", "energies", "forces", "dipole", "charges", "polarizability"]
    # every interaction of a random network amplifies the rounding before it
    amplified = 2.0 ** max(0, interactions - 2)
    assert_agree(native.evaluate(graph, names), TorchBackend(model, dtype="float64").evaluate(graph, names), amplified)


@pytest.mark.parametrize("instruction_set", RUNNABLE)
@pytest.mark.parametrize("name", ["molecule", "hydrogen", "single_atom", "triclinic", "crystal_atom"])
def test_first_message_through_radial_sums_agrees(instruction_set, name):
    """With few elements and many features the kernel takes another way through the first message."""
    atoms = NASTY[name]()
    names = properties_of(atoms)
    for interactions in (1, 2):
        model = random_model("gaussian-polynomial", features=64, interactions=interactions)
        native = NativeBackend(model, instruction_set=instruction_set)
        graph = graph_of(atoms, model.cutoff)
        exact = TorchBackend(model, dtype="float64")
        assert_agree(native.evaluate(graph, names), exact.evaluate(graph, names))


@pytest.mark.parametrize("correction", [True, False])
def test_charged_molecules_agree(correction):
    model = random_model(heads={"dipole": {"charge_correction": correction}, "energy": {}})
    graph = graph_of(NASTY["far_molecule"](), model.cutoff, charge=-2.0)
    native, exact = NativeBackend(model), TorchBackend(model, dtype="float64")
    assert_agree(native.evaluate(graph, ["dipole"]), exact.evaluate(graph, ["dipole"]))


def test_a_model_without_energy_agrees():
    model = random_model(heads={"dipole": {}, "polarizability": {}})
    graph = graph_of(NASTY["molecule"](), model.cutoff)
    names = ["dipole", "polarizability"]
    native, exact = NativeBackend(model), TorchBackend(model, dtype="float64")
    assert_agree(native.evaluate(graph, names), exact.evaluate(graph, names))


def test_float32_weights_agree_too():
    model = random_model("gaussian-polynomial", features=64, interactions=3).float()
    atoms = water_box(3)
    graph = graph_of(atoms, model.cutoff)
    names = properties_of(atoms)
    exact = TorchBackend(model, dtype="float64").evaluate(graph, names)
    assert_agree(NativeBackend(model).evaluate(graph, names), exact)
    assert model.dtype == torch.float32


@pytest.mark.parametrize("instruction_set", RUNNABLE)
def test_trained_model_agrees_with_torch_in_float64(instruction_set):
    """The bundled model, on ethanol with atoms moved by 0.01 to 0.1 Å."""
    model = load_model("ethanol")
    native, exact = NativeBackend(model, instruction_set=instruction_set), TorchBackend(model, dtype="float64")
    names = ("energy", "forces", "dipole", "polarizability")
    start = read_structure("ethanol")
    for k in range(20):
        atoms = start.copy()
        atoms.rattle(0.01 * (1 + k % 10), seed=k)
        graph = graph_of(atoms, model.cutoff + 0.5)
        found, expected = native.evaluate(graph, names), exact.evaluate(graph, names)
        for name in ("forces", "dipole", "polarizability"):
            error = np.abs(found[name] - expected[name]).max()
            assert error <= TOLERANCE * np.abs(expected[name]).max(), (name, k)
        # in eV, against the largest force over 1 Å: of the energy itself nearly all is the sum of atomic references
        error = np.abs(found["energy"] - expected["energy"]).max()
        assert error <= TOLERANCE * np.abs(expected["forces"]).max(), ("energy", k)
