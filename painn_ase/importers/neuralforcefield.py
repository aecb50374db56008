"""NeuralForceField (`nff`): its PaiNN, pickled whole or as a state dict with the training's params.json.

Formulas as published with github.com/learningmatter-mit/NeuralForceField. Against this package: message splits are
(vector gate, scalar, direction), update splits (vv, sv, ss), norms have an ε of 1e-15 per component, and the radial
functions are sin(kₙπd/rc)/d, where every interaction may have learned its own kₙ. Energies are in kcal/mol unless the
training data were not.
"""

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from painn_ase.errors import ModelError
from painn_ase.importers.archive import naming, read_hyperparameters, read_tensors, read_torch
from painn_ase.importers.card import provenance
from painn_ase.importers.modules import ACTIVATIONS, Module, layer_activation, state_dict
from painn_ase.importers.names import Record
from painn_ase.importers.recognise import refuse_strangers
from painn_ase.importers.translation import ForeignUnits, Translation, build, published_painn
from painn_ase.importers.weights import Weights, count_tensors, reorder, take_dense
from painn_ase.model import Model

DIALECT = "NeuralForceField"
_ADVICE = (
    "If the model is your own, save its state dict (torch.save(model.state_dict(), FILE)) and import that with the "
    "params.json of its training as --hyperparameters (docs/importing.md)"
)
_EPSILON = 3e-15  # 1e-15 in each of three components
_PARTS = ("embed_block", "message_blocks", "update_blocks", "readout_blocks", "pool_dic")


def load(
    path: str | Path,
    *,
    energy_unit: str = "kcal/mol",
    length_unit: str = "Ang",
    energy_key: str | None = None,
    elements: Iterable[int | str] | None = None,
    hyperparameters: str | Path | dict[str, Any] | None = None,
) -> Model:
    """The PaiNN model of a NeuralForceField checkpoint, in eV and Å.

    path: a pickled `Painn` (nothing in it is executed), or a state dict with its `hyperparameters`
    energy_unit, length_unit: of the network
    energy_key: which output is the energy when there are several; the others are left out, and the card says so
    elements: those the model shall accept, as symbols or numbers
    hyperparameters: params.json of the training, or a dictionary with at least "cutoff"

    Raises `ModelError` for damaged files, for code in them, and for parts without a counterpart here: skip connections,
    pooling other than sums, transformer and diabatic networks.
    """
    path = Path(path)
    foreign = ForeignUnits(energy_unit, length_unit)
    refuse_strangers(path, "neuralforcefield", described=hyperparameters is not None)
    tensors, given = _read(path, hyperparameters)
    with naming(path):
        translation = translate(tensors, given, energy_key)
        model = build(translation, foreign, elements)
    model.name = path.stem
    model.provenance = provenance(path, DIALECT, foreign, translation.notes)
    return model


def _read(path: Path, hyperparameters: str | Path | dict[str, Any] | None) -> tuple[dict[str, Tensor], dict[str, Any]]:
    if hyperparameters is None:
        root = read_torch(path, packages=frozenset({"nff"}), advice=_ADVICE)
        if not isinstance(root, Record):
            raise ModelError(f"{path}: not a pickled module; if it is a state dict, give its hyperparameters")
        with naming(path):
            return _describe(Module(root))
    return read_tensors(path), read_hyperparameters(hyperparameters)


def _describe(model: Module) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """State dict and hyperparameters (by the names of params.json) of a pickled Painn."""
    if model.class_name != "Painn":
        raise ModelError(f"expected nff's Painn; the checkpoint holds {model.kind}")
    message = model.only(*_PARTS).child("message_blocks").child("0")
    if message.class_name != "MessageBlock" or model.child("embed_block").class_name != "EmbeddingBlock":
        raise ModelError(f"{message.kind}: only nff's plain MessageBlock and EmbeddingBlock have a counterpart here")
    found: dict[str, Any] = {
        "cutoff": message.child("inv_message").child("dist_embed").child("f_cut").get("cutoff", float, int),
        "activation": layer_activation(message.child("inv_message").child("inv_dense").child("layers").child("0")),
        "skip_connection": model.attributes.get("skip", False),
        "excl_vol": model.attributes.get("excl_vol", False),
        "V_ex_power": model.attributes.get("power"),
        "V_ex_sigma": model.attributes.get("sigma"),
    }
    pools = model.child("pool_dic").modules if "pool_dic" in model.modules else model.attributes.get("pool_dic", {})
    kinds = {key: getattr(getattr(pool, "kind", None), "name", "?") for key, pool in pools.items()}
    found["pool_dic"] = {key: {"name": kind.removesuffix("Pool").lower()} for key, kind in kinds.items()}
    readout = model.child("readout_blocks").child("0")
    if "scale_shift" in readout.modules:
        scaling = readout.child("scale_shift").attributes
        found |= {name: scaling.get(name) for name in ("means", "stddevs")}
    return state_dict(model), found


def translate(tensors: dict[str, Tensor], given: dict[str, Any], energy_key: str | None = None) -> Translation:
    """The network of a state dict and the hyperparameters of its training, in our names. Raises `ModelError`."""
    weights, out = Weights(tensors), Translation({}, {})
    key, others = _energy_key(weights, energy_key)
    _refuse_what_has_no_equal(given, key)
    cutoff, activation = given.get("cutoff"), given.get("activation", "swish")
    if not isinstance(cutoff, (int, float)):
        raise ModelError("hyperparameters: expected a number 'cutoff' in Å")
    if activation not in ACTIVATIONS:
        raise ModelError(f"activation {activation!r} has no counterpart here; known: swish, shifted_softplus, Tanh")
    embedding = weights.take("embed_block.atom_embed.weight", None, None)
    features = embedding.shape[1]
    rounds = count_tensors(weights, "message_blocks.{}.inv_message.inv_dense.layers.0.weight")
    out.state["representation.embedding.weight"] = embedding
    for t in range(rounds):
        _round(weights, t, features, out.state)
    count = _radial(weights, rounds, features, float(cutoff), out.state)
    _readout(weights, key, features, given, out)
    out.config["heads"]["energy"]["activation"] = ACTIVATIONS[activation]
    for other in others:
        weights.ignore(f"readout_blocks.0.readoutdict.{other}.")
        out.notes.append(f"Left out: the output {other!r}.")
    weights.finish()
    options = {
        "activation": ACTIVATIONS[activation],
        "epsilon": _EPSILON,
        "repulsion": _repulsion(given, out.notes),
    }
    out.config["representation"] = published_painn(embedding, rounds, float(cutoff), count, **options)
    return out


def _repulsion(given: dict[str, Any], notes: list[str]) -> dict[str, float] | None:
    """The excluded volume: every atom gets Σ_j (sigma/d)^power in the unit of energy, and the energy is their sum."""
    if not given.get("excl_vol"):
        return None
    power, sigma = given.get("V_ex_power"), given.get("V_ex_sigma")
    if not isinstance(power, (int, float)) or not isinstance(sigma, (int, float)):
        raise ModelError("excluded volume: expected numbers 'V_ex_power' and 'V_ex_sigma'")
    notes.append(f"The excluded-volume repulsion Σ ({sigma:g}/d)^{power:g} is part of the energy.")
    return {"strength": 1.0, "sigma": float(sigma), "power": float(power)}


def _energy_key(weights: Weights, asked: str | None) -> tuple[str, list[str]]:
    prefix = "readout_blocks.0.readoutdict."
    keys = sorted({name[len(prefix) :].split(".")[0] for name in weights.tensors if name.startswith(prefix)})
    key = asked or ("energy" if "energy" in keys else keys[0] if len(keys) == 1 else None)
    if key not in keys:
        raise ModelError(f"outputs {', '.join(keys) or 'none'}: say with energy_key which one is the energy")
    return key, [k for k in keys if k != key]


def _refuse_what_has_no_equal(given: dict[str, Any], key: str) -> None:
    skip = given.get("skip_connection", False)
    if skip.get(key, False) if isinstance(skip, dict) else skip:
        raise ModelError("skip connections (one readout for every interaction) have no counterpart in this package")
    pools = given.get("pool_dic") or {}
    pool = pools.get(key, {}) if isinstance(pools, dict) else None
    name = pool.get("name", "sum") if isinstance(pool, dict) else pool
    if name not in ("sum", "Sum"):
        raise ModelError(f"pooling {name!r} has no counterpart in this package; expected 'sum'")


def _round(weights: Weights, t: int, f: int, state: dict[str, Tensor]) -> None:
    p = "representation."
    m, u = f"message_blocks.{t}.inv_message.", f"update_blocks.{t}."
    take_dense(weights, m + "inv_dense.layers.0", f"{p}messages.{t}.context.0", (f, f), state)
    # theirs: vector gate, scalar, direction; ours: scalar, direction, vector gate
    take_dense(weights, m + "inv_dense.layers.1", f"{p}messages.{t}.context.2", (3 * f, f), state, (1, 2, 0))
    take_dense(weights, u + "s_dense.0", f"{p}updates.{t}.context.0", (f, 2 * f), state)
    # theirs: vv, sv, ss; ours: ss, vv, sv
    take_dense(weights, u + "s_dense.1", f"{p}updates.{t}.context.2", (3 * f, f), state, (2, 0, 1))
    maps = [weights.take(f"{u}{which}_mat.weight", f, f) for which in ("v", "u")]
    state[f"{p}updates.{t}.mix.weight"] = torch.cat(maps)


def _radial(weights: Weights, rounds: int, f: int, cutoff: float, state: dict[str, Tensor]) -> int:
    """Radial functions and filters; returns how many functions there are.

    Frequencies that every interaction learned for itself become one list, of which each filter reads its own part.
    """
    names = [f"message_blocks.{t}.inv_message.dist_embed.block." for t in range(rounds)]
    count = weights.take(names[0] + "1.weight", 3 * f, None).shape[1]
    learned = [weights.take(name + "0.n", count) if name + "0.n" in weights else None for name in names]
    plain = torch.arange(1, count + 1)
    multiples = [plain if n is None else n for n in learned]
    same = all(torch.equal(n, multiples[0]) for n in multiples)
    every = multiples[0] if same else torch.cat(multiples)
    state["representation.radial.frequencies"] = every.double() * (math.pi / cutoff)
    for t, name in enumerate(names):
        # theirs: vector gate, scalar, direction; ours: scalar, direction, vector gate
        take_dense(weights, name + "1", f"representation.filters.{t}", (3 * f, count), state, (1, 2, 0))
        if not same:
            wide = torch.zeros(3 * f, len(every), dtype=torch.float64)
            wide[:, t * count : (t + 1) * count] = reorder(weights.take(name + "1.weight", 3 * f, count), (1, 2, 0))
            state[f"representation.filters.{t}.weight"] = wide
    return len(every)


def _readout(weights: Weights, key: str, f: int, given: dict[str, Any], out: Translation) -> None:
    """E = Σ_i (stddev · MLP(s_i) + mean)."""
    p = f"readout_blocks.0.readoutdict.{key}."
    hidden = weights.take(p + "0.weight", None, f).shape[0]
    take_dense(weights, p + "0", "heads.energy.network.0", (hidden, f), out.state)
    take_dense(weights, p + "1", "heads.energy.network.2", (1, hidden), out.state)
    out.config["heads"] = {"energy": {"hidden": [hidden]}}
    mean, stddev = (_scaling(given, name, key, default) for name, default in (("means", 0.0), ("stddevs", 1.0)))
    out.normalize_energy(mean, stddev)


def _scaling(given: dict[str, Any], name: str, key: str, default: float) -> float:
    values = given.get(name) or {}
    value = values.get(key, default) if isinstance(values, dict) else None
    if isinstance(value, Tensor) and value.numel() == 1:
        value = float(value)
    if not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ModelError(f"{name}: expected a finite number for {key!r}; got {type(value).__name__}")
    return float(value)
