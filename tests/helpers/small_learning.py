"""A learning calculator that takes seconds: four copper atoms, a reference that counts its calls, tiny networks."""

import csv
import time

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.emt import EMT

from painn_ase import LearningCalculator
from painn_ase.data.identity import fingerprint
from painn_ase.learning import Course

SMALL = Course(features=16, interactions=2, first=60, again=30, batch_size=4)


def cluster(seed=0, amplitude=0.05):
    atoms = Atoms("Cu4", 2.4 / np.sqrt(8) * np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]))
    atoms.rattle(amplitude, seed=seed)
    return atoms


class Reference(EMT):
    """EMT that writes down what it was asked, fails where told to, and takes its time."""

    asked: list = []  # noqa: RUF012
    failures = 0
    pause = 0.0

    def calculate(self, atoms=None, properties=("energy",), system_changes=()):
        Reference.asked.append(fingerprint(atoms))
        time.sleep(Reference.pause)
        if Reference.failures:
            Reference.failures -= 1
            raise RuntimeError("no convergence")
        super().calculate(atoms, properties, system_changes)


@pytest.fixture(autouse=True)
def forget():
    """For every test that imports this: nothing was asked yet."""
    Reference.asked, Reference.failures, Reference.pause = [], 0, 0.0


def learning(folder, by=None, **keywords):
    return LearningCalculator(by or Reference, folder, **{"course": SMALL, "batch": 6} | keywords)


def rows(folder, name="calls.csv"):
    with open(folder / name) as file:
        return list(csv.DictReader(file))


def forces_of(calc, frames):
    return [calc.get_property("forces", atoms) for atoms in frames]
