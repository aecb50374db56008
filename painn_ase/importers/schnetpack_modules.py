"""SchNetPack's pickled modules as a state dict and hyperparameters, the form `schnetpack.translate` takes."""

from typing import Any

from torch import Tensor

from painn_ase.errors import ModelError
from painn_ase.importers.modules import Module, layer_activation, sequence_activation, state_dict

_RADIAL = ("GaussianRBF", "GaussianRBFCentered", "BesselRBF")
_CUTOFFS = ("CosineCutoff", "MollifierCutoff")


def describe(root: Any) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """State dict and hyperparameters of a pickled NeuralNetworkPotential.

    Raises `ModelError` that names what has no counterpart here.
    """
    model = Module(root)
    if model.class_name != "NeuralNetworkPotential":
        raise ModelError(
            f"expected a schnetpack NeuralNetworkPotential (best_model); the checkpoint holds {model.kind}"
        )
    model.only("representation", "input_modules", "output_modules", "postprocessors")
    hyperparameters = {
        "representation": _representation(model.child("representation")),
        "input_modules": _list(model, "input_modules"),
        "output_modules": _list(model, "output_modules"),
        "postprocessors": _list(model, "postprocessors") if model.get("do_postprocessing", bool, default=True) else [],
        "version": str(model.attributes.get("spk_version", "2.x"))[:40],
    }
    return state_dict(model), hyperparameters


def _list(model: Module, name: str) -> list[dict[str, Any]]:
    if name not in model.modules:
        return []
    found = []
    for module in model.child(name).children():
        reader = _READERS.get(module.class_name)
        if reader is None:
            raise ModelError(f"{module.path}: {module.kind} has no counterpart in this package")
        found.append({"type": module.class_name, **reader(module)})
    return found


def _representation(painn: Module) -> dict[str, Any]:
    if painn.class_name != "PaiNN":
        raise ModelError(f"representation: expected schnetpack PaiNN; the checkpoint holds {painn.kind}")
    painn.only(
        "radial_basis", "cutoff_fn", "embedding", "electronic_embeddings", "filter_net", "interactions", "mixing"
    )
    embedding, radial, cutoff = painn.child("embedding"), painn.child("radial_basis"), painn.child("cutoff_fn")
    if embedding.class_name != "Embedding":
        raise ModelError(f"{embedding.path}: {embedding.kind}; only a plain torch Embedding has a counterpart here")
    if painn.modules.get("electronic_embeddings") and painn.child("electronic_embeddings").modules:
        raise ModelError(
            "representation.electronic_embeddings: charge or spin embeddings have no counterpart in this package"
        )
    if radial.class_name not in _RADIAL:
        raise ModelError(f"{radial.path}: {radial.kind}; known: {', '.join(_RADIAL)}")
    if cutoff.class_name not in _CUTOFFS:
        raise ModelError(f"{cutoff.path}: {cutoff.kind}; known: {', '.join(_CUTOFFS)}")
    if layer_activation(painn.child("filter_net")) is not None:
        raise ModelError("representation.filter_net: expected no activation")
    messages, updates = painn.child("interactions").children(), painn.child("mixing").children()
    activations = {
        sequence_activation(m.only("interatomic_context_net").child("interatomic_context_net")) for m in messages
    }
    epsilons = set()
    for update in updates:
        update.only("intraatomic_context_net", "mu_channel_mix")
        activations.add(sequence_activation(update.child("intraatomic_context_net")))
        epsilons.add(update.get("epsilon", float, default=1e-8))
        if layer_activation(update.child("mu_channel_mix")) is not None:
            raise ModelError(f"{update.path}.mu_channel_mix: expected no activation")
    if len(activations) != 1 or len(epsilons) != 1:
        raise ModelError(f"representation: expected one activation and one epsilon; got {activations}, {epsilons}")
    return {
        "activation": activations.pop(),
        "epsilon": epsilons.pop(),
        "radial_basis": radial.class_name,
        "cutoff_fn": cutoff.class_name,
    }


def _atomwise(module: Module) -> dict[str, Any]:
    return {
        "output_key": module.get("output_key", str),
        "n_out": module.get("n_out", int, default=1),
        "aggregation_mode": module.get("aggregation_mode", str, type(None), default="sum"),
        "activation": sequence_activation(module.only("outnet").child("outnet")),
    }


def _dipole(module: Module) -> dict[str, Any]:
    vectors = module.get("use_vector_representation", bool, default=False)
    outnet = module.only("outnet").child("outnet")
    return {
        "use_vector_representation": vectors,
        "predict_magnitude": module.get("predict_magnitude", bool, default=False),
        "correct_charges": module.get("correct_charges", bool, default=True),
        "activation": _gated_activation(outnet) if vectors else sequence_activation(outnet),
    }


def _polarizability(module: Module) -> dict[str, Any]:
    return {"activation": _gated_activation(module.only("outnet").child("outnet"))}


def _gated_activation(outnet: Module) -> str:
    """The activation of a sequence of gated equivariant blocks, the same in and between all of them."""
    blocks = outnet.children()
    found = set()
    for block in blocks:
        if block.class_name != "GatedEquivariantBlock":
            raise ModelError(f"{block.path}: expected GatedEquivariantBlock; got {block.kind}")
        block.only("mix_vectors", "scalar_net", "sactivation")
        found.add(sequence_activation(block.child("scalar_net")))
        between = layer_activation(block, "sactivation")
        if (between is None) != (block is blocks[-1]):
            raise ModelError(f"{block.path}: expected an activation after every block but the last")
        if between is not None:
            found.add(between)
    if len(found) != 1:
        raise ModelError(f"{outnet.path}: expected one activation; got {sorted(map(str, found))}")
    return str(found.pop())


def _offsets(module: Module) -> dict[str, Any]:
    return {
        "property": module.get("_property", str),
        "add_mean": module.get("add_mean", bool, default=False),
        "add_atomrefs": module.get("add_atomrefs", bool, default=False),
        "is_extensive": module.get("is_extensive", bool, default=True),
    }


def _forces(module: Module) -> dict[str, Any]:
    return {"energy_key": module.get("energy_key", str, default="energy")}


def _nothing(module: Module) -> dict[str, Any]:
    return {}


_READERS = {
    "PairwiseDistances": _nothing,
    "Strain": _nothing,
    "Atomwise": _atomwise,
    "DipoleMoment": _dipole,
    "Polarizability": _polarizability,
    "Forces": _forces,
    "AddOffsets": _offsets,
    "CastTo64": _nothing,
    "CastTo32": _nothing,
}
