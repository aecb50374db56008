"""A neighbour list with a skin: built rarely, right at every step."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from painn_ase.errors import positive
from painn_ase.neighbors.base import NeighborList, Pairs
from painn_ase.neighbors.geometry import FARTHEST, Geometry, checked


@dataclass(frozen=True, eq=False)
class Neighborhood:
    """Positions and the pairs that belong to them: R_j - R_i + S·h holds for these positions only."""

    positions: np.ndarray  # (atoms, 3) float64, Å; the caller's, less the cell vectors jumped since the last build
    pairs: Pairs  # all pairs within the cutoff, and some beyond; the same object while the list is reused


@dataclass(frozen=True, eq=False)
class _Reference:
    """The geometry a list was built for."""

    geometry: Geometry
    inverse: np.ndarray  # (3, 3), h0⁻¹
    periodic: bool
    pairs: Pairs


class VerletList:
    """Pairs within cutoff + skin (both in Å), reused for as long as they surely hold all pairs within the cutoff.

    With positions x0 and cell h0 of the last build, F = h0⁻¹ h and u_i = x_i - x0_i F, two atoms within the
    cutoff now were within |F⁻¹|₂ (cutoff + 2 max|u|) then; the list is reused if that is at most cutoff + skin.
    This holds for any change of the cell (NPT, cell filters). Whole cell vectors are taken off u first, so
    wrapping atoms back into the cell is free. A new number of atoms or new pbc means a new list; skin = 0 means a
    new list whenever anything moved.

    `builds` and `reuses` count what `update` did. Copies and pickles carry the list along.
    """

    def __init__(self, neighbor_list: NeighborList, cutoff: float, skin: float) -> None:
        self.neighbor_list = neighbor_list
        self.cutoff = float(cutoff)
        self.skin = positive("skin", skin, "Å", zero=True)
        self.builds = 0
        self.reuses = 0
        self._reference: _Reference | None = None

    def update(self, positions: np.ndarray, cell: np.ndarray, pbc: ArrayLike) -> Neighborhood:
        """The pairs for `positions` (atoms, 3) and `cell` (3, 3) in Å, and the positions they belong to.

        Arguments and errors are those of `NeighborList`. The arguments are neither kept nor changed.
        """
        x = np.array(positions, dtype=np.float64)
        reference = self._reference
        if reference is not None and x.shape == reference.geometry.positions.shape:
            periodic_directions = np.asarray(pbc, dtype=bool)
            if (periodic_directions == reference.geometry.pbc).all():
                continuous = self._follow(reference, x, cell)
                if continuous is not None:
                    self.reuses += 1
                    return Neighborhood(continuous, reference.pairs)
        return self._build(x, cell, pbc)

    @property
    def reference(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Positions and cell that the present pairs were found for; None before the first `update`."""
        if self._reference is None:
            return None
        return self._reference.geometry.positions.copy(), self._reference.geometry.cell.copy()

    def rebuild(self, positions: np.ndarray, cell: np.ndarray, pbc: ArrayLike) -> Neighborhood:
        """New pairs, whatever the list holds. Those for an earlier `reference` come in the same order again."""
        return self._build(np.array(positions, dtype=np.float64), cell, pbc)

    def _build(self, x: np.ndarray, cell: np.ndarray, pbc: ArrayLike) -> Neighborhood:
        geometry = checked(x.copy(), cell, pbc, self.cutoff + self.skin)
        pairs = self.neighbor_list(geometry.positions, geometry.cell, geometry.pbc, self.cutoff + self.skin)
        self._reference = _Reference(geometry, np.linalg.inv(geometry.cell), bool(geometry.pbc.any()), pairs)
        self.builds += 1
        return Neighborhood(x, pairs)

    def _follow(self, reference: _Reference, x: np.ndarray, cell: np.ndarray) -> np.ndarray | None:
        """`x` without image jumps (changed in place) if the list still holds all pairs, else None."""
        geometry = reference.geometry
        if not reference.periodic:
            return x if self._near(x - geometry.positions).all() else None
        # F may be anything along directions that are not periodic; keeping those vectors makes it the identity
        h = np.where(geometry.pbc[:, None], np.asarray(cell, dtype=np.float64), geometry.cell)
        expected, inverse, stretch = geometry.positions, reference.inverse, 1.0
        if not (h == geometry.cell).all():
            if self.skin == 0.0:
                return None
            try:
                inverse = np.linalg.inv(h)
                stretch = float(np.linalg.norm(inverse @ geometry.cell, 2))  # |F⁻¹|₂
            except np.linalg.LinAlgError:
                return None  # the next build refuses such a cell, and says why
            expected = expected @ (reference.inverse @ h)
        u = x - expected
        near = self._near(u, stretch)
        if near.all():
            return x
        far = np.flatnonzero(~near)  # atoms that moved too far, unless by whole cell vectors
        u = u[far]
        if not (np.abs(u) < FARTHEST).all():
            return None
        jumps = np.rint(u @ inverse)
        jumps[:, ~geometry.pbc] = 0.0
        offsets = jumps @ h
        if not self._near(u - offsets, stretch).all():
            return None
        x[far] -= offsets
        return x

    def _near(self, u: np.ndarray, stretch: float = 1.0) -> np.ndarray:
        """Whether each displacement u, with |F⁻¹|₂ = stretch, keeps the list complete; never if it is not finite."""
        most = max((self.cutoff + self.skin) / stretch - self.cutoff, -1.0) / 2.0
        return np.einsum("ai,ai->a", u, u) <= most * abs(most)  # most < 0: the strain alone uses up the skin
