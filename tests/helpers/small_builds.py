"""A build that takes seconds: water of springs, a reference that counts its calls, tiny networks."""

import hashlib

import numpy as np
from ase.calculators.calculator import Calculator, all_changes

from painn_ase.build import Request, members, plan, pool, rounds

WATER = "3\n\nO 0.0 0.0 0.12\nH 0.0 0.76 -0.48\nH 0.0 -0.76 -0.48\n"


class Counting(Calculator):
    """Springs between all pairs, as of water, and point charges; every call is a line of calls.txt."""

    implemented_properties = ["energy", "forces", "dipole"]  # noqa: RUF012

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        with open("calls.txt", "a") as file:
            file.write(exactly(atoms) + "\n")
        arms = atoms.positions[:, None] - atoms.positions[None]
        r = np.linalg.norm(arms, axis=2) + np.eye(len(atoms))
        rest = np.where(np.equal.outer(atoms.numbers, atoms.numbers), 1.52, 0.97)
        stretch = np.where(np.eye(len(atoms)), 0.0, r - rest)
        forces = -40 * np.sum((stretch / r)[..., None] * arms, axis=1)
        self.results = {"energy": 10 * np.sum(stretch**2), "forces": forces}
        self.results["dipole"] = np.where(atoms.numbers == 8, -0.6, 0.3) @ atoms.positions


def exactly(atoms):
    """The name of a geometry to the last bit: what is labelled is rounded, what a driver visits is not."""
    return hashlib.sha256(atoms.positions.tobytes()).hexdigest()


def calls(folder):
    """Names of the geometries that the reference was asked about."""
    path = folder / "calls.txt"
    return path.read_text().split() if path.exists() else []


def request(output="water", **changes):
    """A build of two rounds at most."""
    asked = {"reference": f"{__name__}:Counting", "processes": 1, "temperature": 100.0, "frames": 60} | changes
    return Request("water.xyz", output=output, **asked)


def quickly(put):
    """Makes every part of a build short; `put(module, name, value)` sets what is changed."""
    for module, name, value in (
        (rounds, "_PAINN", rounds._PAINN | {"features": 16}),
        (members, "_STEPS", 60), (members, "_LEAST", 60), (plan, "_FIRST", (24, 24)),
        (plan, "_ROUND", 24), (rounds, "_TRAJECTORIES", 4), (rounds, "_LENGTH", 0.4), (rounds, "_SHORT", 0.4),
        (plan, "AUDITS", 6), (rounds, "AUDITS", 6), (pool, "_SHARES", {}), (rounds, "_COLD_LENGTH", 0.3),
    ):  # fmt: skip
        put(module, name, value)
