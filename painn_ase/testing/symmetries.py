"""The same thing said differently: every property must follow in the way its tensor rank prescribes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from ase import Atoms
from ase.stress import full_3x3_to_voigt_6_stress, voigt_6_to_full_3x3_stress

from painn_ase.testing.report import Outcome, measured, not_applicable
from painn_ase.testing.subject import KINDS, UNITS, Case, Subject

FAR = 1000.0  # Å
LARGEST = 100  # atoms of a supercell


@dataclass(frozen=True)
class Twin:
    """Another description of a structure, and how its properties follow from those of the first."""

    atoms: Atoms
    turned: np.ndarray = field(default_factory=lambda: np.eye(3))  # orthogonal, x' = x R
    order: np.ndarray | None = None  # atom k of the twin is atom order[k] of the first
    copies: int = 1
    without: tuple[str, ...] = ()  # properties that need not agree


Transformation = Callable[[Atoms, np.random.Generator], "Twin | str"]
"""A twin of a structure, or in words why there is none."""


def follows(transform: Transformation) -> Callable[[Subject, Case], Outcome]:
    """The check that all properties of a twin follow from those of the structure."""

    def check(subject: Subject, case: Case) -> Outcome:
        twin = transform(case.atoms, np.random.default_rng(3))
        if isinstance(twin, str):
            return not_applicable(twin)
        noise = subject.noise(case)
        rounding = np.finfo(float).eps * max(np.abs(twin.atoms.positions).max(), np.abs(case.atoms.positions).max())
        worst: Outcome | None = None
        for name in noise:
            if name in twin.without:
                continue
            expected = _carried(name, subject.values(case)[name], twin)
            found = subject.value(name, twin.atoms)
            if found.shape != expected.shape:
                return measured(np.nan, 0.0, UNITS[name], f"{name} has shape {found.shape}, not {expected.shape}")
            difference = float(np.abs(found - expected).max(initial=0.0))
            tolerance = noise[name].tolerance(rounding) * twin.copies
            outcome = measured(difference, tolerance, UNITS[name], name)
            worst = outcome if worst is None or not outcome.excess <= worst.excess else worst
        return worst or not_applicable("nothing to compare")

    check.__doc__ = transform.__doc__
    return check


def _carried(name: str, values: np.ndarray, twin: Twin) -> np.ndarray:
    """What `values` of the structure become in the twin."""
    per_atom, rank = KINDS[name]
    turned = twin.turned
    if rank == "voigt":
        full = np.array([voigt_6_to_full_3x3_stress(v) for v in np.atleast_2d(values)])
        voigt = np.array([full_3x3_to_voigt_6_stress(turned.T @ t @ turned) for t in full])
        values = voigt if per_atom else voigt[0]
    elif rank == 1:
        values = values @ turned
    elif rank == 2:
        values = turned.T @ values @ turned
    if per_atom:
        values = np.concatenate([values] * twin.copies)
        return values if twin.order is None else values[twin.order]
    return values if name == "stress" else values * twin.copies


def moved(atoms: Atoms, rng: np.random.Generator) -> Twin:
    """Translated by a few Å."""
    twin = atoms.copy()
    twin.positions += rng.uniform(-3, 3, 3)
    return Twin(twin, without=_of_charge(atoms))


def far_away(atoms: Atoms, rng: np.random.Generator) -> Twin:
    """Translated by 1000 Å."""
    twin = atoms.copy()
    twin.positions += FAR * _rotation(rng)[0]
    return Twin(twin, without=_of_charge(atoms))


def turned(atoms: Atoms, rng: np.random.Generator) -> Twin:
    """Rotated, with its cell."""
    return _mapped(atoms, _rotation(rng))


def reflected(atoms: Atoms, rng: np.random.Generator) -> Twin:
    """Reflected, with its cell."""
    rotation = _rotation(rng)
    return _mapped(atoms, rotation @ np.diag([-1.0, 1.0, 1.0]) @ rotation.T)


def reordered(atoms: Atoms, rng: np.random.Generator) -> Twin | str:
    """Atoms in another order."""
    if len(atoms) < 2:
        return "one atom"
    order = rng.permutation(len(atoms))
    return Twin(atoms[order], order=order)


def unwrapped(atoms: Atoms, rng: np.random.Generator) -> Twin | str:
    """Atoms moved by whole cell vectors, as after a long simulation without wrapping."""
    if not atoms.pbc.any():
        return "not periodic"
    twin = atoms.copy()
    twin.positions += (rng.integers(-3, 4, (len(atoms), 3)) * atoms.pbc) @ atoms.cell.array
    return Twin(twin, without=("dipole",))


def skewed(atoms: Atoms, rng: np.random.Generator) -> Twin | str:
    """The same lattice spanned by other vectors: a + b instead of a, and so on."""
    periodic = np.flatnonzero(atoms.pbc)
    if len(periodic) < 2:
        return "fewer than two periodic directions"
    cell = atoms.cell.array.copy()
    for k, other in zip(periodic, np.roll(periodic, 1), strict=True):
        cell[k] += int(rng.choice([-1, 1])) * cell[other]
        if len(periodic) == 2:
            break
    return Twin(_with_cell(atoms, cell))


def left_handed(atoms: Atoms, rng: np.random.Generator) -> Twin | str:
    """The same lattice spanned by vectors of the other hand."""
    if not atoms.pbc.any():
        return "not periodic"
    cell = atoms.cell.array.copy()
    cell[np.flatnonzero(atoms.pbc)[0]] *= -1
    return Twin(_with_cell(atoms, cell))


def other_open_cell(atoms: Atoms, rng: np.random.Generator) -> Twin | str:
    """Cell vectors along directions that are not periodic, exchanged for others: they mean nothing."""
    if atoms.pbc.all():
        return "periodic in three directions"
    cell = atoms.cell.array.copy()
    cell[~atoms.pbc] = rng.uniform(1.0, 4.0, (3, 3))[~atoms.pbc]
    return Twin(_with_cell(atoms, cell), without=("stress", "stresses"))


def supercell(atoms: Atoms, rng: np.random.Generator) -> Twin | str:
    """Two cells side by side: extensive properties double."""
    if not atoms.pbc.any():
        return "not periodic"
    if 2 * len(atoms) > LARGEST:
        return f"more than {LARGEST} atoms"
    repeat = np.ones(3, dtype=int)
    repeat[rng.choice(np.flatnonzero(atoms.pbc))] = 2
    return Twin(
        atoms.repeat(repeat), copies=2, without=("dipole", "stresses")
    )  # atomic stresses: per cell, or per atom


def far_apart(subject: Subject, case: Case) -> Outcome:
    """Dipole and polarizability of a molecule and a distorted one 1000 Å away are the sums of theirs."""
    one = case.atoms
    names = [name for name in subject.available(case) if name in ("dipole", "polarizability")]
    if one.pbc.any() or one.info.get("charge", 0) or 2 * len(one) > LARGEST or not names:
        return not_applicable("no neutral molecule" if names else "neither dipole nor polarizability")
    rng = np.random.default_rng(3)
    other = one.copy()
    other.positions += 0.05 * rng.normal(size=other.positions.shape)  # of equal ones, what is missing may cancel
    far = other.copy()
    far.positions += FAR * _rotation(rng)[0]
    noise, rounding = subject.noise(case), np.finfo(float).eps * FAR
    outcomes = []
    for name in names:
        expected = subject.value(name, one) + subject.value(name, other)
        difference = float(np.abs(subject.value(name, one + far) - expected).max())
        outcomes.append(measured(difference, 3 * noise[name].tolerance(rounding), UNITS[name], name))
    return max(outcomes, key=lambda outcome: outcome.excess)


def _of_charge(atoms: Atoms) -> tuple[str, ...]:
    """The dipole moment of a charged structure depends on its place."""
    return ("dipole",) if atoms.info.get("charge", 0) or atoms.pbc.any() else ()


def _mapped(atoms: Atoms, rotation: np.ndarray) -> Twin:
    twin = _with_cell(atoms, atoms.cell.array @ rotation)
    twin.positions = atoms.positions @ rotation
    return Twin(twin, rotation)


def _rotation(rng: np.random.Generator) -> np.ndarray:
    q, r = np.linalg.qr(rng.normal(size=(3, 3)))
    q = q * np.sign(np.diag(r))
    return q * np.linalg.det(q)


def _with_cell(atoms: Atoms, cell: np.ndarray) -> Atoms:
    twin = atoms.copy()
    twin.set_cell(cell, scale_atoms=False)
    return twin
