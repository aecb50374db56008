"""Total energy as a sum of atomic energies."""

from collections.abc import Sequence

from torch import Tensor

from painn_ase.errors import InputError
from painn_ase.graph import AtomicGraph
from painn_ase.heads.base import Head
from painn_ase.nn import layers
from painn_ase.nn.layers import halving, mlp
from painn_ase.representations.base import AtomFeatures


class EnergyHead(Head):
    """E = Σ_i [scale · MLP(s_i) + reference(Z_i)] in eV, and the atomic energies it is a sum of.

    features: F of the representation
    hidden: sizes of the hidden layers, (F/2,) by default
    activation: name of the activation function
    mean: divide the network's part by the number of atoms (an intensive property; imported networks use it); the
        references stay a sum
    mean_references: take the mean of the references over the atoms as well
    linear: add w·s_i to the MLP: the readout of networks whose scalars are many-body features, such as ICTP
    """

    required_rank = 0

    def __init__(
        self,
        features: int,
        hidden: Sequence[int] | None = None,
        activation: str = "silu",
        mean: bool = False,
        mean_references: bool = False,
        linear: bool = False,
    ) -> None:
        super().__init__()
        sizes = halving(features, 1) if hidden is None else (features, *hidden, 1)
        if min(sizes) < 1:
            raise InputError(f"energy head: expected hidden sizes >= 1; got {hidden}")
        self.config = {
            "hidden": list(sizes[1:-1]),
            "activation": activation,
            "mean": mean,
            "mean_references": mean_references,
            "linear": linear,
        }
        self.provides = ("energy", "energies")
        self.mean = mean
        self.mean_references = mean_references
        self.network = mlp(sizes, activation)
        self.direct = layers.linear(features, 1, bias=False) if linear else None

    def forward(self, features: AtomFeatures, graph: AtomicGraph) -> dict[str, Tensor]:
        atomic = self.network(features.scalars)  # (atoms, 1)
        if self.direct is not None:
            atomic = atomic + self.direct(features.scalars)
        atomic = atomic.squeeze(-1).double() * self.scale  # (atoms,)
        if self.mean:
            atomic = atomic / graph.counts[graph.structures]
        references = self.references[graph.numbers]
        if self.mean_references:
            references = references / graph.counts[graph.structures]
        atomic = atomic + references
        if features.repulsion is not None:
            atomic = atomic + features.repulsion
        return {"energy": graph.sum_atoms(atomic), "energies": atomic}
