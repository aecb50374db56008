"""Fusion blocks: trees of Clebsch-Gordan products whose lines mix channels.

Z. Li et al. 2024, arXiv:2211.07482. A fusion diagram is a tree. Its lines carry irreducible tensors of several ranks,
with F channels each; two lines meet in a vertex, which couples them to every rank allowed and mixes the channels and
ways of coupling into the line that leaves it. In a configuration a diagram is a name, or a pair of diagrams:

    [["A", "A"], "A"]            ((A ⊗ A) ⊗ A): two vertices, one inner line
    [["F", "M"], ["F", "M"]]     (F ⊗ M) ⊗ (F ⊗ M)

Names are the tensors that enter, of parity (-1)^l, and so are those that leave the root. Inner lines also carry
pseudotensors, as a × b, of which two make a tensor again: (a × b) · (c × d).
"""

from collections.abc import Mapping
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from painn_ase.errors import InputError
from painn_ase.nn.packed import PathLinear, RankLinear, by_rank, constants
from painn_ase.nn.spherical import clebsch_gordan

Diagram: TypeAlias = "str | tuple[Diagram, Diagram]"
Line: TypeAlias = tuple[tuple[int, int], ...]  # irreps of a line: (l, 0) tensors, (l, 1) pseudotensors


def read_diagram(given: Any, names: Mapping[str, int], factors: int = 6) -> Diagram:
    """The diagram in a configuration, its pairs as tuples; `InputError` unless it is nested pairs of these names.

    At most `factors` names: every vertex costs time, and random numbers to the sixth power leave float32 behind.
    """

    def read(part: Any) -> Diagram:
        if isinstance(part, str) and part in names:
            return part
        if isinstance(part, list | tuple) and len(part) == 2:
            return read(part[0]), read(part[1])
        first, *_, last = [*names, *names]
        raise InputError(
            f'fusion: expected pairs of {" or ".join(names)} and of pairs, as [["{first}", "{last}"], "{last}"]; '
            f"got {part!r} in {given!r}"
        )

    found = read(given)
    if not 2 <= len(leaves(found)) <= factors:
        raise InputError(f"fusion: expected a product of 2 to {factors} factors; got {len(leaves(found))}: {given!r}")
    return found


def leaves(diagram: Diagram) -> list[str]:
    """The names that enter, from left to right."""
    return [diagram] if isinstance(diagram, str) else [name for part in diagram for name in leaves(part)]


def line(max_rank: int, signs: int = 1) -> Line:
    """Tensors of ranks 0 … max_rank; with `signs` of 2, then also pseudotensors of these ranks."""
    return tuple((rank, sign) for sign in range(signs) for rank in range(max_rank + 1))


def paths(left: Line, right: Line, rank: int, sign: int) -> list[tuple[int, int]]:
    """Which irreps of the two lines couple to (rank, sign), by their places; parities (-1)^(l + sign) multiply."""
    return [
        (m, n)
        for m, (l1, s1) in enumerate(left)
        for n, (l2, s2) in enumerate(right)
        if abs(l1 - l2) <= rank <= l1 + l2 and (l1 + s1 + l2 + s2 + rank + sign) % 2 == 0
    ]


@constants
def _products(left: Line, right: Line, rank: int, sign: int) -> Tensor:
    """x ⊗ y → all products of one irrep: (paths (2l+1), rows of x times rows of y)."""
    rows = []
    for path in paths(left, right, rank, sign):
        block = torch.zeros(2 * rank + 1, _rows(left), _rows(right), dtype=torch.float64)
        (l1, _), (l2, _) = left[path[0]], right[path[1]]
        x, y = _rows(left[: path[0]]), _rows(right[: path[1]])
        block[:, x : x + 2 * l1 + 1, y : y + 2 * l2 + 1] = clebsch_gordan(l1, l2, rank)
        rows.append(block.flatten(1))
    return torch.cat(rows)


def _rows(line: Line) -> int:
    return sum(2 * rank + 1 for rank, _ in line)


class _Leaf(nn.Module):
    """A line that enters: the tensors of that name, their channels mixed."""

    def __init__(self, name: str, rank: int, features: int) -> None:
        super().__init__()
        self.name, self.line = name, line(rank)
        self.mix = RankLinear(rank, features, features)

    def forward(self, inputs: Mapping[str, Tensor], _seen: list[dict[int, Tensor]]) -> Tensor:
        return self.mix(inputs[self.name])


class _Vertex(nn.Module):
    """Two lines couple to those irreps of `wanted` that they allow; inner lines carry ranks up to `max_rank`."""

    def __init__(self, diagram: Any, ranks: Mapping[str, int], max_rank: int, features: int, wanted: Line) -> None:
        super().__init__()
        self.left, self.right = (
            _Leaf(part, ranks[part], features)
            if isinstance(part, str)
            else _Vertex(part, ranks, max_rank, features, line(max_rank, signs=2))
            for part in diagram
        )
        counts = {irrep: len(paths(self.left.line, self.right.line, *irrep)) for irrep in wanted}
        self.line: Line = tuple(irrep for irrep, n in counts.items() if n)
        self.mix = nn.ModuleList(PathLinear(counts[irrep], features, features) for irrep in self.line)

    def forward(self, inputs: Mapping[str, Tensor], seen: list[dict[int, Tensor]]) -> Tensor:
        x, y = self.left(inputs, seen), self.right(inputs, seen)
        outer = (x[:, None] * y).flatten(0, 1).flatten(1)  # (rows of x times rows of y, atoms F)
        values = []
        for (rank, sign), mix in zip(self.line, self.mix, strict=True):
            products = _products(self.left.line, self.right.line, rank, sign).to(x) @ outer
            values.append(mix(products.reshape(-1, 2 * rank + 1, *x.shape[1:])))
        pairs = zip(self.line, values, strict=True)
        seen.append({rank: value for (rank, sign), value in pairs if sign == 0})
        return torch.cat(values)


class FusionBlock(nn.Module):
    """The tensors that leave each vertex of a diagram, the root last: by rank, (2l+1, atoms, F).

    diagram: nested pairs of names
    ranks: highest rank of the tensors that enter under each name
    max_rank: highest rank on inner lines
    output_rank: highest rank of what leaves the root
    features: F, channels of every line
    """

    def __init__(
        self,
        diagram: Diagram,
        ranks: Mapping[str, int],
        max_rank: int,
        output_rank: int,
        features: int,
    ) -> None:
        super().__init__()
        self.root = _Vertex(diagram, ranks, max_rank, features, line(output_rank))
        vertices = [vertex for vertex in self.root.modules() if isinstance(vertex, _Vertex)]
        # for each rank, from how many vertices tensors of that rank come
        self.counts = [sum((rank, 0) in vertex.line for vertex in vertices) for rank in range(output_rank + 1)]

    def forward(self, inputs: Mapping[str, Tensor]) -> list[list[Tensor]]:
        seen: list[dict[int, Tensor]] = []
        self.root(inputs, seen)
        return [[values[rank] for values in seen if rank in values] for rank in range(len(self.counts))]


class FusedProducts(nn.Module):
    """m_L = Σ_p w_zpL ∘ p_L over A itself and what leaves each vertex p of a diagram of A.

    A fusion block in place of MACE's symmetric products of one channel: channels mix on every line. A is
    ((max_rank+1)², atoms, F), m ((output+1)², atoms, F); w_z = Σ_t e_zt w_t with the species' numbers e_z.
    """

    def __init__(self, features: int, max_rank: int, output: int, diagram: Any, types: int) -> None:
        super().__init__()
        ranks = {"A": max_rank}
        self.max_rank, self.output = max_rank, output
        self.block = FusionBlock(read_diagram(diagram, ranks), ranks, max_rank, output, features)
        self.terms = [1 + n for n in self.block.counts]
        scales = torch.tensor([n**-0.5 for n in self.terms for _ in range(n)])
        self.weight = nn.Parameter(torch.randn(len(scales), types, features) * scales[:, None, None])

    def forward(self, a: Tensor, species: Tensor) -> Tensor:
        """m of the tensors A and the species' numbers e_z, (atoms, types)."""
        weights = torch.matmul(species, self.weight).split(self.terms)  # (terms, atoms, F) per rank
        sums = []
        for w, own, products in zip(weights, by_rank(a, self.max_rank), self.block({"A": a}), strict=False):
            sums.append((w[:, None] * torch.stack([own, *products])).sum(0))
        return torch.cat(sums)
