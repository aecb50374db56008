"""Checks of energies, forces and stress against each other: units, signs, order, and frames of another level."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations

import numpy as np

from painn_ase import units
from painn_ase.data.finding import Finding
from painn_ase.data.pairs import Pairs, near_pairs
from painn_ase.data.table import Kind

_FEWEST = 6  # pairs
_MANY, _FACTOR = 30, 2.0  # of fewer pairs than this, a slope nearer 1 needs a cause: the forces' mean is not exact
_NEAR = 0.6  # Å: beyond, work is no longer force times way
_CLOSE = 0.25  # relative distance of a slope from 1 that rough sampling explains
_LEVEL = 0.1  # eV, between levels of theory; less may be a bend of the energy
_EXPLAINED = 0.5  # of the energy differences, by their sizes: else the frames lie too far apart to say anything

# slope = declared energy difference over declared work, for what is commonly mistaken; both signs are looked for
_H, _B = units.HARTREE, units.BOHR
_SLOPES = {
    "energies in Hartree and forces in Hartree/Bohr, called eV and eV/Å (or Rydberg and Rydberg/Bohr)": 1 / _B,
    "energies in Hartree called eV, with forces in eV/Å": 1 / _H,
    "energies in kcal/mol called eV": 1 / units.KCAL_PER_MOL,
    "energies in kJ/mol called eV": 1 / units.KJ_PER_MOL,
    "energies in Rydberg called eV": 2 / _H,
    "energies in meV called eV": 1e3,
    "forces in Hartree/Bohr called eV/Å, with energies in eV": _H / _B,
    "forces in Rydberg/Bohr called eV/Å, with energies in eV": _H / _B / 2,
    "forces in eV/Bohr called eV/Å": 1 / _B,
    "forces in Hartree/Å called eV/Å, with energies in eV": _H,
    "forces in kcal/mol/Å called eV/Å, with energies in eV": units.KCAL_PER_MOL,
    "forces in kJ/mol/nm called eV/Å, with energies in eV": 10 * units.KJ_PER_MOL,
    "forces in meV/Å called eV/Å": 1e-3,
    "energies in eV and forces in Hartree/Å": 1 / _H / _B,
    "positions in Bohr called Å": _B,
    "positions in nm called Å": 10.0,
}
_STRESSES = {
    "stress in GPa called eV/Å³": units.GIGAPASCAL,
    "stress in kbar called eV/Å³": units.GIGAPASCAL / 10,
    "stress in eV/Å³ called GPa": 1 / units.GIGAPASCAL,
    "stress in eV/Å³ called kbar": 10 / units.GIGAPASCAL,
    "stress in GPa called kbar": 10.0,
    "stress in kbar called GPa": 0.1,
    "stress in Hartree/Bohr³ called eV/Å³": _H / _B**3,
}
_SHEAR = ("yz", "xz", "xy")


def energetics(kind: Kind) -> Iterator[Finding]:
    """What energies, forces and stress of one kind of structure say of each other."""
    pairs = near_pairs(kind)
    if pairs is None:
        return
    close = pairs.distance < min(_NEAR, 2 * float(np.median(pairs.distance)) + 1e-9)
    quiet = close & (np.abs(pairs.strain).max(axis=1) < 1e-6)
    slope = _slope(pairs.energy[quiet], pairs.forces_work[quiet])
    if slope is not None:
        yield from _wrong_slope(slope, len(kind.numbers), int(quiet.sum()))
    work = pairs.forces_work
    right = slope is None or abs(slope - 1) < _CLOSE
    if pairs.stress_terms is not None and right:
        found = list(_wrong_stress(pairs, close, kind))
        yield from found
        if not found:
            work = work + np.einsum("pkk->p", pairs.stress_terms)
            quiet = close
    if right:
        yield from _other_levels(kind, pairs, pairs.energy - work, quiet)


def _slope(energy: np.ndarray, work: np.ndarray) -> float | None:
    """The slope of ΔE on work that leaves the least sum of absolute rests; None where it explains too little."""
    use = np.abs(work) > 1e-12
    if use.sum() < _FEWEST:
        return None
    energy, work = energy[use], work[use]
    ratios, weights = energy / work, np.abs(work)
    order = np.argsort(ratios)
    total = np.cumsum(weights[order])
    slope = float(ratios[order][np.searchsorted(total, 0.5 * total[-1])])
    explained = 1 - np.abs(energy - slope * work).sum() / np.abs(energy).sum() if np.abs(energy).sum() else 0.0
    return slope if explained > _EXPLAINED else None


def _wrong_slope(slope: float, atoms: int, count: int) -> Iterator[Finding]:
    if abs(slope - 1) < _CLOSE:
        return
    causes = [] if slope > 0 else ["forces of the wrong sign (gradients?)"]
    size = abs(slope)
    if abs(np.log(size)) > 0.22:
        known = _SLOPES | ({f"energies divided by the {atoms} atoms": 1 / atoms} if atoms > 1 else {})
        found = [what for what, value in known.items() if abs(np.log(size / value)) < 0.1]
        if not causes and not found and count < _MANY and abs(np.log(size)) < np.log(_FACTOR):
            return
        causes += found or ["a wrong unit"]
    causes = causes if len(causes) < 2 or slope < 0 else [" or ".join(causes)]
    yield Finding(
        "slope",
        f"energies and forces disagree: ΔE is {slope:.3g} times -F·Δr between near frames (1 expected; {count} pairs), "
        f"as with {'; and '.join(causes)}",
    )


def _wrong_stress(pairs: Pairs, close: np.ndarray, kind: Kind) -> Iterator[Finding]:
    """The order of the shear components that explains energies best, and the factor and sign that go with it."""
    assert pairs.stress_terms is not None
    use = close & np.isfinite(pairs.stress_terms).all(axis=(1, 2)) & (np.abs(pairs.strain).max(axis=1) > 1e-5)
    use &= np.abs(pairs.strain).max(axis=1) < 0.1
    if use.sum() < _FEWEST:
        return
    rest = (pairs.energy - pairs.forces_work)[use]
    terms = pairs.stress_terms[use]
    trials = {}
    for order in permutations((3, 4, 5)):
        columns = [0, 1, 2, *order]
        work = terms[:, range(6), columns].sum(axis=1)
        factor = _slope(rest, work)
        if factor is not None:
            trials[order] = (float(np.abs(rest - factor * work).sum() / np.abs(rest).sum()), factor)
    if not trials:
        return
    best = min(trials, key=lambda order: trials[order][0])
    usual = trials.get((3, 4, 5), (1.0, np.nan))
    if best != (3, 4, 5) and trials[best][0] < 0.6 * usual[0]:
        held = ", ".join(_SHEAR[k - 3] for k in best)
        yield Finding(
            "stress",
            f"the last three of six components come as {held}, not as yz, xz, xy: so they explain the energies of "
            f"sheared cells {usual[0] / trials[best][0]:.1f} times as well"
            + (" (VASP's order is xy, yz, zx)" if best == (5, 3, 4) else ""),
        )
    else:
        best = (3, 4, 5) if (3, 4, 5) in trials else best
    factor = trials[best][1]
    if abs(factor - 1) < _CLOSE:
        return
    causes = [] if factor > 0 else ["its sign is wrong (positive under pressure, as VASP's; tension is expected to be)"]
    if abs(np.log(abs(factor))) > 0.22:
        known = _STRESSES | {"virials (-V σ) called stress": 1 / float(np.median(kind.volumes))}
        causes += [what for what, value in known.items() if abs(np.log(abs(factor) / value)) < 0.15]
        causes = causes or ["its unit is wrong"]
    yield Finding("stress", f"ΔE is {factor:.3g} times V σ:ε between near cells (1 expected): {'; and '.join(causes)}")


def _other_levels(kind: Kind, pairs: Pairs, rest: np.ndarray, use: np.ndarray) -> Iterator[Finding]:
    """Frames whose energy lies beside what the forces of the frames next to them lead one to expect."""
    near = np.flatnonzero(use & np.isfinite(rest))
    if len(near) < 3 * _FEWEST:
        return
    spread = 1.4826 * float(np.median(np.abs(rest[near])))
    neighbors: dict[int, list[tuple[int, float]]] = {}
    for k in near.tolist():
        neighbors.setdefault(int(pairs.a[k]), []).append((int(pairs.b[k]), -float(rest[k])))
        neighbors.setdefault(int(pairs.b[k]), []).append((int(pairs.a[k]), float(rest[k])))
    offsets = dict.fromkeys(neighbors, 0.0)
    for _ in range(4):
        offsets = {i: float(np.median([r + offsets[j] for j, r in found])) for i, found in neighbors.items()}
    center = float(np.median(list(offsets.values())))
    # the error of work grows with the way's cube, and with how much the forces change on it: a wall is no other level
    ways = [(pairs.distance[near] / (np.median(pairs.distance[near]) + 1e-12)) ** 3]
    ways += [pairs.bend[near] / (np.median(pairs.bend[near]) + 1e-12)]
    roughness: dict[int, list[float]] = {}
    for k, rough in zip(near.tolist(), np.maximum(*ways).tolist(), strict=True):
        for i in (int(pairs.a[k]), int(pairs.b[k])):
            roughness.setdefault(i, []).append(rough)
    apart = []
    for i, found in neighbors.items():
        offset = offsets[i] - center
        own = np.array([r + offsets[j] - center for j, r in found])
        agreed = len(own) >= 2 and np.median(np.abs(own - offset)) < 0.25 * abs(offset)
        allowed = 12 * spread * max(1.0, float(np.median(roughness[i])))
        if agreed and abs(offset) > max(allowed, _LEVEL):
            apart.append((int(kind.index[i]), offset))
    if apart:
        apart.sort()
        sizes = [o for _, o in apart]
        shown = f"{min(sizes):+.3g}" if len(sizes) == 1 else f"{min(sizes):+.3g} to {max(sizes):+.3g}"
        yield Finding(
            "level",
            f"energies lie {shown} eV beside what the forces between near frames add up to, which agree within "
            f"{spread:.2g} eV otherwise: another level of theory, another electronic state, or no convergence",
            tuple(i for i, _ in apart),
        )
