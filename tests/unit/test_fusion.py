"""Fusion blocks: their diagrams, what a block computes, and the parity of what leaves."""

import numpy as np
import pytest
import torch

from painn_ase.errors import InputError
from painn_ase.nn import packed
from painn_ase.nn.fusion import FusionBlock, leaves, line, paths, read_diagram
from painn_ase.nn.spherical import clebsch_gordan

RANKS = {"F": 1, "M": 2}


def tensors(rank: int, features: int, seed: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=((rank + 1) ** 2, 3, features)))


def test_a_block_is_its_clebsch_gordan_products_with_channels_mixed_on_every_line():
    """M ⊗ (F ⊗ M), of one channel, by a loop over the ranks of every line, pseudotensors of the inner one included."""
    inputs = {"F": tensors(1, 1, 0), "M": tensors(2, 1, 1)}
    block = FusionBlock(read_diagram(["M", ["F", "M"]], RANKS), RANKS, 2, 1, 1).double()
    root, inner = block.root, block.root.right

    def entering(leaf):
        parts = packed.by_rank(inputs[leaf.name], RANKS[leaf.name])
        return [part[..., 0] * w.flatten() for part, w in zip(parts, leaf.mix.weight, strict=True)]

    def leaving(vertex, x, y):
        values = []
        for (rank, sign), mix in zip(vertex.line, vertex.mix, strict=True):
            terms = []
            for (m, n), w in zip(paths(vertex.left.line, vertex.right.line, rank, sign), mix.weight, strict=True):
                (l1, _), (l2, _) = vertex.left.line[m], vertex.right.line[n]
                terms.append(w.flatten() * torch.einsum("cab,an,bn->cn", clebsch_gordan(l1, l2, rank), x[m], y[n]))
            values.append(sum(terms))
        return values

    between = leaving(inner, entering(inner.left), entering(inner.right))
    expected = leaving(root, entering(root.left), between)
    found = block(inputs)
    assert inner.line == ((0, 0), (1, 0), (2, 0), (1, 1), (2, 1))
    assert block.counts == [2, 2]
    for rank in range(2):  # of the inner vertex, and of the root
        torch.testing.assert_close(found[rank][0][..., 0], between[rank])
        torch.testing.assert_close(found[rank][1][..., 0], expected[rank])


@pytest.mark.parametrize("diagram", [["M", ["F", "M"]], [["F", "M"], ["F", "M"]]])
def test_what_leaves_has_the_parity_of_its_rank_though_pseudotensors_pass_inside(diagram):
    block = FusionBlock(read_diagram(diagram, RANKS), RANKS, 2, 2, 2).double()
    inputs = {name: tensors(rank, 2, rank) for name, rank in RANKS.items()}

    def inverted(h: torch.Tensor) -> torch.Tensor:
        parts = packed.by_rank(h, round(len(h) ** 0.5) - 1)
        return torch.cat([part * (-1) ** rank for rank, part in enumerate(parts)])

    signs = {sign for vertex in block.modules() if hasattr(vertex, "line") for _, sign in vertex.line}
    assert signs == {0, 1}
    images = block({name: inverted(h) for name, h in inputs.items()})
    for rank, (one, other) in enumerate(zip(block(inputs), images, strict=True)):
        for a, b in zip(one, other, strict=True):
            torch.testing.assert_close(b, (-1) ** rank * a, rtol=1e-12, atol=1e-12)


def test_paths_keep_parity():
    """a × b of two vectors is a pseudovector; with another pseudovector it makes scalars, vectors of neither sign."""
    vectors, pseudo = ((1, 0),), ((1, 1),)
    assert paths(vectors, vectors, 1, 0) == []
    assert paths(vectors, vectors, 1, 1) == [(0, 0)]
    assert paths(pseudo, pseudo, 0, 0) == [(0, 0)]
    assert paths(pseudo, vectors, 1, 0) == [(0, 0)]
    assert paths(pseudo, vectors, 0, 0) == []
    assert line(1, signs=2) == ((0, 0), (1, 0), (0, 1), (1, 1))


def test_diagrams_are_nested_pairs_of_names():
    assert leaves(read_diagram([["F", "M"], "F"], RANKS)) == ["F", "M", "F"]
    for wrong in (["F", "M", "M"], [["F", "X"], "M"], 3, [[]], {"F": "M"}):
        with pytest.raises(InputError, match="expected pairs of F or M"):
            read_diagram(wrong, RANKS)
    for wrong in ("F", [["F", "F"], [["F", "F"], ["F", ["F", "F"]]]]):
        with pytest.raises(InputError, match="product of 2 to 6 factors"):
            read_diagram(wrong, RANKS)
