"""Harmonic vibrations with infrared and Raman strengths, from one evaluation of analytic derivatives."""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.io import write
from ase.vibrations import VibrationsData

from painn_ase.capabilities import finite_forces, has_response
from painn_ase.errors import InputError
from painn_ase.files import write_atomically
from painn_ase.rigid import check_masses, distance_from_axis, is_linear
from painn_ase.shown import Shown
from painn_ase.spectra.harmonic import (
    NormalModes,
    infrared_intensities,
    normal_modes,
    raman_activities,
    rigid_motions,
)
from painn_ase.structure_checks import fixed_atoms

_COLUMNS = ("mode", "wavenumber / cm⁻¹", "infrared / km/mol", "Raman activity / Å⁴/amu", "depolarisation ratio")


@dataclass(frozen=True, eq=False, repr=False)
class Vibrations(Shown):
    """Harmonic vibrations of a structure; `vibrations` makes them.

    `infrared` and `raman` are None where the model has no dipole or polarizability, and for periodic structures.
    """

    atoms: Atoms  # a copy of the structure, without calculator
    hessian: np.ndarray  # (3 free, 3 free) in eV/Å², of the atoms `free`
    free: np.ndarray  # indices of the atoms that FixAtoms does not hold
    modes: NormalModes  # of the free atoms, without translation and rotation
    infrared: np.ndarray | None  # (modes,) km/mol
    raman: np.ndarray | None  # (modes,) activity in Å⁴/amu
    depolarization: np.ndarray | None  # (modes,) ρ of linearly polarised light, 0 to 3/4
    fmax: float  # largest force on a free atom, eV/Å
    notes: tuple[str, ...] = ()  # what the reader should know

    def __repr__(self) -> str:
        modes, low = self.frequencies, len(self.modes.imaginary)
        span = f", {modes[0]:.1f} to {modes[-1]:.1f} cm⁻¹" if len(modes) else ""
        imaginary = f", {low} imaginary" if low else ""
        return f"Vibrations({self.atoms.get_chemical_formula()}, {len(modes)} modes{span}{imaginary})"

    @property
    def frequencies(self) -> np.ndarray:
        """(modes,) in cm⁻¹, ascending; negative numbers stand for imaginary ones."""
        return self.modes.wavenumbers

    @property
    def zero_point_energy(self) -> float:
        """½ Σ hcν̃ of the real modes in eV."""
        return self.modes.zero_point_energy

    @property
    def data(self) -> VibrationsData:
        """ASE's object of the same Hessian: thermochemistry, density of states, animated modes.

        It keeps translation and rotation as 6 more modes near zero.
        """
        return VibrationsData.from_2d(self.atoms, self.hessian, indices=self.free.tolist())

    def displacements(self, mode: int) -> np.ndarray:
        """Cartesian displacements (atoms, 3) of a mode, scaled to unit length; fixed atoms do not move."""
        moves = np.zeros((len(self.atoms), 3))
        moves[self.free] = self.modes.displacements[mode]
        return moves / np.linalg.norm(moves)

    def table(self) -> str:
        """One line per mode, and the zero-point energy, as text."""
        lines = ["mode   cm⁻¹" + "     km/mol" * (self.infrared is not None)]
        if self.raman is not None:
            lines[0] += "   Å⁴/amu  depol."
        imaginary = set(self.modes.imaginary.tolist())
        for k, wavenumber in enumerate(self.frequencies):
            line = f"{k:4d} {abs(wavenumber):8.1f}{'i' if k in imaginary else ' '}"
            if self.infrared is not None:
                line += f"{self.infrared[k]:9.2f} "
            if self.raman is not None and self.depolarization is not None:
                line += f"{self.raman[k]:9.2f}{self.depolarization[k]:8.3f}"
            lines.append(line.rstrip())
        lines.append(f"zero-point energy {self.zero_point_energy:.4f} eV; largest force {self.fmax:.1g} eV/Å")
        return "\n".join([*lines, *self.notes])

    def save(self, path: str | os.PathLike) -> Path:
        """Writes the table as CSV with units in its header."""
        text = StringIO()
        rows = csv.writer(text, lineterminator="\n")
        modes = self.frequencies
        columns = range(len(modes)), modes, self.infrared, self.raman, self.depolarization
        known = {name: values for name, values in zip(_COLUMNS, columns, strict=True) if values is not None}
        rows.writerow(known)
        rows.writerows(zip(*known.values(), strict=True))
        write_atomically(Path(path), text.getvalue())
        return Path(path)

    def save_modes(self, path: str | os.PathLike) -> Path:
        """Writes one frame per mode as extended XYZ, its arrows in the column "forces", which viewers draw."""
        frames = []
        for k, wavenumber in enumerate(self.frequencies):
            frame = Atoms(self.atoms.numbers, self.atoms.positions, cell=self.atoms.cell, pbc=self.atoms.pbc)
            frame.arrays["forces"] = self.displacements(k)
            frame.info |= {"mode": k, "wavenumber_per_cm": round(float(wavenumber), 2)}
            frames.append(frame)
        write(Path(path), frames, format="extxyz")
        return Path(path)

    def __str__(self) -> str:
        return self.table()


def vibrations(atoms: Atoms, *, fmax: float = 0.001) -> Vibrations:
    """Harmonic frequencies, infrared intensities and Raman activities of a relaxed structure.

    Hessian, Born charges and ∂α/∂r are exact derivatives of the attached `PaiNNCalculator`'s model in float64; one
    evaluation replaces the 6N + 1 of finite differences. Translation and rotation are projected out (translation
    only for periodic structures, at the Γ point). Atoms held by `FixAtoms` do not take part; then nothing is
    projected.

    Raises `InputError` if a force exceeds `fmax` (eV/Å): away from a minimum the numbers mean little. Relax the
    structure, or pass a larger `fmax` if that is what you want.
    """
    calculator, free = _calculator(atoms), _free(atoms)
    masses = check_masses(atoms.get_masses())[free]
    largest = float(np.linalg.norm(finite_forces(atoms)[free], axis=1).max())
    if largest > fmax:
        raise InputError(
            f"vibrations need a relaxed structure: the largest force is {largest:.3g} eV/Å, expected at most "
            f"{fmax:g}. Relax it first, relax(atoms, fmax={min(fmax, 0.001):g}), or pass fmax={largest * 1.1:.2g}"
        )
    provided, periodic = set(calculator.implemented_properties), bool(atoms.pbc.any())
    names = ["hessian"]
    notes = []
    if periodic:
        notes.append("periodic: modes at the Γ point; this kind of model has no dipole or polarizability of a cell")
    else:
        names += ["born_effective_charges"] * ("dipole" in provided)
        names += ["polarizability_derivatives"] * ("polarizability" in provided)
    found = calculator.get_response(atoms, names)
    n = len(atoms)
    hessian = found["hessian"].reshape(n, 3, n, 3)[free][:, :, free].reshape(3 * len(free), 3 * len(free))
    rigid = rigid_motions(atoms.positions, masses, periodic=periodic) if len(free) == n else None
    modes = normal_modes(hessian, masses, rigid)
    if rigid is not None and not periodic and n > 2 and is_linear(atoms.positions, masses):
        notes.append(_straight(atoms.positions, masses))
    born, slopes = found.get("born_effective_charges"), found.get("polarizability_derivatives")
    raman, ratio = (None, None) if slopes is None else raman_activities(modes, slopes[free])
    imaginary = len(modes.imaginary)
    if imaginary:
        notes.append(f"{imaginary} imaginary mode(s), marked i: a saddle point or an unrelaxed structure")
    bare = atoms.copy()
    bare.calc = None
    absorbed = None if born is None else infrared_intensities(modes, _at_rest(born, atoms)[free])
    return Vibrations(bare, hessian, free, modes, absorbed, raman, ratio, largest, tuple(notes))


def _at_rest(born: np.ndarray, atoms: Atoms) -> np.ndarray:
    """Born charges in a frame at rest: beside fixed atoms the centre of mass moves, which dipoles are measured from."""
    shares = atoms.get_masses() / atoms.get_masses().sum()
    return born + atoms.calc.centred_charge(atoms) * shares[:, None, None] * np.eye(3)


def _straight(positions: np.ndarray, masses: np.ndarray) -> str:
    away = distance_from_axis(positions, masses)
    return f"linear molecule (no atom further than {max(away, 1e-6):.1g} Å from its axis): 3N - 5 modes"


def _calculator(atoms: Atoms) -> Any:
    if not has_response(atoms.calc):
        name = getattr(atoms.calc, "name", None) or type(atoms.calc).__name__
        raise InputError(
            f"vibrations: expected atoms with a PaiNNCalculator, which has analytic derivatives; got {name}. For other "
            "calculators use finite differences: ase.vibrations.Vibrations, Infrared, StaticRamanCalculator"
        )
    return atoms.calc


def _free(atoms: Atoms) -> np.ndarray:
    """Indices of the atoms that may vibrate."""
    free = ~fixed_atoms(atoms, "vibrations")
    if not free.any():
        raise InputError("vibrations: every atom is fixed, so nothing vibrates")
    return np.flatnonzero(free)
