"""Static dipole polarizability."""

from collections.abc import Sequence

import torch
from ase.data import atomic_masses
from torch import Tensor

from painn_ase.graph import AtomicGraph
from painn_ase.heads.base import Head
from painn_ase.heads.frame import positions_from_center_of_mass
from painn_ase.nn.layers import GatedEquivariantNetwork, halving
from painn_ase.representations.base import N_ELEMENTS, AtomFeatures


class PolarizabilityHead(Head):
    """α = Σ_i [α₀(s_i) I + ν(v_i)⊗r_i + r_i⊗ν(v_i)] in e²Å²/eV (PaiNN paper, eq. 12), symmetric by construction.

    r_i is measured from the centre of mass; `references` add to α₀ per element. `epsilon` is that of |V| in the
    gated blocks.
    """

    masses: Tensor
    required_rank = 1
    molecular = True

    def __init__(
        self,
        features: int,
        hidden: Sequence[int] | None = None,
        activation: str = "silu",
        epsilon: float = 1e-8,
    ) -> None:
        super().__init__()
        sizes = halving(features, 1) if hidden is None else (features, *hidden, 1)
        self.config = {"hidden": list(sizes[1:-1]), "activation": activation, "epsilon": epsilon}
        self.provides = ("polarizability",)
        self.network = GatedEquivariantNetwork(sizes, activation, epsilon)
        self.register_buffer("masses", torch.from_numpy(atomic_masses[:N_ELEMENTS].copy()))

    def forward(self, features: AtomFeatures, graph: AtomicGraph) -> dict[str, Tensor]:
        r = positions_from_center_of_mass(graph, self.masses, "the polarizability")
        isotropic, nu = self.network(features.scalars, features.vectors)  # (atoms,), (atoms, 3)
        isotropic = isotropic.double() * self.scale + self.references[graph.numbers]
        outer = (nu.double() * self.scale)[:, :, None] * r[:, None, :]  # ν⊗r, (atoms, 3, 3)
        identity = torch.eye(3, dtype=r.dtype, device=r.device)
        atomic = isotropic[:, None, None] * identity + outer + outer.transpose(1, 2)
        return {"polarizability": graph.sum_atoms(atomic)}
