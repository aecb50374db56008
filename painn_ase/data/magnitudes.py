"""Checks of sizes: net forces and torques, dipoles and polarizabilities beside simple estimates, total energies,
outliers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from ase.data import covalent_radii

from painn_ase import units
from painn_ase.data.finding import Finding
from painn_ase.data.table import Kind

_NET = 0.05  # eV/Å per √atoms, and
_SHARE = 0.03  # of the RMS force: more is no grid's error
_TORQUE = 0.05  # of what forces at random would have

# Pauling's electronegativities, and atomic polarizabilities that add up (Å³; Miller 1990, doi:10.1021/ja00179a044,
# averaged over hybridisations): for estimates within a factor of two
_PAULING = {1: 2.20, 6: 2.55, 7: 3.04, 8: 3.44, 9: 3.98, 17: 3.16}  # not of sulphur, whose bonds are otherwise polar
_MILLER = {1: 0.39, 5: 1.6, 6: 1.2, 7: 1.0, 8: 0.6, 9: 0.3, 14: 3.5, 15: 2.0, 16: 2.9, 17: 2.3, 35: 3.0, 53: 5.4}
_PER_PAULING = 0.25  # e of charge a bond moves per unit of electronegativity: 54 molecules come out at 0.2 to 2.5
_STRONG = 2.8


def balance(kind: Kind) -> Iterator[Finding]:
    """Forces that do not add up to zero, and torques on molecules."""
    if not kind.has("forces") or len(kind.numbers) < 2:
        return
    forces = kind.labels["forces"]
    size = np.sqrt(np.nanmean(forces**2, axis=(1, 2)))
    net = np.linalg.norm(forces.sum(axis=1), axis=1) / np.sqrt(len(kind.numbers))
    dead = size == 0  # in crystals, by symmetry
    if dead.any() and not kind.periodic:
        yield Finding("forces", "all forces are zero: a label that is not there", _of(kind, dead))
    bad = (net > np.maximum(_NET, _SHARE * size)) & ~dead
    if bad.any():
        text = f"forces do not add up to zero (up to {np.nanmax(net):.2g} eV/Å per √atoms): fixed atoms, an outer "
        yield Finding("net force", text + "field, or forces of other atoms", _of(kind, bad))
    if kind.periodic or len(kind.numbers) < 3:
        return
    arms = kind.positions - kind.positions.mean(axis=1, keepdims=True)
    torque = np.linalg.norm(np.cross(arms, forces).sum(axis=1), axis=1)
    random = np.sqrt((np.linalg.norm(arms, axis=2) ** 2 * np.linalg.norm(forces, axis=2) ** 2).sum(axis=1) * 2 / 3)
    bad = (torque > np.maximum(_TORQUE * random, 0.1)) & ~dead
    if bad.any():
        text = "forces turn an isolated molecule as a whole: forces and positions are not in the same order or frame"
        yield Finding("torque", text, _of(kind, bad))


def outliers(kind: Kind) -> Iterator[Finding]:
    """Single frames with forces or energies far from all others."""
    if kind.has("forces") and len(kind) >= 10:
        largest = np.linalg.norm(kind.labels["forces"], axis=2).max(axis=1)
        far = largest > 8 * np.nanmedian(largest) + 5.0
        if far.any():
            text = f"forces of {np.nanmax(largest):.3g} eV/Å where {np.nanmedian(largest):.2g} is usual for the largest"
            yield Finding("outliers", text, _of(kind, far))
    if kind.has("energy") and len(kind) >= 10:
        energy = kind.labels["energy"] - np.nanmedian(kind.labels["energy"])
        spread = 1.4826 * float(np.nanmedian(np.abs(energy)))
        far = np.abs(energy) > 15 * spread + 0.05 * len(kind.numbers)
        if far.any() and far.mean() < 0.3:
            text = f"energies up to {np.nanmax(np.abs(energy)):.3g} eV from the median of {spread:.2g} eV wide data: "
            yield Finding("outliers", text + "another level of theory, or torn structures", _of(kind, far))


def total_energies(kinds: Sequence[Kind]) -> Iterator[Finding]:
    """Energies that are all-electron totals in another unit, by the sum of the atoms' (Thomas-Fermi with corrections).

    E ≈ -0.7687 Z^(7/3) + Z²/2 - 0.2699 Z^(5/3) Hartree for each atom: Schwinger 1981
    (doi:10.1103/PhysRevA.24.2353).
    """
    ratios = []
    for kind in kinds:
        if kind.has("energy"):
            z = kind.numbers.astype(float)
            total = (-0.7687 * z ** (7 / 3) + 0.5 * z**2 - 0.2699 * z ** (5 / 3)).sum() * units.HARTREE
            ratios += (kind.labels["energy"] / total)[np.isfinite(kind.labels["energy"])].tolist()
    if not ratios:
        return
    ratio = float(np.median(ratios))
    for unit, factor in {"Hartree": units.HARTREE, "kcal/mol": units.KCAL_PER_MOL, "kJ/mol": units.KJ_PER_MOL,
                         "Rydberg": units.HARTREE / 2}.items():  # fmt: skip
        if ratio > 0 and abs(np.log(ratio * factor)) < 0.03:
            text = f"energies are the total energies of these atoms in {unit} (within {abs(ratio * factor - 1):.1%}), "
            yield Finding("energy unit", text + "but were taken for eV")


def dipoles(kinds: Sequence[Kind]) -> Iterator[Finding]:
    """Dipoles of neutral molecules beside those of charges that bonds move by electronegativity."""
    against, square, own = 0.0, 0.0, 0.0
    for kind in kinds:
        if kind.periodic or kind.charge or not kind.has("dipole") or not set(kind.numbers.tolist()) <= set(_PAULING):
            continue
        given = kind.labels["dipole"]
        charges = _expected_charges(kind.numbers, kind.positions[0])
        expected = np.einsum("i,fia->fa", charges, kind.positions)
        good = np.isfinite(given).all(axis=1) & (np.linalg.norm(expected, axis=1) > 0.05)
        against += float((given[good] * expected[good]).sum())
        square += float((expected[good] ** 2).sum())
        own += float((given[good] ** 2).sum())
    if square == 0 or against < 0.7 * np.sqrt(square * own):
        return
    ratio = against / square
    if ratio > _STRONG:
        yield Finding(
            "dipole",
            f"dipoles are {ratio:.1f} times those that the electronegativities of bonded atoms give (0.3 to 2.5 "
            "expected): Debye called e·Å makes 4.8 times",
        )


def branches(kind: Kind) -> Iterator[Finding]:
    """Dipoles of cells that lie whole quanta, e times a cell vector, beside those of the other frames."""
    if not kind.pbc.all() or not kind.has("dipole") or len(kind) < 3:
        return
    quanta = np.einsum("fa,fab->fb", kind.labels["dipole"], np.linalg.inv(kind.cells))
    beside = np.abs(quanta - np.nanmedian(quanta, axis=0)).max(axis=1) > 0.5
    if beside.any():
        yield Finding(
            "branches",
            "dipoles of cells differ by e times a cell vector or more from most: branches of the polarisation. Take "
            "whole multiples of the cell vectors off until they vary smoothly, or a network learns the jumps",
            _of(kind, beside),
        )


def _expected_charges(numbers: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """(atoms,) e: each bond moves charge by its electronegativities, a short (multiple) one twice as much."""
    away = np.linalg.norm(positions[:, None] - positions[None], axis=2)
    reach = covalent_radii[numbers][:, None] + covalent_radii[numbers][None]
    order = np.where(away < 1.25 * reach, np.where(away < 0.9 * reach, 2.0, 1.0), 0.0)
    order[(numbers == 1), :] = np.minimum(order[(numbers == 1), :], 1.0)
    order[:, (numbers == 1)] = np.minimum(order[:, (numbers == 1)], 1.0)
    np.fill_diagonal(order, 0.0)
    chi = np.array([_PAULING[z] for z in numbers.tolist()])
    return _PER_PAULING * (order * (chi[None] - chi[:, None])).sum(axis=1)


def polarizabilities(kinds: Sequence[Kind]) -> Iterator[Finding]:
    """Polarizabilities of molecules beside sums over atoms."""
    ratios = []
    for kind in kinds:
        if not kind.periodic and kind.has("polarizability") and set(kind.numbers.tolist()) <= set(_MILLER):
            expected = sum(_MILLER[z] for z in kind.numbers.tolist()) * units.POLARIZABILITY_VOLUME
            mean = np.trace(kind.labels["polarizability"], axis1=1, axis2=2) / 3
            ratios += (mean / expected)[np.isfinite(mean)].tolist()
    if not ratios:
        return
    ratio = float(np.median(ratios))
    if 0.4 < ratio < 2.2:
        return
    bohr = units.BOHR**3
    causes = {
        "Bohr³ called Å³": 1 / bohr,
        "Å³ called Bohr³": bohr,
        "e²Å²/eV called Å³": units.POLARIZABILITY_VOLUME,
        "Å³ called e²Å²/eV": units.COULOMB_CONSTANT,
        "Bohr³ called e²Å²/eV": units.COULOMB_CONSTANT / bohr,
    }
    likely = [what for what, value in causes.items() if ratio > 0 and abs(np.log(ratio / value)) < 0.5]
    cause = ", or ".join(likely) or ("negative: the sign is wrong" if ratio < 0 else "the unit is wrong")
    yield Finding("polarizability", f"{ratio:.2g} times the sum of the atoms' polarizabilities (1 expected): {cause}")


def _of(kind: Kind, which: np.ndarray) -> tuple[int, ...]:
    return tuple(sorted(kind.index[which].tolist()))
