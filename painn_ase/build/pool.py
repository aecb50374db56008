"""Geometries that the first batch is chosen from, made by a cheap driver around every conformer."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.calculators.calculator import BaseCalculator

from painn_ase.build.reference import Reference
from painn_ase.data.identity import unlabelled
from painn_ase.reference import Plan, far_apart, gfn2_xtb, sample

CHEAP = 0.2  # s a call: then the reference itself moves the atoms
COLD, COOL, WARM, HOT = 0.2, 0.7, 1.0, 1.7  # times the temperature of the intended dynamics
# shares of the first batch, by what info["source"] of `sample` looks like
_SHARES = {COLD: 0.17, COOL: 0.17, WARM: 0.22, HOT: 0.12}
_WIGNER, _SCAN, _TORSION = 0.2, 0.08, 0.08
_MORE = 1.5  # proposals for each frame that is chosen
_EVERY, _SETTLE = 20, 400  # steps of 0.5 fs between frames, and before the first
_POINTS = 11  # of each bond that turns, every 30°
_RATTLES = (0.01, 0.03, 0.06, 0.1)  # Å, where nothing cheap can move the atoms


@dataclass(frozen=True)
class Driver:
    """What moves atoms before there is a model; `make` is None where nothing is cheap enough."""

    name: str
    make: Callable[[Atoms], BaseCalculator] | None
    why: str


def choose_driver(atoms: Atoms, reference: Reference, seconds: float, scratch: Path) -> Driver:
    """The reference where a call takes less than `CHEAP` s, else GFN2-xTB for a molecule, else none."""
    if seconds < CHEAP:
        return Driver("reference", lambda a: reference.calculator(a, scratch), f"a call takes {seconds:.2g} s")
    if not atoms.pbc.any() and find_spec("tblite") is not None:
        return Driver("gfn2", gfn2_xtb, f"a call of the reference takes {seconds:.2g} s")
    return Driver("rattled", None, "nothing cheaper than the reference is at hand: atoms are moved at random")


def proposals(
    structures: Sequence[Atoms], driver: Driver, count: int, temperature: float, seed: int
) -> tuple[list[Atoms], dict[str, int]]:
    """Geometries, and how many of each source the first `count` should hold."""
    if driver.make is None:
        return _rattled(structures, count, seed), {}
    free = not (structures[0].pbc.any() or structures[0].constraints)
    total = sum(_SHARES.values()) + (_WIGNER + _SCAN + _TORSION if free else 0.0)
    each = _MORE * count / len(structures)
    kelvins = tuple(scale * temperature for scale in _SHARES)
    points = max(1, round(each * _SCAN / total / (2 * 3 * len(structures[0]))))
    wigner = max(2, round(each * _WIGNER / total))
    md = max(2, round(each * max(_SHARES.values(), default=0.0) / total)) if _SHARES else 0
    plan = Plan(md=md, temperatures=kelvins, every=_EVERY, equilibrate=_SETTLE)
    if free:
        plan = replace(plan, quantum=wigner, quantum_temperature=temperature, scan=points, torsions=_POINTS)
    frames = sample(structures, driver.make, plan, seed=seed, name=driver.name)
    shares = {f"*_md_{kelvin:g}K*": share for kelvin, share in zip(kelvins, _SHARES.values(), strict=True)}
    shares |= {"*_wigner_*": _WIGNER, "*_scan_*": _SCAN, "*_torsion_*": _TORSION}
    quotas = {pattern: int(count * share / total) for pattern, share in shares.items()}
    sources = {str(atoms.info["source"]) for atoms in frames}
    return frames, {pattern: n for pattern, n in quotas.items() if fnmatch.filter(sources, pattern)}


def _rattled(structures: Sequence[Atoms], count: int, seed: int) -> list[Atoms]:
    """Normal displacements of every free atom."""
    rng = np.random.default_rng(seed)
    frames = []
    for number in range(round(_MORE * count)):
        start, size = structures[number % len(structures)], _RATTLES[number % len(_RATTLES)]
        frame = unlabelled(start)
        frame.set_positions(frame.positions + rng.normal(scale=size, size=frame.positions.shape))
        frame.info["source"] = f"rattled_{size:g}A_min{number % len(structures)}"
        frames.append(frame)
    return far_apart(frames)
