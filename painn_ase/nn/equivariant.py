"""The operations that keep scalars scalars, vectors vectors and tensors tensors: what equivariant networks are made of.

PaiNN's paper (arXiv:2102.03150, section 3) lists them for scalars and vectors; the last three do the same for rank 2.
Layouts: scalars (atoms, F), vectors (atoms, 3, F), tensors (atoms, 3, 3, F) symmetric and traceless. Any function of
scalars is a scalar (`layers.mlp`); linear combinations of channels keep their kind (`layers.linear` without bias).
Under a rotation or reflection R scalars stay, vectors become R v and tensors R t Rᵀ; only `cross_product` minds the
sign of det R.
"""

import torch
from torch import Tensor


def scaled(gates: Tensor, features: Tensor) -> Tensor:
    """s ∘ x: vectors or tensors scaled by scalars (atoms, F), of the shape of `features`."""
    middle = (1,) * (features.ndim - 2)
    return gates.reshape(gates.shape[0], *middle, gates.shape[-1]) * features


def scalar_product(u: Tensor, v: Tensor) -> Tensor:
    """<u, v> per channel: the sum of the products of all components, (atoms, F); of two tensors u : v."""
    return (u * v).sum(tuple(range(1, u.ndim - 1)))


def safe_norm(features: Tensor, epsilon: float) -> Tensor:
    """√(<x, x> + ε), (atoms, F): differentiable where x = 0, as symmetry makes it."""
    return torch.sqrt(scalar_product(features, features) + epsilon)


def cross_product(u: Tensor, v: Tensor) -> Tensor:
    """u × v per channel, (atoms, 3, F): a pseudovector, which becomes det(R) R (u × v).

    A reflection leaves it behind: networks that must not tell a molecule from its mirror image (energies do not) may
    use it in pairs only, as `triple_product` does.
    """
    return torch.linalg.cross(u, v, dim=1)


def triple_product(u: Tensor, v: Tensor, w: Tensor) -> Tensor:
    """u × (v × w) = v <u, w> - w <u, v>, (atoms, 3, F): two cross products make a vector again."""
    return cross_product(u, cross_product(v, w))


def shortened(vectors: Tensor) -> Tensor:
    """v / √(1 + |v|²): the direction of v, shorter than one and smooth everywhere, (atoms, 3, F)."""
    return scaled(torch.rsqrt(1.0 + scalar_product(vectors, vectors)), vectors)


def symmetric_traceless(matrices: Tensor) -> Tensor:
    """(m + mᵀ)/2 - tr(m)/3 I: the rank-2 part of (atoms, 3, 3, F) matrices."""
    symmetric = 0.5 * (matrices + matrices.transpose(1, 2))
    third = symmetric.diagonal(dim1=1, dim2=2).sum(-1) / 3.0  # (atoms, F)
    identity = torch.eye(3, dtype=matrices.dtype, device=matrices.device)
    return symmetric - third[:, None, None, :] * identity[:, :, None]


def outer_product(u: Tensor, v: Tensor) -> Tensor:
    """Symmetric traceless part of u ⊗ v per channel, (atoms, 3, 3, F): a tensor from two vectors."""
    return symmetric_traceless(u[:, :, None] * v[:, None])


def contraction(tensors: Tensor, vectors: Tensor) -> Tensor:
    """t v per channel, Σ_b t_ab v_b, (atoms, 3, F): a vector."""
    return (tensors * vectors[:, None]).sum(2)
