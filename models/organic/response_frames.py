"""A geometry of each molecule of response_molecules.txt, to learn dipoles and polarizabilities from.

    python models/organic/response_frames.py models/organic/data/response_frames.extxyz

By GFN2-xTB, in turns a snapshot of dynamics at 300, 500 or 800 K and a quantum-harmonic one (300 K). info["smiles"]
names the molecule. Each frame is written when it is made, and a second run goes on where the first ended. Needs the
extras `reference` and `smiles`.
"""

import sys
from pathlib import Path

from ase import Atoms
from ase.io import write
from test_frames import TEMPERATURES, count, molecules

from painn_ase.reference import Plan, gfn2_xtb, sample
from painn_ase.smiles import from_smiles

MOLECULES = Path(__file__).with_name("response_molecules.txt")


def frame(smiles: str, index: int) -> Atoms:
    """The geometry of a molecule; its place in the list is the seed, and says which kind it is."""
    thermal = Plan(md=1, temperatures=(TEMPERATURES[index % len(TEMPERATURES)],))
    plan = Plan(quantum=1) if index % 2 else thermal
    found = sample(from_smiles(smiles), gfn2_xtb, plan, seed=index)[0]
    found.info["smiles"] = smiles
    return found


def main() -> None:
    output = Path(sys.argv[1])
    for index, smiles in list(enumerate(molecules(MOLECULES)))[count(output) :]:
        write(output, frame(smiles, index), append=True)


if __name__ == "__main__":
    main()
