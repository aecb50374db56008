"""A crystal at rest: its cell, elastic constants, phonons, and whether it is stable."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms

from painn_ase.cards.measure.elastic import ElasticConstants, elastic_constants
from painn_ase.cards.measure.phonons import Phonons, phonons, zone_boundary
from painn_ase.cards.measure.primitive import primitive_cell
from painn_ase.cards.measure.subject import Subject, calculator_of, rounded, stamp
from painn_ase.errors import InputError, SimulationError
from painn_ase.simulate.md.relax import relax

STRAINS = (1e-4, 1e-2)
LARGEST = 64  # atoms in the primitive cell; what has more is no crystal whose phonons fit in a card
_WIDTH = 18.0  # Å, least distance between the faces of the supercell of the phonons
_LINE = np.arange(0.1, 1.01, 0.1)[:, None, None]  # from Γ to each point of the zone boundary
_STEPS = 1000  # of the relaxation
_IMAGINARY = -1.0  # cm⁻¹: what lies below is imaginary and no error of the finite differences


@dataclass(frozen=True, eq=False)
class CrystalCheck:
    """What `crystal_check` found."""

    atoms: Atoms  # the relaxed primitive cell
    elastic: tuple[ElasticConstants, ...]  # clamped and relaxed ions at each strain
    phonons: Phonons
    fmax: float  # largest force (and generalised force on the cell) left, eV/Å

    @property
    def lowest(self) -> tuple[float, np.ndarray]:
        """The lowest wavenumber away from Γ (cm⁻¹; negative: imaginary) and its wave vector.

        Of the wave vectors of the supercell and those on lines from Γ to the zone boundary.
        """
        points = np.concatenate([self.phonons.mesh, (_LINE * zone_boundary()).reshape(-1, 3)])
        least = self.phonons.frequencies(points)[:, 0]
        return float(least.min()), points[least.argmin()]

    @property
    def stable(self) -> bool:
        """Whether every strain costs energy and all phonons away from Γ are real."""
        return all(e.stable for e in self.elastic) and self.lowest[0] > _IMAGINARY

    def to_dict(self) -> dict[str, Any]:
        """The figures, JSON-able."""
        lowest, q = self.lowest
        boundary = [
            {"q": point.tolist(), "frequencies": row.tolist()}
            for point, row in zip(zone_boundary(), self.phonons.frequencies(zone_boundary()), strict=True)
        ]
        figures = {
            "cell": self.atoms.cell.array.tolist(),
            "volume_per_atom": self.atoms.get_volume() / len(self.atoms),
            "elastic": [e.to_dict() for e in self.elastic],
            "phonons": {
                "supercell": list(self.phonons.repeats),
                "displacement": self.phonons.displacement,
                "lowest": {"frequency": lowest, "q": q.tolist()},
                "gamma": self.phonons.frequencies(np.zeros(3)).tolist(),
                "boundary": boundary,
            },
        }
        return {"formula": self.atoms.get_chemical_formula(), "stable": self.stable} | rounded(figures) | stamp()

    def __str__(self) -> str:
        lowest, q = self.lowest
        least = min(e.eigenvalues[0] for e in self.elastic)
        return (
            f"crystal of {self.atoms.get_chemical_formula()}: {'stable' if self.stable else 'NOT STABLE'}; "
            f"{self.atoms.get_volume() / len(self.atoms):.3f} Å³/atom, least eigenvalue of the elastic constants "
            f"{least:.1f} GPa, lowest phonon away from Γ {lowest:.1f} cm⁻¹ at q = {np.round(q, 3).tolist()}"
        )


def crystal_check(model: Subject, atoms: Atoms) -> CrystalCheck:
    """Elastic constants and phonons of the crystal `atoms`, in float64, at its own lattice constants.

    The primitive cell is relaxed, cell included, from where it is. Elastic constants come from strains of 1e-4 and
    1e-2: a network whose energy bends within thermal amplitudes gives two answers. Phonons come from a supercell at
    least 18 Å wide. Raises `InputError` for structures that are no crystal, `SimulationError` if it does not relax.
    """
    crystal = primitive_cell(atoms)
    if len(crystal) > LARGEST:
        raise InputError(
            f"crystal check: the primitive cell has {len(crystal)} atoms, expected at most {LARGEST}; a liquid, a "
            "glass or a cell with a defect has no phonons to show. Name a crystal with --structure"
        )
    crystal.calc = calculator_of(model, "float64")
    outcome = relax(crystal, fmax=1e-5, steps=_STEPS, cell=True, optimizer="BFGS", progress=False)
    if not outcome.converged:
        raise SimulationError(f"crystal check: the cell does not relax; {outcome}")
    elastic = [elastic_constants(crystal, strain=e, relaxed=free) for free in (False, True) for e in STRAINS]
    lattice = phonons(crystal, supercell(crystal))
    return CrystalCheck(lattice.atoms, tuple(elastic), lattice, outcome.fmax)


def supercell(atoms: Atoms) -> tuple[int, int, int]:
    """Repeats, even so that the zone boundary is a wave vector of the supercell, at least 18 Å between faces."""
    heights = 1 / np.linalg.norm(atoms.cell.reciprocal().array, axis=1)
    a, b, c = (2 * max(1, int(np.ceil(_WIDTH / height / 2 - 1e-9))) for height in heights)
    return a, b, c
