"""Stability: a long run at constant temperature, classical or of a ring polymer, its bonds and its surroundings."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from ase import Atoms
from ase.data import covalent_radii

from painn_ase.cards.measure.subject import Subject, calculator_of, rounded, stamp
from painn_ase.coverage import CoverageWarning
from painn_ase.errors import SimulationError
from painn_ase.neighbors import VerletList, neighbor_list
from painn_ase.simulate import RingPolymerRun, run_rpmd
from painn_ase.simulate.md.request import run_md
from painn_ase.simulate.run.reading import Run
from painn_ase.simulate.run.recorder import Output

BONDED = 1.3  # times the sum of covalent radii: closer pairs are bonds
BROKEN = 1.5  # times its length at the start: a longer bond is broken


@dataclass(frozen=True)
class Dynamics:
    """How a long run went. Bonds and surroundings are looked at every `looked_every_fs`."""

    ps: float  # that were run
    asked_ps: float
    timestep_fs: float
    temperature_K: float  # of the bath
    mean_temperature_K: float
    bonds: int  # at the start
    longest_bond: float  # largest ratio of a bond's length to its length at the start
    broken: str | None  # the first bond that broke, and when
    outside: float | None  # fraction of the frames outside of the training data; None: the model does not say
    first_outside: str | None
    stopped: str | None  # why a guard ended the run
    steps_per_second: float
    looked_every_fs: float
    thermostat: str
    backend: str
    formula: str
    beads: int = 1

    @property
    def stable(self) -> bool:
        """Whether the whole run was done and no bond broke."""
        return self.stopped is None and self.broken is None

    def to_dict(self) -> dict[str, Any]:
        """The figures, JSON-able."""
        return rounded(asdict(self), 4) | {"stable": self.stable} | stamp()

    def __str__(self) -> str:
        end = self.stopped or self.broken or f"all {self.bonds} bonds intact (longest {self.longest_bond:.2f} times)"
        inside = "no guard" if self.outside is None else f"{100 * (1 - self.outside):.4g} % of frames inside"
        what = f"TRPMD with {self.beads} beads" if self.beads > 1 else "NVT"
        return (
            f"{what} of {self.formula}, {self.ps:g} of {self.asked_ps:g} ps at {self.temperature_K:g} K: {end}; "
            f"{inside}; {self.steps_per_second:.0f} steps/s"
        )


def dynamics_check(
    model: Subject,
    atoms: Atoms,
    *,
    temperature: float = 300.0,
    ps: float = 100.0,
    beads: int = 1,
    timestep: float | None = None,
    every: int | None = None,
    seed: int = 0,
) -> Dynamics:
    """`ps` ps of Langevin dynamics at `temperature` K or, with `beads`, of thermostatted ring-polymer dynamics.

    model: a model or a committee
    atoms: near their minimum, for their bonds set the lengths; copied
    temperature: in K
    ps: length of the run in ps
    beads: number of beads; one is classical
    timestep: in fs; by default 0.5, with beads 0.25
    every: steps between looks; by default 20, with beads 80, and every bead counts as a frame
    seed: of the random numbers

    A bond is a pair closer than 1.3 times the sum of covalent radii at the start, and broken when longer
    than 1.5 times that. A guard that ends the run is a result, not an error.
    """
    timestep = timestep or (0.25 if beads > 1 else 0.5)
    every = every or (80 if beads > 1 else 20)
    moving = atoms.copy()
    calculator = moving.calc = calculator_of(model)
    with TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore", CoverageWarning)  # it is counted below
        common = {"temperature": temperature, "timestep": timestep, "seed": seed}
        run, times, positions = _run(moving, Path(folder) / "md", ps, beads, every, common)
    longest, broken = _watch_bonds(atoms, times, positions)
    outside, first = _watch_coverage(calculator, atoms, times, positions)
    return Dynamics(
        asked_ps=ps,
        timestep_fs=timestep,
        temperature_K=temperature,
        bonds=len(bonds(atoms)[0]),
        longest_bond=longest,
        broken=broken,
        outside=outside,
        first_outside=first,
        looked_every_fs=every * timestep,
        backend=calculator.backend.name,
        formula=atoms.get_chemical_formula(),
        beads=beads,
        **run,
    )


def _run(
    atoms: Atoms, path: Path, ps: float, beads: int, every: int, common: dict[str, Any]
) -> tuple[dict[str, Any], np.ndarray, np.ndarray]:
    """The dynamics of `dynamics_check`: what `Dynamics` says of them, times (fs) and positions (times, atoms, 3).

    atoms: moved, with their calculator
    path: of the run's files
    ps: length of the run in ps
    beads: number of beads; one is classical
    every: steps between recorded positions
    common: temperature (K), timestep (fs) and seed
    """
    common = {
        **common,
        "steps": round(1000 * ps / common["timestep"]),
        "path": path,
        "output": Output(trajectory_every=None),
        "progress": False,
    }
    stopped = None
    run: Run
    try:
        if beads > 1:
            record = {"bead_positions": every}
            equilibration = min(1.0, ps)  # a trial of less than a picosecond need not wait for one
            run = run_rpmd(atoms, beads=beads, thermostat="trpmd", record=record, equilibration=equilibration, **common)
        else:
            run = run_md(atoms, record={"positions": every}, **common)
    except SimulationError as error:
        stopped = error.reason if error.step is None else f"step {error.step}: {error.reason}"
        run = (RingPolymerRun if beads > 1 else Run).load(path)
    times, positions = run.observables("bead_positions" if beads > 1 else "positions")
    found = {
        "ps": run.summary["time_ps"],
        "mean_temperature_K": run.summary["temperature"],
        "steps_per_second": run.summary["steps_per_second"],
        "thermostat": run.metadata["coupling"],
        "stopped": stopped,
    }
    return found, np.repeat(times, beads), positions.reshape(-1, len(atoms), 3)


def bonds(atoms: Atoms) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Bonded pairs i, j (bonds,), each once, and the vectors (bonds, 3) in Å that cell jumps add to R_j - R_i."""
    reach = BONDED * 2 * covalent_radii[atoms.numbers].max()
    pairs = neighbor_list("matscipy")(atoms.positions, atoms.cell.array, atoms.pbc, reach)
    i, j = pairs.centers, pairs.neighbors
    length = np.linalg.norm(pairs.vectors(atoms.positions, atoms.cell.array), axis=1)
    close = length < BONDED * (covalent_radii[atoms.numbers[i]] + covalent_radii[atoms.numbers[j]])
    # of (i, j, S) and (j, i, -S) one is kept: i < j, or the first nonzero jump is positive
    first = np.take_along_axis(pairs.shifts, (pairs.shifts != 0).argmax(axis=1)[:, None], axis=1)[:, 0]
    once = close & ((i < j) | ((i == j) & (first > 0)))
    return i[once], j[once], (pairs.shifts @ atoms.cell.array)[once]


def _watch_bonds(atoms: Atoms, times: np.ndarray, positions: np.ndarray) -> tuple[float, str | None]:
    """The largest stretch of a bond, and the first one that broke."""
    i, j, jumps = bonds(atoms)
    if not len(i):
        return 0.0, None
    start = np.linalg.norm(atoms.positions[j] - atoms.positions[i] + jumps, axis=1)
    largest = 0.0
    for first in range(0, len(positions), 4096):  # a nanosecond at once would not fit into memory for a crystal
        part = positions[first : first + 4096]
        stretch = np.linalg.norm(part[:, j] - part[:, i] + jumps, axis=2) / start
        largest = max(largest, float(stretch.max()))
        frames, which = np.nonzero(stretch > BROKEN)
        if len(frames):
            a, b = i[which[0]], j[which[0]]
            names = f"{atoms.symbols[a]}{a}-{atoms.symbols[b]}{b}"
            return largest, f"{names} broke after {times[first + frames[0]] / 1000:.4g} ps"
    return largest, None


def _watch_coverage(
    calculator: Any, atoms: Atoms, times: np.ndarray, positions: np.ndarray
) -> tuple[float | None, str | None]:
    """The fraction of frames outside of what the training data covered, and the first of them."""
    if calculator.coverage is None:
        return None, None
    count, sentence = 0, None
    for time, found in zip(times, _sentences(calculator, atoms, positions), strict=True):
        if found is not None:
            count += 1
            sentence = sentence or f"after {time / 1000:.4g} ps {found}"
    return count / len(times), sentence


def _sentences(calculator: Any, atoms: Atoms, positions: np.ndarray) -> Iterator[str | None]:
    coverages = calculator.coverage.coverages
    pairs = VerletList(neighbor_list("matscipy"), max(c.cutoff for c in coverages), 0.5)
    cell, numbers = atoms.cell.array, atoms.numbers
    for frame in positions:
        near = pairs.update(frame, cell, atoms.pbc)
        distances = np.linalg.norm(near.pairs.vectors(near.positions, cell), axis=1)
        arrays = numbers, near.pairs.centers, near.pairs.neighbors, distances
        yield next((s for s in (c.geometry(*arrays) for c in coverages) if s), None)
