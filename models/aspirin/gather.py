"""What the trainings of aspirin read, in two steps:

    python models/aspirin/gather.py runs/aspirin
    python models/aspirin/gather.py runs/aspirin runs/aspirin-response/model

The first divides the own polarizabilities (data/pbe0-svpd.extxyz) by info["side"] into own-train and own-test, and
takes every sixth of those to train on for own-validation. The second adds polarizabilities by a model (response.toml)
to the frames that the teacher labelled, so that few own labels reach as many geometries as the forces; of test frames
there are own labels only.
"""

import sys
from pathlib import Path

from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import read
from ase.units import Bohr, Hartree

from painn_ase import PaiNNCalculator
from painn_ase.ase_outputs import register_properties
from painn_ase.structures import write_frames

EACH = 6  # of the own frames to train on every sixth validates
OWN = Path(__file__).parent / "data" / "pbe0-svpd.extxyz"


def own_labels(folder: Path) -> None:
    """Writes the own files of three sides, with polarizabilities only: dipoles are the teacher's."""
    register_properties()  # so that ASE's reader knows polarizabilities as results
    own = read(OWN, ":")
    for atoms in own:
        atoms.calc.results = {"polarizability": atoms.calc.results["polarizability"]}
    train, test = ([atoms for atoms in own if atoms.info["side"] == side] for side in ("train", "test"))
    held = train[EACH - 1 :: EACH]
    sides = {"train": [atoms for atoms in train if atoms not in held], "validation": held, "test": test}
    for side, frames in sides.items():
        write_frames(folder / f"own-{side}.extxyz", frames)
        print(f"own-{side}.extxyz: {len(frames)} frames")


def polarizable(folder: Path, model: Path) -> None:
    """Writes train.extxyz and validation.extxyz of `folder`/labelled to `folder`/polarizable, with polarizabilities."""
    calculator = PaiNNCalculator(model)
    (folder / "polarizable").mkdir(exist_ok=True)
    for side in ("train", "validation"):
        frames = read(folder / "labelled" / f"{side}.extxyz", ":")
        for atoms in frames:
            bare = Atoms(atoms.numbers, atoms.positions)
            found = calculator.get_property("polarizability", bare) * Bohr * Hartree  # Å³, as `painn-ase label` has it
            atoms.calc = SinglePointCalculator(atoms, **atoms.calc.results, polarizability=found)
        write_frames(folder / "polarizable" / f"{side}.extxyz", frames)
        print(f"polarizable/{side}.extxyz: {len(frames)} frames")


if __name__ == "__main__":
    polarizable(*map(Path, sys.argv[1:3])) if sys.argv[2:] else own_labels(Path(sys.argv[1]))
