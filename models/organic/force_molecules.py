"""Training molecules whose forces are labelled by density-functional theory as well: force_molecules.txt, made anew by

    python models/organic/force_molecules.py

The teacher is some 30 meV/Å from PBE0/def2-TZVPD for most groups, but 100 to 300 for others, nitro groups and cumulated
bonds among them. In turns each group names a molecule of few heavy atoms that has it, those groups twice, so that as
many as there is time for, from the first on, are a cross-section. Further ones have the groups that own labels alone
teach (gather.py), and some others that the first ones showed the teacher to be 120 meV/Å off for. Needs the extra
`smiles`.
"""

from pathlib import Path
from random import Random

from families import words
from files import molecules
from rdkit import Chem

COUNT, FURTHER = 240, 240
FAR, OTHERS = words("far_off"), words("other_groups")
AGAIN = words("further_groups")


def heavy(smiles: str) -> int:
    return int(Chem.MolFromSmiles(smiles).GetNumHeavyAtoms())


def chosen(listed: list[str], groups: list[str], count: int) -> list[str]:
    """Molecules that the groups name in turns: the first of the list that are left."""
    structures = {smiles: Chem.MolFromSmiles(smiles) for smiles in listed}
    patterns = [Chem.MolFromSmarts(text) for text in groups]
    found: list[str] = []
    while len(found) < count:
        for pattern in patterns:
            left = (s for s in listed if s not in found and structures[s].HasSubstructMatch(pattern))
            found += [smiles for smiles in (next(left, None),) if smiles]
    return found[:count]


def main() -> None:
    named = list(dict.fromkeys(s for part in ("train", "further", "many") for s in molecules(part)))
    Random(0).shuffle(named)
    named = sorted((s for s in named if 1 < heavy(s) < 7), key=heavy)  # the smallest, at random among equals
    first = chosen(named, [*FAR, *OTHERS, *FAR], COUNT)
    further = chosen([s for s in named if s not in first], AGAIN, FURTHER)
    lines = ["# Molecules whose forces are labelled by PBE0/def2-TZVPD, from force_molecules.py", *first, *further]
    Path(__file__).with_name("force_molecules.txt").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
