"""What the compiled passes are told of a model: why they cannot serve it, its parameters in order, its heads."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from torch import Tensor

from painn_ase.backends.kernel import ANY, PAINN, unknown_option
from painn_ase.heads import CellDipoleHead, DipoleHead, EnergyHead, PolarizabilityHead
from painn_ase.heads.base import Head
from painn_ase.model import Model
from painn_ase.native import library as c
from painn_ase.native import training as t
from painn_ase.nn.layers import GatedEquivariantNetwork
from painn_ase.representations import PaiNN

BLOCK = 16  # numbers that every parameter is padded to
# Every option of a network and of heads that the passes compute, and the value they know, where it is not any: what is
# not here they refuse.
_PAINN = PAINN | dict.fromkeys(("mixing_bias", "repulsion"), ANY)
_GATED = {**dict.fromkeys(("hidden", "epsilon"), ANY), "activation": "silu"}
_HEADS: dict[type, dict[str, Any]] = {
    EnergyHead: {**dict.fromkeys(("hidden", "mean", "mean_references", "linear"), ANY), "activation": "silu"},
    DipoleHead: _GATED | dict.fromkeys(("atomic_dipoles", "charge_correction", "charge_unit"), ANY),
    PolarizabilityHead: _GATED,
    CellDipoleHead: _GATED,
}


def obstacle(model: Model, labels: Iterable[str] = ()) -> str | None:
    """Why the compiled passes cannot serve `model`, trained on `labels`, or None if they can."""
    painn = model.representation
    if type(painn) is not PaiNN:
        return f"it knows PaiNN; this model is a {type(painn).__name__}"
    if painn.features % BLOCK:
        return f"it needs features in multiples of {BLOCK}; this model has {painn.features}"
    if next(model.parameters()).device.type != "cpu":
        return "it runs on the CPU"
    reason = unknown_option("it", "PaiNN", painn.config, _PAINN)
    provided: list[str] = []
    for name, head in model.heads.items():
        if type(head) not in _HEADS:
            return f"it does not know the head {name!r}"
        reason = reason or unknown_option("it", f"head {name!r}", head.config, _HEADS[type(head)])
        if not isinstance(head, EnergyHead) and not head.config["epsilon"] > 0:
            return f"it needs epsilon > 0; head {name!r} has {head.config['epsilon']}"
        provided += head.provides
    if reason:
        return reason
    if len(set(provided)) < len(provided):
        return "two heads provide the same property"
    strange = sorted(set(labels) - set(t.LABELS))
    if strange:
        return f"it knows no labels {', '.join(strange)}"
    return c.why_unavailable()


def parameter_order(model: Model) -> list[str | None]:
    """Names of all parameters in the kernel's order; None for one that it asks for and the model does not have."""
    painn: Any = model.representation
    names: list[str | None] = ["representation.embedding.weight"]

    def add(prefix: str, layer: Any) -> None:
        names.extend([f"{prefix}.weight", None if layer.bias is None else f"{prefix}.bias"])

    for k, layer in enumerate(painn.filters):
        add(f"representation.filters.{k}", layer)
    rounds: Any = zip(painn.messages, painn.updates, strict=True)
    for k, (message, update) in enumerate(rounds):
        add(f"representation.messages.{k}.context.0", message.context[0])
        add(f"representation.messages.{k}.context.2", message.context[2])
        add(f"representation.updates.{k}.mix", update.mix)
        add(f"representation.updates.{k}.context.0", update.context[0])
        add(f"representation.updates.{k}.context.2", update.context[2])
    for name, module in model.heads.items():
        head: Any = module
        prefix = f"heads.{name}"
        if isinstance(head.network, GatedEquivariantNetwork):
            blocks: Any = head.network.blocks
            for k, block in enumerate(blocks):
                names.append(f"{prefix}.network.blocks.{k}.mix.weight")
                add(f"{prefix}.network.blocks.{k}.gate.0", block.gate[0])
                add(f"{prefix}.network.blocks.{k}.gate.2", block.gate[2])
            continue
        for k in range(0, len(head.network), 2):
            add(f"{prefix}.network.{k}", head.network[k])
        names.append(f"{prefix}.direct.weight" if getattr(head, "direct", None) is not None else None)
    assert {name for name in names if name} == {name for name, _ in model.named_parameters()}
    return names


def part_of(name: str, heads: list[str]) -> int:
    """0 for the representation, 1 + k for head k: parts that a batch may have no labels for."""
    first, second, *_ = name.split(".")
    return 1 + heads.index(second) if first == "heads" else 0


def head_specification(head: Head, features: int) -> tuple[c.HeadSpec, list[np.ndarray]]:
    """A head as the kernel is told of it, and the arrays that this points to."""
    kinds: dict[type, int] = {
        EnergyHead: c.ENERGY,
        DipoleHead: c.DIPOLE,
        PolarizabilityHead: c.POLARIZABILITY,
        CellDipoleHead: c.CELL_DIPOLE,
    }
    gated = isinstance(head.network, GatedEquivariantNetwork)
    kind = kinds[type(head)] if gated or isinstance(head, EnergyHead) else c.CHARGES
    widths = np.array([features, *head.config["hidden"], 1], dtype=np.int32)
    references = head.references.double().numpy().copy()
    arrays = [widths, references, *([head.masses.double().numpy().copy()] if head.molecular else [])]
    spec = c.HeadSpec(
        kind,
        len(widths) - 1,
        widths.ctypes.data,
        None,
        float(head.scale),
        references.ctypes.data,
        arrays[2].ctypes.data if head.molecular else None,
        int(getattr(head, "mean", False) or getattr(head, "charge_correction", False)),
        head.config.get("epsilon", 0.0),
    )
    return spec, arrays


def decays(name: str, parameter: Tensor) -> bool:
    """Whether weight decay applies to a parameter: a smaller bias or embedding is not a simpler network."""
    return parameter.ndim > 1 and "embedding" not in name
