"""The disagreement of a committee from which on its forces are not to be trusted, learned from its own errors."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

import numpy as np

FIRST = 4.0  # error over disagreement, before anything was measured: two networks of the same data agree too well
_PAIRS, _ENOUGH = 40, 8  # the latest that count; fewer leave FIRST among them
_SHARE = 0.8  # of structures with this disagreement whose error is within the tolerance


class Threshold:
    """`value` eV/Å of `forces_std`, at which four structures in five have errors within `tolerance`.

    Errors and disagreements are the largest of any atom, in eV/Å. The ratio error/disagreement differs from system to
    system and from one size of the data to the next, so it is taken from the structures that were asked about last.
    """

    def __init__(self, fixed: float | None, tolerance: float, pairs: Iterable[tuple[float, float]] = ()) -> None:
        self.fixed, self.tolerance = fixed, tolerance
        self._pairs: deque[tuple[float, float]] = deque(pairs, maxlen=_PAIRS)

    def add(self, disagreement: float, error: float) -> None:
        """Takes note of a structure about which both are known."""
        self._pairs.append((disagreement, error))

    @property
    def value(self) -> float:
        if self.fixed is not None:
            return self.fixed
        ratios = [error / disagreement for disagreement, error in self._pairs if disagreement > 0]
        ratios += [FIRST] * max(0, _ENOUGH - len(ratios))
        return self.tolerance / float(np.quantile(ratios, _SHARE))
