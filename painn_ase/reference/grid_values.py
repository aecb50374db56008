"""Exchange and correlation on a grid where the values of the basis functions stay in memory between the cycles."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from pyscf.dft.numint import BLKSIZE, NumInt

_MEMORY = 1.5e9  # bytes of kept values, beyond which they are made anew in every cycle
POINTS = 36 * BLKSIZE  # of a block: small enough for the processor's cache, large enough for matrix products


class KeptValues(NumInt):
    """PySCF's integration, which evaluates the basis functions once for a grid instead of once in every cycle.

    Blocks come without PySCF's screening, so densities and potentials are dense matrix products: for molecules of some
    dozen atoms these are faster than products that leave out what vanishes. Second derivatives (gradients) are needed
    once, and grids whose values would take more than 1.5 GB are PySCF's own business.
    """

    def __init__(self) -> None:
        super().__init__()
        self._grid: tuple[Any, int] | None = None  # coordinates and order of derivatives that the blocks belong to
        self._blocks: list[tuple[np.ndarray, None, np.ndarray, np.ndarray]] = []

    def block_loop(
        self, mol: Any, grids: Any, nao: int | None = None, deriv: int = 0, *args: Any, **kwargs: Any
    ) -> Iterator[tuple]:
        """Values of the basis functions (derivatives, points, basis), no screening, weights and coordinates."""
        if grids.coords is None:
            grids.build(with_non0tab=True)
        size = (1, 4)[deriv] * len(grids.coords) * mol.nao * 8 if deriv <= 1 else np.inf
        if size > _MEMORY:
            yield from super().block_loop(mol, grids, nao, deriv, *args, **kwargs)
            return
        if self._grid is None or self._grid[0] is not grids.coords or self._grid[1] != deriv:
            self._blocks = [self._block(mol, grids, start, deriv) for start in range(0, len(grids.coords), POINTS)]
            self._grid = (grids.coords, deriv)
        yield from self._blocks

    def _block(self, mol: Any, grids: Any, start: int, deriv: int) -> tuple[np.ndarray, None, np.ndarray, np.ndarray]:
        part = slice(start, start + POINTS)
        mask = None if grids.non0tab is None or mol is not grids.mol else grids.non0tab[start // BLKSIZE :]
        values = self.eval_ao(mol, grids.coords[part], deriv=deriv, non0tab=mask, cutoff=grids.cutoff)
        return values, None, grids.weights[part], grids.coords[part]
