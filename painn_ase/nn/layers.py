"""Dense layers and the gated equivariant block that networks and heads are built from."""

import itertools
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from painn_ase.errors import InputError, closest
from painn_ase.nn.dense import LINEAR, PERCEPTRON
from painn_ase.nn.equivariant import scaled
from painn_ase.nn.fused import fusible
from painn_ase.nn.update import with_norms


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


class Linear(nn.Linear):
    """A linear layer; one operation where `fusible`."""

    def forward(self, x: Tensor) -> Tensor:
        return LINEAR(x, self.weight, self.bias) if fusible(x, self.weight) else super().forward(x)


class MLP(nn.Sequential):
    """Linear layers with activations between them; two of them with silu are one operation where `fusible`."""

    def forward(self, x: Tensor) -> Tensor:
        if len(self) == 3 and type(self[1]) is nn.SiLU and x.dim() == 2:
            first: Any = self[0]
            last: Any = self[2]
            if fusible(x, first.weight):
                return PERCEPTRON(x, first.weight, first.bias, last.weight, last.bias)
        return super().forward(x)


def linear(inputs: int, outputs: int, bias: bool = True) -> Linear:
    """A linear layer with Glorot-uniform weights and zero bias."""
    layer = Linear(inputs, outputs, bias=bias)
    nn.init.xavier_uniform_(layer.weight)
    if bias:
        nn.init.zeros_(layer.bias)
    return layer


def mlp(sizes: tuple[int, ...], act: str) -> MLP:
    """Linear layers of the given sizes with the activation between them, none after the last."""
    layers: list[nn.Module] = []
    for inputs, outputs in itertools.pairwise(sizes):
        layers += [linear(inputs, outputs), activation(act)]
    return MLP(*layers[:-1])


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
        mixed = self.mix(vectors)  # [V, W], (atoms, 3, 2 outputs)
        s, g = self.gate(with_norms(scalars, mixed, self.epsilon)).chunk(2, -1)  # (atoms, outputs)
        return self.activate(s), scaled(g, mixed[..., self.outputs :])


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
