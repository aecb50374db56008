"""Local frames of atoms, and features seen from them: tensors of rank 0 to 2 carried from one frame to another.

P. Lippmann, G. Gerhartz, R. Remme, F. A. Hamprecht, ICLR 2025, arXiv:2405.15389 ("the paper" below).

A frame R (atoms, 3, 3) has the axes e_1, e_2, e_3 as its rows, so R x are the local components of x. Axes turn with the
structure, R -> R Qᵀ, so local components are invariants, on which a network may do anything, and
R_i R_jᵀ, which turns components at j into components at i, is an invariant, too.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from painn_ase.nn.equivariant import cross_product, safe_norm, scaled, triple_product


def gram_schmidt(v: Tensor, w: Tensor, epsilon: float) -> Tensor:
    """Frames (atoms, 3, 3) of two vectors per atom (atoms, 3): exactly orthogonal axes, of lengths below one.

    e_1 = v/√(|v|² + ε);  e_2 = u/√(|u|² + ε), u = e_1 × (w × e_1);  e_3 = e_1 × e_2
    Without ε the axes would be unit vectors, and jump where v vanishes or w is parallel to it. With it they fade out
    there: components along an axis that does not exist are zero, and everything stays smooth. e_3 is a
    pseudovector: under a reflection Q it becomes -Q e_3, see `mirrored`.
    """

    def shortened(x: Tensor) -> Tensor:
        return scaled(1.0 / safe_norm(x, epsilon), x)

    v, w = v[:, :, None], w[:, :, None]  # one channel
    first = shortened(v)
    second = shortened(triple_product(first, w, first))
    return torch.cat([first, second, cross_product(first, second)], 2).transpose(1, 2)


def mirrored(frames: Tensor) -> Tensor:
    """The left-handed frames, with -e_3: a reflected structure has those of the structure, reflected, as right ones.

    So the mean over both of anything computed in frames behaves under reflections as under rotations.
    """
    return frames * frames.new_tensor([1.0, 1.0, -1.0])[:, None]


@dataclass(frozen=True)
class Ranks:
    """How F features are read: `scalars` numbers, then components of `vectors` vectors and `tensors` 3x3 tensors."""

    scalars: int
    vectors: int
    tensors: int

    @property
    def sizes(self) -> tuple[int, int, int]:
        return self.scalars, 3 * self.vectors, 9 * self.tensors

    def turned(self, features: Tensor, between: Tensor) -> Tensor:
        """ρ(g) f of features (pairs, F) for matrices g (pairs, 3, 3): s, g x and g t gᵀ.

        With g = R_i R_jᵀ: what atom j says, in the frame of atom i (the paper's tensorial messages).
        """
        s, x, t = features.split(self.sizes, -1)
        x = between @ x.unflatten(1, (3, -1))  # (pairs, 3, vectors)
        t = (between @ t.unflatten(1, (3, -1))).unflatten(2, (3, -1))  # first index, (pairs, 3, 3, tensors)
        t = (between @ t.transpose(1, 2).flatten(2)).unflatten(2, (3, -1)).transpose(1, 2)  # second index
        return torch.cat([s, x.flatten(1), t.flatten(1)], 1)
