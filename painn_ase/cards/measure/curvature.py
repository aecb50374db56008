"""Whether a potential is as stiff at a structure as it is at the amplitudes of thermal motion.

Where symmetry makes features of a network vanish, its energy may bend over a distance that belongs to the network and
not to the material (`docs/networks.md`, how smooth). Frequencies and elastic constants at the structure are then not
those that dynamics sees. Anharmonicity is no such fault: it is smooth, and what is smooth can be extrapolated.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms

from painn_ase.cards.measure.subject import rounded, stamp
from painn_ase.normal_modes import vibrations
from painn_ase.spectra.harmonic import wavenumbers

AMPLITUDES = (0.04, 0.08)  # Å, largest displacement of an atom; silicon's at 300 K is about 0.08 Å
_SOFT = 100.0  # cm⁻¹: deviations of softer modes are related to this
SMOOTH = 0.03  # share of a frequency by which the two may differ


@dataclass(frozen=True, eq=False)
class Curvature:
    """Wavenumbers of the modes at a structure and, from finite amplitudes, extrapolated back to it; in cm⁻¹."""

    formula: str
    at_site: np.ndarray  # (modes,) from the Hessian
    amplitudes: tuple[float, float]  # Å
    at_amplitudes: np.ndarray  # (2, modes) from the forces at ± each amplitude
    extrapolated: np.ndarray  # (modes,) to zero amplitude, from these two

    @property
    def deviations(self) -> np.ndarray:
        """(modes,) at the site against extrapolated, relative; zero for a potential that is smooth between them."""
        return (self.at_site - self.extrapolated) / np.maximum(np.abs(self.extrapolated), _SOFT)

    @property
    def worst(self) -> int:
        """The mode with the largest deviation."""
        return int(np.abs(self.deviations).argmax())

    @property
    def smooth(self) -> bool:
        """Whether no mode deviates by more than `SMOOTH`."""
        return bool(np.abs(self.deviations[self.worst]) <= SMOOTH)

    def to_dict(self) -> dict[str, Any]:
        """The figures, JSON-able."""
        w = self.worst
        figures = {
            "largest_deviation": float(self.deviations[w]),
            "at_site": float(self.at_site[w]),
            "extrapolated": float(self.extrapolated[w]),
            "mean_deviation": float(np.abs(self.deviations).mean()),
            "amplitudes": list(self.amplitudes),
        }
        return {"formula": self.formula, "modes": len(self.at_site), "smooth": self.smooth} | rounded(figures) | stamp()

    def __str__(self) -> str:
        w = self.worst
        return (
            f"curvature of {self.formula}: {'smooth' if self.smooth else 'NOT smooth'}, at most "
            f"{100 * self.deviations[w]:+.1f} % of a frequency ({self.at_site[w]:.1f} cm⁻¹ at the site, "
            f"{self.extrapolated[w]:.1f} from amplitudes of {self.amplitudes[0]:g} and {self.amplitudes[1]:g} Å)"
        )


def curvature_check(atoms: Atoms, *, amplitudes: tuple[float, float] = AMPLITUDES) -> Curvature:
    """Compares each mode's curvature at a structure with what two amplitudes a < b (Å) say of it.

    k(h) = -(F(h) - F(-h))·u/2h along a mode u; k(h) = k + c h² + O(h⁴) of a smooth potential, so that
    (b² k(a) - a² k(b))/(b² - a²) is k. Needs a `PaiNNCalculator` in float64. Structures need not be stationary, and
    displacements are straight lines in Cartesian coordinates.
    """
    found = vibrations(atoms, fmax=np.inf)
    masses = atoms.get_masses()[:, None]
    moves = np.array([found.displacements(k) for k in range(len(found.frequencies))])
    moves /= np.linalg.norm(moves, axis=2).max(axis=1)[:, None, None]
    reduced = np.einsum("kia,ia->k", moves**2, np.broadcast_to(masses, moves.shape[1:]))
    squares = np.array([[_stiffness(atoms, u, h) for u in moves] for h in amplitudes]) / reduced
    a, b = amplitudes
    extrapolated = (b * b * squares[0] - a * a * squares[1]) / (b * b - a * a)
    return Curvature(
        atoms.get_chemical_formula(), found.frequencies, amplitudes, wavenumbers(squares), wavenumbers(extrapolated)
    )


def _stiffness(atoms: Atoms, direction: np.ndarray, amplitude: float) -> float:
    """-(F(h) - F(-h))·u/2h in eV/Å²."""
    forces = []
    for sign in (1, -1):
        moved = atoms.copy()
        moved.positions += sign * amplitude * direction
        moved.calc = atoms.calc
        forces.append(moved.get_forces())
    return float(-np.sum((forces[0] - forces[1]) * direction) / (2 * amplitude))
