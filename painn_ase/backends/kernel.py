"""A model's weights in the compiled kernel, and its calls."""

from collections.abc import Iterable
from ctypes import byref, c_void_p
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from painn_ase.backends.tables import filter_tables, radial_table
from painn_ase.errors import InputError, SimulationError
from painn_ase.heads import DipoleHead, EnergyHead, PolarizabilityHead
from painn_ase.heads.base import Head
from painn_ase.model import Model
from painn_ase.native import library as c
from painn_ase.nn.layers import GatedEquivariantNetwork
from painn_ase.representations import PaiNN
from painn_ase.threads import torch_threads

MAX_FEATURES = 256
_MAX_LAYERS = 16
_KINDS: dict[type, int] = {EnergyHead: c.ENERGY, PolarizabilityHead: c.POLARIZABILITY, DipoleHead: c.DIPOLE}
_AS_PUBLISHED = {"vectors": "full", "scalar_product": True, "cross_product": False, "tensor_features": False}


def unsupported(model: Model) -> str | None:
    """Why the kernel cannot evaluate `model`, or None if it can."""
    representation = model.representation
    if type(representation) is not PaiNN:
        return f"the kernel knows PaiNN; this model is a {type(representation).__name__}"
    features = representation.features
    if features % 16 or not 16 <= features <= MAX_FEATURES:
        return f"the kernel needs features in multiples of 16 up to {MAX_FEATURES}; this model has {features}"
    if representation.config["activation"] != "silu":
        return f"the kernel knows the activation 'silu'; this model has {representation.config['activation']!r}"
    if representation.config["mixing_bias"]:
        return "the kernel mixes vectors without biases; this imported model has them"
    if representation.config["repulsion"]:
        return "the kernel does not know the pair repulsion of this imported model"
    for option, published in _AS_PUBLISHED.items():
        if representation.config[option] != published:
            return f"the kernel knows PaiNN as published; this model has {option} = {representation.config[option]!r}"
    heads: Any = model.heads
    for name, head in heads.items():
        if type(head) not in _KINDS:
            return f"the kernel does not know the head {name!r}"
        if head.config["activation"] != "silu":
            return f"the kernel knows the activation 'silu'; head {name!r} has {head.config['activation']!r}"
        if head.config.get("mean_references", False) or head.config.get("charge_unit", 1.0) != 1.0:
            return f"the kernel does not know averaged references and charges in other units than e; head {name!r} does"
        if head.config.get("linear", False):
            return f"the kernel knows heads without a linear term; head {name!r} has one"
        if len(head.config["hidden"]) >= _MAX_LAYERS:
            return f"the kernel knows heads of up to {_MAX_LAYERS - 1} hidden layers"
    return None


class Kernel:
    """The kernel's copy of `model`, in float32, and what it was last told of atoms and pairs."""

    def __init__(self, model: Model, instruction_set: str) -> None:
        representation = model.representation
        assert isinstance(representation, PaiNN)
        self._library = c.library()
        found = self._library.painn_instruction_set(instruction_set.encode())
        if found is None:
            raise InputError(f"instruction set: this machine has no {instruction_set!r}; expected another, or None")
        self.instruction_set = found.decode()
        with torch_threads(1):  # small matrices: on a busy machine several threads take ten times as long
            tables = filter_tables(representation)
        sizes = c.Sizes(
            representation.features,
            representation.interactions,
            len(representation.filters),
            len(representation.updates),
            len(tables[0]) - 5,
            representation.embedding.num_embeddings,
            representation.cutoff,
            representation.config["epsilon"],
        )
        self.intervals = sizes.intervals
        self._handle = self._library.painn_new(byref(sizes), found)
        if not self._handle:
            raise MemoryError("the native kernel found no memory for the model")
        for index, table in enumerate(tables):
            self._call("painn_set_filter", index, np.ascontiguousarray(table, dtype=np.float64))
        coefficients, weights = radial_table(representation, self.intervals)
        self._call("painn_set_radial", len(weights), coefficients, weights)
        self._set_network(representation)
        for head in model.heads.values():
            assert isinstance(head, Head)
            self._add_head(head, representation.features)

    def run(self, positions: Tensor, cells: Tensor, charges: Tensor, threads: int, outputs: c.Outputs) -> None:
        """Evaluates the network at `positions` and fills `outputs`."""
        pointers = positions.data_ptr(), cells.data_ptr(), charges.data_ptr()
        if self._library.painn_run(self._handle, *pointers, threads, outputs):
            self._fail()

    def read(self, threads: int, outputs: c.Outputs) -> None:
        """Fills dipole, charges and polarizability from the features of the last run."""
        if self._library.painn_read(self._handle, threads, outputs):
            self._fail()

    def set_topology(self, topology: c.Topology) -> None:
        """Tells the kernel of new atoms or pairs; it copies what it needs."""
        self._call("painn_set_topology", byref(topology))

    def _set_network(self, painn: PaiNN) -> None:
        embedding = painn.embedding.weight.detach().cpu()
        first: Any = painn.messages[0].context
        with torch.no_grad():  # the first context depends on the element only: a table, in float64
            hidden = nn.functional.silu(_affine(embedding.double(), first[0]))
            context = _affine(hidden, first[2])
        self._call("painn_set_embedding", _array(embedding), _array(context))
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
                self._call("painn_set_linear", which, index, weight, bias[0] if bias else None)

    def _add_head(self, head: Head, features: int) -> None:
        network: Any = head.network
        kinds: dict[type[Head], int] = {
            EnergyHead: c.ENERGY,
            PolarizabilityHead: c.POLARIZABILITY,
            DipoleHead: c.DIPOLE,
        }
        kind = kinds[type(head)]
        flag = getattr(head, "mean", False) or getattr(head, "charge_correction", False)
        epsilon = 0.0
        if isinstance(network, GatedEquivariantNetwork):
            blocks: Any = network.blocks
            layers = [layer for block in blocks for layer in (block.mix, block.gate[0], block.gate[2])]
            epsilon = blocks[0].epsilon
        else:
            layers = [layer for layer in network if isinstance(layer, nn.Linear)]
            kind = c.ENERGY if kind == c.ENERGY else c.CHARGES
        arrays = _tensors(layers)
        pointers = (c_void_p * len(arrays))(*(_pointer(a) for a in arrays))
        widths = np.array([features, *head.config["hidden"], 1], dtype=np.int32)
        references = _exact(head.references)
        masses = _exact(head.masses) if isinstance(head, DipoleHead | PolarizabilityHead) else None
        spec = c.HeadSpec(
            kind,
            len(widths) - 1,
            _pointer(widths),
            c.address(pointers),
            float(head.scale),
            _pointer(references),
            None if masses is None else _pointer(masses),
            int(flag),
            epsilon,
        )
        self._call("painn_add_head", byref(spec))

    def _call(self, name: str, *arguments: object) -> None:
        pointers = [_pointer(a) if isinstance(a, np.ndarray) else a for a in arguments]
        if getattr(self._library, name)(self._handle, *pointers):
            self._fail()

    def _fail(self) -> None:
        reason = self._library.painn_error(self._handle).decode()
        raise MemoryError(reason) if reason == "out of memory" else SimulationError(f"native kernel: {reason}")

    def __del__(self) -> None:
        if getattr(self, "_handle", None):
            self._library.painn_free(self._handle)


def _affine(x: Tensor, layer: nn.Linear) -> Tensor:
    return x @ layer.weight.detach().cpu().double().T + layer.bias.detach().cpu().double()


def _exact(tensor: Tensor) -> np.ndarray:
    return tensor.detach().cpu().double().numpy().copy()


def _array(tensor: Tensor) -> np.ndarray:
    return np.ascontiguousarray(tensor.detach().cpu().float().numpy())


def _tensors(layers: Iterable[nn.Linear]) -> list[np.ndarray]:
    """Weight and bias, where there is one, of each layer."""
    return [_array(t) for layer in layers for t in (layer.weight, layer.bias) if t is not None]


def _pointer(array: np.ndarray) -> int:
    return array.ctypes.data
