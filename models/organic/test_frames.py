"""Two geometries of each molecule of a list, test_molecules.txt where none is named:

    python models/organic/test_frames.py models/organic/data/test_frames.extxyz
    python models/organic/test_frames.py models/organic/data/force_frames.extxyz models/organic/force_molecules.txt

The first is a snapshot of dynamics at 300, 500 or 800 K that began at the conformer of lowest energy, the second a
quantum-harmonic one (300 K) about another conformer where there is one; both by GFN2-xTB. info["smiles"] names the
molecule, info["source"] the kind. Each pair is written when it is made, and a
second run goes on where the first ended. Needs the extras `reference` and `smiles`.
"""

import sys
from pathlib import Path

from ase import Atoms
from ase.io import read, write

from painn_ase.reference import Plan, gfn2_xtb, sample
from painn_ase.smiles import from_smiles

MOLECULES = Path(__file__).with_name("test_molecules.txt")
TEMPERATURES = (300.0, 500.0, 800.0)  # K, in turns


def molecules(path: Path = MOLECULES) -> list[str]:
    """The SMILES of a file, one a line; lines that begin with # are comments."""
    lines = (line.strip() for line in path.read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def frames(smiles: str, index: int) -> list[Atoms]:
    """The two geometries of a molecule; its place in the list is the seed."""
    conformers = from_smiles(smiles, 2)
    thermal = Plan(md=1, temperatures=(TEMPERATURES[index % len(TEMPERATURES)],))
    found = [
        sample([one], gfn2_xtb, plan, seed=index)[0]
        for one, plan in zip((conformers[0], conformers[-1]), (thermal, Plan(quantum=1)), strict=True)
    ]
    for atoms in found:
        atoms.info["smiles"] = smiles
    return found


def count(output: Path) -> int:
    """How many frames a file has; of one that is not there none."""
    return len(read(output, ":")) if output.exists() else 0


def main() -> None:
    output, listed = Path(sys.argv[1]), molecules(*map(Path, sys.argv[2:3]))
    for index, smiles in list(enumerate(listed))[count(output) // 2 :]:
        write(output, frames(smiles, index), append=True)


if __name__ == "__main__":
    main()
