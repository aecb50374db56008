"""The PaiNN dialects of DTU's codes and of NeuralForceField against their formulas, written out pair by pair here."""

from functools import partial

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.calculators.fd import calculate_numerical_forces
from torch import nn

from painn_ase import PaiNNCalculator, load_model
from painn_ase.cli import main
from painn_ase.derivatives import evaluate
from painn_ase.errors import ModelError
from painn_ase.importers import convert, curator, neuralforcefield
from painn_ase.neighbors import graph_of
from painn_ase.units import BOHR, KCAL_PER_MOL

from helpers.foreign_checkpoints import SchNetPackPickle

F, ROUNDS, COUNT, CUTOFF = 6, 2, 20, 4.0
NUMBERS = np.array([8, 1, 1, 6, 1])
POSITIONS = np.array([[0, 0, 0.1], [0.8, 0, -0.5], [-0.7, 0.1, -0.5], [1.9, 1.2, 0.3], [2.5, 2.0, 0.9]])


def energy(model, positions=POSITIONS, numbers=NUMBERS):
    graph = graph_of(Atoms(numbers, positions), model.cutoff)
    return evaluate(model.to(torch.float64), graph, ("energy",))["energy"].item()


def rng_state(shapes, seed=0):
    """Random float64 tensors by name."""
    rng = np.random.default_rng(seed)
    return {name: torch.tensor(rng.normal(size=s) / np.sqrt(s[-1])) for name, s in shapes.items()}


def silu(x):
    return x / (1 + np.exp(-x))


class Painn:
    """The network by loops over atoms and pairs, in terms of nine callables that a dialect fills in."""

    def energy(self, positions, numbers=NUMBERS):
        n = len(numbers)
        s = np.array([self.embed(z) for z in numbers])
        v = np.zeros((n, 3, F))
        for t in range(ROUNDS):
            ds, dv = np.zeros_like(s), np.zeros_like(v)
            for i in range(n):
                for j in range(n):
                    r = positions[j] - positions[i]
                    d = np.linalg.norm(r)
                    if i == j or d >= CUTOFF:
                        continue
                    envelope = 0.5 * (np.cos(np.pi * d / CUTOFF) + 1)
                    radial = np.sin(self.multiples(t) * np.pi * d / CUTOFF) / d
                    parts = np.split(self.filter(t, radial) * envelope * self.message(t, s[j]), 3)
                    gate, direction, scalar = (parts[k] for k in self.message_order)
                    ds[i] += scalar
                    dv[i] += v[j] * gate + np.outer(r / d, direction)
            s, v = s + ds, v + dv
            for i in range(n):
                uv, vv = self.maps(t, v[i])
                a_vv, a_sv, a_ss = np.split(self.update(t, s[i], np.sqrt((vv**2).sum(0))), 3)
                v[i] = v[i] + a_vv * uv
                s[i] = s[i] + a_sv * (uv * vv).sum(0) + a_ss
        return self.readout(s)


# ---- DTU: curator, cPaiNN

DTU_SHAPES = {"atom_embedding.weight": (119, F), "readout_mlp.0.weight": (F, F), "readout_mlp.0.bias": (F,)}
DTU_SHAPES |= {"readout_mlp.2.weight": (1, F), "readout_mlp.2.bias": (1,)}
for t in range(ROUNDS):
    m, u = f"message_layers.{t}.", f"update_layers.{t}."
    DTU_SHAPES |= {m + "filter_layer.weight": (3 * F, COUNT), m + "filter_layer.bias": (3 * F,)}
    DTU_SHAPES |= {m + "scalar_message_mlp.0.weight": (F, F), m + "scalar_message_mlp.0.bias": (F,)}
    DTU_SHAPES |= {m + "scalar_message_mlp.2.weight": (3 * F, F), m + "scalar_message_mlp.2.bias": (3 * F,)}
    DTU_SHAPES |= {f"{u}update_{k}.{n}": (F, F)[: 2 if n == "weight" else 1] for k in "UV" for n in ("weight", "bias")}
    DTU_SHAPES |= {u + "update_mlp.0.weight": (F, 2 * F), u + "update_mlp.0.bias": (F,)}
    DTU_SHAPES |= {u + "update_mlp.2.weight": (3 * F, F), u + "update_mlp.2.bias": (3 * F,)}


class Dtu(Painn):
    message_order = (0, 1, 2)  # vector gate, direction, scalar

    def __init__(self, state, mean=0.0, stddev=1.0, per_atom=True):
        self.w = {name: tensor.numpy() for name, tensor in state.items()}
        self.mean, self.stddev, self.per_atom = mean, stddev, per_atom

    def dense(self, name, x):
        return self.w[name + ".weight"] @ x + self.w[name + ".bias"]

    def embed(self, z):
        return self.w["atom_embedding.weight"][z]

    def multiples(self, t):
        return np.arange(1, COUNT + 1)

    def filter(self, t, radial):
        return self.dense(f"message_layers.{t}.filter_layer", radial)

    def message(self, t, s):
        p = f"message_layers.{t}.scalar_message_mlp"
        return self.dense(p + ".2", silu(self.dense(p + ".0", s)))

    def maps(self, t, v):
        return tuple(np.array([self.dense(f"update_layers.{t}.update_{k}", row) for row in v]) for k in "UV")

    def update(self, t, s, norm):
        p = f"update_layers.{t}.update_mlp"
        return self.dense(p + ".2", silu(self.dense(p + ".0", np.concatenate([norm, s]))))

    def readout(self, s):
        total = sum(self.dense("readout_mlp.2", silu(self.dense("readout_mlp.0", row)))[0] for row in s)
        return total * self.stddev + self.mean * (len(s) if self.per_atom else 1)


def dtu_checkpoint(state, path, mean=0.0, stddev=1.0, on=True, per_atom=True, **changes):
    model = dict(state)
    model |= {"normalize_mean": torch.tensor(mean, dtype=torch.float64), "normalize_stddev": torch.tensor(stddev)}
    model |= {"normalization": torch.tensor(on), "atomwise_normalization": torch.tensor(per_atom)}
    checkpoint = {"model": model, "num_layer": ROUNDS, "node_size": F, "cutoff": CUTOFF, "step": 3, "optimizer": {}}
    torch.save({**checkpoint, **changes}, path)
    return path


@pytest.mark.parametrize("per_atom", [True, False])
def test_dtu_energies_are_those_of_the_formulas(per_atom, tmp_path):
    state = rng_state(DTU_SHAPES)
    path = dtu_checkpoint(state, tmp_path / "best_model.pth", -4.25, 1.5, per_atom=per_atom)
    expected = Dtu(state, -4.25, 1.5, per_atom).energy(POSITIONS)
    # both in float64, sums in another order
    assert energy(curator.load(path)) == pytest.approx(expected, rel=1e-10)


def test_what_dtu_trainers_put_beside_the_network_is_inert(tmp_path):
    """NumPy scalars of losses, the state of an optimiser: as that code's trainer writes them."""
    state = rng_state(DTU_SHAPES)
    optimizer = {"state": {0: {"step": torch.tensor(7.0)}}, "param_groups": [{"lr": np.float64(1e-4), "params": [0]}]}
    beside = {"best_val_loss": np.float64(0.1), "step": np.int64(970000), "optimizer": optimizer}
    path = dtu_checkpoint(state, tmp_path / "best_model.pth", -4.25, 1.5, **beside)
    assert energy(curator.load(path)) == pytest.approx(Dtu(state, -4.25, 1.5).energy(POSITIONS), rel=1e-10)


@pytest.mark.parametrize(("unit", "agrees"), [("eV", True), ("kcal/mol", False), ("Hartree", False)])
def test_dtu_takes_the_units_of_its_files_and_no_others(unit, agrees, tmp_path, capsys):
    path = dtu_checkpoint(rng_state(DTU_SHAPES), tmp_path / "m.pth")
    words = ["import", "curator", str(path), str(tmp_path / "out"), "--energy-unit", unit, "--length-unit", "Å"]
    assert (main(words) == 0) == agrees
    assert agrees or "energy_unit: expected eV" in capsys.readouterr().err
    assert (tmp_path / "out").is_dir() == agrees


def test_dtu_normalization_can_be_off(tmp_path):
    state = rng_state(DTU_SHAPES)
    path = dtu_checkpoint(state, tmp_path / "m.pth", -4.25, 1.5, on=False)
    assert energy(curator.load(path)) == pytest.approx(Dtu(state).energy(POSITIONS), rel=1e-10)


def test_dtu_without_vector_biases_is_an_ordinary_painn(tmp_path):
    state = rng_state(DTU_SHAPES)
    for name in state:
        if "update_U.bias" in name or "update_V.bias" in name:
            state[name] = torch.zeros(F, dtype=torch.float64)
    model = curator.load(dtu_checkpoint(state, tmp_path / "m.pth"))
    assert not model.representation.config["mixing_bias"]
    assert energy(model) == pytest.approx(Dtu(state).energy(POSITIONS), rel=1e-10)
    turned = POSITIONS[:, [1, 2, 0]]
    assert energy(model, turned) == pytest.approx(energy(model), rel=1e-10)


def test_dtu_biases_are_said_to_break_rotations(tmp_path):
    model = convert("curator", dtu_checkpoint(rng_state(DTU_SHAPES), tmp_path / "m.pth"), tmp_path / "out")
    assert "rotated" in (tmp_path / "out" / "card.md").read_text()
    tilted = POSITIONS @ np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0]
    assert abs(energy(model, tilted) - energy(model)) > 1e-6
    assert energy(load_model(tmp_path / "out")) == energy(model)


def test_dtu_charge_outputs_are_left_out_and_said_so(tmp_path):
    state = rng_state(DTU_SHAPES)
    extra = {"linear.weight": torch.ones(1, F), "linear.bias": torch.ones(1)}
    model = curator.load(dtu_checkpoint(state | extra, tmp_path / "m.pth"))
    assert "Bader" in model.provenance["imported"]["notes"][0]
    assert energy(model) == pytest.approx(Dtu(state).energy(POSITIONS), rel=1e-10)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"num_layer": 3}, "message_layers.2"),
        ({"num_layer": 1}, "no part of PaiNN"),
        ({"node_size": 7}, "shape"),
        ({"cutoff": "x"}, "cutoff"),
        ({"cutoff": -1.0}, "cutoff"),
        ({"model": [1]}, "state dict"),
    ],
)
def test_dtu_checkpoints_that_contradict_themselves_are_refused(changes, word, tmp_path):
    with pytest.raises(ModelError, match=word):
        curator.load(dtu_checkpoint(rng_state(DTU_SHAPES), tmp_path / "m.pth", **changes))


# ---- NeuralForceField

NFF_SHAPES = {"embed_block.atom_embed.weight": (100, F)}
for t in range(ROUNDS):
    m, u = f"message_blocks.{t}.inv_message.", f"update_blocks.{t}."
    NFF_SHAPES |= {m + "inv_dense.layers.0.weight": (F, F), m + "inv_dense.layers.0.bias": (F,)}
    NFF_SHAPES |= {m + "inv_dense.layers.1.weight": (3 * F, F), m + "inv_dense.layers.1.bias": (3 * F,)}
    NFF_SHAPES |= {m + "dist_embed.block.1.weight": (3 * F, COUNT), m + "dist_embed.block.1.bias": (3 * F,)}
    NFF_SHAPES |= {u + "u_mat.weight": (F, F), u + "v_mat.weight": (F, F)}
    NFF_SHAPES |= {u + "s_dense.0.weight": (F, 2 * F), u + "s_dense.0.bias": (F,)}
    NFF_SHAPES |= {u + "s_dense.1.weight": (3 * F, F), u + "s_dense.1.bias": (3 * F,)}
READOUT = {"0.weight": (F // 2, F), "0.bias": (F // 2,), "1.weight": (1, F // 2), "1.bias": (1,)}
NFF_SHAPES |= {f"readout_blocks.0.readoutdict.energy.{name}": shape for name, shape in READOUT.items()}


class Nff(Painn):
    message_order = (0, 2, 1)  # vector gate, scalar, direction: as (gate, direction, scalar)

    def __init__(self, state, mean=0.0, stddev=1.0):
        self.w = {name: tensor.numpy() for name, tensor in state.items()}
        self.mean, self.stddev = mean, stddev

    dense = Dtu.dense

    def embed(self, z):
        return self.w["embed_block.atom_embed.weight"][z]

    def multiples(self, t):
        return self.w.get(f"message_blocks.{t}.inv_message.dist_embed.block.0.n", np.arange(1, COUNT + 1))

    def filter(self, t, radial):
        return self.dense(f"message_blocks.{t}.inv_message.dist_embed.block.1", radial)

    def message(self, t, s):
        p = f"message_blocks.{t}.inv_message.inv_dense.layers"
        return self.dense(p + ".1", silu(self.dense(p + ".0", s)))

    def maps(self, t, v):
        return tuple(v @ self.w[f"update_blocks.{t}.{k}_mat.weight"].T for k in "uv")

    def update(self, t, s, norm):
        p = f"update_blocks.{t}.s_dense"
        return self.dense(p + ".1", silu(self.dense(p + ".0", np.concatenate([s, norm]))))

    def readout(self, s):
        p = "readout_blocks.0.readoutdict.energy"
        atomic = [self.dense(p + ".1", silu(self.dense(p + ".0", row)))[0] for row in s]
        return sum(e * self.stddev + self.mean for e in atomic)


def nff_file(state, path):
    torch.save(state, path)
    return path


def test_nff_energies_are_those_of_the_formulas(tmp_path):
    state = rng_state(NFF_SHAPES)
    given = {"cutoff": CUTOFF, "activation": "swish", "means": {"energy": -7.5}, "stddevs": {"energy": 2.0}}
    given |= {"skip_connection": {"energy": False}, "pool_dic": {"energy": {"name": "sum", "param": {}}}, "lr": 1e-4}
    model = neuralforcefield.load(nff_file(state, tmp_path / "m.pt"), hyperparameters=given)
    expected = Nff(state, -7.5, 2.0).energy(POSITIONS) * KCAL_PER_MOL
    assert energy(model) == pytest.approx(expected, rel=1e-10)
    assert model.provenance["imported"]["units"]["energy"] == "kcal/mol"


@pytest.mark.parametrize("shared", [True, False])
def test_nff_learned_frequencies_of_every_interaction_are_kept(shared, tmp_path):
    state = rng_state(NFF_SHAPES)
    rng = np.random.default_rng(5)
    learned = [torch.tensor(np.arange(1, COUNT + 1) + 0.1 * rng.normal(size=COUNT)) for _ in range(ROUNDS)]
    for t in range(ROUNDS):
        state[f"message_blocks.{t}.inv_message.dist_embed.block.0.n"] = learned[0 if shared else t]
    model = neuralforcefield.load(
        nff_file(state, tmp_path / "m.pt"), hyperparameters={"cutoff": CUTOFF}, energy_unit="eV"
    )
    assert model.representation.config["radial"]["count"] == COUNT * (1 if shared else ROUNDS)
    assert energy(model) == pytest.approx(Nff(state).energy(POSITIONS), rel=1e-10)


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ({"excl_vol": True}, "V_ex_power"),
        ({"excl_vol": True, "V_ex_power": 12, "V_ex_sigma": -1.5}, "sigma > 0"),
        ({"skip_connection": {"energy": True}}, "skip"),
        ({"pool_dic": {"energy": {"name": "attention"}}}, "attention"),
        ({"activation": "learnable_swish"}, "learnable_swish"),
        ({"cutoff": None}, "cutoff"),
        ({"means": {"energy": "x"}}, "means"),
    ],
)
def test_nff_networks_without_an_equal_are_refused_by_name(given, word, tmp_path):
    path = nff_file(rng_state(NFF_SHAPES), tmp_path / "m.pt")
    with pytest.raises(ModelError, match=word):
        neuralforcefield.load(path, hyperparameters={"cutoff": CUTOFF} | given)


@pytest.mark.parametrize("unit", ["Ang", "Bohr"])
def test_nff_excluded_volume_is_added(unit, tmp_path):
    """Σ over ordered pairs within the cutoff of (1.5/d)^12, in the energy unit of the network."""
    state, u = rng_state(NFF_SHAPES), {"Ang": 1.0, "Bohr": BOHR}[unit]
    given = {"cutoff": CUTOFF, "excl_vol": True, "V_ex_power": 12, "V_ex_sigma": 1.5, "stddevs": {"energy": 2.0}}
    model = neuralforcefield.load(nff_file(state, tmp_path / "m.pt"), hyperparameters=given, length_unit=unit)
    d = np.linalg.norm(POSITIONS[:, None] - POSITIONS, axis=-1)
    expected = Nff(state, stddev=2.0).energy(POSITIONS) + ((1.5 / d[(d > 0) & (d < CUTOFF)]) ** 12).sum()
    assert energy(model, POSITIONS * u) == pytest.approx(expected * KCAL_PER_MOL, rel=1e-10)


def test_the_repulsion_survives_saving_and_is_kept_between_questions(tmp_path):
    path = nff_file(rng_state(NFF_SHAPES), tmp_path / "m.pt")
    given = {"cutoff": CUTOFF, "excl_vol": True, "V_ex_power": 12, "V_ex_sigma": 1.5}
    model = convert("neuralforcefield", path, tmp_path / "out", hyperparameters=given)
    atoms = Atoms(NUMBERS, POSITIONS)
    atoms.calc = PaiNNCalculator(load_model(tmp_path / "out"), dtype="float64")
    assert atoms.get_potential_energy() == pytest.approx(energy(model), rel=1e-12)
    numerical = calculate_numerical_forces(atoms, eps=1e-4)
    # central differences of a twelfth power: relative error of about (12 eps / d)²
    np.testing.assert_allclose(atoms.get_forces(), numerical, atol=1e-5 * np.abs(numerical).max())
    backend, graph = atoms.calc.backend, atoms.calc._graph
    backend.evaluate(graph, ("forces",))  # keeps the features of the graph; the next question is answered from them
    assert backend.evaluate(graph, ("energy",))["energy"][0] == pytest.approx(energy(model), rel=1e-12)


def test_nff_outputs_of_several_states_need_a_choice(tmp_path):
    state = rng_state(NFF_SHAPES)
    both = {name.replace("energy", "energy_0"): tensor for name, tensor in state.items()}
    both |= {name.replace("energy", "energy_1"): tensor + 1 for name, tensor in state.items() if "energy" in name}
    path = nff_file(both, tmp_path / "m.pt")
    with pytest.raises(ModelError, match="energy_key"):
        neuralforcefield.load(path, hyperparameters={"cutoff": CUTOFF})
    model = neuralforcefield.load(path, hyperparameters={"cutoff": CUTOFF}, energy_key="energy_0")
    assert energy(model) == pytest.approx(Nff(state).energy(POSITIONS) * KCAL_PER_MOL, rel=1e-10)
    assert any("energy_1" in note for note in model.provenance["imported"]["notes"])


def test_nff_state_dict_without_hyperparameters_and_other_networks_are_refused(tmp_path):
    with pytest.raises(ModelError, match="hyperparameters"):
        neuralforcefield.load(nff_file(rng_state(NFF_SHAPES), tmp_path / "m.pt"))
    torch.save(nn.Sequential(nn.Linear(1, 1)), tmp_path / "n.pt")
    with pytest.raises(ModelError, match="Painn"):
        neuralforcefield.load(tmp_path / "n.pt")


class NffPickle(SchNetPackPickle):
    """A Painn that pickles as NeuralForceField's does, functools.partial in its layers included."""

    parts = ("pool_dic",)
    patterns = (
        (r"", "nff.nn.models.painn.Painn"),
        (r"embed_block", "nff.nn.modules.painn.EmbeddingBlock"),
        (r"embed_block\.atom_embed", "torch.nn.modules.sparse.Embedding"),
        (r"message_blocks\.\d+", "nff.nn.modules.painn.MessageBlock"),
        (r"update_blocks\.\d+", "nff.nn.modules.painn.UpdateBlock"),
        (r"readout_blocks\.\d+", "nff.nn.modules.painn.ReadoutBlock"),
        (r".*\.f_cut", "nff.nn.layers.CosineEnvelope"),
        (r".*\.scale_shift", "nff.nn.modules.schnet.ScaleShift"),
        (r"pool_dic\.energy", "nff.nn.modules.schnet.SumPool"),
        (r"pool_dic|.*_blocks|.*readoutdict", "torch.nn.modules.container.ModuleList"),
        (r".*(layers|block|s_dense|energy)", "torch.nn.modules.container.Sequential"),
        (r".*(inv_message|inv_dense|dist_embed)", "nff.nn.modules.painn.InvariantMessage"),
        (r".*", "nff.nn.layers.Dense"),
    )

    def activate(self):
        for place, module in self.modules.items():
            if type(module).__name__ == "Dense":
                module.bias_init = partial(nn.init.constant_, val=0.0)
                if place.endswith((".layers.0", ".s_dense.0", ".energy.0")):
                    module.add_module("activation", self.new("nff.nn.activations.Swish"))


def test_a_pickled_nff_model_is_read_without_nff(tmp_path):
    state, places = rng_state(NFF_SHAPES), [f"message_blocks.{t}.inv_message.dist_embed.f_cut" for t in range(ROUNDS)]
    attributes = {place: {"cutoff": CUTOFF} for place in places}
    attributes |= {"": {"skip": {"energy": False}, "excl_vol": True, "power": 12, "sigma": 1.5, "cutoff": CUTOFF}}
    attributes |= {"readout_blocks.0.scale_shift": {"means": {"energy": -7.5}, "stddevs": {"energy": 2.0}}}
    arrays = {name: tensor.numpy() for name, tensor in state.items()}
    path = NffPickle(arrays, {"pool_dic.energy": "nff.nn.modules.schnet.SumPool"}, attributes).save(tmp_path / "m")
    given = {"cutoff": CUTOFF, "excl_vol": True, "V_ex_power": 12, "V_ex_sigma": 1.5}
    given |= {"means": {"energy": -7.5}, "stddevs": {"energy": 2.0}}
    from_state = neuralforcefield.load(nff_file(state, tmp_path / "m.pt"), hyperparameters=given)
    pickled = neuralforcefield.load(path)
    assert pickled.config == from_state.config
    assert energy(pickled) == energy(from_state)
