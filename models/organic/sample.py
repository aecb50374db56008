"""Geometries of the molecules of molecules.txt, a file for every 50 molecules:

    python models/organic/sample.py runs/organic/frames [PART ...]

Parts are train, validation and test (all where none is named). Per molecule: up to two conformers by RDKit, dynamics
of each, quantum-harmonic amplitudes, bonds that turn and that are stretched, and pairs with a hydrogen bond. MMFF94
(0.1 ms a call) moves the atoms, GFN2-xTB where it has no parameters. Their geometries need not be the teacher's:
visit.py adds what a first model visits. A file that exists is not made again. Extras: `smiles` and `reference`.
"""

import logging
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.calculators.calculator import BaseCalculator, Calculator, all_changes
from ase.io import write
from ase.units import kcal, mol
from rdkit import Chem, RDLogger
from rdkit.Chem import AllChem

from painn_ase.errors import PainnError
from painn_ase.reference import Plan, far_apart, gfn2_xtb, hydrogen_bonded, sample
from painn_ase.smiles import from_smiles

HERE = Path(__file__).parent
PLAN = Plan(md=3, temperatures=(300.0, 600.0, 1000.0), every=40, equilibrate=100, quantum=4, torsions=5, stretch=4)
SHORT = Plan(md=2, temperatures=(300.0, 800.0), every=30, equilibrate=60, quantum=4, torsions=5, stretch=4)  # GFN2-xTB
MOST = {"_md_": 18, "_wigner_": 8, "_torsion_": 6, "_stretch_": 4}  # frames of a molecule by a part of their source
HELD = {"validation": 10, "test": 6}  # frames of a molecule that is judged by, of one conformer
PAIRS = 4  # of a molecule with others of its file; of one that is judged by: 1
HEAVY = 14  # atoms of a pair other than hydrogen, at most
EACH = 50  # molecules of a file
JITTER = 0.02  # Å, of every coordinate of turned and stretched geometries, which are relaxed otherwise


class MMFF94(Calculator):
    """The force field of one molecule (Halgren, J. Comput. Chem. 17, 490 (1996)) by RDKit; atoms in RDKit's order."""

    implemented_properties = ["energy", "forces"]  # noqa: RUF012 - ASE's

    def __init__(self, smiles: str) -> None:
        super().__init__()
        self.molecule = Chem.AddHs(Chem.MolFromSmiles(smiles))  # the field looks into it
        AllChem.EmbedMolecule(self.molecule, randomSeed=1, useRandomCoords=True)
        self.typed = AllChem.MMFFGetMoleculeProperties(self.molecule)
        self.field = AllChem.MMFFGetMoleculeForceField(self.molecule, self.typed)

    def check_state(self, atoms, tol=0.0) -> list[str]:
        """What changed: positions or nothing, without ASE's comparison of all else, which takes most of a step."""
        same = self.atoms is not None and np.array_equal(self.atoms.positions, atoms.positions)
        return [] if same else ["positions"]

    def calculate(self, atoms=None, properties=(), system_changes=all_changes) -> None:
        super().calculate(atoms, properties, system_changes)
        where = self.atoms.positions.ravel().tolist()
        energy = self.field.CalcEnergy(where)  # first: it forgets the distances that the gradient takes from memory
        forces = -np.array(self.field.CalcGrad(where)).reshape(-1, 3)
        self.results = {"energy": energy * kcal / mol, "forces": forces * kcal / mol}


def driver(smiles: str) -> tuple[Callable[[Atoms], BaseCalculator], Plan, str]:
    """What moves the atoms of a molecule, how much of it, and its name."""
    molecule = Chem.AddHs(Chem.MolFromSmiles(smiles))
    if molecule.GetNumAtoms() > 4 and AllChem.MMFFHasAllMoleculeParams(molecule):
        return lambda atoms: MMFF94(smiles), PLAN, "mmff94"
    return gfn2_xtb, SHORT, "gfn2"


def frames_of(smiles: str, seed: int, conformers: int = 2) -> list[Atoms]:
    """The geometries of one molecule, at most `MOST` of each kind."""
    rng = np.random.default_rng(seed)
    attach, plan, name = driver(smiles)
    found = sample(from_smiles(smiles, conformers, seed=seed), attach, plan, seed=seed, name=name)
    chosen = []
    for kind, most in MOST.items():
        members = [atoms for atoms in found if kind in atoms.info["source"]]
        for k in sorted(rng.permutation(len(members))[:most]):
            if kind in ("_torsion_", "_stretch_"):
                members[k].positions += rng.normal(scale=JITTER, size=members[k].positions.shape)
            chosen.append(members[k])
    for atoms in chosen:
        atoms.info["smiles"] = smiles
    return chosen


def pairs(groups: list[list[Atoms]], most: int, rng: np.random.Generator) -> list[Atoms]:
    """`most` hydrogen-bonded pairs of thermal geometries of each molecule, where there are such."""
    found = []
    for group in groups:
        for _ in range(most):
            other = groups[rng.integers(len(groups))]
            one, two = (g[rng.integers(min(len(g), MOST["_md_"]))] for g in (group, other))
            if sum((atoms.numbers > 1).sum() for atoms in (one, two)) > HEAVY:
                continue
            try:
                made = hydrogen_bonded(one, two, count=1, rng=rng, source="dimer")
            except PainnError:
                continue
            for atoms in made:
                atoms.info["smiles"] = f"{one.info['smiles']}.{two.info['smiles']}"
            found += made
    return found


def molecules(part: str) -> list[str]:
    lines = (line.split() for line in (HERE / "molecules.txt").read_text().splitlines())
    return [smiles for name, smiles in lines if name == part]


def main(folder: Path, parts: list[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for part in parts:
        listed = molecules(part)
        order = np.random.default_rng(0).permutation(len(listed))  # so that each file is a cross-section
        for first in range(0, len(listed), EACH):
            path = folder / f"{part}-{first // EACH:03d}.extxyz"
            if path.exists():
                continue
            groups = []
            for k in order[first : first + EACH]:
                try:
                    groups.append(frames_of(listed[k], int(k), 1 if part in HELD else 2))
                except Exception as error:  # one molecule costs only itself
                    print(f"{listed[k]}: {error}", flush=True)
            groups, rng = [group for group in groups if group], np.random.default_rng([1, first])
            chosen = [[group[j] for j in rng.permutation(len(group))[: HELD.get(part, len(group))]] for group in groups]
            frames = far_apart(
                [atoms for group in chosen for atoms in group] + pairs(groups, 1 if part in HELD else PAIRS, rng)
            )
            write(path.with_suffix(".part"), frames, format="extxyz")
            path.with_suffix(".part").rename(path)
            print(f"{path.name}: {len(groups)} molecules, {len(frames)} frames", flush=True)


if __name__ == "__main__":
    RDLogger.DisableLog("rdApp.*")
    logging.getLogger("painn_ase").setLevel(logging.ERROR)
    main(Path(sys.argv[1]), sys.argv[2:] or ["test", "validation", "train"])
