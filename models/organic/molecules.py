"""The molecules that `organic` learns from, is validated on and is judged by: molecules.txt, made anew by

    python models/organic/molecules.py

Neutral closed shells of H, C, N, O, F, S and Cl with 1 to 12 heavy atoms. Up to four heavy atoms all are grown, bond by
bond, and the sensible ones kept. Larger ones are cores with groups put in the place of hydrogens, at random; families
(alkanes, diols, sugars, amino acids, ...) are whole. None is one of test_molecules.txt, in any stereoisomer. Stereo is
left open: `from_smiles` draws one. A line is a part (train, validation, test, further, many, wide) and a SMILES. The
last three were drawn later, so that the other parts stayed what they were, and are trained on, too: `many` has all
sensible molecules of five heavy atoms, `wide` those of six, of whose frames a model chooses (hard.py). Needs the extra
`smiles`.
"""

from pathlib import Path
from random import Random

from families import FAMILIES, words
from rdkit import Chem, RDLogger
from rdkit.Chem import Mol, RWMol

HERE = Path(__file__).parent
SEED = 0
ELEMENTS = "CNOFS"  # grown; chlorine takes fluorine's place in half of the molecules
SIZES = {4: 420, 5: 240, 6: 320, 7: 320, 8: 320, 9: 300, 10: 240, 11: 110, 12: 110}  # heavy atoms: molecules at most
FURTHER = {4: 500, 5: 250, 6: 350, 7: 350, 8: 350, 9: 300, 10: 250, 11: 150, 12: 150}  # the same of those drawn later
MANY = {6: 1100, 7: 1500, 8: 1600, 9: 1600, 10: 1300, 11: 700, 12: 600}  # beside all of five
WIDE = {7: 2000, 8: 2000, 9: 1500, 10: 1200, 11: 800, 12: 700}  # beside all of six
HELD = {"validation": 60, "test": 500}
PATTERNS = [Chem.MolFromSmarts(text) for text in words("banned")]
CORES, GROUPS = words("cores"), words("groups")


def plain(smiles: str) -> str:
    """Canonical SMILES without stereo."""
    return Chem.MolToSmiles(Chem.MolFromSmiles(smiles), isomericSmiles=False)


def sensible(molecule: Mol) -> bool:
    """Whether none of the banned patterns occurs, and rings are no smaller and no more strained than usual."""
    rings = molecule.GetRingInfo()
    crowded = any(rings.NumAtomRings(a.GetIdx()) > 2 for a in molecule.GetAtoms())
    return not crowded and not any(molecule.HasSubstructMatch(pattern) for pattern in PATTERNS)


def valid(molecule: RWMol) -> Mol | None:
    """The sanitised molecule, neutral and closed shell; None where RDKit refuses it."""
    copy = Mol(molecule)
    try:
        Chem.SanitizeMol(copy)
    except Chem.MolSanitizeException:
        return None
    return copy


def grown(smiles: str) -> set[str]:
    """All molecules that one more heavy atom or one more bond makes of a molecule."""
    found = set()
    start = Chem.MolFromSmiles(smiles)
    Chem.Kekulize(start, clearAromaticFlags=True)
    orders = {1: Chem.BondType.SINGLE, 2: Chem.BondType.DOUBLE, 3: Chem.BondType.TRIPLE}
    free = [atom.GetTotalNumHs() for atom in start.GetAtoms()]
    made = []
    for i, hydrogens in enumerate(free):
        for element in ELEMENTS:
            most = {"C": 3, "N": 3, "O": 2, "S": 2, "F": 1}[element]
            for order in range(1, min(hydrogens, most) + 1):
                new = RWMol(start)
                new.AddBond(i, new.AddAtom(Chem.Atom(element)), orders[order])
                made.append(new)
        for j in range(i):
            if hydrogens and free[j] and start.GetBondBetweenAtoms(i, j) is None:
                new = RWMol(start)
                new.AddBond(i, j, orders[1])
                made.append(new)
    for new in made:
        molecule = valid(new)
        if molecule is not None:
            found.add(Chem.MolToSmiles(molecule))
    return found


def small(most: int) -> list[str]:
    """The sensible molecules with up to `most` heavy atoms, half of those with fluorine with chlorine instead."""
    layers = [set("CNOS")]
    for _ in range(most - 1):
        layers.append({new for old in layers[-1] for new in grown(old)})
        layers[-1] = {s for s in layers[-1] | rings(layers[-1]) if sensible(Chem.MolFromSmiles(s))}
    found = sorted(smiles for layer in layers for smiles in layer)
    return [plain(s.replace("F", "Cl")) if "F" in s and k % 2 else plain(s) for k, s in enumerate(found)]


def rings(molecules: set[str]) -> set[str]:
    """Those with one bond more that have as many heavy atoms."""
    same = {s: Chem.MolFromSmiles(s).GetNumAtoms() for s in molecules}
    return {new for old, n in same.items() for new in grown(old) if Chem.MolFromSmiles(new).GetNumAtoms() == n}


def assembled(random: Random) -> str | None:
    """A core with one to three groups in the place of hydrogens; None if that is no sensible molecule."""
    molecule = Chem.MolFromSmiles(random.choice(CORES))
    for _ in range(random.choice((1, 1, 2, 2, 3))):
        places = [atom.GetIdx() for atom in molecule.GetAtoms() if atom.GetTotalNumHs()]
        if not places:
            break
        group = Chem.MolFromSmiles(random.choice(GROUPS))
        place = random.choice(places)
        joined = RWMol(Chem.CombineMols(molecule, group))
        star = next(a for a in joined.GetAtoms() if not a.GetAtomicNum())
        end = star.GetNeighbors()[0].GetIdx()
        if joined.GetAtomWithIdx(place).GetNumExplicitHs():
            joined.GetAtomWithIdx(place).SetNumExplicitHs(joined.GetAtomWithIdx(place).GetNumExplicitHs() - 1)
        joined.AddBond(place, end, Chem.BondType.SINGLE)
        joined.RemoveAtom(star.GetIdx())
        grown_one = valid(joined)
        if grown_one is None:
            return None
        molecule = Chem.MolFromSmiles(Chem.MolToSmiles(grown_one))
    return Chem.MolToSmiles(molecule) if molecule is not None and sensible(molecule) else None


def enumerate_all() -> tuple[list[str], list[str], dict[str, list[str]]]:
    """The members of families, the others by size, and the parts drawn later, in orders that only the seed decides."""
    random = Random(SEED)
    tested = {plain(s) for s in (HERE / "test_molecules.txt").read_text().split("\n") if s and not s.startswith("#")}
    families = [s for s in dict.fromkeys(plain(s) for s in FAMILIES) if s not in tested]
    seen = tested | set(families)
    grown_ones = fresh(small(4), seen)
    random.shuffle(grown_ones)
    others = grown_ones[: SIZES[4]] + drawn(SIZES, seen, random)
    later = {"further": grown_ones[SIZES[4] :][: FURTHER[4]] + drawn(FURTHER, seen, random)}
    later["many"] = fresh(small(5), seen) + drawn(MANY, seen, random)
    later["wide"] = fresh(small(6), seen) + drawn(WIDE, seen, random)
    return families, others, later


def fresh(molecules: list[str], seen: set[str]) -> list[str]:
    """Those that were not `seen`, to which they are added."""
    new = [smiles for smiles in dict.fromkeys(molecules) if smiles not in seen]
    seen.update(new)
    return new


def drawn(sizes: dict[int, int], seen: set[str], random: Random) -> list[str]:
    """Molecules of five and more heavy atoms by size, which are added to those `seen`."""
    sized: dict[int, list[str]] = {size: [] for size in sizes if size > 4}
    for _ in range(200_000):
        if all(len(found) >= sizes[size] for size, found in sized.items()):
            break
        smiles = assembled(random)
        size = Chem.MolFromSmiles(smiles).GetNumAtoms() if smiles else 0
        if size in sized and smiles not in seen and len(sized[size]) < sizes[size]:
            seen.add(smiles)
            sized[size].append(smiles)
    return [smiles for found in sized.values() for smiles in found]


def main() -> None:
    RDLogger.DisableLog("rdApp.*")
    families, others, later = enumerate_all()
    Random(SEED + 1).shuffle(others)
    tiny = [smiles for smiles in others if Chem.MolFromSmiles(smiles).GetNumAtoms() < 3]
    larger = [smiles for smiles in others if smiles not in tiny]
    first, held = 0, []
    for part, count in HELD.items():
        held += [(part, smiles) for smiles in larger[first : first + count]]
        first += count
    lines = [("train", smiles) for smiles in families + tiny + larger[first:]] + held
    train = len(lines) - len(held)
    lines += [(part, smiles) for part, found in later.items() for smiles in found]
    (HERE / "molecules.txt").write_text("".join(f"{part} {smiles}\n" for part, smiles in lines))
    counts = ", ".join(f"{len(found)} {part}" for part, found in later.items())
    print(f"{len(families)} members of families, {len(others)} others; {train} train, {counts}")


if __name__ == "__main__":
    main()
