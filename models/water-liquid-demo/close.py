"""Labels where dynamics must not go: python close.py FRAMES SEED SOURCE OUTPUT [KIND]

Boxes of SOURCE with what their dynamics has not shown, kinds in turn: two molecules pushed together along the line of
two of their atoms; a box squeezed or stretched to 0.75 to 1.25 g/cm³, its molecules rigid; bonds and angles moved by
0.03 to 0.12 Å; molecules on a lattice, turned at random. Or of one KIND only, also "shaken": every molecule moved and
turned as a rigid body, by up to 0.35 Å and 40 degrees in each direction (standard deviations), in a box at 0.9 to 1.3
g/cm³, so that contacts of every sort are close at once. Labels as in label.py. Frames whose SCF does not converge or
whose largest force exceeds 40 eV/Å are left out. A run that was killed goes on.
"""

import sys
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.calculators.calculator import CalculationFailed
from ase.io import read, write
from label import labelled, lattice
from scipy.spatial.transform import Rotation

LARGEST = 40.0  # eV/Å
NEAR = {("H", "H"): (1.2, 2.2), ("H", "O"): (1.15, 1.8), ("O", "O"): (2.0, 2.7)}  # Å, from repulsive to usual


def main(frames: int, seed: int, source: str, output: str, kind: str | None = None) -> None:
    boxes = read(source, ":")
    kinds = (kind,) if kind else ("pushed", "scaled", "rattled", "turned")
    done = [int(a.info["number"]) for a in read(output, ":")] if Path(output).exists() else []
    for number in range(max(done, default=-1) + 1, frames):
        random = np.random.default_rng([seed, number])
        atoms = boxes[random.integers(len(boxes))].copy()
        name = kinds[number % len(kinds)]
        atoms = CHANGES[name](whole(atoms), random)
        atoms.info = {"kind": name, "seed": seed, "number": number}
        try:
            result = labelled(atoms)
        except CalculationFailed:
            continue
        if np.abs(result.get_forces()).max() < LARGEST:
            write(output, result, append=True)


def whole(atoms: Atoms) -> Atoms:
    """The box with the hydrogens of each molecule (atoms in threes, the oxygen first) beside their oxygen."""
    for oxygen in range(0, len(atoms), 3):
        for hydrogen in (oxygen + 1, oxygen + 2):
            bond = atoms.get_distance(oxygen, hydrogen, mic=True, vector=True)
            atoms.positions[hydrogen] = atoms.positions[oxygen] + bond
    return atoms


def pushed(atoms: Atoms, random: np.random.Generator) -> Atoms:
    """One to three pairs of neighbouring molecules brought close, half the way each, by an atom of either."""
    for _ in range(random.integers(1, 4)):
        i = int(random.integers(len(atoms)))
        distances = atoms.get_distances(i, range(len(atoms)), mic=True)
        distances[i // 3 * 3 : i // 3 * 3 + 3] = np.inf
        j = int(random.choice(np.argsort(distances)[:6]))
        low, high = NEAR[tuple(sorted((atoms[i].symbol, atoms[j].symbol)))]
        line = atoms.get_distance(i, j, mic=True, vector=True)
        step = line * (1 - random.uniform(low, high) / np.linalg.norm(line)) / 2
        atoms.positions[i // 3 * 3 : i // 3 * 3 + 3] += step
        atoms.positions[j // 3 * 3 : j // 3 * 3 + 3] -= step
    return atoms


def scaled(atoms: Atoms, random: np.random.Generator, lowest: float = 0.75, highest: float = 1.25) -> Atoms:
    density = len(atoms) / 3 * 18.015 / 0.60221408 / atoms.get_volume()
    factor = (density / random.uniform(lowest, highest)) ** (1 / 3)
    atoms.positions += np.repeat((factor - 1) * atoms.positions[::3], 3, axis=0)
    atoms.set_cell(atoms.cell * factor)
    return atoms


def rattled(atoms: Atoms, random: np.random.Generator) -> Atoms:
    atoms.positions += random.normal(scale=random.uniform(0.03, 0.12), size=atoms.positions.shape)
    return atoms


def turned(atoms: Atoms, random: np.random.Generator) -> Atoms:
    atoms = lattice(random.uniform(0.85, 1.15), random)
    shift = np.repeat(random.normal(scale=0.15, size=(len(atoms) // 3, 3)), 3, axis=0)
    atoms.positions += shift + random.normal(scale=0.03, size=shift.shape)
    return atoms


def shaken(atoms: Atoms, random: np.random.Generator) -> Atoms:
    atoms = scaled(atoms, random, 0.9, 1.3)
    share = random.uniform(0.1, 1.0)
    for first in range(0, len(atoms), 3):
        rotation = Rotation.from_rotvec(random.normal(scale=share * np.radians(40), size=3))
        arms = atoms.positions[first : first + 3] - atoms.positions[first]
        shift = random.normal(scale=share * 0.35, size=3)
        atoms.positions[first : first + 3] = atoms.positions[first] + shift + rotation.apply(arms)
    return atoms


CHANGES = {change.__name__: change for change in (pushed, scaled, rattled, turned, shaken)}

if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:])
