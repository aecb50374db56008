"""Normal modes from a Hessian, and the infrared and Raman strengths of each from first derivatives.

The harmonic limit of every spectrum in this package, and the sticks to draw beside them. Arrays in, arrays out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from painn_ase.errors import InputError
from painn_ase.rigid import arms, check_masses, rotation_axes
from painn_ase.units import (
    ATOMIC_MASS,
    AVOGADRO,
    BOLTZMANN,
    COULOMB_CONSTANT,
    ELEMENTARY_CHARGE,
    PLANCK,
    SPEED_OF_LIGHT,
    VACUUM_PERMITTIVITY,
)

Array = NDArray[np.float64]

_ANGULAR = (ELEMENTARY_CHARGE * 1e20 / ATOMIC_MASS) ** 0.5  # rad/s per √(eV/Å²/amu)
_WAVENUMBER = _ANGULAR / (2 * np.pi * SPEED_OF_LIGHT * 100)  # cm⁻¹ per √(eV/Å²/amu)
_ENERGY = PLANCK * SPEED_OF_LIGHT * 100 / ELEMENTARY_CHARGE  # eV per cm⁻¹
_INFRARED = AVOGADRO * ELEMENTARY_CHARGE**2 / ATOMIC_MASS / (12 * VACUUM_PERMITTIVITY * SPEED_OF_LIGHT**2) / 1000
"""km/mol per e²/amu; 42.256 km/mol per (D/Å)²/amu."""


@dataclass(frozen=True, eq=False)
class NormalModes:
    """Vibrations of small amplitude, in order of wavenumber.

    A coordinate Q in Å√amu moves the atoms by `displacements`·Q; the modes are orthonormal under the masses,
    Σ_i m_i u_k,i·u_l,i = δ_kl.
    """

    wavenumbers: Array  # (modes,) cm⁻¹; negative numbers stand for imaginary ones, √(-k) of a saddle
    displacements: Array  # (modes, atoms, 3), 1/√amu

    @property
    def imaginary(self) -> NDArray[np.intp]:
        """Indices of the imaginary modes. What is 0.0 cm⁻¹ to the digit that is printed is no saddle but round-off."""
        return np.flatnonzero(np.round(self.wavenumbers, 1) < 0)

    def __len__(self) -> int:
        return len(self.wavenumbers)

    @property
    def zero_point_energy(self) -> float:
        """½ Σ hcν̃ over the real wavenumbers, in eV."""
        return float(0.5 * _ENERGY * np.sum(self.wavenumbers[self.wavenumbers > 0]))

    @property
    def reduced_masses(self) -> Array:
        """1/Σ_i |u_i|² of each mode in amu: the mass that moves when the displacements are scaled to unit length."""
        return 1 / np.einsum("kia,kia->k", self.displacements, self.displacements)

    def amplitudes(self, temperature: float) -> Array:
        """(modes,) Å, the largest RMS displacement of an atom in each mode at a temperature in K, √(kT) |u|/|ω|.

        Of classical oscillators; of imaginary modes as if their curvature had the other sign. Where it exceeds a bond
        length, the harmonic frequency describes nothing: a methyl group that turns freely, say.
        """
        heat = BOLTZMANN * temperature / ELEMENTARY_CHARGE  # eV
        with np.errstate(divide="ignore"):
            root = np.sqrt(heat) * _WAVENUMBER / np.abs(self.wavenumbers)
        return root * np.linalg.norm(self.displacements, axis=2).max(axis=1)


def normal_modes(hessian: ArrayLike, masses: ArrayLike, rigid: ArrayLike | None = None) -> NormalModes:
    """Normal modes of a `hessian` (3 atoms, 3 atoms) in eV/Å² for `masses` (atoms,) in amu.

    `rigid` (motions, atoms, 3) are displacements that are no vibrations, from `rigid_motions`; they are projected
    out exactly (Eckart's conditions), so that 3N - 6 modes remain of a molecule, 3N - 5 of a linear one.
    Raises `InputError` for shapes that do not fit and a Hessian that is not symmetric.
    Wilson, Decius and Cross, Molecular Vibrations (1955), chapter 2.
    """
    mass = check_masses(masses)
    h = np.asarray(hessian, dtype=float)
    n = mass.size
    if h.shape != (3 * n, 3 * n):
        raise InputError(f"hessian: expected shape {(3 * n, 3 * n)} for {n} atoms; got {h.shape}")
    if not np.abs(h - h.T).max(initial=0.0) <= 1e-3 * np.abs(h).max(initial=0.0):
        raise InputError("hessian: expected a symmetric matrix of finite second derivatives; this one is not")
    root = np.repeat(np.sqrt(mass), 3)
    weighted = 0.5 * (h + h.T) / np.outer(root, root)
    basis = _complement(rigid, root)  # (3 atoms, modes), orthonormal
    squares, vectors = np.linalg.eigh(basis.T @ weighted @ basis)
    displacements = ((basis @ vectors) / root[:, None]).T.reshape(-1, n, 3)
    return NormalModes(wavenumbers(squares), displacements)


def wavenumbers(squares: ArrayLike) -> Array:
    """cm⁻¹ of squared angular frequencies in eV/Å²/amu, of any shape; -√|ω²| of negative ones."""
    values = np.asarray(squares, dtype=float)
    return np.sign(values) * np.sqrt(np.abs(values)) * _WAVENUMBER


def rigid_motions(positions: ArrayLike, masses: ArrayLike, *, periodic: bool = False) -> Array:
    """Displacements (motions, atoms, 3) that move a structure as a whole: 3 translations and its rotations.

    A molecule has 3 rotations, about its principal axes; a linear one (`painn_ase.rigid.is_linear`) 2, an atom none,
    and of a periodic structure only the translations are given.
    """
    r, mass = np.asarray(positions, dtype=float), check_masses(masses)
    translations = np.broadcast_to(np.eye(3)[:, None, :], (3, len(r), 3))
    if periodic:
        return translations.copy()
    turns = np.cross(rotation_axes(r, mass)[:, None, :], arms(r, mass)[None])
    return np.concatenate([translations, turns])


def infrared_intensities(modes: NormalModes, born_effective_charges: ArrayLike) -> Array:
    """Integrated absorption of each mode in km/mol, N_A |∂μ/∂Q|² / (12 ε0 c²).

    born_effective_charges: (atoms, 3, 3) in e, [i, a, b] = ∂μ_a/∂r_ib.
    """
    charges = _of_atoms(modes, born_effective_charges, (3, 3), "born_effective_charges")
    slopes = np.einsum("iab,kib->ka", charges, modes.displacements)  # e/√amu
    return _INFRARED * np.einsum("ka,ka->k", slopes, slopes)


def raman_activities(modes: NormalModes, polarizability_derivatives: ArrayLike) -> tuple[Array, Array]:
    """Raman activity 45 a'² + 7 γ'² in Å⁴/amu and depolarisation ratio 3γ'²/(45 a'² + 4 γ'²) of each mode.

    polarizability_derivatives: (atoms, 3, 3, 3) in e²Å/eV, [i, a, b, c] = ∂α_ab/∂r_ic; a' = tr α'/3 and
    γ'² = 3/2 tr b'², b' = α' - a'·1, of α' = ∂α/∂Q as polarizability volume. The ratio is for linearly polarised
    light, 0 to 3/4; NaN for a mode without Raman activity.
    Long, The Raman Effect (2002), doi:10.1002/0470845767.
    """
    slopes = _of_atoms(modes, polarizability_derivatives, (3, 3, 3), "polarizability_derivatives")
    alpha = COULOMB_CONSTANT * np.einsum("iabc,kic->kab", slopes, modes.displacements)  # Å²/√amu
    mean = np.einsum("kaa->k", alpha) / 3
    deviator = alpha - mean[:, None, None] * np.eye(3)
    gamma = 1.5 * np.einsum("kab,kab->k", deviator, deviator)
    activity = 45 * mean**2 + 7 * gamma
    parallel = 45 * mean**2 + 4 * gamma
    active = activity > 1e-10 * activity.max(initial=0.0)
    ratio = np.full_like(mean, np.nan)
    ratio[active] = 3 * gamma[active] / parallel[active]
    return activity, ratio


def _complement(rigid: ArrayLike | None, root: Array) -> Array:
    """Orthonormal basis (3 atoms, modes) of mass-weighted displacements orthogonal to the rigid ones."""
    if rigid is None:
        return np.eye(len(root))
    motions = np.asarray(rigid, dtype=float)
    if motions.ndim != 3 or motions.shape[1:] != (len(root) // 3, 3):
        raise InputError(f"rigid: expected shape (motions, {len(root) // 3}, 3); got {motions.shape}")
    weighted = motions.reshape(len(motions), -1) * root
    weighted /= np.linalg.norm(weighted, axis=1, keepdims=True)
    return np.linalg.svd(weighted.T, full_matrices=True)[0][:, len(motions) :]


def _of_atoms(modes: NormalModes, values: ArrayLike, shape: tuple[int, ...], name: str) -> Array:
    array = np.asarray(values, dtype=float)
    expected = (modes.displacements.shape[1], *shape)
    if array.shape != expected:
        raise InputError(f"{name}: expected shape {expected}; got {array.shape}")
    return array
