"""Whether the models may answer: coverage, disagreement with a threshold learned from their own errors, audits."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

import numpy as np
from ase import Atoms

from painn_ase.data.identity import fingerprint

AUDITS = 200  # one structure in so many is asked about although nothing objects
FIRST = 4.0  # error over disagreement, before anything was measured: two networks of the same data agree too well
_PAIRS, _ENOUGH = 40, 8  # the latest that count; fewer leave FIRST among them
_SHARE = 0.8  # of structures with this disagreement whose error is within the tolerance
_NEAR = 0.1  # Å, of the farthest atom: so near to a structure where it proved harmless an objection is not heard ...
_LOUDER = 1.5  # ... unless the disagreement has grown by this factor


class Judge:
    """Objects where the models should not answer.

    fixed: the threshold in eV/Å; None to learn it
    tolerance: largest error of a force in eV/Å that is harmless
    pairs: of disagreement and true error that are known already

    Errors and disagreements are the largest of any atom, in eV/Å. The ratio error/disagreement differs from system to
    system and from one size of the data to the next, so it is taken from the structures that were asked about last.
    """

    def __init__(self, fixed: float | None, tolerance: float, pairs: Iterable[tuple[float, float]] = ()) -> None:
        self._fixed, self.tolerance = fixed, tolerance
        self._pairs: deque[tuple[float, float]] = deque(pairs, maxlen=_PAIRS)
        self._harmless: dict[str, tuple[Atoms, float]] = {}  # objection -> the last such structure, its disagreement

    @property
    def threshold(self) -> float:
        """The disagreement in eV/Å at which four structures in five have errors within the tolerance."""
        if self._fixed is not None:
            return self._fixed
        ratios = [error / spread for spread, error in self._pairs if spread > 0]
        ratios += [FIRST] * max(0, _ENOUGH - len(ratios))
        return self.tolerance / float(np.quantile(ratios, _SHARE))

    def objection(self, atoms: Atoms, spread: float | None, outside: Callable[[], bool]) -> str:
        """Why the models should not answer; empty if they may. `spread` is their disagreement, None for one model."""
        if spread is not None and spread > self.threshold and not self._is_harmless("disagreement", atoms, spread):
            return "disagreement"
        if outside() and not self._is_harmless("coverage", atoms, spread or 0.0):
            return "coverage"
        return "audit" if int(fingerprint(atoms)[:8], 16) % AUDITS == 0 else ""

    def learn(self, atoms: Atoms, why: str, spread: float | None, error: float) -> None:
        """Takes note of the true error in eV/Å of a structure that was asked about."""
        if spread is not None:
            self._pairs.append((spread, error))
        if error <= self.tolerance:
            self._harmless[why] = (atoms.copy(), spread or 0.0)
        else:
            self._harmless.pop(why, None)

    def forget(self) -> None:
        """Hears every objection again: there are other models."""
        self._harmless = {}

    def _is_harmless(self, objection: str, atoms: Atoms, spread: float) -> bool:
        """Whether the objection was just found to be harmless, near to this structure."""
        if objection not in self._harmless:
            return False
        then, before = self._harmless[objection]
        if len(then) != len(atoms) or (then.numbers != atoms.numbers).any() or (then.cell != atoms.cell).any():
            return False
        return bool(np.abs(atoms.positions - then.positions).max() < _NEAR) and spread <= _LOUDER * before
