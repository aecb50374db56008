"""A model's harmonic vibrations beside those of its reference method, mode by mode."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms
from scipy.optimize import linear_sum_assignment

from painn_ase.cards.measure.subject import Subject, calculator_of, rounded, stamp
from painn_ase.errors import InputError
from painn_ase.normal_modes import Vibrations, vibrations
from painn_ase.reference.harmonic import derivatives
from painn_ase.simulate.md.relax import relax

SOFT = 400.0  # cm⁻¹: modes below are torsions and the like, whose frequencies say little about bonds
STRONG = 0.1  # of the largest activity or intensity: a strong band
FREE = 1.5  # Å of thermal motion in one mode: an atom that leaves its place by a bond length


@dataclass(frozen=True, eq=False)
class HarmonicCheck:
    """Vibrations of the reference and of the model, each at its own minimum; `order` pairs their modes.

    Modes in which an atom moves by more than a bond length at `temperature`, such as a methyl group that turns freely,
    have no harmonic frequency worth the name: they are listed, and left out of mean and largest shifts.
    """

    reference: Vibrations
    model: Vibrations
    order: np.ndarray  # (modes,) the model's mode that belongs to each mode of the reference
    overlaps: np.ndarray  # (modes,) |Σ_i m_i u_i·u'_i| of the pairs, 1 for equal motions
    distance: float  # Å, RMS over the atoms between the two minima, superposed
    frames: int  # of the reference
    temperature: float = 300.0  # K

    @property
    def free(self) -> np.ndarray:
        """(modes,) of bool: those of the reference that turn freely."""
        return self.reference.modes.amplitudes(self.temperature) > FREE

    @property
    def compared(self) -> np.ndarray:
        """Absolute shifts of the other modes, cm⁻¹."""
        return np.abs(self.shifts[~self.free])

    @property
    def shifts(self) -> np.ndarray:
        """(modes,) wavenumber of the model minus that of the reference, cm⁻¹."""
        return self.model.frequencies[self.order] - self.reference.frequencies

    @property
    def mae(self) -> float:
        """Mean absolute shift in cm⁻¹ of the modes that do not turn freely."""
        return float(self.compared.sum() / max(1, self.compared.size))

    @property
    def worst(self) -> int:
        """The mode of the reference above `SOFT` cm⁻¹ with the largest shift."""
        stiff = (np.abs(self.reference.frequencies) > SOFT) & ~self.free
        return int(np.where(stiff, np.abs(self.shifts), -1.0).argmax())

    def strengths(self, kind: str) -> tuple[np.ndarray, np.ndarray] | None:
        """(modes,) of reference and model: "infrared" in km/mol or "raman" in Å⁴/amu; None if one has none."""
        reference, model = getattr(self.reference, kind), getattr(self.model, kind)
        return None if reference is None or model is None else (reference, model[self.order])

    def to_dict(self) -> dict[str, Any]:
        """The figures, JSON-able.

        Of infrared intensities and Raman activities: correlation, the largest deviation and its mode, and how many
        strong bands (above a tenth of the strongest) deviate by more than 10 % and 2 km/mol, or by more than 15 %.
        """
        w = self.worst
        result: dict[str, Any] = {
            "frames": self.frames,
            "minima_rms": self.distance,
            "frequencies": {
                "mae": self.mae,
                "rmse": float(np.sqrt((self.compared**2).sum() / max(1, self.compared.size))),
                "worst_above_400": float(self.shifts[w]),
                "worst_at": float(self.reference.frequencies[w]),
            },
            "smallest_overlap": float(self.overlaps.min()),
        }
        if self.free.any():
            result["frequencies"]["turn_freely"] = self.reference.frequencies[self.free].tolist()
        modes = {"reference": self.reference.frequencies, "shift": self.shifts, "overlap": self.overlaps}
        for kind, relative, absolute in (("infrared", 0.10, 2.0), ("raman", 0.15, 0.0)):
            found = self.strengths(kind)
            if found is None:
                continue
            reference, model = found
            result[kind] = _strength_figures(self.reference.frequencies, reference, model, relative, absolute)
            modes |= {f"{kind}_reference": reference, f"{kind}_model": model}
        result["modes"] = {name: values.tolist() for name, values in modes.items()}
        return rounded(result) | stamp()

    def table(self) -> str:
        """One line per mode: wavenumber of the reference, shift of the model, overlap, strengths of both."""
        names = [kind for kind in ("infrared", "raman") if self.strengths(kind) is not None]
        heads = {"infrared": "   km/mol    model", "raman": "  Å⁴/amu    model"}
        lines = ["   cm⁻¹   shift overlap" + "".join(heads[name] for name in names)]
        for k, at in enumerate(self.reference.frequencies):
            line = f"{at:7.1f} {self.shifts[k]:+7.1f} {self.overlaps[k]:7.3f}"
            for name in names:
                pair = self.strengths(name)
                assert pair is not None
                line += f"{pair[0][k]:9.2f}{pair[1][k]:9.2f}"
            lines.append(line + "  turns freely, left out of the mean" * bool(self.free[k]))
        lines.append(f"mean absolute shift {self.mae:.2f} cm⁻¹; minima {self.distance:.4f} Å apart (RMS)")
        return "\n".join(lines)

    def __str__(self) -> str:
        return self.table()


def harmonic_check(
    model: Subject, frames: Sequence[Atoms], *, fmax: float = 1e-4, temperature: float = 300.0
) -> HarmonicCheck:
    """The vibrations of `model` beside those of labelled finite-difference `frames` (`reference.displaced_frames`).

    The model is relaxed from the reference's minimum to `fmax` (eV/Å), in float64 unless a calculator is given; its
    derivatives are analytic, those of the reference central differences. Modes are paired by the overlap of their
    mass-weighted motions, the assignment of largest total squared overlap, after the minima are superposed: pairing
    by order would hide an exchange of two modes. Modes that turn freely at `temperature` (K) do not count. Raises
    `InputError` if frames or labels are missing or the model does not relax.
    """
    reference = derivatives(frames).vibrations()
    atoms = reference.atoms.copy()
    atoms.calc = calculator_of(model, "float64")
    relaxed = relax(atoms, fmax=fmax, optimizer="BFGS", steps=500, progress=False)
    if not relaxed.converged:
        raise InputError(
            f"harmonic check: from the reference's minimum the model relaxed to forces of {relaxed.fmax:.2g} eV/Å, not "
            f"to {fmax:g}; a model this rough has no harmonic frequencies worth comparing"
        )
    found = vibrations(atoms, fmax=1.01 * fmax)
    order, overlaps, distance = pair_modes(reference, found)
    return HarmonicCheck(reference, found, order, overlaps, distance, len(frames), temperature)


def pair_modes(reference: Vibrations, model: Vibrations) -> tuple[np.ndarray, np.ndarray, float]:
    """The mode of `model` for each mode of `reference`, their overlaps, and the distance of the minima (RMS, Å).

    Overlaps are |Σ_i m_i u_i·u'_i|, u' turned with the superposition of the minima. Raises `InputError` if the numbers
    of modes differ.
    """
    masses = reference.atoms.get_masses()
    rotation, distance = _superposed(model.atoms.positions, reference.atoms.positions, masses)
    root = np.sqrt(masses)[None, :, None]
    motions = (model.modes.displacements @ rotation * root).reshape(len(model.modes), -1)
    theirs = (reference.modes.displacements * root).reshape(len(reference.modes), -1)
    if motions.shape != theirs.shape:
        raise InputError(
            f"harmonic check: the reference has {len(theirs)} modes, the model {len(motions)}: one of the two minima "
            "is linear and the other is not"
        )
    overlaps = np.abs(theirs @ motions.T)
    rows, order = linear_sum_assignment(-(overlaps**2))
    return order, overlaps[rows, order], distance


def _strength_figures(
    at: np.ndarray, reference: np.ndarray, model: np.ndarray, relative: float, absolute: float
) -> dict[str, float | int]:
    deviation = model - reference
    worst = int(np.abs(deviation).argmax())
    strong = reference >= STRONG * reference.max()
    beyond = strong & (np.abs(deviation) > np.maximum(relative * reference, absolute))
    spread = reference.std() * model.std()
    return {
        "correlation": float(np.mean((reference - reference.mean()) * (model - model.mean())) / spread),
        "largest_deviation": float(deviation[worst]),
        "largest_at": float(at[worst]),
        "largest_relative_of_strong": float(np.abs(deviation[strong] / reference[strong]).max()),
        "strong": int(strong.sum()),
        "strong_beyond": int(beyond.sum()),
    }


def _superposed(positions: np.ndarray, onto: np.ndarray, masses: np.ndarray) -> tuple[np.ndarray, float]:
    """The rotation R (rows times R) of least mass-weighted squares onto another structure, and the RMS left in Å.

    Kabsch, Acta Crystallogr. A 32, 922 (1976), doi:10.1107/S0567739476001873.
    """
    weights = masses / masses.sum()
    a, b = positions - weights @ positions, onto - weights @ onto
    left, _, right = np.linalg.svd((a * weights[:, None]).T @ b)
    turn = np.diag([1.0, 1.0, np.sign(np.linalg.det(left @ right))])
    rotation = left @ turn @ right
    return rotation, float(np.sqrt(np.mean(((a @ rotation - b) ** 2).sum(axis=1))))
