"""Checkpoints in the pickled format of SchNetPack 2.x, made without SchNetPack, and where the reference data lie."""

import contextlib
import itertools
import os
import re
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

DATA = Path(os.environ.get("PAINN_ASE_DATA", Path(__file__).parents[3] / "shared" / "data"))


def reference(*parts: str) -> Path:
    """A file or folder of the reference data; skips the test where it is absent."""
    path = DATA.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"reference data {path} are absent; PAINN_ASE_DATA says where they lie")
    return path


# which class SchNetPack has at which place of the network; first match counts
_KINDS = (
    (r"", "schnetpack.model.base.NeuralNetworkPotential"),
    (r"representation", "schnetpack.representation.painn.PaiNN"),
    (r"representation\.embedding", "torch.nn.modules.sparse.Embedding"),
    (r"representation\.interactions\.\d+", "schnetpack.representation.painn.PaiNNInteraction"),
    (r"representation\.mixing\.\d+", "schnetpack.representation.painn.PaiNNMixing"),
    (r".*\.(interactions|mixing)|[a-z]+_modules|postprocessors", "torch.nn.modules.container.ModuleList"),
    (r".*context_net|.*outnet|.*scalar_net", "torch.nn.modules.container.Sequential"),
    (r".*(context_net|scalar_net)\.\d+|.*filter_net|.*mu_channel_mix|.*mix_vectors", "schnetpack.nn.base.Dense"),
)
_TORCH = {
    "ModuleList": nn.ModuleList,
    "Sequential": nn.Sequential,
    "Embedding": nn.Embedding,
    "Identity": nn.Identity,
}


class SchNetPackPickle:
    """A network of empty modules that pickles as SchNetPack's does.

    `state` is a state dict (arrays by name), `kinds` the classes of places that the names leave open, `attributes`
    what the modules at given places carry. Change `modules` (by place) before saving to make other networks.
    """

    parts: tuple[str, ...] = ("input_modules", "output_modules", "postprocessors")
    patterns = _KINDS

    def __init__(self, state: dict, kinds: dict, attributes: dict) -> None:
        self.classes: dict[str, type] = {}
        self.modules: dict[str, nn.Module] = {}
        self.kinds = kinds
        for place in ["", *self.parts, *kinds]:
            self.module(place)
        for name, value in state.items():
            place, _, own = name.rpartition(".")
            tensor = torch.as_tensor(np.array(value))
            if own in ("weight", "bias"):
                self.module(place).register_parameter(own, nn.Parameter(tensor))
            else:
                self.module(place).register_buffer(own, tensor)
        self.activate()
        for place, values in attributes.items():
            vars(self.module(place)).update(values)

    def kind(self, place: str) -> str:
        if place in self.kinds:
            return self.kinds[place]
        for pattern, kind in self.patterns:
            if re.fullmatch(pattern, place):
                return kind
        gated = f"{place}.mix_vectors" in self.modules
        return "schnetpack.nn.blocks.GatedEquivariantBlock" if gated else "schnetpack.nn.base.Dense"

    def new(self, kind: str) -> nn.Module:
        """An empty module of the class with that dotted name."""
        module, _, name = kind.rpartition(".")
        if module.startswith("torch.nn.modules"):
            made = _TORCH[name].__new__(_TORCH[name])
        else:
            if kind not in self.classes:
                self.classes[kind] = type(name, (nn.Module,), {"__module__": module})
            made = self.classes[kind].__new__(self.classes[kind])
        nn.Module.__init__(made)
        return made

    def module(self, place: str) -> nn.Module:
        if place not in self.modules:
            self.modules[place] = nn.Module()
            if place:
                parent, _, name = place.rpartition(".")
                self.module(parent).add_module(name, self.modules[place])
            self.modules[place] = self._retyped(place)
        return self.modules[place]

    def _retyped(self, place: str) -> nn.Module:
        made = self.new(self.kind(place))
        if place:
            parent, _, name = place.rpartition(".")
            self.module(parent).add_module(name, made)
        return made

    def activate(self, function=functional.silu) -> None:
        """Gives the layers the activations that SchNetPack gives them."""
        blocks = {place.rpartition(".")[0] for place in self.modules if place.endswith("mix_vectors")}
        for place, module in self.modules.items():
            if place in blocks:
                module.__class__ = self.new("schnetpack.nn.blocks.GatedEquivariantBlock").__class__
                following = f"{place.rpartition('.')[0]}.{int(place.rpartition('.')[2]) + 1}"
                module.sactivation = function if following in self.modules else None
            elif type(module).__name__ == "Dense":
                parent, _, name = place.rpartition(".")
                last = not name.isdigit() or f"{parent}.{int(name) + 1}" not in self.modules
                if last:
                    module.add_module("activation", self.new("torch.nn.modules.linear.Identity"))
                else:
                    module.activation = function

    def save(self, path: Path, **keywords) -> Path:
        """Writes the checkpoint; SchNetPack's modules exist only while it does."""
        with contextlib.ExitStack() as stack:
            for kind, made in self.classes.items():
                module = kind.rpartition(".")[0]
                for name in itertools.accumulate(module.split("."), "{}.{}".format):
                    if name not in sys.modules:
                        sys.modules[name] = types.ModuleType(name)
                        stack.callback(sys.modules.pop, name)
                setattr(sys.modules[module], made.__name__, made)
            torch.save(self.modules[""], path, **keywords)
        return path


def small_network(features: int = 8, rounds: int = 2, count: int = 6, cutoff: float = 4.0, seed: int = 0) -> dict:
    """State dict of a small random PaiNN with Gaussian radial functions and one Atomwise output, in float32."""
    rng = np.random.default_rng(seed)

    def dense(name: str, n_out: int, n_in: int, bias: bool = True) -> dict:
        found = {f"{name}.weight": (rng.normal(size=(n_out, n_in)) / np.sqrt(n_in)).astype("f4")}
        return found | ({f"{name}.bias": (0.1 * rng.normal(size=n_out)).astype("f4")} if bias else {})

    f, r = features, "representation"
    grid = np.linspace(0, cutoff, count, dtype="f4")
    state = {
        "postprocessors.1.atomref": np.zeros(100, "f4"),
        "postprocessors.1.mean": np.array(-100.0),
        f"{r}.cutoff_fn.cutoff": np.array([cutoff], "f4"),
        f"{r}.radial_basis.widths": np.full(count, grid[1], "f4"),
        f"{r}.radial_basis.offsets": grid,
        f"{r}.embedding.weight": rng.normal(size=(100, f)).astype("f4"),
    }
    state |= dense(f"{r}.filter_net", 3 * f * rounds, count)
    for t in range(rounds):
        state |= dense(f"{r}.interactions.{t}.interatomic_context_net.0", f, f)
        state |= dense(f"{r}.interactions.{t}.interatomic_context_net.1", 3 * f, f)
    for t in range(rounds):
        state |= dense(f"{r}.mixing.{t}.intraatomic_context_net.0", f, 2 * f)
        state |= dense(f"{r}.mixing.{t}.intraatomic_context_net.1", 3 * f, f)
        state |= dense(f"{r}.mixing.{t}.mu_channel_mix", 2 * f, f, bias=False)
    return state | dense("output_modules.0.outnet.0", f // 2, f) | dense("output_modules.0.outnet.1", 1, f // 2)


SMALL_KINDS = {
    "representation.cutoff_fn": "schnetpack.nn.cutoff.CosineCutoff",
    "representation.radial_basis": "schnetpack.nn.radial.GaussianRBF",
    "input_modules.0": "schnetpack.atomistic.distances.PairwiseDistances",
    "output_modules.0": "schnetpack.atomistic.atomwise.Atomwise",
    "output_modules.1": "schnetpack.atomistic.response.Forces",
    "postprocessors.0": "schnetpack.transform.casting.CastTo64",
    "postprocessors.1": "schnetpack.transform.atomistic.AddOffsets",
}
SMALL_ATTRIBUTES = {
    "": {"do_postprocessing": True, "spk_version": "2.1.1"},
    "output_modules.0": {"output_key": "energy", "n_out": 1, "aggregation_mode": "sum"},
    "output_modules.1": {"energy_key": "energy"},
    "postprocessors.1": {"_property": "energy", "add_mean": True, "add_atomrefs": False, "is_extensive": True},
}


def small_pickle(**state) -> SchNetPackPickle:
    """The small network as a pickle; `state` replaces tensors of it (dots written as __)."""
    changed = small_network() | {name.replace("__", "."): value for name, value in state.items()}
    return SchNetPackPickle(changed, SMALL_KINDS, {k: dict(v) for k, v in SMALL_ATTRIBUTES.items()})
