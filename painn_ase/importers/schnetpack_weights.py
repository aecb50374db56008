"""SchNetPack's state dict and hyperparameters as a `Translation`.

The formulas and split orders of SchNetPack's PaiNN are those of this package, so tensors are taken as they are, stored
radial buffers included; only the filters of all interactions lie in one matrix there.
"""

from functools import partial
from typing import Any

import torch
from torch import Tensor

from painn_ase.errors import ModelError
from painn_ase.importers.translation import Translation
from painn_ase.importers.weights import TINY, Weights, count_tensors, take_gated, take_mlp
from painn_ase.schema import check_keys

_check_keys = partial(check_keys, error=ModelError)
_NO_OUTPUT = ("Forces", "CastTo64", "CastTo32", "PairwiseDistances", "Strain")


def translate(tensors: dict[str, Tensor], hyperparameters: dict[str, Any]) -> Translation:
    """The network that a SchNetPack state dict and its hyperparameters describe, in our names.

    Raises `ModelError` for missing, misfit or unexplained tensors and for parts without a counterpart here.
    """
    weights = Weights(tensors)
    _check_keys(
        "hyperparameters",
        hyperparameters,
        ("representation", "output_modules"),
        ("input_modules", "postprocessors", "version"),
    )
    translation = Translation({"heads": {}}, {})
    _representation(weights, hyperparameters["representation"], translation)
    features = translation.config["representation"]["features"]
    outputs = _objects(hyperparameters, "output_modules")
    energy = _energy_key(outputs)
    for k, module in enumerate(outputs):
        kind, prefix = module.get("type"), f"output_modules.{k}."
        if kind == "Atomwise":
            _energy(weights, prefix, module, features, translation)
        elif kind == "DipoleMoment":
            _dipole(weights, prefix, module, features, translation)
        elif kind == "Polarizability":
            _polarizability(weights, prefix, module, features, translation)
        elif kind not in _NO_OUTPUT:
            raise ModelError(f"{prefix[:-1]}: {kind} has no counterpart in this package")
    for k, module in enumerate(_objects(hyperparameters, "postprocessors")):
        if module.get("type") == "AddOffsets":
            _offsets(weights, f"postprocessors.{k}.", module, energy, translation)
        elif module.get("type") not in _NO_OUTPUT:
            raise ModelError(f"postprocessors.{k}: {module.get('type')} has no counterpart in this package")
    weights.ignore("postprocessors.")  # offsets that are switched off
    weights.finish()
    return translation


def _objects(hyperparameters: dict[str, Any], key: str) -> list[dict[str, Any]]:
    found = hyperparameters.get(key, [])
    if not isinstance(found, list) or not all(isinstance(module, dict) for module in found):
        raise ModelError(f"{key}: expected a list of objects, each with a 'type'")
    return found


def _representation(weights: Weights, given: dict[str, Any], out: Translation) -> None:
    _check_keys("representation", given, (), ("activation", "epsilon", "radial_basis", "cutoff_fn"))
    epsilon = given.get("epsilon", 1e-8)
    if not isinstance(epsilon, (int, float)) or not 0 <= epsilon < 1:
        raise ModelError(f"representation.epsilon: expected a number from 0 to 1; got {epsilon!r}")
    p = "representation."
    embedding = weights.take(p + "embedding.weight", None, None)
    features = embedding.shape[1]
    rounds = count_tensors(weights, p + "interactions.{}.interatomic_context_net.0.weight")
    radial = _radial(weights, given, out.state)
    cutoff = weights.number(p + "cutoff_fn.cutoff")
    weights.ignore(p + "cutoff", p + "radial_basis.cutoff")
    kind = given.get("cutoff_fn", "MollifierCutoff" if p + "cutoff_fn.eps" in weights else "CosineCutoff")
    cutoff_function: dict[str, Any] = {
        "kind": {"CosineCutoff": "cosine", "MollifierCutoff": "mollifier"}.get(kind, kind)
    }
    if kind == "MollifierCutoff":
        cutoff_function["epsilon"] = weights.number(p + "cutoff_fn.eps")

    filters = weights.take(p + "filter_net.weight", None, radial["count"])
    bias = weights.take(p + "filter_net.bias", filters.shape[0])
    shared_filters = rounds > 1 and filters.shape[0] == 3 * features
    if filters.shape[0] != 3 * features * (1 if shared_filters else rounds):
        raise ModelError(
            f"{p}filter_net.weight: {filters.shape[0]} rows do not fit {rounds} interactions of 3x{features}"
        )
    for t, (w, b) in enumerate(zip(filters.split(3 * features), bias.split(3 * features), strict=True)):
        out.state |= {f"{p}filters.{t}.weight": w, f"{p}filters.{t}.bias": b}

    blocks = [_interaction(weights, t, features) for t in range(rounds)]
    shared = rounds > 1 and all(_equal(blocks[0], block) for block in blocks[1:])
    for t, block in enumerate(blocks[:1] if shared else blocks):
        out.state |= {f"{p}{name.format(t)}": tensor for name, tensor in block.items()}
    out.state[p + "embedding.weight"] = embedding
    out.config["representation"] = {
        "kind": "painn",
        "features": features,
        "interactions": rounds,
        "cutoff": cutoff,
        "radial": radial,
        "cutoff_function": cutoff_function,
        "shared_filters": shared_filters,
        "shared_interactions": shared,
        "activation": given.get("activation", "silu"),
        "epsilon": max(epsilon, TINY),
        "embeddings": embedding.shape[0],
    }


def _radial(weights: Weights, given: dict[str, Any], state: dict[str, Tensor]) -> dict[str, Any]:
    """The radial functions, with the stored buffers: float32 ones differ from recomputed ones in the eighth digit."""
    p = "representation.radial_basis."
    bessel = p + "freqs" in weights
    kind = given.get("radial_basis", "BesselRBF" if bessel else "GaussianRBF")
    if kind == "BesselRBF":
        frequencies = weights.take(p + "freqs", None)
        state["representation.radial.frequencies"] = frequencies
        return {"kind": "bessel", "count": len(frequencies)}
    if kind not in ("GaussianRBF", "GaussianRBFCentered"):
        raise ModelError(f"radial_basis: {kind}; known: GaussianRBF, GaussianRBFCentered, BesselRBF")
    centers = weights.take(p + "offsets", None)
    widths = weights.take(p + "widths", len(centers))
    state |= {"representation.radial.centers": centers, "representation.radial.widths": widths}
    start = float(widths[0] if kind == "GaussianRBFCentered" else centers[0])
    return {"kind": "gaussian", "count": len(centers), "start": start, "centered": kind == "GaussianRBFCentered"}


def _interaction(weights: Weights, t: int, f: int) -> dict[str, Tensor]:
    """Tensors of one message and update by our names, with {} for the round."""
    p, q = f"representation.interactions.{t}.interatomic_context_net", f"representation.mixing.{t}"
    found = {"updates.{}.mix.weight": weights.take(f"{q}.mu_channel_mix.weight", 2 * f, f)}
    for ours, theirs, inputs in (("messages", p, f), ("updates", f"{q}.intraatomic_context_net", 2 * f)):
        for k, (n_out, n_in) in enumerate(((f, inputs), (3 * f, f))):
            found[f"{ours}.{{}}.context.{2 * k}.weight"] = weights.take(f"{theirs}.{k}.weight", n_out, n_in)
            found[f"{ours}.{{}}.context.{2 * k}.bias"] = weights.take(f"{theirs}.{k}.bias", n_out)
    return found


def _energy_key(outputs: list[dict[str, Any]]) -> str:
    """The key of the energy; several Atomwise outputs cannot all be the energy."""
    keys = [module.get("output_key", "energy") for module in outputs if module.get("type") == "Atomwise"]
    if len(keys) > 1:
        raise ModelError(
            f"the checkpoint has {len(keys)} Atomwise outputs ({', '.join(keys)}); only one, the energy, is known"
        )
    return keys[0] if keys else "energy"


def _energy(weights: Weights, prefix: str, given: dict[str, Any], features: int, out: Translation) -> None:
    _check_keys(prefix[:-1], given, (), ("type", "output_key", "n_out", "aggregation_mode", "activation"))
    mode = given.get("aggregation_mode", "sum")
    if mode not in ("sum", "avg") or given.get("n_out", 1) != 1:
        raise ModelError(f"{prefix}aggregation_mode: expected 'sum' or 'avg' of one output per atom; got {mode!r}")
    hidden = take_mlp(weights, prefix + "outnet.", "heads.energy.network.", features, out.state)
    activation = given.get("activation", "silu")
    out.config["heads"]["energy"] = {"hidden": hidden, "activation": activation, "mean": mode == "avg"}


def _dipole(weights: Weights, prefix: str, given: dict[str, Any], features: int, out: Translation) -> None:
    known = ("type", "use_vector_representation", "predict_magnitude", "correct_charges", "activation")
    _check_keys(prefix[:-1], given, (), known)
    if given.get("predict_magnitude", False):
        raise ModelError(
            f"{prefix[:-1]}: predicts the magnitude of the dipole moment only; an infrared spectrum and a dipole in "
            "ASE need the vector, and the sign and direction were never trained"
        )
    vectors = given.get("use_vector_representation", False)
    network = take_gated if vectors else take_mlp
    out.config["heads"]["dipole"] = {
        "hidden": network(weights, prefix + "outnet.", "heads.dipole.network.", features, out.state),
        "activation": given.get("activation", "silu"),
        "atomic_dipoles": vectors,
        "charge_correction": given.get("correct_charges", True),
        "epsilon": TINY,
    }


def _polarizability(weights: Weights, prefix: str, given: dict[str, Any], features: int, out: Translation) -> None:
    _check_keys(prefix[:-1], given, (), ("type", "activation"))
    hidden = take_gated(weights, prefix + "outnet.", "heads.polarizability.network.", features, out.state)
    activation = given.get("activation", "silu")
    out.config["heads"]["polarizability"] = {"hidden": hidden, "activation": activation, "epsilon": TINY}


def _offsets(weights: Weights, prefix: str, given: dict[str, Any], energy: str, out: Translation) -> None:
    """AddOffsets: a mean (times the number of atoms if extensive) and a reference per element (mean if not)."""
    _check_keys(prefix[:-1], given, ("property",), ("type", "add_mean", "add_atomrefs", "is_extensive"))
    if given["property"] != energy or "energy" not in out.config["heads"]:
        raise ModelError(
            f"{prefix[:-1]}: offsets of {given['property']!r} have no counterpart here; only the energy's have"
        )
    references = out.state.setdefault("heads.energy.references", torch.zeros(100, dtype=torch.float64))
    average = not given.get("is_extensive", True)
    head = out.config["heads"]["energy"]
    if head.setdefault("mean_references", average) != average:
        raise ModelError(f"{prefix[:-1]}: extensive and intensive offsets of one property")
    if given.get("add_mean", False):
        references += weights.number(prefix + "mean")
    if given.get("add_atomrefs", False):
        atomrefs = weights.take_any(prefix + "atomref").flatten().double()
        references[: len(atomrefs)] += atomrefs[: len(references)]
        out.elements = tuple(z for z in range(1, min(len(atomrefs), 100)) if atomrefs[z] != 0) or None


def _equal(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return all(torch.equal(a[name], b[name]) for name in a)
