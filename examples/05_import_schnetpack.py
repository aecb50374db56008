"""Import a SchNetPack checkpoint and run molecular dynamics with it. SchNetPack is not needed, nor executed.

With a checkpoint of your own only the last part matters; the first makes one (random, small) in the same format.
"""

import sys
from itertools import accumulate
from tempfile import TemporaryDirectory
from types import ModuleType

import torch
from ase.build import molecule
from torch import nn
from torch.nn.functional import silu

from painn_ase import PaiNNCalculator, run_md
from painn_ase.importers import convert
from painn_ase.importers.card import card

F, COUNT, CUTOFF = 16, 10, 4.0  # features, radial functions, Å
SPK = "schnetpack.representation.painn.PaiNN"


def module(kind, parts=(), buffers=(), **attributes):
    """A torch module that pickles under the dotted name `kind`, as a module of SchNetPack does."""
    package, _, name = kind.rpartition(".")
    for path in accumulate(package.split("."), "{}.{}".format):
        sys.modules.setdefault(path, ModuleType(path))
    home = sys.modules[package]
    if not hasattr(home, name):
        setattr(home, name, type(name, (nn.Module,), {"__module__": package}))
    made = getattr(home, name)()
    for add, given in ((made.add_module, parts), (made.register_buffer, buffers)):
        for part, value in dict(given).items():
            add(part, value)
    vars(made).update(attributes)
    return made


def dense(inputs, outputs, bias=True, **activation):
    made = module("schnetpack.nn.base.Dense", {} if activation else {"activation": nn.Identity()}, **activation)
    layer = nn.Linear(inputs, outputs, bias=bias)
    made.weight, made.bias = layer.weight, layer.bias
    return made


def network(inputs, hidden, outputs):
    return nn.Sequential(dense(inputs, hidden, activation=silu), dense(hidden, outputs))


def mixing():
    parts = {"intraatomic_context_net": network(2 * F, F, 3 * F), "mu_channel_mix": dense(F, 2 * F, bias=False)}
    return module(SPK + "Mixing", parts, epsilon=1e-8)


torch.manual_seed(0)
grid, message = torch.linspace(0, CUTOFF, COUNT), "interatomic_context_net"
painn = {
    "cutoff_fn": module("schnetpack.nn.cutoff.CosineCutoff", (), {"cutoff": torch.tensor([CUTOFF])}),
    "radial_basis": module("schnetpack.nn.radial.GaussianRBF", (), {"widths": grid[1].repeat(COUNT), "offsets": grid}),
    "embedding": nn.Embedding(100, F),
    "filter_net": dense(COUNT, 9 * F),
    "interactions": nn.ModuleList(module(SPK + "Interaction", {message: network(F, F, 3 * F)}) for _ in range(3)),
    "mixing": nn.ModuleList(mixing() for _ in range(3)),
}
readout = module("schnetpack.atomistic.atomwise.Atomwise", {"outnet": network(F, F // 2, 1)}, output_key="energy")
parts = {"representation": module(SPK, painn), "output_modules": nn.ModuleList([readout])}

with TemporaryDirectory() as folder:
    torch.save(module("schnetpack.model.base.NeuralNetworkPotential", parts), f"{folder}/best_model")

    # Neither units nor elements are in the file; elements that are not given here are refused.
    known = {"energy_unit": "kcal/mol", "length_unit": "Ang", "elements": ["H", "C", "O"]}
    model = convert("schnetpack", f"{folder}/best_model", f"{folder}/mine", **known)
    print(card(model))
    atoms = molecule("CH3CH2OH")
    atoms.calc = PaiNNCalculator(f"{folder}/mine")
    print(run_md(atoms, ensemble="nve", temperature=100, timestep=0.5, steps=200, path=f"{folder}/run"))
