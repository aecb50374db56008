"""Families of molecules, whole, as SMILES; and the words of the lists in pieces/."""

from itertools import product
from pathlib import Path

SMALLEST = (
    *("C", "N", "O", "S", "F", "Cl", "C=C", "C#C", "C=O", "C#N", "CO", "CN", "CF", "CS", "N=C=O", "O=C=O", "NN", "C=N"),
    *("NC#N", "C=C=O", "S=C=O", "N#CC#N", "NO", "N=N"),
)


def words(name: str) -> list[str]:
    """The words of pieces/NAME.txt, without its comment."""
    lines = (Path(__file__).parent / "pieces" / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    return [word for line in lines if not line.startswith("# ") for word in line.split()]


def amino_acids() -> list[str]:
    """Amino acids, small esters, amides and dipeptides of them, and some with both ends closed."""
    sides = words("amino")
    acids = [f"N{side}C(=O)O" for side in sides] + ["OC(=O)C1CCCN1", "NCCC(=O)O", "CNCC(=O)O", "NC(=N)NCCCC(N)C(=O)O"]
    esters = [f"N{side}C(=O)OC" for side in sides[:6]]
    amides = [f"N{side}C(N)=O" for side in sides[:12]] + [f"CC(=O)N{side}C(=O)NC" for side in sides[:4]]
    formyl = [f"O=CN{side}C(=O)O" for side in sides[:6]] + [f"O=CN{side}C(N)=O" for side in sides[:6]]
    pairs = [f"N{a}C(=O)N{b}C(=O)O" for a, b in product(sides[:3], sides[:3])]
    return acids + esters + amides + formyl + pairs


FAMILIES = [*SMALLEST, *words("alkanes"), *words("alcohols"), *amino_acids()]
