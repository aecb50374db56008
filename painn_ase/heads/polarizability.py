"""Static dipole polarizability."""

import torch
from torch import Tensor

from painn_ase.errors import InputError
from painn_ase.graph import AtomicGraph
from painn_ase.heads.base import GatedHead, Head
from painn_ase.heads.frame import fragments
from painn_ase.nn.equivariant import safe_norm, scaled
from painn_ase.nn.layers import linear, mlp
from painn_ase.representations.base import AtomFeatures


class PolarizabilityHead(GatedHead):
    """α = Σ_i [α₀(s_i) I + ν(v_i)⊗r_i + r_i⊗ν(v_i)] in e²Å²/eV (PaiNN paper, eq. 12), symmetric by construction.

    r_i is measured from the centre of mass, of each fragment where there are several that do not touch: their
    polarizabilities add up. `references` add to α₀ per element.
    """

    molecular = True
    provides = ("polarizability",)

    def forward(self, features: AtomFeatures, graph: AtomicGraph) -> dict[str, Tensor]:
        parts = fragments(graph, self.cutoff, "the polarizability")
        r = parts.from_centers(graph.positions, self.masses[graph.numbers])
        isotropic, nu = self.network(features.scalars, features.vectors)  # (atoms,), (atoms, 3)
        isotropic = isotropic.double() * self.scale + self.references[graph.numbers]
        outer = (nu.double() * self.scale)[:, :, None] * r[:, None, :]  # ν⊗r, (atoms, 3, 3)
        identity = torch.eye(3, dtype=r.dtype, device=r.device)
        atomic = isotropic[:, None, None] * identity + outer + outer.transpose(1, 2)
        return {"polarizability": graph.sum_atoms(atomic)}


class TensorPolarizabilityHead(Head):
    """α = Σ_i [α₀(s_i, |T|) I + Σ_c g_c(s_i, |T|) T_i,c] in e²Å²/eV, symmetric by construction, of any structure.

    T_i = t_i W are `channels` combinations of the atoms' tensors of rank 2 (half as many as features by default), and
    α₀ and g come from one MLP; `references` add to α₀ per element. Nothing is measured from an origin: the value of a
    periodic structure is a property of its cell, V (ε∞ - 1) / 4π in Gaussian units.
    """

    required_rank = 2

    def __init__(
        self,
        features: int,
        channels: int | None = None,
        activation: str = "silu",
        epsilon: float = 1e-8,
    ) -> None:
        super().__init__()
        channels = max(1, features // 2) if channels is None else channels
        if channels < 1:
            raise InputError(f"tensor polarizability head: expected channels >= 1; got {channels}")
        self.config = {"channels": channels, "activation": activation, "epsilon": epsilon}
        self.provides = ("polarizability",)
        self.epsilon = epsilon
        self.mix = linear(features, channels, bias=False)
        self.network = mlp((features + channels, features, 1 + channels), activation)

    def forward(self, features: AtomFeatures, graph: AtomicGraph) -> dict[str, Tensor]:
        tensors = self.mix(features.tensors)  # (atoms, 3, 3, c)
        read = self.network(torch.cat([features.scalars, safe_norm(tensors, self.epsilon)], -1))  # (atoms, 1 + c)
        isotropic = read[:, 0].double() * self.scale + self.references[graph.numbers]  # (atoms,)
        anisotropic = scaled(read[:, 1:], tensors).sum(-1).double() * self.scale  # (atoms, 3, 3)
        anisotropic = 0.5 * (anisotropic + anisotropic.transpose(1, 2))  # against rounding
        identity = torch.eye(3, dtype=isotropic.dtype, device=isotropic.device)
        return {"polarizability": graph.sum_atoms(isotropic[:, None, None] * identity + anisotropic)}
