"""Networks beyond PaiNN, and PaiNN's options: sizes, mistakes, what heads need, and the backend they run on."""

import logging
from functools import partial

import ase.io
import numpy as np
import pytest
import torch
from ase.md.verlet import VelocityVerlet
from ase.units import fs

from painn_ase import PaiNNCalculator, neighbors
from painn_ase.backends import NativeBackend, choose_backend
from painn_ase.derivatives import evaluate
from painn_ase.errors import InputError
from painn_ase.model import Model
from painn_ase.representations import REPRESENTATIONS
from painn_ase.simulate import run_md
from painn_ase.training import parse_config, train

from helpers.random_models import random_model
from helpers.systems import NASTY, molecule, triclinic


def model_of(heads=("energy",), **representation):
    heads = heads if isinstance(heads, dict) else {name: {} for name in heads}
    return Model.from_config({"representation": representation, "heads": heads, "elements": [1, 6, 8]})


graph_of = partial(neighbors.graph_of, cutoff=4.0)


def features_of(model, atoms):
    graph = graph_of(atoms, cutoff=model.cutoff)
    with torch.no_grad():
        return model.representation(graph, graph.vectors())


@pytest.mark.parametrize(
    ("heads", "representation", "message"),
    [
        (["dipole"], {"kind": "schnet"}, "needs features of rank 1; SchNet provides rank 0 at most. Use PaiNN, "),
        (["polarizability"], {"kind": "painn_variant", "vectors": "none"}, "PaiNNVariant provides rank 0 at most"),
        (["tensor_polarizability"], {"kind": "painn"}, "rank 2; PaiNN provides rank 1 .* tensor_features = true"),
        (["energy"], {"kind": "schnett"}, "did you mean 'schnet'"),
        (["energy"], {"kind": "tensornet", "feature": 3}, "did you mean 'features'"),
        (["energy"], {"kind": "schnet", "features": 0}, "SchNet features: expected a whole number from 1 to 4096"),
        (["energy"], {"kind": "tensornet", "cutoff": -1.0}, "TensorNet cutoff"),
        (["energy"], {"kind": "painn_variant", "feature": 3}, "did you mean 'features'"),
        (["energy"], {"kind": "painn_variant", "vectors": "locla"}, "did you mean 'local'"),
        (["energy"], {"kind": "painn_variant", "vectors": "none", "cross_product": True}, "leaves none for"),
        ({"tensor_polarizability": {"channels": 0}}, {"kind": "tensornet"}, "channels >= 1"),
        (["energy"], {"kind": "eninet", "line_cutoff": 6.0}, "ENINet line_cutoff: expected a length in Å, at most the"),
        (["energy"], {"kind": "eninet", "channels": 0}, "ENINet channels: expected a whole number from 1 to 4096"),
        (["energy"], {"kind": "tensor_frames", "network": "pain"}, "did you mean 'painn'"),
        (["energy"], {"kind": "tensor_frames", "features": 20, "tensor_channels": 2}, "<= features, 20; got 2 and 2"),
        (["energy"], {"kind": "tensor_frames", "epsilon": 0.0}, "TensorFrames epsilon: expected a positive number"),
        (["dipole"], {"kind": "tensor_frames", "output_rank": 0}, "TensorFrames provides rank 0 at most"),
    ],
)
def test_mistakes_are_named(heads, representation, message):
    with pytest.raises(InputError, match=message):
        model_of(heads, **representation)


def test_ablations_leave_out_the_weights_of_what_they_leave_out():
    """F = 128, 20 radial functions, 3 rounds; per round a part of a message has 21 F + 129 F weights."""
    full = sum(p.numel() for p in model_of(kind="painn").parameters())
    part, update = 3 * (21 + 129) * 128, 3 * 129 * 128

    def size(**options):
        return sum(p.numel() for p in model_of(kind="painn_variant", **options).parameters())

    assert size() == full
    assert size(vectors="local") == full - part
    assert size(scalar_product=False) == full - update
    assert size(cross_product=True) == full + update
    # neither mixing (2 F²), nor norms in the context (F²), nor gates of vectors (2 (F + 1) F)
    assert size(vectors="none") == full - 2 * part - 3 * 128 * (2 * 128 + 128) - 2 * update


@pytest.mark.parametrize("architecture", ["cross-product-and-tensors", "tensornet", "schnet-in-frames"])
def test_tensors_are_symmetric_and_traceless(architecture):
    model = random_model(architecture)
    for build in NASTY.values():
        t = features_of(model, build()).tensors
        size = max(1.0, float(t.abs().max()))
        torch.testing.assert_close(t, t.transpose(1, 2), rtol=0, atol=1e-13 * size)
        assert float(t.diagonal(dim1=1, dim2=2).sum(-1).abs().max()) < 1e-13 * size


def test_every_layer_of_tensornet_keeps_tensors_symmetric_and_traceless():
    model = random_model("tensornet", interactions=3)
    seen = []
    for layer in (model.representation.first, *model.representation.interactions):
        layer.register_forward_hook(lambda _layer, _inputs, x: seen.append(x.s))
    features_of(model, molecule())
    assert len(seen) == 4
    for t in seen:
        assert float(t.abs().max()) > 1e-3
        torch.testing.assert_close(t, t.transpose(1, 2), rtol=0, atol=1e-12)
        assert float(t.diagonal(dim1=1, dim2=2).sum(-1).abs().max()) < 1e-12


def test_distances_alone_give_neither_vectors_nor_tensors():
    features = features_of(random_model("schnet"), molecule())
    assert features.vectors is None
    assert features.tensors is None


@pytest.mark.parametrize(
    "architecture", ["cross-product-and-tensors", "schnet", "tensornet", "eninet", "schnet-in-frames"]
)
def test_gradients_stay_finite_where_vectors_vanish(architecture):
    model = random_model(architecture)
    for name in ("single_atom", "crystal_atom", "hydrogen"):
        graph = graph_of(NASTY[name]())
        results = evaluate(model, graph, ["energy", "forces"], create_graph=True)
        loss = results["energy"].sum() + results["forces"].square().sum()
        if "polarizability" in model.properties - model.molecular:
            loss = loss + evaluate(model, graph, ["polarizability"])["polarizability"].sum()
        gradients = torch.autograd.grad(loss, list(model.parameters()), allow_unused=True)
        assert all(torch.isfinite(g).all() for g in gradients if g is not None)


@pytest.mark.parametrize("architecture", ["cross-product-and-tensors", "tensornet"])
def test_tensor_polarizability_is_symmetric_anisotropic_and_defined_in_a_crystal(architecture):
    calculator = PaiNNCalculator(random_model(architecture), dtype="float64")
    for atoms in (molecule(), triclinic()):
        alpha = calculator.get_property("polarizability", atoms)
        np.testing.assert_array_equal(alpha, alpha.T)
        assert np.abs(alpha - np.trace(alpha) / 3 * np.eye(3)).max() > 1e-2
    with pytest.raises(NotImplementedError, match="dipole of a periodic structure"):
        calculator.get_property("dipole", triclinic())


def test_energy_of_a_molecule_equals_that_of_its_mirror_image_with_a_cross_product():
    """A single cross product would break this: the term V̂ × (Û × v) has two."""
    atoms = molecule()
    atoms.rattle(0.2, seed=1)  # chiral
    mirror = atoms.copy()
    mirror.positions[:, 0] *= -1
    calculator = PaiNNCalculator(random_model("cross-product-and-tensors"), dtype="float64")
    one, other = (calculator.get_property("energy", a) for a in (atoms, mirror))
    assert one == pytest.approx(other, abs=1e-11)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"kind": "schnet"}, "the kernel knows PaiNN; this model is a SchNet"),
        ({"kind": "tensornet"}, "the kernel knows PaiNN; this model is a TensorNet"),
        ({"kind": "eninet", "many_body": False}, "the kernel knows PaiNN; this model is a ENINet"),
        ({"kind": "painn_variant", "vectors": "local"}, "the kernel knows PaiNN; this model is a PaiNNVariant"),
        ({"kind": "painn", "activation": "tanh"}, "activation = 'tanh'"),
    ],
)
def test_networks_the_kernel_does_not_know_run_on_torch_and_one_line_says_so(options, reason, caplog):
    model = model_of(features=16, **options)
    assert reason in NativeBackend.obstacle(model)
    with caplog.at_level(logging.WARNING):
        assert choose_backend(model).name == "torch"
    assert [reason in record.message for record in caplog.records] == [True]
    with pytest.raises(InputError, match="use backend='torch'"):
        choose_backend(model, "native")


@pytest.mark.parametrize("architecture", ["mace", "mace-fused", "cormorant-fused"])
def test_dynamics_conserve_the_energy(architecture, tmp_path):
    """Ten steps of an untrained network: the total energy wanders by far less than the kinetic energy changes."""
    atoms, model = molecule(), random_model(architecture, heads={"energy": {}})
    model.heads["energy"].scale.fill_(0.02)  # forces of a molecule's size
    atoms.calc = PaiNNCalculator(model, dtype="float64")
    run = run_md(atoms, ensemble="nve", temperature=100, timestep=0.1, steps=10, path=tmp_path / "run", progress=False)
    kinetic, potential = (run.observables(name)[1] for name in ("kinetic_energy", "potential_energy"))
    assert np.ptp(kinetic + potential) < 0.02 * np.ptp(kinetic)


TRAINABLE = {
    "schnet": ({"kind": "schnet"}, {}),
    "tensornet": ({"kind": "tensornet", "interactions": 1}, {"polarizability": "tensor_polarizability"}),
    "eninet": ({"kind": "eninet", "channels": 4}, {}),
    "frames": ({"kind": "tensor_frames", "tensor_channels": 0}, {"polarizability": "tensor_polarizability"}),
    "painn": ({"kind": "painn_variant", "tensor_features": True}, {"polarizability": "tensor_polarizability"}),
    "mace": ({"kind": "mace", "interactions": 1}, {"polarizability": "tensor_polarizability"}),
    "cormorant": ({"kind": "cormorant", "fusion": ["M", ["F", "M"]]}, {"polarizability": "tensor_polarizability"}),
}


@pytest.mark.filterwarnings("ignore::painn_ase.coverage.CoverageWarning")  # so little training misses the forces
@pytest.mark.parametrize("name", TRAINABLE)
def test_one_line_of_the_configuration_changes_the_network(name, tmp_path):
    """20 frames of a crystal with energies, forces and, where the network has tensors, a polarizability of the cell."""
    representation, heads = TRAINABLE[name]
    rng = np.random.default_rng(0)
    frames = []
    for _ in range(20):
        atoms = triclinic()
        atoms.set_constraint()
        moves = rng.normal(scale=0.1, size=(4, 3))
        atoms.positions += moves
        # springs that tie atoms to their places, and a tensor that their moves stretch
        atoms.info |= {"E": 2.0 * float((moves**2).sum()) - 50.0, "alpha": (5 * np.eye(3) + moves.T @ moves).ravel()}
        atoms.arrays["F"] = -4.0 * (moves - moves.mean(0))
        frames.append(atoms)
    ase.io.write(tmp_path / "train.xyz", frames, format="extxyz")
    labels = {"energy": {"key": "E", "unit": "eV"}, "forces": {"key": "F", "unit": "eV/Å"}}
    if heads:
        labels["polarizability"] = {"key": "alpha", "unit": "e²Å²/eV"}
    table = {
        "data": {"train": "train.xyz", "labels": labels, "split": {"validation": 0.2}},
        "model": {
            "representation": {"features": 8, "interactions": 2, "cutoff": 3.0, **representation},
            "heads": {"energy": {}} | {head: {} for head in heads.values()},
        },
        "schedule": {"warmup": 5},
        "run": {"epochs": 12, "batch_size": 4, "output": "out", "threads": 1},
    }
    losses = []
    config = parse_config(table, tmp_path)
    trained = train(config, progress=False, on_epoch=lambda row: losses.append(row["train_loss"]))
    assert losses[-1] < 0.9 * losses[0]
    assert type(trained.model.representation) is REPRESENTATIONS[representation["kind"]]
    head = trained.model.heads["tensor_polarizability" if heads else "energy"]
    assert float(head.references.abs().sum()) > 1  # both heads start from the mean of their labels
    atoms = frames[0]
    atoms.calc = PaiNNCalculator(trained.folder)
    assert atoms.get_potential_energy() == pytest.approx(-50.0, abs=3.0)
    if heads:
        assert np.trace(atoms.calc.get_property("polarizability", atoms)) == pytest.approx(15, abs=1)


@pytest.mark.parametrize(
    "options",
    [{"kind": "eninet", "line_cutoff": 3.0}, {"kind": "tensor_frames"}, {"kind": "tensor_frames", "network": "painn"}],
    ids=["eninet", "schnet-in-frames", "painn-in-frames"],
)
def test_dynamics_conserve_energy_to_the_second_order_of_the_time_step(options):
    """Velocity Verlet's error falls by four when its step is halved: forces are smooth and derived from an energy."""
    torch.manual_seed(0)
    model = Model.from_config(
        {"representation": {"features": 12, "cutoff": 4.0, **options}, "heads": {"energy": {}}, "elements": [1, 6, 8]}
    )
    calculator = PaiNNCalculator(model.double(), dtype="float64", backend="torch")
    errors = []
    for halvings in (0, 1):
        atoms = molecule()
        atoms.calc = calculator
        atoms.set_velocities(0.02 * np.random.default_rng(0).normal(size=(len(atoms), 3)))
        before = atoms.get_total_energy()
        worst = 0.0
        dynamics = VelocityVerlet(atoms, 0.1 * fs / 2**halvings)
        for _ in range(10):
            dynamics.run(2**halvings)
            worst = max(worst, abs(atoms.get_total_energy() - before))
        errors.append(worst)
    assert errors[0] > 1e-9  # eV, above rounding
    assert errors[1] == pytest.approx(errors[0] / 4, rel=0.1)
