"""SchNet, the continuous-filter convolutional network: scalars alone, from distances alone.

K. T. Schütt et al., NeurIPS 2017, arXiv:1706.08566 ("the paper" below); the cutoff function is that of the longer
account, J. Chem. Phys. 148, 241722 (2018), doi:10.1063/1.5019779.
"""

from typing import Any

from torch import Tensor, nn

from painn_ase.graph import AtomicGraph
from painn_ase.nn.layers import linear, mlp
from painn_ase.representations.base import N_ELEMENTS, AtomFeatures, Representation


class Interaction(nn.Module):
    """What atom i hears from its neighbours j, and what it makes of it (the paper's section 4.1, figure 2).

    x_i = Σ_j (W_in s_j) ∘ W(d)  (the continuous-filter convolution of section 3);  s_i += MLP(x_i)
    """

    def __init__(self, features: int, act: str) -> None:
        super().__init__()
        self.inputs = linear(features, features, bias=False)
        self.outputs = mlp((features, features, features), act)

    def forward(self, s: Tensor, filters: Tensor, graph: AtomicGraph) -> Tensor:
        return s + self.outputs(self.convolution(s, filters, graph))

    def convolution(self, s: Tensor, filters: Tensor, graph: AtomicGraph) -> Tensor:
        """x_i, (atoms, F)."""
        messages = filters * self.inputs(s).index_select(0, graph.neighbors)  # (pairs, F)
        return s.new_zeros(s.shape).index_add(0, graph.centers, messages)


class SchNet(Representation):
    """Scalars (atoms, F) after T interactions; there are no vectors, so only heads of rank 0 can read them.

    features: F
    interactions: T
    cutoff: in Å
    radial, cutoff_function: their kinds and options, as in a configuration
    activation: name of the activation function
    embeddings: rows of the table of elements

    The filters W(d) = MLP(φ(d)) fc(d) carry the cutoff function after their last layer, so every
    message vanishes at the cutoff. Features, interactions and activation are the paper's for molecular dynamics; its
    300 Gaussians reach to 30 Å, the 50 here to the cutoff at the same spacing of 0.1 Å.
    """

    max_rank: int = 0

    def __init__(
        self,
        features: int = 64,
        interactions: int = 3,
        cutoff: float = 5.0,
        radial: dict[str, Any] | None = None,
        cutoff_function: dict[str, Any] | None = None,
        *,
        activation: str = "shifted_softplus",
        embeddings: int = N_ELEMENTS,
    ) -> None:
        super().__init__(
            {
                "features": features,
                "interactions": interactions,
                "cutoff": cutoff,
                "radial": dict(radial or {"kind": "gaussian", "count": 50}),
                "cutoff_function": dict(cutoff_function or {"kind": "cosine"}),
                "activation": activation,
                "embeddings": embeddings,
            }
        )
        self.embedding = nn.Embedding(embeddings, features)
        self.filters = nn.ModuleList(
            mlp((self.radial.count, features, features), activation) for _ in range(interactions)
        )
        self.interactions = nn.ModuleList(Interaction(features, activation) for _ in range(interactions))

    def forward(self, graph: AtomicGraph, vectors: Tensor) -> AtomFeatures:
        distances = vectors.square().sum(-1).sqrt().to(self.embedding.weight.dtype)  # (pairs,)
        basis = self.radial(distances)  # (pairs, n)
        envelope = self.cutoff_function(distances)[:, None]  # (pairs, 1)
        s = self.embedding(graph.numbers)  # (atoms, F)
        for interaction, filters in zip(self.interactions, self.filters, strict=True):
            s = interaction(s, filters(basis) * envelope, graph)
        return AtomFeatures(scalars=s)
