"""The training data: python gather.py OUTPUT HIGHEST SOURCE ...

Frames of the sources whose largest force is below 20 eV/Å and whose energy is within HIGHEST eV a molecule of the first
source's mean: what is further out tells dynamics nothing.
"""

import sys

import numpy as np
from ase.io import read, write


def main(output: str, highest: float, sources: list[str]) -> None:
    frames = [read(source, ":") for source in sources]
    usual = np.mean([atoms.get_potential_energy() / len(atoms) for atoms in frames[0]])
    kept = [
        atoms
        for source in frames
        for atoms in source
        if np.abs(atoms.get_forces()).max() < 20
        and 3 * abs(atoms.get_potential_energy() / len(atoms) - usual) < highest
    ]
    write(output, kept)
    print(f"{len(kept)} of {sum(map(len, frames))} frames")


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), sys.argv[3:])
