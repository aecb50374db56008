"""Forces and stress against finite differences of the energy, whose error is estimated from measured noise."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from ase import Atoms

from painn_ase.testing.report import Outcome, measured, not_applicable, verdict
from painn_ase.testing.subject import SAFETY, Case, Subject, refused

LARGEST, HALVINGS = 0.032, 7  # Å: the steps that are tried
ROUGH = 0.05  # share of the forces above which an estimated error says nothing any more
DIRECTIONS = 4


def derivative(f: Callable[[float], float], noise: float, largest: float = LARGEST) -> tuple[float, float]:
    """f'(0) and an estimate of its error.

    Differences of fourth order, [8 (f(h) - f(-h)) - (f(2h) - f(-2h))] / 12h, for a series of halved steps h; the one
    is taken whose change against its neighbours plus the noise it amplifies, 2σ/h, is least.
    """
    steps = largest * 0.5 ** np.arange(HALVINGS)
    odd = {k: f(2 * largest * 0.5**k) - f(-2 * largest * 0.5**k) for k in range(HALVINGS + 1)}
    slopes = np.array([(8 * odd[k + 1] - odd[k]) / (12 * steps[k]) for k in range(HALVINGS)])
    changes = np.abs(np.diff(slopes))
    errors = np.maximum(changes[:-1], changes[1:]) + 2 * noise / steps[1:-1]
    best = int(np.nanargmin(errors)) if np.isfinite(errors).any() else 0
    return float(slopes[1 + best]), float(errors[best])


def forces(subject: Subject, case: Case) -> Outcome:
    """F = -∂E/∂r along random directions, and along the motion of single atoms."""
    if "forces" not in subject.implemented:
        return not_applicable("no forces")
    noise = subject.noise(case)
    values = subject.value("forces", case.atoms)
    scale = max(float(np.abs(values).max()), 0.1)
    worst: Outcome | None = None
    for direction in _directions(len(case.atoms)):

        def energy(step: float, direction: np.ndarray = direction) -> float:
            moved = case.atoms.copy()
            moved.positions += step * direction
            return subject.energy(moved)

        slope, error = derivative(energy, noise[subject.derived_from].level)
        if not error < ROUGH * scale:
            return _too_rough(error, "eV/Å")
        tolerance = 10 * error + SAFETY * noise["forces"].level + 1e-7 * scale
        found = measured(abs(slope + float(np.vdot(values, direction))), tolerance, "eV/Å")
        worst = found if worst is None or found.excess > worst.excess else worst
    assert worst is not None
    return worst


def stress(subject: Subject, case: Case) -> Outcome:
    """σ = (1/V) ∂E/∂ε for random symmetric strains ε, tension positive."""
    if "stress" not in subject.implemented:
        return not_applicable("no stress")
    if case.atoms.cell.rank < 3:
        return not_applicable("no volume")
    try:
        xx, yy, zz, yz, xz, xy = subject.value("stress", case.atoms)
    except Exception as refusal:
        if refused(refusal) and not case.atoms.pbc.all():
            return not_applicable(f"refused: {refusal}")
        raise
    values = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
    noise = subject.noise(case)
    length = float(case.atoms.cell.lengths().max())
    scale = max(float(np.abs(values).max()), 1e-3)
    worst: Outcome | None = None
    for strain in _strains():

        def energy(step: float, strain: np.ndarray = strain) -> float:
            return subject.energy(strained(case.atoms, step * strain))

        slope, error = derivative(energy, noise[subject.derived_from].level, LARGEST / length)
        slope, error = slope / case.atoms.get_volume(), error / case.atoms.get_volume()
        if not error < ROUGH * scale:
            return _too_rough(error, "eV/Å³")
        tolerance = 10 * error + SAFETY * noise["stress"].level + 1e-7 * scale
        found = measured(abs(slope - float(np.vdot(values, strain))), tolerance, "eV/Å³")
        worst = found if worst is None or found.excess > worst.excess else worst
    assert worst is not None
    return worst


def stress_without_volume(subject: Subject, case: Case) -> Outcome:
    """What has no volume has no stress: a refusal is expected, not a number."""
    if "stress" not in subject.implemented:
        return not_applicable("no stress")
    if case.atoms.pbc.any():
        return not_applicable("periodic")
    molecule = case.atoms.copy()
    molecule.cell = np.zeros((3, 3))
    try:
        found = subject.value("stress", molecule)
    except NotImplementedError as error:
        return verdict(True, f"refused: {error}")
    except Exception as error:
        return verdict(False, f"expected PropertyNotImplementedError; got {type(error).__name__}: {error}")
    return verdict(False, f"returned {np.array2string(found, precision=3)} for a molecule without a cell")


def atomic_energies(subject: Subject, case: Case) -> Outcome:
    """Σ_i E_i = E."""
    if "energies" not in subject.implemented:
        return not_applicable("no atomic energies")
    energy, parts = float(subject.value("energy", case.atoms)), subject.value("energies", case.atoms)
    noise = subject.noise(case)
    tolerance = noise["energy"].tolerance() + noise["energies"].tolerance() * len(parts)
    return measured(abs(float(parts.sum()) - energy), tolerance, "eV")


def strained(atoms: Atoms, strain: np.ndarray) -> Atoms:
    """`atoms` with cell and positions multiplied by 1 + strain."""
    deformed = atoms.copy()
    deformed.set_cell(atoms.cell.array @ (np.eye(3) + strain), scale_atoms=False)
    deformed.positions = atoms.positions @ (np.eye(3) + strain)
    return deformed


def _directions(atoms: int) -> Iterator[np.ndarray]:
    rng = np.random.default_rng(1)
    for k in range(DIRECTIONS):
        direction = rng.normal(size=(atoms, 3))
        if k % 2:  # one atom alone
            direction[np.arange(atoms) != rng.integers(atoms)] = 0.0
        yield direction / np.linalg.norm(direction)


def _strains() -> Iterator[np.ndarray]:
    rng = np.random.default_rng(2)
    for _ in range(DIRECTIONS):
        strain = rng.normal(size=(3, 3))
        yield (strain + strain.T) / np.linalg.norm(strain + strain.T)


def _too_rough(error: float, unit: str) -> Outcome:
    return verdict(False, f"the energy is too rough to differentiate: finite differences settle to {error:.1g} {unit}")
