"""Several trajectories of one system in lock-step: one evaluation per step for all of them.

A small molecule leaves most of a network evaluation to overhead; M copies cost far less than M runs. Positions and
momenta are (trajectories, atoms, 3) in ASE's units.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
import torch
from ase import Atoms
from ase.units import kB
from numpy.random import Generator

from painn_ase.graph import AtomicGraph
from painn_ase.neighbors import Pairs

# Eigenvalue share below which an axis of a molecule has no moment of inertia: a linear molecule.
_LINEAR = 1e-6


class Evaluator(Protocol):
    """Properties of all copies at once, each with a leading axis of trajectories."""

    def __call__(self, positions: np.ndarray, names: Collection[str]) -> dict[str, np.ndarray]: ...

    @property
    def memory(self) -> np.ndarray | None:
        """What a later evaluator must be given to repeat every number to the last bit."""
        ...


class OneByOne:
    """Asks any ASE calculator for one copy after the other."""

    memory = None

    def __init__(self, atoms: Atoms) -> None:
        self._atoms = atoms.copy()
        self._calc = atoms.calc

    def __call__(self, positions: np.ndarray, names: Collection[str]) -> dict[str, np.ndarray]:
        found: dict[str, list[Any]] = {name: [] for name in ("energy", *names)}
        for one in positions:
            self._atoms.positions = one
            for name in (*names, "energy"):
                value = self._calc.get_property(name, self._atoms)
                found[name].append(np.array(value, dtype=float))
        return {name: np.stack(values) for name, values in found.items()}


class Batched:
    """Asks the backend of a `PaiNNCalculator` for one graph that holds all copies.

    Each copy keeps its pairs within cutoff + skin until an atom moved by half the skin since they were found.
    """

    def __init__(self, atoms: Atoms, memory: np.ndarray | None = None) -> None:
        calc = atoms.calc
        self._backend = calc.backend
        self._find = calc.neighbor_list.neighbor_list
        self._cutoff, self._skin = calc.neighbor_list.cutoff, calc.neighbor_list.skin
        self._numbers = atoms.numbers.copy()
        self._cell, self._pbc = atoms.cell.array.copy(), atoms.pbc.copy()
        self._charge = float(atoms.info.get("charge", 0.0) if calc.charge is None else calc.charge)
        self._reference: np.ndarray | None = None  # positions that each copy's pairs were found for
        self._pairs: list[Pairs] = []
        self._graph: AtomicGraph | None = None
        if memory is not None:  # the order of pairs decides the last bit of sums
            self._rebuild(memory, np.arange(len(memory)))

    @property
    def memory(self) -> np.ndarray | None:
        return None if self._reference is None else self._reference.copy()

    def __call__(self, positions: np.ndarray, names: Collection[str]) -> dict[str, np.ndarray]:
        copies, atoms = positions.shape[:2]
        if self._reference is None:
            self._rebuild(positions, np.arange(copies))
        else:
            moved = np.square(positions - self._reference).sum(-1).max(-1)
            far = np.flatnonzero(~(4 * moved <= self._skin**2))
            if far.size:
                self._rebuild(positions, far)
        assert self._graph is not None
        graph = replace(self._graph, positions=torch.as_tensor(positions.reshape(-1, 3).copy()))
        values = self._backend.evaluate(graph, {"energy", *names})
        values["forces"] = values["forces"].reshape(copies, atoms, 3)
        return values

    def _rebuild(self, positions: np.ndarray, which: np.ndarray) -> None:
        if self._reference is None:
            self._reference = positions.copy()
            self._pairs = [Pairs(*(np.empty(0, dtype=int),) * 3)] * len(positions)
        for k in which:
            self._reference[k] = positions[k]
            self._pairs[k] = self._find(positions[k], self._cell, self._pbc, self._cutoff + self._skin)
        copies, atoms = positions.shape[:2]
        first = np.repeat(np.arange(copies) * atoms, [len(p) for p in self._pairs])
        centers, neighbors, shifts = (
            np.concatenate([getattr(p, name) for p in self._pairs]) for name in ("centers", "neighbors", "shifts")
        )
        one = AtomicGraph.from_arrays(
            np.tile(self._numbers, copies), positions.reshape(-1, 3), centers + first, neighbors + first, shifts
        )
        self._graph = replace(
            one,
            structures=torch.arange(copies).repeat_interleave(atoms),
            cells=torch.as_tensor(self._cell).repeat(copies, 1, 1),
            pbc=torch.as_tensor(self._pbc).repeat(copies, 1),
            charges=torch.full((copies,), self._charge, dtype=torch.float64),
        )


def evaluator(atoms: Atoms, memory: np.ndarray | None = None) -> Evaluator:
    """All copies in one evaluation where the calculator's backend allows it, else one by one."""
    return Batched(atoms, memory) if hasattr(atoms.calc, "backend") else OneByOne(atoms)


# ---- the mechanics of many copies


def draw_momenta(masses: np.ndarray, copies: int, temperature: float, rng: Generator) -> np.ndarray:
    """Maxwell-Boltzmann momenta at `temperature` K without translation of the whole, (copies, atoms, 3)."""
    draw = rng.standard_normal((copies, len(masses), 3))
    return without_translation(draw * np.sqrt(kB * temperature * masses)[:, None], masses)


def without_translation(momenta: np.ndarray, masses: np.ndarray) -> np.ndarray:
    """The momenta less the motion of the centre of mass of each copy."""
    velocity = momenta.sum(axis=1, keepdims=True) / masses.sum()
    return momenta - masses[:, None] * velocity


def without_rotation(positions: np.ndarray, momenta: np.ndarray, masses: np.ndarray) -> np.ndarray:
    """The momenta less the rotation of each copy about its centre of mass: I ω = L, m ω×r taken off."""
    arms = positions - np.einsum("i,mia->ma", masses, positions)[:, None] / masses.sum()
    spin = np.cross(arms, momenta).sum(axis=1)
    squares = np.einsum("i,mia,mia->m", masses, arms, arms)
    inertia = squares[:, None, None] * np.eye(3) - np.einsum("i,mia,mib->mab", masses, arms, arms)
    omega = np.einsum("mab,mb->ma", np.linalg.pinv(inertia, rcond=_LINEAR, hermitian=True), spin)
    return momenta - masses[:, None] * np.cross(omega[:, None], arms)


def kinetic_energy(momenta: np.ndarray, masses: np.ndarray) -> np.ndarray:
    """(copies,) in eV."""
    return 0.5 * np.einsum("mia,mia,i->m", momenta, momenta, 1 / masses)


def rotations(positions: np.ndarray, masses: np.ndarray) -> int:
    """Number of axes a molecule can turn about: 3, of a linear one 2, of an atom 0."""
    arms = positions - masses @ positions / masses.sum()
    inertia = np.einsum("i,ia,ia->", masses, arms, arms) * np.eye(3) - (masses[:, None] * arms).T @ arms
    return int(np.linalg.matrix_rank(inertia, tol=_LINEAR * max(np.trace(inertia), 1e-300), hermitian=True))
