"""What trainings read, of the labelled files: python models/organic/gather.py runs/organic/labelled runs/organic [MOST]

Files of validation and test are joined as they are. Of the others are left out

- frames in which atoms more than two bonds apart come nearer than the sum of their covalent radii and 0.5 Å: 1.57 Å for
  C and H, 1.47 for O and H, 2.0 for C and C, 1.1 for H and H. A bond that is longer by half an Ångström is half
  broken, so atoms that are nearer react, or sit at several eV where turned groups were put into each other. Hydrogen
  bonds are longer, and atoms of one angle, which come as near in water and in small rings, are left to the next rule;
- frames with a force above LARGEST: those of dynamics at 1000 K reach 14 eV/Å, and of frames with the zero-point motion
  of X-H bonds 1.4 % exceed 15 (12 would leave out 5 %); contacts go, and most bonds pressed to 0.85 of their length;
- of a molecule all but MOST, drawn at random: 12 where nothing is said.

trusted-*.extxyz are the same frames without molecules of groups that the teacher is far off for
(pieces/teacher_off.txt): its frames of them are many and would outvote the own labels, which are few.

Own labels (data/) are divided as well: own-train, -validation and -test, without their energies, whose zero is not the
teacher's; forces are left out of the test, so that all of its forces are the teacher's.
"""

import sys
from functools import cache, lru_cache
from itertools import groupby
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.data import covalent_radii
from ase.io import iread, read, write
from families import words
from files import smiles_of
from rdkit import Chem

LARGEST = 15.0  # eV/Å
ROOM = 0.5  # Å
WHOLE = ("validation", "test")
PARTS = {"train": ("train", "further"), "many": ("many",), "visited": ("visited",)} | {part: (part,) for part in WHOLE}
DATA = Path(__file__).with_name("data")
RESPONSE = {"dipole", "polarizability"}
OFF = {text: Chem.MolFromSmarts(text) for text in words("teacher_off")}
EACH = 10  # of the molecules with own labels every tenth validates


@lru_cache(maxsize=64)
def nearest(smiles: str) -> np.ndarray:
    """Å, (atoms, atoms): what atoms must keep between them; zero within two bonds. Molecules are parted by dots."""
    molecules = [Chem.AddHs(Chem.MolFromSmiles(part)) for part in smiles.split(".")]
    radii = covalent_radii[[atom.GetAtomicNum() for molecule in molecules for atom in molecule.GetAtoms()]]
    limits, first = radii[:, None] + radii + ROOM, 0
    for molecule in molecules:
        block = slice(first, first := first + molecule.GetNumAtoms())
        limits[block, block][Chem.GetDistanceMatrix(molecule) <= 2] = 0.0
    return limits


def sound(atoms: Atoms) -> bool:
    """Whether a frame is one of the molecule that its SMILES says, with forces of no more than `LARGEST`."""
    if not np.linalg.norm(atoms.get_forces(), axis=1).max() <= LARGEST:
        return False
    return bool((atoms.get_all_distances() >= nearest(smiles_of(atoms))).all())


def chosen(frames: list[Atoms], most: int) -> list[Atoms]:
    """Of each molecule at most so many sound frames; a pair counts for its first molecule."""
    rng = np.random.default_rng(0)

    def owner(atoms: Atoms) -> str:
        return smiles_of(atoms).split(".")[0]

    kept = []
    for _, members in groupby(sorted(filter(sound, frames), key=owner), owner):
        group = list(members)
        kept += [group[k] for k in sorted(rng.permutation(len(group))[:most])]
    return kept


def main(source: Path, target: Path, most: int) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for part, names in PARTS.items():
        paths = [path for name in names for path in sorted(source.glob(f"{name}-*.extxyz"))]
        output, seen, kept = target / f"{part}.extxyz", 0, 0
        output.unlink(missing_ok=True)
        for path in paths:
            if part in WHOLE:
                with open(output, "ab") as whole:
                    whole.write(path.read_bytes())
                continue
            frames = read(path, ":")
            left = chosen(frames, most)
            seen, kept = seen + len(frames), kept + len(left)
            write(output, left, format="extxyz", append=True)
        print(f"{output.name}: {len(paths)} files" + (f", {kept} of {seen} frames" if seen else ""), flush=True)
    trusted(target)
    own_labels(target)


@cache
def far_off(smiles: str) -> list[str]:
    """The groups of a molecule, or of a pair of them, that the teacher is far off for; with none it is well taught."""
    molecule = Chem.MolFromSmiles(smiles)
    return [text for text, group in OFF.items() if molecule.HasSubstructMatch(group)]


def trusted(target: Path) -> None:
    """Writes trusted-NAME.extxyz of each file, with the molecules that have no group `far_off`."""
    for name in (part for part in PARTS if (target / f"{part}.extxyz").exists()):
        kept = 0
        with open(target / f"trusted-{name}.extxyz", "w", encoding="utf-8") as file:
            for atoms in iread(target / f"{name}.extxyz", ":"):
                if not far_off(smiles_of(atoms)):
                    write(file, atoms, format="extxyz")
                    kept += 1
        print(f"trusted-{name}.extxyz: {kept} frames", flush=True)


def own_labels(target: Path) -> None:
    """Divides the labels of data/ among training, validation and test."""
    own = read(DATA / "pbe0-tzvpd-train.extxyz", ":") + read(DATA / "pbe0-tzvpd-forces.extxyz", ":")
    held = list(dict.fromkeys(map(smiles_of, own)))[EACH - 1 :: EACH]
    sides = {"train": [], "validation": [], "test": read(DATA / "pbe0-tzvpd-test.extxyz", ":")}
    for atoms in own:
        sides["validation" if smiles_of(atoms) in held else "train"].append(atoms)
    for side, frames in sides.items():
        for atoms in frames:
            left = atoms.calc.results.keys() & (RESPONSE if side == "test" else RESPONSE | {"forces"})
            atoms.calc.results = {name: atoms.calc.results[name] for name in left}
        write(target / f"own-{side}.extxyz", frames)
    print("own labels:", ", ".join(f"{len(frames)} frames of {side}" for side, frames in sides.items()))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]) if sys.argv[3:] else 12)
