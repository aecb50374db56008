"""Springs, as a molecule and as a crystal: cheap, with dipole and polarizability or with stress."""

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.calculators.calculator import Calculator, all_changes
from ase.neighborlist import neighbor_list
from ase.stress import full_3x3_to_voigt_6_stress

from painn_ase.errors import InputError

STIFFNESS = 5.0  # eV/Å²


class Springs(Calculator):
    """E = k/2 sum over pairs (r - r0)²; counts what it is asked."""

    implemented_properties = ["energy", "free_energy", "forces", "dipole", "polarizability"]  # noqa: RUF012

    def __init__(self, atoms: Atoms) -> None:
        super().__init__()
        self.lengths = atoms.get_all_distances()
        self.charges = np.linspace(-0.3, 0.3, len(atoms))
        self.calls = []

    def check_state(self, atoms: Atoms, tol: float = 0.0) -> list[str]:
        """ASE's own comparison would take most of the time of a test."""
        same = self.atoms is not None and np.array_equal(self.atoms.positions, atoms.positions)
        return [] if same else ["positions"]

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        self.calls.append(list(properties))
        arms = atoms.positions[:, None] - atoms.positions[None]
        r = np.linalg.norm(arms, axis=2)
        stretch = r - self.lengths
        pull = STIFFNESS * stretch / np.where(r > 0, r, 1)
        energy = STIFFNESS * np.sum(stretch**2) / 4
        self.results |= {"energy": energy, "free_energy": energy, "forces": -np.sum(pull[..., None] * arms, axis=1)}
        if "dipole" in properties:
            self.results["dipole"] = self.charges @ atoms.positions
        if "polarizability" in properties:
            self.results["polarizability"] = atoms.positions.T @ atoms.positions


def cluster() -> Atoms:
    """Six atoms of four kinds, off the origin."""
    atoms = Atoms("C2N2OF", positions=1.4 * np.vstack([np.eye(3), -np.eye(3)]) + [3.0, -2.0, 1.0])
    atoms.calc = Springs(atoms)
    return atoms


class Lattice(Calculator):
    """E = k/4 sum over (i, j, S) of (r - r0)² for the nearest neighbours of the structure given at first, for good."""

    implemented_properties = ["energy", "free_energy", "forces", "stress"]  # noqa: RUF012

    def __init__(self, atoms: Atoms, cutoff: float, stiffness: float) -> None:
        super().__init__()
        self.centers, self.neighbors, self.shifts, self.lengths = neighbor_list("ijSd", atoms, cutoff)
        self.sums = np.equal.outer(np.arange(len(atoms)), self.centers).astype(float)  # (atoms, pairs)
        self.stiffness = stiffness

    def check_state(self, atoms: Atoms, tol: float = 0.0) -> list[str]:
        """ASE's own comparison would take most of the time of a test."""
        same = self.atoms is not None and np.array_equal(self.atoms.positions, atoms.positions)
        return [] if same and np.array_equal(self.atoms.cell.array, atoms.cell.array) else ["positions"]

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        x = atoms.positions
        arms = x[self.neighbors] - x[self.centers] + self.shifts @ atoms.cell.array
        r = np.linalg.norm(arms, axis=1)
        stretch = r - self.lengths
        pulls = (self.stiffness * stretch / r)[:, None] * arms
        energy = self.stiffness / 4 * np.sum(stretch**2)
        stress = full_3x3_to_voigt_6_stress(arms.T @ pulls / (2 * atoms.get_volume()))
        self.results |= {"energy": energy, "free_energy": energy, "forces": self.sums @ pulls, "stress": stress}


def crystal() -> Atoms:
    """The cubic cell of a metal of springs, as stiff as copper: 7.4 THz at most, bulk modulus 118 GPa."""
    atoms = bulk("Cu", cubic=True)
    atoms.calc = Lattice(atoms, cutoff=3.0, stiffness=2.0)
    return atoms


class Failing(Springs):
    """Does not converge any more after so many evaluations."""

    def __init__(self, atoms: Atoms, after: int) -> None:
        super().__init__(atoms)
        self.after = after

    def calculate(self, *args, **kwargs):
        super().calculate(*args, **kwargs)
        if len(self.calls) > self.after:
            raise InputError("no convergence")


IMPOSSIBLE_GUARDS = [
    ({"min_distance": -1.0}, "min_distance: expected a finite number above zero in Å; got -1.0"),
    ({"max_disagreement": 0.1}, "needs a calculator with forces_std"),
    ({"stop_outside": True}, "does not store what its training data covered"),
    ({"action": "ignore"}, "expected 'stop', 'warn' or a function; got 'ignore'"),
]
"""Settings that `Springs` or anybody refuses, and what is said."""
