"""Directions, and the change from packed Cartesian to spherical components."""

import numpy as np
import torch

from painn_ase.nn import packed, spherical


def directions(n: int = 40) -> torch.Tensor:
    """Random unit vectors, (n, 3)."""
    vectors = np.random.default_rng(0).normal(size=(n, 3))
    return torch.from_numpy(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def from_packed(rank: int) -> torch.Tensor:
    """The matrix that takes packed Cartesian to spherical components, from the harmonics of both: it is orthogonal."""
    n = directions()
    own, other = spherical.harmonics(n, rank)[rank], packed.harmonics(n, rank)[rank]
    matrix = torch.linalg.lstsq(other, own).solution.T
    torch.testing.assert_close(other @ matrix.T, own, rtol=0, atol=1e-13)
    torch.testing.assert_close(matrix @ matrix.T, torch.eye(2 * rank + 1, dtype=torch.float64), rtol=0, atol=1e-13)
    return matrix
