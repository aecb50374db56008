"""Elastic constants of a crystal from stress and strain, with its ions clamped or relaxed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms
from ase.units import GPa

from painn_ase.errors import InputError, SimulationError
from painn_ase.simulate.md.relax import relax

_PAIRS = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))  # Voigt: xx, yy, zz, yz, xz, xy
_KELVIN = np.sqrt(np.outer([1, 1, 1, 2, 2, 2], [1, 1, 1, 2, 2, 2]))
_CUBIC = 0.02  # of C11: largest deviation of a matrix that counts as cubic
_RESIDUAL = 0.1  # GPa: stress at which the reference still counts as free of it


@dataclass(frozen=True, eq=False)
class ElasticConstants:
    """Stiffness of a crystal, C_ij = ∂σ_i/∂ε_j, in the Cartesian frame of its cell."""

    matrix: np.ndarray  # (6, 6) in GPa; Voigt order xx, yy, zz, yz, xz, xy with engineering shears; symmetric
    asymmetry: float  # GPa, largest |C_ij - C_ji| before it was made symmetric
    strain: float  # half of the difference between the two structures of each derivative
    relaxed: bool  # whether the ions followed the strain

    @property
    def eigenvalues(self) -> np.ndarray:
        """(6,) in GPa, ascending, of the matrix in Kelvin's notation, in which they do not depend on the frame.

        Of a cubic crystal they are C11 + 2 C12, twice C11 - C12 and three times 2 C44. Mouhat and Coudert, Phys. Rev. B
        90, 224104 (2014), doi:10.1103/PhysRevB.90.224104.
        """
        return np.linalg.eigvalsh(self.matrix * _KELVIN)

    @property
    def stable(self) -> bool:
        """Born's criterion: every strain costs energy."""
        return bool(self.eigenvalues[0] > 0)

    @property
    def cubic(self) -> tuple[float, float, float] | None:
        """C11, C12 and C44 in GPa, if the matrix is that of a cubic crystal with its axes along x, y and z."""
        c = self.matrix
        c11, c12, c44 = np.trace(c[:3, :3]) / 3, (c[:3, :3].sum() - np.trace(c[:3, :3])) / 6, np.trace(c[3:, 3:]) / 3
        ideal = np.zeros((6, 6))
        ideal[:3, :3] = c12
        np.fill_diagonal(ideal, [c11] * 3 + [c44] * 3)
        return (float(c11), float(c12), float(c44)) if np.abs(c - ideal).max() <= _CUBIC * abs(c11) else None

    @property
    def bulk_modulus(self) -> float:
        """Voigt's average in GPa, exact for a cubic crystal: the mean of the upper left 3 x 3."""
        return float(self.matrix[:3, :3].mean())

    def to_dict(self) -> dict[str, Any]:
        """The figures, JSON-able."""
        names = ("C11", "C12", "C44")
        return {
            "strain": self.strain,
            "relaxed": self.relaxed,
            "matrix": self.matrix.tolist(),
            "eigenvalues": self.eigenvalues.tolist(),
            "bulk_modulus": self.bulk_modulus,
            "cubic": None if self.cubic is None else dict(zip(names, self.cubic, strict=True)),
        }


def elastic_constants(
    atoms: Atoms, *, strain: float = 1e-3, relaxed: bool = True, fmax: float = 1e-6
) -> ElasticConstants:
    """Elastic constants in GPa of a crystal without stress, by central differences of the stress of its calculator.

    Each of the six strains is applied with both signs; `relaxed` ions then move until no force exceeds `fmax` (eV/Å),
    clamped ones keep their fractional coordinates. The calculator needs float64 for small strains. Raises `InputError`
    for structures that are not periodic in three directions or are under stress, `SimulationError` if ions do not come
    to rest.
    """
    if not (atoms.pbc.all() and atoms.cell.rank == 3):
        raise InputError(
            f"elastic constants need a cell periodic along all three vectors; got pbc={atoms.pbc.tolist()}"
        )
    residual = float(np.abs(_stress(atoms, np.zeros((3, 3)), None)).max())
    if residual > _RESIDUAL:
        raise InputError(
            f"elastic constants need a crystal without stress: the largest component is {residual:.3g} GPa, expected "
            f"at most {_RESIDUAL:g}. Relax it first, relax(atoms, cell=True)"
        )
    columns = []
    for a, b in _PAIRS:
        unit = np.zeros((3, 3))
        unit[a, b] += 0.5
        unit[b, a] += 0.5  # ε of a normal strain is 1, of a shear γ/2
        stresses = [_stress(atoms, sign * strain * unit, fmax if relaxed else None) for sign in (1, -1)]
        columns.append((stresses[0] - stresses[1]) / (2 * strain))
    matrix = np.array(columns).T
    asymmetry = float(np.abs(matrix - matrix.T).max())
    return ElasticConstants(0.5 * (matrix + matrix.T), asymmetry, strain, relaxed)


def _stress(atoms: Atoms, strain: np.ndarray, fmax: float | None) -> np.ndarray:
    """(6,) stress in GPa of the strained crystal, its ions relaxed to `fmax` where that is given."""
    strained = atoms.copy()
    strained.set_constraint()
    strained.set_cell(atoms.cell.array @ (np.eye(3) + strain), scale_atoms=True)
    strained.calc = atoms.calc
    if fmax is not None and len(atoms) > 1:
        outcome = relax(strained, fmax=fmax, steps=500, optimizer="BFGS", progress=False)
        if not outcome.converged:
            raise SimulationError(
                f"elastic constants: the ions of the strained crystal do not come to rest; {outcome}. A crystal that "
                "is not stable may leave its structure: see its phonons, or clamp the ions (relaxed=False)"
            )
    return np.asarray(strained.get_stress()) / GPa
