"""Training molecules whose forces are labelled by density-functional theory as well: force_molecules.txt, made anew by

    python models/organic/force_molecules.py

The teacher is some 30 meV/Å from PBE0/def2-TZVPD for most groups, but 100 to 300 for others, nitro groups and cumulated
bonds among them. In turns each group names a molecule of few heavy atoms that has it, those groups twice, so that as
many as there is time for, from the first on, are a cross-section. Needs the extra `smiles`.
"""

from pathlib import Path
from random import Random

from families import words
from files import molecules
from rdkit import Chem

COUNT = 240
FAR, OTHERS = words("far_off"), words("other_groups")


def heavy(smiles: str) -> int:
    return int(Chem.MolFromSmiles(smiles).GetNumHeavyAtoms())


def chosen(listed: list[str], count: int) -> list[str]:
    """Molecules that the groups name in turns: the smallest that are left, at random among equals."""
    Random(0).shuffle(listed)
    listed = sorted((s for s in listed if 1 < heavy(s) < 7), key=heavy)
    structures = {smiles: Chem.MolFromSmiles(smiles) for smiles in listed}
    patterns = [Chem.MolFromSmarts(text) for text in (*FAR, *OTHERS, *FAR)]
    found: list[str] = []
    while len(found) < count:
        for pattern in patterns:
            left = (s for s in listed if s not in found and structures[s].HasSubstructMatch(pattern))
            found += [smiles for smiles in (next(left, None),) if smiles]
    return found[:count]


def main() -> None:
    named = list(dict.fromkeys(s for part in ("train", "further", "many") for s in molecules(part)))
    lines = ["# Molecules whose forces are labelled by PBE0/def2-TZVPD, from force_molecules.py", *chosen(named, COUNT)]
    Path(__file__).with_name("force_molecules.txt").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
