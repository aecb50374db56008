"""A model's weights in the compiled kernel, and its calls."""

from ctypes import byref, c_void_p
from typing import Any

import numpy as np
from torch import Tensor

from painn_ase.backends.weights import HeadWeights, Tables, kernel_weights
from painn_ase.errors import InputError, SimulationError
from painn_ase.heads import DipoleHead, EnergyHead, PolarizabilityHead
from painn_ase.heads.frame import WHICH_FRAGMENT
from painn_ase.model import Model
from painn_ase.native import library as c
from painn_ase.representations import PaiNN

MAX_FEATURES = 256
_MAX_LAYERS = 16
ANY = object()
# Every option of a network and of heads that the kernel computes, and the value it knows, where it is not any: what is
# not here it refuses.
PAINN: dict[str, Any] = {
    **dict.fromkeys(("features", "interactions", "cutoff", "radial", "cutoff_function", "epsilon", "embeddings"), ANY),
    **dict.fromkeys(("shared_filters", "shared_interactions"), ANY),
    "activation": "silu",
    "mixing_bias": False,
    "repulsion": None,
}
_HEADS: dict[type, dict[str, Any]] = {
    EnergyHead: {"hidden": ANY, "activation": "silu", "mean": ANY, "mean_references": False, "linear": False},
    DipoleHead: {
        **dict.fromkeys(("hidden", "atomic_dipoles", "charge_correction", "epsilon"), ANY),
        "activation": "silu",
        "charge_unit": 1.0,
    },
    PolarizabilityHead: {"hidden": ANY, "activation": "silu", "epsilon": ANY},
}


def unsupported(model: Model) -> str | None:
    """Why the kernel cannot evaluate `model`, or None if it can."""
    representation = model.representation
    if type(representation) is not PaiNN:
        return f"the kernel knows PaiNN; this model is a {type(representation).__name__}"
    features = representation.features
    if features % 16 or not 16 <= features <= MAX_FEATURES:
        return f"the kernel needs features in multiples of 16 up to {MAX_FEATURES}; this model has {features}"
    reason = unknown_option("the kernel", "PaiNN", representation.config, PAINN)
    for name, head in model.heads.items():
        if type(head) not in _HEADS:
            return f"the kernel does not know the head {name!r}"
        reason = reason or unknown_option("the kernel", f"head {name!r}", head.config, _HEADS[type(head)])
        if len(head.config["hidden"]) >= _MAX_LAYERS:
            return f"the kernel knows heads of up to {_MAX_LAYERS - 1} hidden layers"
    return reason


def unknown_option(who: str, what: str, config: dict[str, Any], handled: dict[str, Any]) -> str | None:
    """Says which option of `config` is the first that is not `handled`, or has another value; None if there is none."""
    for option, value in config.items():
        if option not in handled:
            return f"{who} does not know the option {option!r} of {what}"
        if handled[option] is not ANY and value != handled[option]:
            return f"{who} knows {what} with {option} = {handled[option]!r}; this model has {option} = {value!r}"
    return None


class Kernel:
    """The kernel's copy of `model`, in float32, and what it was last told of atoms and pairs."""

    def __init__(self, model: Model, instruction_set: str, tables: Tables | None = None) -> None:
        self._library = c.library()
        found = self._library.painn_instruction_set(instruction_set.encode())
        if found is None:
            raise InputError(f"instruction set: this machine has no {instruction_set!r}; expected another, or None")
        self.instruction_set = found.decode()
        self.tables = Tables.of(model) if tables is None else tables
        weights = kernel_weights(model, self.tables)
        self.intervals = weights.sizes.intervals
        self._handle = self._library.painn_new(byref(weights.sizes), found)
        if not self._handle:
            raise MemoryError("the native kernel found no memory for the model")
        for index, table in enumerate(weights.filters):
            self._call("painn_set_filter", index, table)
        coefficients, radial = weights.radial
        self._call("painn_set_radial", len(radial), coefficients, radial)
        self._call("painn_set_embedding", *weights.embedding)
        for which, index, weight, bias in weights.linears:
            self._call("painn_set_linear", which, index, weight, bias)
        for head in weights.heads:
            self._add_head(head)

    def run(self, positions: Tensor, cells: Tensor, charges: Tensor, threads: int, outputs: c.Outputs) -> None:
        """Evaluates the network at `positions` and fills `outputs`."""
        pointers = positions.data_ptr(), cells.data_ptr(), charges.data_ptr()
        self._check(self._library.painn_run(self._handle, *pointers, threads, outputs))

    def read(self, threads: int, outputs: c.Outputs) -> None:
        """Fills dipole, charges and polarizability from the features of the last run."""
        self._check(self._library.painn_read(self._handle, threads, outputs))

    def set_topology(self, topology: c.Topology) -> None:
        """Tells the kernel of new atoms or pairs; it copies what it needs."""
        self._call("painn_set_topology", byref(topology))

    def _add_head(self, head: HeadWeights) -> None:
        pointers = (c_void_p * len(head.tensors))(*(_pointer(a) for a in head.tensors))
        spec = c.HeadSpec(
            head.kind,
            len(head.widths) - 1,
            _pointer(head.widths),
            c.address(pointers),
            head.scale,
            _pointer(head.references),
            None if head.masses is None else _pointer(head.masses),
            head.flag,
            head.epsilon,
        )
        self._call("painn_add_head", byref(spec))

    def _call(self, name: str, *arguments: object) -> None:
        pointers = [_pointer(a) if isinstance(a, np.ndarray) else a for a in arguments]
        self._check(getattr(self._library, name)(self._handle, *pointers))

    def _check(self, failure: int) -> None:
        if failure == 0:
            return
        reason = self._library.painn_error(self._handle).decode()
        if failure == c.NO_MEMORY:
            raise MemoryError(reason)
        if failure == c.UNDEFINED:
            raise InputError(WHICH_FRAGMENT)
        raise SimulationError(f"native kernel: {reason}")

    def __del__(self) -> None:
        if getattr(self, "_handle", None):
            self._library.painn_free(self._handle)


def _pointer(array: np.ndarray) -> int:
    return array.ctypes.data
