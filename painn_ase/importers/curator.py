"""The PaiNN of DTU's training codes (curator, cPaiNN): `.pth` files with `model`, `num_layer`, `node_size`, `cutoff`.

Formulas as published with github.com/dtu-energy/cPaiNN. Energies are eV and lengths Å. Against this package: message
splits are (vector gate, direction, scalar), update splits (vv, sv, ss), the update's network reads [|Vv|, s] without an
ε, the radial functions are sin(nπd/rc)/d, and U and V carry biases. A bias on vectors points along fixed axes, so such
a network is not invariant under rotations; it is reproduced as it is, and the card says so.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from painn_ase import units
from painn_ase.errors import InputError, ModelError
from painn_ase.importers.archive import naming, read_torch
from painn_ase.importers.card import provenance
from painn_ase.importers.recognise import refuse_strangers
from painn_ase.importers.translation import ForeignUnits, Translation, build, published_painn
from painn_ase.importers.weights import TINY, Weights, bessel_frequencies, reorder, take_dense
from painn_ase.model import Model

DIALECT = "DTU (curator, cPaiNN)"
UNITS = ForeignUnits(energy="eV", length="Ang")
_ADVICE = (
    "If the model is your own, save with torch.save the dictionary of 'model' (its state dict), 'num_layer', "
    "'node_size' and 'cutoff' alone, and import that (docs/importing.md)"
)
_CHARGES = ("linear.", "linear_magmom.", "linear_bader_charge.")


def load(
    path: str | Path,
    *,
    energy_unit: str = "eV",
    length_unit: str = "Ang",
    elements: Iterable[int | str] | None = None,
) -> Model:
    """The PaiNN model of a DTU checkpoint, which computes in eV and Å; other units are refused.

    What a trainer keeps beside the network (losses, optimiser, steps) is read as data and left out. Raises `ModelError`
    for damaged files, for code in them, and for tensors that this dialect does not explain. Outputs for magnetic
    moments and Bader charges are left out, and the card says so.
    """
    path = Path(path)
    _check_units(energy_unit, length_unit)
    refuse_strangers(path, "curator")
    checkpoint = read_torch(path, advice=_ADVICE)
    with naming(path):
        translation = translate(checkpoint)
        model = build(translation, UNITS, elements)
    model.name = path.stem
    model.provenance = provenance(path, DIALECT, UNITS, translation.notes)
    return model


def _check_units(energy: str, length: str) -> None:
    for what, unit, table in (("energy", energy, units.ENERGY), ("length", length, units.LENGTH)):
        if units.factor(unit, table, what) != 1.0:
            raise InputError(
                f"{what}_unit: expected {getattr(UNITS, what)}, the unit of every curator checkpoint; got {unit!r}. "
                "Leave it out"
            )


def translate(checkpoint: Any) -> Translation:
    """The network of a checkpoint's dictionary, in our names. Raises `ModelError`."""
    if type(checkpoint) is not dict or type(checkpoint.get("model")) is not dict:
        raise ModelError("expected a dictionary with 'model' (a state dict), 'num_layer', 'node_size' and 'cutoff'")
    tensors = checkpoint["model"]
    if not all(isinstance(name, str) and isinstance(t, Tensor) for name, t in tensors.items()):
        raise ModelError("'model': expected names and tensors")
    rounds, features, cutoff = (checkpoint.get(name) for name in ("num_layer", "node_size", "cutoff"))
    if type(rounds) is not int or type(features) is not int or not isinstance(cutoff, (int, float)):
        raise ModelError("expected whole numbers 'num_layer' and 'node_size' and a number 'cutoff'")
    weights, out = Weights(tensors), Translation({}, {})
    embedding = weights.take("atom_embedding.weight", None, features)
    count = weights.take("message_layers.0.filter_layer.weight", 3 * features, None).shape[1]
    out.state["representation.embedding.weight"] = embedding
    out.state["representation.radial.frequencies"] = bessel_frequencies(count, float(cutoff))
    biased = [_round(weights, t, features, count, out.state) for t in range(rounds)]
    take_dense(weights, "readout_mlp.0", "heads.energy.network.0", (features, features), out.state)
    take_dense(weights, "readout_mlp.2", "heads.energy.network.2", (1, features), out.state)
    _normalization(weights, out)
    left_out = [name for name in tensors if name.startswith(_CHARGES)]
    weights.ignore(*_CHARGES)
    weights.finish()
    if left_out:
        out.notes.append(f"Left out: the output for magnetic moments or Bader charges ({', '.join(sorted(left_out))}).")
    if any(biased):
        out.notes.append(
            "The maps U and V of the original have biases, which point along fixed axes: energies change when a "
            "structure is rotated. The network is reproduced as it was trained."
        )
    else:
        for t in range(rounds):
            del out.state[f"representation.updates.{t}.mix.bias"]
    options = {"epsilon": TINY, "mixing_bias": any(biased)}
    out.config["representation"] = published_painn(embedding, rounds, float(cutoff), count, **options)
    return out


def _round(weights: Weights, t: int, f: int, count: int, state: dict[str, Tensor]) -> bool:
    """One message and update; whether its maps of vectors have biases other than zero."""
    p, m, u = "representation.", f"message_layers.{t}.", f"update_layers.{t}."
    take_dense(weights, m + "scalar_message_mlp.0", f"{p}messages.{t}.context.0", (f, f), state)
    # theirs: vector gate, direction, scalar; ours: scalar, direction, vector gate
    take_dense(weights, m + "scalar_message_mlp.2", f"{p}messages.{t}.context.2", (3 * f, f), state, (2, 1, 0))
    take_dense(weights, m + "filter_layer", f"{p}filters.{t}", (3 * f, count), state, (2, 1, 0))
    take_dense(weights, u + "update_mlp.0", f"{p}updates.{t}.context.0", (f, 2 * f), state)
    first = f"{p}updates.{t}.context.0.weight"
    state[first] = reorder(state[first].t(), (1, 0)).t()  # theirs reads [|Vv|, s]; ours [s, |V|]
    # theirs: vv, sv, ss; ours: ss, vv, sv
    take_dense(weights, u + "update_mlp.2", f"{p}updates.{t}.context.2", (3 * f, f), state, (2, 0, 1))
    for name in ("weight", "bias"):
        shape = (f, f) if name == "weight" else (f,)
        parts = [weights.take(f"{u}update_{which}.{name}", *shape) for which in ("V", "U")]
        state[f"{p}updates.{t}.mix.{name}"] = torch.cat(parts)
    return bool(state[f"{p}updates.{t}.mix.bias"].any())


def _normalization(weights: Weights, out: Translation) -> None:
    """E = Σ stddev + mean, the mean times the number of atoms when normalised per atom."""
    head = out.config["heads"] = {"energy": {"hidden": [out.state["heads.energy.network.0.weight"].shape[0]]}}
    on, per_atom = (bool(weights.number(name)) for name in ("normalization", "atomwise_normalization"))
    mean, stddev = (weights.number(f"normalize_{name}") for name in ("mean", "stddev"))
    if on:
        head["energy"]["mean_references"] = not per_atom
        out.normalize_energy(mean, stddev)
