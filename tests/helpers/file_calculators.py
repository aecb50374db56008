"""Calculators as others write them: with files, in a fixed place, and with failures of every kind."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from ase.calculators.calculator import Calculator, FileIOCalculator, all_changes
from ase.calculators.emt import EMT

# Reads what it finds after a while, and writes the sum of all coordinates: of the structure if the file is its own.
PROGRAM = "import time; time.sleep(0.05); print(sum(map(float, open('job.in').read().split())))"


class Program(FileIOCalculator):
    """Writes job.in, runs a program, reads job.out."""

    implemented_properties = ["energy", "forces"]  # noqa: RUF012

    def __init__(self, **keywords):
        super().__init__(command=f'{sys.executable} -S -c "{PROGRAM}" > job.out', **keywords)

    def write_input(self, atoms, properties=None, system_changes=None):
        super().write_input(atoms, properties, system_changes)
        Path(self.directory, "job.in").write_text(" ".join(map(repr, atoms.positions.ravel().tolist())))

    def read_results(self):
        energy = float(Path(self.directory, "job.out").read_text())
        self.results = {"energy": energy, "forces": np.zeros((len(self.atoms), 3))}


class HardWired(Calculator):
    """Has its one file where the environment says, and no use for a directory."""

    implemented_properties = ["energy"]  # noqa: RUF012

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        path = Path(os.environ["HARD_WIRED"], "job.in")
        path.write_text(repr(float(atoms.positions.sum())))
        time.sleep(0.05)
        self.results = {"energy": float(path.read_text())}


class Charged(EMT):
    """Its energy says which charge, spin and magnetic moments it was given."""

    def __init__(self, charge=0, multiplicity=1):
        super().__init__()
        self.state = (charge, multiplicity)

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        charge, multiplicity = self.state
        moments = atoms.get_initial_magnetic_moments().sum()
        self.results["energy"] = 1000.0 * charge + 100.0 * multiplicity + 10.0 * moments + atoms.get_tags().sum()


class Broken(EMT):
    """Fails as a program behind a calculator may; info says how."""

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        match atoms.info.get("how"):
            case "exit code":
                subprocess.run([sys.executable, "-c", "raise SystemExit(3)"], check=True)
            case "parser":
                float("*****")
            case "index":
                [][1]
            case "missing":
                Path("no such output").read_text()
            case "dead":
                os._exit(1)
            case "nothing":
                self.results = {"energy": None, "forces": None}
                return
        super().calculate(atoms, properties, system_changes)


def fixed_directory():
    return Program(directory=os.environ["FIXED"])


def fixed_label():
    return Program(label=os.environ["FIXED"] + "/job")


def own_directory(atoms, directory):
    return Program(directory=directory)


def hard_wired():
    return HardWired()


def charged(atoms):
    return Charged(atoms.info.get("charge", 0), atoms.info.get("multiplicity", 1))
