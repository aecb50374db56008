"""The line graph: pairs of atoms as its nodes, joined where they share their centre, with the angle between them."""

from dataclasses import dataclass

import torch
from torch import Tensor

from painn_ase.graph import AtomicGraph


@dataclass(frozen=True)
class LineGraph:
    """Nodes are the directed pairs (i, j) that are shorter than a cutoff, arcs the ordered pairs of them at one atom.

    An arc joins (i, j), which listens, to (i, k), which speaks; k ≠ j, or another image of the same atom.
    """

    pairs: Tensor  # (nodes,) int64, index of each node in the graph's list of pairs, ascending
    listeners: Tensor  # (arcs,) int64, the node (i, j)
    speakers: Tensor  # (arcs,) int64, the node (i, k)


def line_graph(graph: AtomicGraph, distances: Tensor, cutoff: float) -> LineGraph:
    """The line graph of the pairs whose `distances` (pairs,) in Å are below `cutoff`.

    An atom of n such neighbours has n (n - 1) arcs.
    """
    pairs = (distances < cutoff).nonzero().squeeze(-1)
    centers = graph.centers.index_select(0, pairs)
    counts = torch.bincount(centers, minlength=graph.n_atoms)  # n of each atom
    firsts = counts.cumsum(0) - counts  # first node of each atom: nodes are sorted by centre
    partners = counts.index_select(0, centers)  # (nodes,)
    listeners = torch.arange(len(pairs), device=pairs.device).repeat_interleave(partners)
    before = (partners.cumsum(0) - partners).index_select(0, listeners)
    places = torch.arange(len(listeners), device=pairs.device) - before  # 0 ... n-1 within each atom
    speakers = firsts.index_select(0, centers.index_select(0, listeners)) + places
    keep = (listeners != speakers).nonzero().squeeze(-1)
    return LineGraph(pairs, listeners.index_select(0, keep), speakers.index_select(0, keep))


def legendre(cosines: Tensor, count: int) -> Tensor:
    """P_0(x) … P_{count-1}(x) by (l+1) P_{l+1} = (2l+1) x P_l - l P_{l-1}: (..., count) from (...,).

    Polynomials, so that everything is smooth at 0° and 180°, where the angle itself is not.
    """
    found = [torch.ones_like(cosines), cosines]
    for order in range(1, count - 1):
        found.append(((2 * order + 1) * cosines * found[order] - order * found[order - 1]) / (order + 1))
    return torch.stack(found[:count], -1)
