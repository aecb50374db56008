"""Geometries worth labelling: thermal, quantum-harmonic, along modes and bonds, pairs. info["source"] names each."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms, units
from ase.calculators.calculator import BaseCalculator
from ase.data import covalent_radii
from ase.md.langevin import Langevin

from painn_ase.data.identity import unlabelled
from painn_ase.errors import InputError
from painn_ase.progress import Meter
from painn_ase.reference.bonds import scan_torsions, stretch_bonds
from painn_ase.reference.dimers import acceptors, donors, hydrogen_bonded
from painn_ase.simulate import relax
from painn_ase.spectra.harmonic import NormalModes, normal_modes, rigid_motions

log = logging.getLogger(__name__)

_HBAR = units._hbar * units.J * units.s  # eV and ASE's unit of time
_INVERSE_CM = units.invcm  # eV per cm⁻¹, of hcν̃


@dataclass(frozen=True)
class Plan:
    """How many frames `sample` proposes, and how."""

    md: int = 0  # frames of dynamics per conformer and temperature
    temperatures: tuple[float, ...] = (300.0, 500.0, 800.0)  # K
    every: int = 40  # steps of 0.5 fs between frames
    equilibrate: int = 1000  # steps before the first frame
    quantum: int = 0  # quantum-harmonic frames per conformer
    quantum_temperature: float = 300.0  # K
    scan: int = 0  # points to either side per conformer and mode
    torsions: int = 0  # turned frames per conformer and bond that turns
    stretch: int = 0  # frames per conformer and bond outside of rings, at 0.85 to 1.5 times its length
    dimers: int = 0  # hydrogen-bonded pairs per conformer


def sample(
    conformers: Sequence[Atoms],
    driver: Callable[[Atoms], BaseCalculator],
    plan: Plan,
    *,
    seed: int = 0,
    name: str = "gfn2",
) -> list[Atoms]:
    """Geometries around `conformers` as `plan` says, made with the calculators that `driver` attaches.

    conformers: the structures to start from
    driver: makes the calculator of a structure: `gfn2_xtb`, or lambda atoms: PaiNNCalculator("ethanol"); each conformer
        is first relaxed with it
    plan: how many frames of which kind
    seed: every part draws from its own random numbers, so more of one leaves the others as they were
    name: of the driver, in info["source"]

    Frames with colliding atoms are left out (`far_apart`). info["source"] reads like "gfn2_md_800K_min0"; charge and
    multiplicity are kept.

    Raises `InputError` for a plan that asks for nothing, and if a relaxation or what it needs fails.
    """
    kinds = ("md", "quantum", "scan", "torsions", "stretch", "dimers")
    if not conformers or not any(getattr(plan, kind) for kind in kinds):
        raise InputError(f"sample: expected conformers, and a plan with some of {', '.join(kinds)} above zero")
    frames: list[Atoms] = []
    minima: list[Atoms] = []
    temperatures = plan.temperatures if plan.md else ()
    with Meter(len(conformers) * (1 + len(temperatures)), "part", "sample") as shown:
        for index, conformer in enumerate(conformers):
            minima.append(_relaxed(conformer, driver))
            for number, temperature in enumerate(temperatures):
                frames += sample_md(
                    minima[-1],
                    temperature=temperature,
                    count=plan.md,
                    rng=np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(index, 0, number))),
                    every=plan.every,
                    equilibrate=plan.equilibrate,
                    source=f"{name}_md_{temperature:g}K_min{index}",
                )
                shown.update(f"{len(frames)} frames")
            frames += _along_bonds_and_modes(minima[-1], index, plan, seed, name)
            shown.update(f"{len(frames)} frames")
    if plan.dimers:
        frames += _dimers(minima, plan.dimers, seed, name)
    kept = far_apart(frames)
    log.info("%d of %d sampled frames have no colliding atoms", len(kept), len(frames))
    return kept


def _along_bonds_and_modes(minimum: Atoms, index: int, plan: Plan, seed: int, name: str) -> list[Atoms]:
    """What a plan asks for around a minimum beside dynamics."""
    frames: list[Atoms] = []
    if plan.torsions:
        frames += scan_torsions(minimum, points=plan.torsions, source=f"{name}_torsion_min{index}")
    if plan.stretch:
        frames += stretch_bonds(minimum, points=plan.stretch, source=f"{name}_stretch_min{index}")
    if not (plan.quantum or plan.scan):
        return frames
    modes = modes_of(minimum)
    if plan.quantum:
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(index, 1)))
        kelvin, source = plan.quantum_temperature, f"{name}_wigner_{plan.quantum_temperature:g}K_min{index}"
        frames += sample_modes(minimum, modes, temperature=kelvin, count=plan.quantum, rng=rng, source=source)
    if plan.scan:
        frames += scan_modes(minimum, modes, points=plan.scan, source=f"{name}_scan_min{index}")
    return frames


def _dimers(minima: Sequence[Atoms], count: int, seed: int, name: str) -> list[Atoms]:
    """`count` pairs of each minimum with one drawn from all that it can have a hydrogen bond with."""
    frames: list[Atoms] = []
    for index, minimum in enumerate(minima):
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(index, 2)))
        ordered = [pair for other in minima for pair in ((minimum, other), (other, minimum))]
        possible = [(one, other) for one, other in ordered if donors(one) and acceptors(other)]
        for _ in range(count if possible else 0):
            one, other = possible[rng.integers(len(possible))]
            frames += hydrogen_bonded(one, other, count=1, rng=rng, source=f"{name}_dimer_min{index}")
    if not frames:
        raise InputError("sample: no hydrogen bond is possible between these molecules; leave dimers out")
    return frames


def sample_md(
    atoms: Atoms,
    *,
    temperature: float,
    count: int,
    rng: np.random.Generator,
    every: int = 40,
    timestep: float = 0.5,
    equilibrate: int = 1000,
    source: str = "md",
) -> list[Atoms]:
    """`count` frames of Langevin dynamics with the attached calculator at `temperature` (K), one per `every` steps.

    atoms: the structure with its calculator
    temperature: in K
    count: number of frames
    rng: random numbers
    every: steps between frames
    timestep: in fs
    equilibrate: steps that are left out at the start
    source: info["source"] of the frames

    The friction is 0.01/fs. Isotopes move with their masses, and
    constraints are obeyed. Without constraints the drift of the centre of mass is taken out of the frames.
    """
    _check(atoms, count)
    moving = unlabelled(atoms)
    moving.calc = atoms.calc
    spread = np.sqrt(units.kB * temperature * moving.get_masses())[:, None]
    moving.set_momenta(spread * rng.normal(size=(len(moving), 3)))
    center, friction = moving.get_center_of_mass(), 0.01 / units.fs
    with Langevin(
        moving, timestep * units.fs, temperature_K=temperature, friction=friction, fixcm=False, rng=rng
    ) as driver:
        driver.run(equilibrate)
        frames = []
        for _ in range(count):
            driver.run(every)
            drift = 0.0 if moving.constraints else moving.get_center_of_mass() - center
            frames.append(_tagged(moving, moving.positions - drift, source))
    return frames


def modes_of(atoms: Atoms, step: float = 0.005) -> NormalModes:
    """Normal modes of a relaxed molecule, its Hessian by central differences of the attached calculator's forces.

    Raises `InputError` for a structure with constraints, whose modes these are not.
    """
    _check(atoms)
    if atoms.constraints:
        raise InputError(
            "sampling: quantum-harmonic samples and scans move every atom along the modes of a free molecule; the "
            "structure has constraints. Take them off, or ask for dynamics alone (--md), which obeys them"
        )
    moved = unlabelled(atoms)
    moved.calc = atoms.calc
    rows = []
    for index, axis in np.ndindex(len(atoms), 3):
        forces = []
        for by in (step, -step):
            moved.positions = atoms.positions
            moved.positions[index, axis] += by
            forces.append(moved.get_forces().ravel().copy())
        rows.append((forces[1] - forces[0]) / (2 * step))
    hessian = np.array(rows)
    masses = atoms.get_masses()
    return normal_modes(0.5 * (hessian + hessian.T), masses, rigid_motions(atoms.positions, masses))


def sample_modes(
    atoms: Atoms,
    modes: NormalModes,
    *,
    temperature: float,
    count: int,
    rng: np.random.Generator,
    above: float = 400.0,
    source: str = "wigner",
) -> list[Atoms]:
    """`count` frames with the quantum-harmonic distribution of positions at `temperature` (K, 0 for zero point).

    atoms: the minimum
    modes: its normal modes
    temperature: in K
    count: number of frames
    rng: random numbers
    above: softer modes (cm⁻¹) stay at rest
    source: info["source"] of the frames

    Each mode above `above` cm⁻¹ gets a normal coordinate with variance ħ/(2ω)·coth(ħω/2k_BT), the position marginal
    of its Wigner function (Hillery et al., Phys. Rep. 106, 121 (1984), doi:10.1016/0370-1573(84)90160-1). Softer
    modes are no harmonic motions (torsions) and stay; molecular dynamics samples them.
    """
    _check(atoms, count, calculator=False)
    stiff = modes.wavenumbers > above
    if not stiff.any():
        raise InputError(f"sampling of modes: expected some above {above:g} cm⁻¹; the structure has none")
    widths = coordinate_widths(modes.wavenumbers[stiff], temperature)
    shifts = np.einsum("nk,kia->nia", rng.normal(size=(count, len(widths))) * widths, modes.displacements[stiff])
    return [_tagged(atoms, atoms.positions + shift, source) for shift in shifts]


def coordinate_widths(wavenumbers: np.ndarray, temperature: float) -> np.ndarray:
    """Standard deviations of normal coordinates in Å√amu, √(ħ/(2ω)·coth(ħω/2k_BT)), for `wavenumbers` in cm⁻¹."""
    energy = wavenumbers * _INVERSE_CM  # ħω
    thermal = 1.0 if temperature == 0 else 1 / np.tanh(energy / (2 * units.kB * temperature))
    return _HBAR * np.sqrt(thermal / (2 * energy))


def scan_modes(
    atoms: Atoms, modes: NormalModes, *, points: int, reach: float = 3.0, source: str = "scan"
) -> list[Atoms]:
    """Frames along each mode, 2·`points` per mode: ± equal steps up to `reach` zero-point widths.

    atoms: the minimum
    modes: its normal modes
    points: steps to either side
    reach: of the last step, in zero-point widths
    source: info["source"] of the frames

    Displacements are straight lines; soft modes (below 100 cm⁻¹) count as 100 cm⁻¹, whose lines still make sense.
    """
    _check(atoms, points, calculator=False)
    widths = coordinate_widths(np.maximum(modes.wavenumbers, 100.0), 0.0)
    amounts = reach * np.arange(1, points + 1) / points
    return [
        _tagged(atoms, atoms.positions + amount * width * move, f"{source}_{index}")
        for index, (width, move) in enumerate(zip(widths, modes.displacements, strict=True))
        for amount in np.concatenate([-amounts[::-1], amounts])
    ]


def far_apart(frames: Iterable[Atoms], fraction: float = 0.6) -> list[Atoms]:
    """The frames in which no two atoms are closer than `fraction` of the sum of their covalent radii.

    0.6 means 0.64 Å for C-H and 0.58 Å for O-H: what is shorter is no geometry of a molecule but an accident.
    """
    kept = []
    for atoms in frames:
        distances = atoms.get_all_distances(mic=bool(atoms.pbc.any()))
        np.fill_diagonal(distances, np.inf)
        radii = covalent_radii[atoms.numbers]
        if (distances > fraction * (radii[:, None] + radii)).all():
            kept.append(atoms)
    return kept


def _relaxed(atoms: Atoms, driver: Callable[[Atoms], BaseCalculator], fmax: float = 0.005) -> Atoms:
    """A copy at the nearest minimum of the driver's calculator, which stays attached."""
    copy = unlabelled(atoms)
    copy.calc = driver(copy)
    outcome = relax(copy, fmax=fmax, optimizer="BFGS", progress=False)
    if not outcome.converged:
        raise InputError(f"sampling starts from minima; the relaxation ended with forces of {outcome.fmax:.2g} eV/Å")
    return copy


def _tagged(atoms: Atoms, positions: np.ndarray, source: str) -> Atoms:
    frame = unlabelled(atoms)
    frame.positions = positions
    frame.info["source"] = source
    return frame


def _check(atoms: Atoms, count: int = 1, calculator: bool = True) -> None:
    if calculator and atoms.calc is None:
        raise InputError("sampling needs a calculator to move the atoms; attach one: atoms.calc = gfn2_xtb(atoms)")
    if count < 1:
        raise InputError(f"sampling: expected a number of frames >= 1; got {count}")
