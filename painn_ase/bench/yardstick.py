"""PaiNN in the plain form of PyTorch, kept as the fixed yardstick of speed.

This is how PaiNN is usually written (one index_add per message, filters of all layers stored, forces by autograd of
the positions, all in float32). It must not become faster when the torch backend does.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn

from painn_ase.errors import InputError
from painn_ase.graph import AtomicGraph
from painn_ase.model import Model
from painn_ase.nn.radial import GaussianFunctions
from painn_ase.representations import PaiNN


class PlainPaiNN(nn.Module):
    """Energy of a graph by the weights of `model`: Gaussian radial functions, cosine cutoff, an energy head."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        painn = model.representation
        if not (isinstance(painn, PaiNN) and isinstance(painn.radial, GaussianFunctions)):
            raise InputError(f"the yardstick is PaiNN with Gaussian radial functions; got {type(painn).__name__}")
        head: Any = model.heads["energy"]
        self.painn, self.head = painn, head.network
        self.rounds: list[Any] = list(zip(painn.messages, painn.updates, strict=True))
        self.features, self.cutoff = painn.features, painn.cutoff
        self.filters = nn.Linear(painn.radial.count, 3 * self.features * painn.interactions)
        layers: list[Any] = list(painn.filters)
        with torch.no_grad():
            self.filters.weight.copy_(torch.cat([layer.weight for layer in layers]))
            self.filters.bias.copy_(torch.cat([layer.bias for layer in layers]))

    def forward(self, positions: Tensor, numbers: Tensor, i: Tensor, j: Tensor, offsets: Tensor) -> Tensor:
        F = self.features
        r = positions[j] - positions[i] + offsets
        d = torch.norm(r, dim=1, keepdim=True)
        unit = r / d
        basis = torch.exp(-0.5 * ((d - self.painn.radial.centers) / self.painn.radial.widths) ** 2)
        envelope = 0.5 * (torch.cos(d * (math.pi / self.cutoff)) + 1.0) * (d < self.cutoff).to(d.dtype)
        filters = (self.filters(basis) * envelope).split(3 * F, dim=-1)
        s = self.painn.embedding(numbers)
        v = s.new_zeros(s.shape[0], 3, F)
        for (message, update), w in zip(self.rounds, filters, strict=True):
            x = w * message.context(s)[j]
            ds, along, carried = x.split(F, dim=-1)
            dv = along[:, None] * unit[..., None] + carried[:, None] * v[j]
            s = s.index_add(0, i, ds)
            v = v.index_add(0, i, dv)
            V, U = update.mix(v).split(F, dim=-1)
            norm = torch.sqrt((V**2).sum(1) + update.epsilon)
            a_ss, a_vv, a_sv = update.context(torch.cat([s, norm], -1)).split(F, dim=-1)
            s = s + a_ss + a_sv * (V * U).sum(1)
            v = v + a_vv[:, None] * U
        return self.head(s).sum()


class Yardstick:
    """Energy and forces of one graph, prepared so that a call times the network and its derivative only."""

    def __init__(self, model: Model, graph: AtomicGraph) -> None:
        self.plain = PlainPaiNN(model)
        cells = graph.cells[graph.structures[graph.centers]]
        self.positions = graph.positions.float()
        offsets = torch.einsum("pi,pij->pj", graph.shifts, cells).float()
        self.rest = (graph.numbers, graph.centers, graph.neighbors, offsets)

    def __call__(self) -> tuple[Tensor, Tensor]:
        positions = self.positions.detach().requires_grad_()
        energy = self.plain(positions, *self.rest)
        (gradient,) = torch.autograd.grad(energy, positions)
        return energy.detach(), -gradient
