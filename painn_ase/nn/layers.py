"""Dense layers and the gated equivariant block that networks and heads are built from."""

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional

from painn_ase.errors import InputError, closest
from painn_ase.nn.equivariant import safe_norm, scaled


class ShiftedSoftplus(nn.Module):
    """ln(1 + eˣ) - ln 2, the activation of SchNet (doi:10.1063/1.5019779)."""

    def forward(self, x: Tensor) -> Tensor:
        return functional.softplus(x) - 0.6931471805599453


ACTIVATIONS: dict[str, type[nn.Module]] = {"silu": nn.SiLU, "shifted_softplus": ShiftedSoftplus, "tanh": nn.Tanh}


def activation(name: str) -> nn.Module:
    """The activation function called `name`; unknown names raise `InputError`."""
    if name not in ACTIVATIONS:
        raise InputError(
            f"activation: expected one of {', '.join(ACTIVATIONS)}; got {name!r}{closest(name, ACTIVATIONS)}"
        )
    return ACTIVATIONS[name]()


def linear(inputs: int, outputs: int, bias: bool = True) -> nn.Linear:
    """A linear layer with Glorot-uniform weights and zero bias."""
    layer = nn.Linear(inputs, outputs, bias=bias)
    nn.init.xavier_uniform_(layer.weight)
    if bias:
        nn.init.zeros_(layer.bias)
    return layer


def mlp(sizes: tuple[int, ...], act: str) -> nn.Sequential:
    """Linear layers of the given sizes with the activation between them, none after the last."""
    layers: list[nn.Module] = []
    for inputs, outputs in itertools.pairwise(sizes):
        layers += [linear(inputs, outputs), activation(act)]
    return nn.Sequential(*layers[:-1])


def halving(features: int, outputs: int) -> tuple[int, ...]:
    """Sizes of the standard readout: F, F/2, outputs."""
    return (features, max(outputs, features // 2), outputs)


class GatedEquivariantBlock(nn.Module):
    """Scalars and vectors to scalars and vectors, the vectors gated by the scalars.

    V = W₁v, W = W₂v;  [s', g] = MLP([s, |V|]);  s_out = act(s');  v_out = g ∘ W
    (Schütt, Unke, Gastegger 2021, arXiv:2102.03150, figure 3; Weiler et al. 2018). |V| carries an ε under its
    root: without it the gradient is NaN wherever symmetry makes V vanish.
    """

    def __init__(self, inputs: int, outputs: int, act: str, last: bool, epsilon: float = 1e-8) -> None:
        super().__init__()
        self.outputs = outputs
        self.epsilon = epsilon
        self.mix = linear(inputs, 2 * outputs, bias=False)
        self.gate = mlp((inputs + outputs, inputs, 2 * outputs), act)
        self.activate = nn.Identity() if last else activation(act)

    def forward(self, scalars: Tensor, vectors: Tensor) -> tuple[Tensor, Tensor]:
        big_v, big_w = self.mix(vectors).chunk(2, -1)  # (atoms, 3, outputs) each
        norms = safe_norm(big_v, self.epsilon)
        s, g = self.gate(torch.cat([scalars, norms], -1)).chunk(2, -1)  # (atoms, outputs) each
        return self.activate(s), scaled(g, big_w)


class GatedEquivariantNetwork(nn.Module):
    """Gated equivariant blocks one after the other, F → F/2 → 1 by default; returns (atoms,) and (atoms, 3)."""

    def __init__(self, sizes: tuple[int, ...], act: str, epsilon: float = 1e-8) -> None:
        super().__init__()
        last = len(sizes) - 2
        self.blocks = nn.ModuleList(
            GatedEquivariantBlock(inputs, outputs, act, last=k == last, epsilon=epsilon)
            for k, (inputs, outputs) in enumerate(itertools.pairwise(sizes))
        )

    def forward(self, scalars: Tensor, vectors: Tensor) -> tuple[Tensor, Tensor]:
        for block in self.blocks:
            scalars, vectors = block(scalars, vectors)
        return scalars.squeeze(-1), vectors.squeeze(-1)
