"""Dipole moment from atomic charges and atomic dipoles."""

from collections.abc import Sequence

from torch import Tensor

from painn_ase.graph import AtomicGraph
from painn_ase.heads.base import Head
from painn_ase.heads.frame import fragments
from painn_ase.nn.layers import GatedEquivariantNetwork, halving, mlp
from painn_ase.representations.base import AtomFeatures


class DipoleHead(Head):
    """μ = Σ_i [μ_atom(v_i) + q(s_i) r_i] in e·Å, r_i measured from the centre of mass (PaiNN paper, eq. 11).

    Fragments that do not touch have a centre each and are neutral each, so that their dipoles add up; the dipole of an
    ion in several fragments is refused, see `Fragments`.

    features: F of the representation
    hidden: sizes between the gated blocks or dense layers, (F/2,) by default
    activation: name of the activation function
    atomic_dipoles: with the term μ_atom; without it the charges alone make the dipole, and only then are they defined
        well enough to be returned: with both terms nothing but their sum is learned
    charge_correction: shift the charges so that they sum to the structure's total charge
    epsilon: of |V| in the gated blocks
    charge_unit: the charge in e that the network counts a total charge of one as (an imported one may work in Debye/Å)
    """

    required_rank = 1  # 0 without atomic dipoles
    molecular = True

    def __init__(
        self,
        features: int,
        hidden: Sequence[int] | None = None,
        activation: str = "silu",
        atomic_dipoles: bool = True,
        charge_correction: bool = True,
        epsilon: float = 1e-8,
        charge_unit: float = 1.0,
    ) -> None:
        super().__init__()
        sizes = halving(features, 1) if hidden is None else (features, *hidden, 1)
        self.config = {
            "hidden": list(sizes[1:-1]),
            "activation": activation,
            "atomic_dipoles": atomic_dipoles,
            "charge_correction": charge_correction,
            "epsilon": epsilon,
            "charge_unit": charge_unit,
        }
        self.atomic_dipoles = atomic_dipoles
        self.charge_correction = charge_correction
        self.charge_unit = charge_unit
        self.required_rank = 1 if atomic_dipoles else 0
        self.provides = ("dipole",) if atomic_dipoles else ("dipole", "charges")
        gated = GatedEquivariantNetwork(sizes, activation, epsilon) if atomic_dipoles else None
        self.network = mlp(sizes, activation) if gated is None else gated

    def forward(self, features: AtomFeatures, graph: AtomicGraph) -> dict[str, Tensor]:
        parts = fragments(graph, self.cutoff, "the dipole moment")
        parts.refuse_ions(graph.charges)
        positions = parts.from_centers(graph.positions, self.masses[graph.numbers])
        if self.atomic_dipoles:
            charges, dipoles = self.network(features.scalars, features.vectors)
        else:
            charges, dipoles = self.network(features.scalars).squeeze(-1), None
        charges = charges.double() * self.scale + self.references[graph.numbers]  # (atoms,)
        if self.charge_correction:
            charges = parts.neutralized(charges, graph.charges * self.charge_unit)
        terms = charges[:, None] * positions  # (atoms, 3)
        if dipoles is not None:
            return {"dipole": graph.sum_atoms(terms + dipoles.double() * self.scale)}
        return {"dipole": graph.sum_atoms(terms), "charges": charges}
