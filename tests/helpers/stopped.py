"""Structures and calculators for runs that are stopped: some whose numbers have a history, some that have none."""

from zlib import crc32

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT

from painn_ase import PaiNNCalculator
from painn_ase.neighbors import Pairs
from painn_ase.structures import read_structure

from helpers.random_models import random_model


class Forgetful(EMT):
    """ASE's EMT without its neighbour list's memory: a function of the structure."""

    name = "emt"

    def calculate(self, atoms=None, properties=("energy",), system_changes=()):
        super().calculate(atoms, properties, ["positions", "numbers", "cell", "pbc"])


class Stop(BaseException):
    """Like a kill: nothing between here and the test catches it."""


def stop_after(atoms: Atoms, evaluations: int) -> Atoms:
    """The atoms with a calculator that stops the run in its n-th evaluation from now on."""
    kind, count = type(atoms.calc), 0

    class Stopping(kind):
        name = atoms.calc.name

        def calculate(self, atoms=None, properties=("energy",), system_changes=("positions",)):
            nonlocal count
            count += bool(system_changes)
            if count > evaluations:
                raise Stop
            super().calculate(atoms, properties, system_changes)

    atoms.calc.__class__ = Stopping
    return atoms


def with_a_history(atoms: Atoms) -> Atoms:
    """Pairs in an order that depends on the geometry they were found for: so does the last bit of sums over them."""
    verlet = atoms.calc.neighbor_list
    plain = verlet.neighbor_list

    def ordered(positions, cell, pbc, cutoff):
        pairs = plain(positions, cell, pbc, cutoff)
        order = np.random.default_rng(crc32(positions.tobytes())).permutation(len(pairs))
        order = order[np.argsort(pairs.centers[order], kind="stable")]
        return Pairs(pairs.centers[order], pairs.neighbors[order], pairs.shifts[order])

    verlet.neighbor_list = ordered
    return atoms


def ethanol() -> Atoms:
    atoms = read_structure("ethanol")
    atoms.calc = PaiNNCalculator("ethanol", skin=0.5)  # used up within some ten steps
    return with_a_history(atoms)


def silicon() -> Atoms:
    """A crystal of a random network, in small steps (`GENTLY`), for nobody taught it to keep atoms apart."""
    atoms = bulk("Si", cubic=True)
    atoms.rattle(0.05, seed=3)
    atoms.calc = PaiNNCalculator(random_model(seed=1, heads={"energy": {}}), skin=0.01)
    return with_a_history(atoms)


def copper() -> Atoms:
    """A crystal with a calculator of ASE's."""
    atoms = bulk("Cu", cubic=True)
    atoms.rattle(0.05, seed=3)
    atoms.calc = Forgetful()
    return atoms
