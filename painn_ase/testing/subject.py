"""The calculator under test: asked as a user asks, with its own noise measured first."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms

from painn_ase.capabilities import forget
from painn_ase.testing.process_state import process_state

STEP = 1e-5  # Å, between the points at which noise is measured: far above rounding of positions, far below any feature
POINTS = 9
SAFETY = 100.0  # noise is measured as a standard deviation, and what is compared is the worst of many numbers

# Properties of ASE that transform in a known way: (per atom?, rank); "voigt" is a symmetric tensor of rank 2.
KINDS: dict[str, tuple[bool, int | str]] = {
    "energy": (False, 0),
    "free_energy": (False, 0),
    "energies": (True, 0),
    "forces": (True, 1),
    "stress": (False, "voigt"),
    "stresses": (True, "voigt"),
    "dipole": (False, 1),
    "charges": (True, 0),
    "magmom": (False, 0),
    "magmoms": (True, 0),
    "polarizability": (False, 2),
    "born_effective_charges": (True, 2),
}
UNITS = {
    "energy": "eV",
    "free_energy": "eV",
    "energies": "eV",
    "forces": "eV/Å",
    "stress": "eV/Å³",
    "stresses": "eV/Å³",
    "dipole": "e·Å",
    "charges": "e",
    "polarizability": "e²Å²/eV",
    "born_effective_charges": "e",
    "magmom": "μB",
    "magmoms": "μB",
}


@dataclass(frozen=True)
class Case:
    """One structure under test."""

    label: str
    atoms: Atoms


@dataclass(frozen=True)
class Noise:
    """How exactly one property of one structure is computed."""

    level: float  # standard deviation of its noise, in its unit
    slope: float  # its change per Å of displacement, for what rounding of positions may do
    size: float  # its largest absolute value

    def tolerance(self, rounding: float = 0.0) -> float:
        """What two evaluations of the same thing may differ by; positions may be rounded by `rounding` Å."""
        return SAFETY * self.level + 20 * self.slope * rounding + 1e-12 * self.size + 1e-11


class Subject:
    """A calculator, asked through ASE's interface on copies of structures."""

    def __init__(self, calc: Any) -> None:
        self.calc = calc
        self.modules = frozenset(sys.modules)
        self.state = process_state(self.modules)
        self.implemented = tuple(calc.implemented_properties)
        self.derived_from = "free_energy" if "free_energy" in self.implemented else "energy"
        self._noise: dict[str, dict[str, Noise]] = {}
        self._values: dict[str, dict[str, np.ndarray]] = {}

    @property
    def name(self) -> str:
        kind = type(self.calc)
        return f"{kind.__module__}.{kind.__qualname__}"

    def ask(self, name: str, atoms: Atoms) -> Any:
        """The property as the calculator returns it, with whatever it remembers of earlier calls."""
        return self.calc.get_property(name, atoms)

    def value(self, name: str, atoms: Atoms) -> np.ndarray:
        """The property of a copy of `atoms` from a calculator that was told to forget what it knows."""
        forget(self.calc)
        found = self.ask(name, atoms.copy())
        if found is None:
            raise TypeError(f"get_property({name!r}) returned None")
        return np.array(found, dtype=float)

    def energy(self, atoms: Atoms) -> float:
        """The energy that forces belong to: ASE's free energy where there is one."""
        return float(self.value(self.derived_from, atoms))

    def available(self, case: Case) -> list[str]:
        """The properties of known kind that the calculator does not refuse for this structure."""
        return list(self.noise(case))

    def values(self, case: Case) -> dict[str, np.ndarray]:
        """Those properties, computed once."""
        if case.label not in self._values:
            self._values[case.label] = {name: self.value(name, case.atoms) for name in self.available(case)}
        return self._values[case.label]

    def _not_refused(self, atoms: Atoms) -> list[str]:
        found = []
        for name in self.implemented:
            if name in KINDS:
                try:
                    self.value(name, atoms)
                except Exception as error:
                    if not refused(error):
                        raise
                else:
                    found.append(name)
        return found

    def noise(self, case: Case) -> dict[str, Noise]:
        """The noise of every property available for `case`; measured once."""
        if case.label not in self._noise:
            self._noise[case.label] = self._measure(case.atoms)
        return self._noise[case.label]

    def tolerance(self, name: str, value: np.ndarray) -> float:
        """What `value` may be off by, for structures like those whose noise was measured."""
        size = float(np.abs(value).max(initial=0.0))
        known = [noise[name] for noise in self._noise.values() if name in noise]
        allowed = max((n.tolerance(1e-12) * max(1.0, size / (n.size + 1e-9)) for n in known), default=1e-9 * size)
        return 10 * allowed

    def _measure(self, atoms: Atoms) -> dict[str, Noise]:
        direction = np.random.default_rng(0).normal(size=atoms.positions.shape)
        samples: dict[str, list[np.ndarray]] = {name: [] for name in self._not_refused(atoms)}
        for k in range(POINTS):
            moved = atoms.copy()
            moved.positions += k * STEP * direction
            for name in samples:
                samples[name].append(self.value(name, moved))
        return {name: _noise(np.array(values)) for name, values in samples.items()}


def _noise(values: np.ndarray) -> Noise:
    """Noise level from a table of differences.

    The k-th differences of m + 1 values at equal spacing lose what is smooth and keep noise of variance σ², with
    variance σ² (2k)!/(k!)² (Moré and Wild, SIAM J. Sci. Comput. 33, 1292 (2011), doi:10.1137/100786125).
    """
    size = float(np.abs(values).max(initial=0.0))
    slope = float(np.abs(values[-1] - values[0]).max(initial=0.0)) / ((POINTS - 1) * STEP)
    levels, table = [], values
    for k in range(1, POINTS - 2):
        table = np.diff(table, axis=0)
        if k >= 3:
            variance = np.square(table).mean(axis=0) * math.factorial(k) ** 2 / math.factorial(2 * k)
            levels.append(float(np.sqrt(variance.max(initial=0.0))))
    return Noise(float(np.median(levels)), slope, size)


def refused(error: Exception) -> bool:
    """Whether an exception is a refusal in words rather than a crash."""
    if isinstance(error, NotImplementedError):
        return True
    spoken = isinstance(error, ValueError | RuntimeError) and bool(str(error))
    return spoken and not isinstance(error, RecursionError | np.linalg.LinAlgError)
