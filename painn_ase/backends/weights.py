"""A model's weights as the compiled kernel takes them (csrc/painn.h), in float32; tables in float64."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from painn_ase.backends.tables import filter_tables, radial_table
from painn_ase.heads import DipoleHead, EnergyHead, PolarizabilityHead
from painn_ase.heads.base import Head
from painn_ase.model import Model
from painn_ase.native import library as c
from painn_ase.nn.layers import GatedEquivariantNetwork
from painn_ase.representations import PaiNN
from painn_ase.threads import torch_threads

KINDS: dict[type, int] = {EnergyHead: c.ENERGY, PolarizabilityHead: c.POLARIZABILITY, DipoleHead: c.DIPOLE}


@dataclass(frozen=True)
class HeadWeights:
    """What PainnHeadSpec points to: `tensors` are weights and biases, layer after layer."""

    kind: int
    widths: np.ndarray  # (depth + 1), int32
    tensors: tuple[np.ndarray, ...]
    scale: float
    references: np.ndarray  # (100)
    masses: np.ndarray | None  # (100)
    flag: int
    epsilon: float


@dataclass(frozen=True)
class KernelWeights:
    """Arguments of the kernel's painn_new and painn_set functions."""

    sizes: c.Sizes
    filters: tuple[np.ndarray, ...]  # each (intervals + 5, 3, F)
    radial: tuple[np.ndarray, np.ndarray]  # (intervals + 5, radial), (radial, 2, F)
    embedding: tuple[np.ndarray, np.ndarray]  # (elements, F), (elements, 3, F)
    linears: tuple[tuple[int, int, np.ndarray, np.ndarray | None], ...]  # which, set, weight, bias
    heads: tuple[HeadWeights, ...]


@dataclass(frozen=True, eq=False)
class Tables:
    """What of a network is tabulated: the slow part, computed once and carried along by pickles."""

    filters: tuple[np.ndarray, ...]  # each (intervals + 5, 3, F)
    radial: tuple[np.ndarray, np.ndarray]  # (intervals + 5, radial), (radial, 2, F)

    @classmethod
    def of(cls, model: Model) -> "Tables":
        painn = model.representation
        assert isinstance(painn, PaiNN)
        with torch_threads(1):  # small matrices: on a busy machine several threads take ten times as long
            tables = filter_tables(painn)
            filters = tuple(np.ascontiguousarray(table, dtype=np.float64) for table in tables)
            return cls(filters, radial_table(painn, len(tables[0]) - 5))


def kernel_weights(model: Model, tables: Tables | None = None) -> KernelWeights:
    """The weights of `model`, which the kernel must support; `tables` are those of the model, if they are known."""
    painn = model.representation
    assert isinstance(painn, PaiNN)
    tables = Tables.of(model) if tables is None else tables
    sizes = c.Sizes(
        painn.features,
        painn.interactions,
        len(painn.filters),
        len(painn.updates),
        len(tables.filters[0]) - 5,
        painn.embedding.num_embeddings,
        painn.cutoff,
        painn.config["epsilon"],
    )
    return KernelWeights(
        sizes,
        tables.filters,
        tables.radial,
        _embedding(painn),
        tuple(_linears(painn)),
        tuple(_head(head, painn.features) for head in model.heads.values()),
    )


def _embedding(painn: PaiNN) -> tuple[np.ndarray, np.ndarray]:
    embedding = painn.embedding.weight.detach().cpu()
    first: Any = painn.messages[0].context
    with torch.no_grad():  # the first context depends on the element only: a table, in float64
        hidden = nn.functional.silu(_affine(embedding.double(), first[0]))
        return _array(embedding), _array(_affine(hidden, first[2]))


def _linears(painn: PaiNN) -> Iterable[tuple[int, int, np.ndarray, np.ndarray | None]]:
    rounds: Any = zip(painn.messages, painn.updates, strict=True)
    for index, (message, update) in enumerate(rounds):
        for which, layer in (
            (c.CONTEXT_1, message.context[0]),
            (c.CONTEXT_2, message.context[2]),
            (c.MIX, update.mix),
            (c.UPDATE_1, update.context[0]),
            (c.UPDATE_2, update.context[2]),
        ):
            weight, *bias = _tensors([layer])
            yield which, index, weight, bias[0] if bias else None


def _head(head: Head, features: int) -> HeadWeights:
    network: Any = head.network
    kind = KINDS[type(head)]
    epsilon = 0.0
    if isinstance(network, GatedEquivariantNetwork):
        blocks: Any = network.blocks
        layers = [layer for block in blocks for layer in (block.mix, block.gate[0], block.gate[2])]
        epsilon = blocks[0].epsilon
    else:
        layers = [layer for layer in network if isinstance(layer, nn.Linear)]
        kind = c.ENERGY if kind == c.ENERGY else c.CHARGES
    return HeadWeights(
        kind,
        np.array([features, *head.config["hidden"], 1], dtype=np.int32),
        tuple(_tensors(layers)),
        float(head.scale),
        _exact(head.references),
        _exact(head.masses) if isinstance(head, DipoleHead | PolarizabilityHead) else None,
        int(getattr(head, "mean", False) or getattr(head, "charge_correction", False)),
        epsilon,
    )


def _affine(x: Tensor, layer: nn.Linear) -> Tensor:
    return x @ layer.weight.detach().cpu().double().T + layer.bias.detach().cpu().double()


def _exact(tensor: Tensor) -> np.ndarray:
    return tensor.detach().cpu().double().numpy().copy()


def _array(tensor: Tensor) -> np.ndarray:
    return np.ascontiguousarray(tensor.detach().cpu().float().numpy())


def _tensors(layers: Iterable[nn.Linear]) -> list[np.ndarray]:
    """Weight and bias, where there is one, of each layer."""
    return [_array(t) for layer in layers for t in (layer.weight, layer.bias) if t is not None]
