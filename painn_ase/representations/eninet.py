"""ENINet: PaiNN's messages plus equivariant many-body messages, which pairs of atoms exchange on the line graph.

Z. Mao et al. 2024, "Molecule graph networks with many-body equivariant interactions", arXiv:2406.13265 ("the paper"
below). The idea is the paper's: vectors of two bonds are made on the line graph, before any sum over bonds can cancel,
in every round of messages between atoms. The equations are written here anew, in PaiNN's terms, and were compared with
the authors' program (github.com/tsudalab/ENINet), not with the numbered equations of the text. What differs:

- There the part without many-body vectors is a network of its own, whose pairs begin with features of their distance
  and with r̂_ij; here it is PaiNN, and pairs begin with nothing.
- There an arc, two bonds that share an atom, has features of its own, which begin with the distance and the direction
  r̂_jk between the outer atoms and are kept from round to round; here an arc combines the directions r̂_ij and r̂_ik of
  its bonds, with weights that depend on the angle, and keeps nothing.
- There the line graph comes first in a round, and layer norms end both parts; here it comes between PaiNN's message and
  update, and pairs have an update of their own, which takes the lengths of their vectors.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from painn_ase.errors import InputError
from painn_ase.graph import AtomicGraph
from painn_ase.nn.layers import linear, mlp
from painn_ase.nn.line_graph import LineGraph, legendre, line_graph
from painn_ase.nn.radial import build_cutoff
from painn_ase.representations.base import AtomFeatures, check_sizes
from painn_ase.representations.painn import PaiNN, Update, weight_and_bias

_SCALE = 0.1  # of what atoms take from their pairs, at the start of training


@dataclass(frozen=True)
class Nodes:
    """What is known of the nodes of a line graph, pairs (i, j), and of its arcs."""

    lines: LineGraph
    centers: Tensor  # (nodes,) int64, i
    neighbors: Tensor  # (nodes,) int64, j
    units: Tensor  # r̂_ij, (nodes, 3)
    basis: Tensor  # φ(d_ij), (nodes, n)
    envelope: Tensor  # fc(d_ij), (nodes, 1)
    angular: Tensor  # P_l(cos θ_jik), (arcs, angles)


class PairMessage(nn.Module):
    """What the pair (i, j) hears from the other pairs (i, k) of its centre.

    [x_t, x_j, x_k, x_uu] = φ(t_ik) ∘ W(θ_jik) fc(d_ik);  t_ij += Σ_k x_t;
    u_ij += Σ_k [x_j ∘ r̂_ij + x_k ∘ r̂_ik + x_uu ∘ u_ik]
    The many-body vector x_j r̂_ij + x_k r̂_ik has weights that depend on the angle, before any sum over k or j:
    two opposed bonds give another vector than two at a right angle, though both sums of bonds may vanish.
    """

    def __init__(self, channels: int, angles: int, act: str) -> None:
        super().__init__()
        self.context = mlp((channels, channels, 4 * channels), act)  # φ
        self.filters = linear(angles, 4 * channels, bias=False)  # W; P_0 = 1 is its constant

    def forward(self, t: Tensor, u: Tensor, nodes: Nodes) -> tuple[Tensor, Tensor]:
        """New scalars (nodes, G) and vectors (nodes, 3, G) of the pairs from the old."""
        j, k = nodes.lines.listeners, nodes.lines.speakers
        x = (self.context(t) * nodes.envelope).index_select(0, k) * self.filters(nodes.angular)  # (arcs, 4G)
        x_t, x_j, x_k, x_uu = x.chunk(4, -1)  # (arcs, G) each
        heard = x_k[:, None, :] * nodes.units.index_select(0, k)[:, :, None] + x_uu[:, None, :] * u.index_select(0, k)
        own = torch.zeros_like(t).index_add(0, j, x_j)  # Σ_k x_j, (nodes, G)
        return t.index_add(0, j, x_t), u.index_add(0, j, heard) + own[:, None, :] * nodes.units[:, :, None]


class ManyBody(nn.Module):
    """One round on the line graph, and what the atoms take from it.

    t_ij += (W_φ φ(d_ij)) ∘ (W_1 s_i + W_2 s_j);  t, u <- message, update among pairs;
    s_i += W_s Σ_j fc t_ij;  v_i += W_v Σ_j fc [(W_t t_ij) ∘ r̂_ij + u_ij]
    """

    def __init__(
        self,
        features: int,
        channels: int,
        radial: int,
        angles: int,
        act: str,
        epsilon: float,
    ) -> None:
        super().__init__()
        self.atoms = linear(features, 2 * channels)  # rows: W_1, then W_2
        self.radial = linear(radial, channels)
        self.message = PairMessage(channels, angles, act)
        self.update = Update(channels, act, epsilon)
        self.gates = linear(channels, channels)
        self.scalars = linear(channels, features, bias=False)
        self.vectors = linear(channels, features, bias=False)
        with torch.no_grad():
            self.scalars.weight *= _SCALE
            self.vectors.weight *= _SCALE

    def forward(
        self, s: Tensor, v: Tensor, t: Tensor, u: Tensor, nodes: Nodes
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """s (atoms, F), v (atoms, 3, F), t (nodes, G) and u (nodes, 3, G), after the round, from those before."""
        w_1, w_2 = self.atoms(s).chunk(2, -1)  # (atoms, G) each
        t = t + self.radial(nodes.basis) * (w_1.index_select(0, nodes.centers) + w_2.index_select(0, nodes.neighbors))
        t, u = self.update(*self.message(t, u, nodes))
        flow = (self.gates(t)[:, None, :] * nodes.units[:, :, None] + u) * nodes.envelope[:, None]  # (nodes, 3, G)
        sums = t.new_zeros(len(s), t.shape[-1]).index_add(0, nodes.centers, t * nodes.envelope)
        flows = t.new_zeros(len(s), 3, t.shape[-1]).index_add(0, nodes.centers, flow)
        return s + self.scalars(sums), v + self.vectors(flows), t, u


class ENINet(PaiNN):
    """PaiNN whose every round also has a round of messages between pairs of atoms.

    many_body: False leaves these out, the paper's ablation: what remains is PaiNN
    channels: G, features of a pair
    angles: number of Legendre polynomials of cos θ
    line_cutoff: in Å, of the pairs that exchange messages; the cutoff by default. Time grows with the square of the
        number of neighbours within it
    epsilon: as in `PaiNN`, and under the norms of the pairs' vectors
    published: other options of `PaiNN`
    """

    def __init__(
        self,
        *,
        many_body: bool = True,
        channels: int = 16,
        angles: int = 5,
        line_cutoff: float | None = None,
        epsilon: float = 0.05,
        **published: Any,
    ) -> None:
        super().__init__(epsilon=epsilon, **published)
        check_sizes("ENINet", {"channels": channels, "angles": angles}, {"channels": (1, 4096), "angles": (1, 32)})
        near = self.cutoff if line_cutoff is None else line_cutoff
        if not 0 < near <= self.cutoff:
            raise InputError(
                f"ENINet line_cutoff: expected a length in Å, at most the cutoff, {self.cutoff}; got {near}"
            )
        self.config |= {"many_body": many_body, "channels": channels, "angles": angles, "line_cutoff": line_cutoff}
        self.line_cutoff, self.channels, self.angles = near, channels, angles
        self.line_cutoff_function = build_cutoff(self.config["cutoff_function"], near)
        sizes = self.features, channels, self.radial.count, angles
        self.many_body = nn.ModuleList(
            ManyBody(*sizes, self.config["activation"], epsilon) for _ in self.messages if many_body
        )

    def forward(self, graph: AtomicGraph, vectors: Tensor) -> AtomFeatures:
        if not self.many_body:
            return super().forward(graph, vectors)
        basis, units = self.pairs(vectors)
        nodes = self.nodes(graph, vectors, units)
        t, u = units.new_zeros(len(nodes.units), self.channels), units.new_zeros(len(nodes.units), 3, self.channels)
        s: Tensor = self.embedding(graph.numbers)
        v: Tensor | None = None
        for layer in range(self.interactions):
            k = layer % len(self.messages)
            filters = basis @ weight_and_bias(self.filters[layer % len(self.filters)])  # W(d), (pairs, 3F)
            s, v = self.messages[k](s, v, filters, units, graph)
            s, v, t, u = self.many_body[k](s, v, t, u, nodes)
            s, v = self.updates[k](s, v)
        return AtomFeatures(scalars=s, vectors=v, repulsion=self.repulsive_energies(graph, vectors))

    def nodes(self, graph: AtomicGraph, vectors: Tensor, units: Tensor) -> Nodes:
        """The pairs within `line_cutoff`, with the radial and angular functions that all rounds use."""
        distances = vectors.square().sum(-1).sqrt()  # (pairs,)
        lines = line_graph(graph, distances.detach(), self.line_cutoff)
        distances = distances.index_select(0, lines.pairs).to(units.dtype)
        units = units.index_select(0, lines.pairs)
        cosines = (units.index_select(0, lines.listeners) * units.index_select(0, lines.speakers)).sum(-1)
        return Nodes(
            lines=lines,
            centers=graph.centers.index_select(0, lines.pairs),
            neighbors=graph.neighbors.index_select(0, lines.pairs),
            units=units,
            basis=self.radial(distances),
            envelope=self.line_cutoff_function(distances)[:, None],
            angular=legendre(cosines, self.angles),
        )
