"""Harmonic reference data: derivatives of energy, dipole and polarizability by central differences of labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms

from painn_ase.data.identity import DECIMALS, unlabelled
from painn_ase.errors import InputError
from painn_ase.normal_modes import Vibrations
from painn_ase.reference.journal import stored
from painn_ase.spectra.harmonic import infrared_intensities, normal_modes, raman_activities, rigid_motions
from painn_ase.units import POLARIZABILITY_VOLUME


@dataclass(frozen=True, eq=False)
class Derivatives:
    """Second derivatives of the energy and first ones of dipole and polarizability at one structure.

    In the shapes and units of `PaiNNCalculator.get_response` and `painn_ase.spectra.harmonic`.
    """

    atoms: Atoms  # the structure, with its labels
    hessian: np.ndarray  # (3 atoms, 3 atoms) in eV/Å², symmetrised
    born_effective_charges: np.ndarray | None  # (atoms, 3, 3) in e, [i, a, b] = ∂μ_a/∂r_ib; None without dipoles
    polarizability_derivatives: np.ndarray | None  # (atoms, 3, 3, 3) in e²Å/eV, [i, a, b, c] = ∂α_ab/∂r_ic; or None

    def vibrations(self) -> Vibrations:
        """Frequencies and, as far as there are labels, infrared and Raman strengths, as `vibrations` has them."""
        masses = self.atoms.get_masses()
        modes = normal_modes(self.hessian, masses, rigid_motions(self.atoms.positions, masses))
        raman, ratio, infrared = None, None, None
        if self.polarizability_derivatives is not None:
            raman, ratio = raman_activities(modes, self.polarizability_derivatives)
        if self.born_effective_charges is not None:
            infrared = infrared_intensities(modes, self.born_effective_charges)
        largest = float(np.linalg.norm(self.atoms.get_forces(), axis=1).max())
        every, bare = np.arange(len(masses)), self.atoms.copy()
        return Vibrations(bare, self.hessian, every, modes, infrared, raman, ratio, largest)


def displaced_frames(atoms: Atoms, step: float = 0.01) -> list[Atoms]:
    """The structure, then each atom moved by ∓`step` Å along x, y and z: 6N + 1 frames for `label`.

    info tells them apart: "displaced_atom", "displaced_axis" ("x", "y", "z") and "displaced_by" (Å).
    """
    frames = [_frame(atoms, "equilibrium")]
    for index, axis in np.ndindex(len(atoms), 3):
        for by in (-step, step):
            frame = _frame(atoms, "displaced")
            frame.positions[index, axis] += by
            frame.info |= {"displaced_atom": index, "displaced_axis": "xyz"[axis], "displaced_by": by}
            frames.append(frame)
    return frames


def derivatives(frames: Sequence[Atoms]) -> Derivatives:
    """Central differences of the labels of `displaced_frames`; the order of the frames does not matter.

    Errors are of second order in the step. Dipoles and polarizabilities may be missing, from all frames. Raises
    `InputError` if a frame or a label is missing otherwise.
    """
    middle = [atoms for atoms in frames if "displaced_atom" not in atoms.info]
    if len(middle) != 1:
        raise InputError(f"derivatives: expected one frame that is not displaced; got {len(middle)}")
    atoms = middle[0]
    sides = {}
    for frame in frames:
        if frame is not atoms:
            key = (int(frame.info["displaced_atom"]), str(frame.info["displaced_axis"]))
            sides[(*key, bool(frame.info["displaced_by"] > 0))] = frame
    optional = [name for name in ("dipole", "polarizability") if any(stored(f, name) is not None for f in frames)]
    slopes: dict[str, list[np.ndarray]] = {name: [] for name in ("forces", *optional)}
    for index, axis in np.ndindex(len(atoms), 3):
        pair = [sides.get((index, "xyz"[axis], up)) for up in (False, True)]
        if pair[0] is None or pair[1] is None:
            raise InputError(f"derivatives: atom {index} is not displaced to both sides along {'xyz'[axis]}")
        distance = pair[1].positions[index, axis] - pair[0].positions[index, axis]
        for name, rows in slopes.items():
            rows.append((_label(pair[1], name) - _label(pair[0], name)) / distance)
    n = len(atoms)
    hessian = -np.reshape(slopes["forces"], (3 * n, 3 * n))
    born, alpha = None, None
    if "dipole" in slopes:  # rows are displacements, so b comes first
        born = np.reshape(slopes["dipole"], (n, 3, 3)).transpose(0, 2, 1)
    if "polarizability" in slopes:
        alpha = np.reshape(slopes["polarizability"], (n, 3, 3, 3)).transpose(0, 2, 3, 1) * POLARIZABILITY_VOLUME
    return Derivatives(atoms, 0.5 * (hessian + hessian.T), born, alpha)


def _label(atoms: Atoms, name: str) -> np.ndarray:
    value = stored(atoms, name)
    if value is None:
        raise InputError(f"derivatives: a frame has no {name}; label all with forces, and what others of them have")
    return value


def _frame(atoms: Atoms, source: str) -> Atoms:
    frame = unlabelled(atoms)
    frame.set_constraint()  # each atom is moved
    frame.positions = np.round(atoms.positions, DECIMALS)
    frame.cell, frame.pbc = None, False
    frame.info["source"] = source
    return frame
