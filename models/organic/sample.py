"""Geometries of the molecules of molecules.txt, a file for every 50 molecules:

    python models/organic/sample.py runs/organic/frames [PART ...]

Parts are those of molecules.txt (all where none is named). Per molecule: up to two conformers by RDKit,
dynamics of each, quantum-harmonic amplitudes, bonds that turn and that are stretched, and pairs with a hydrogen bond;
some 35 frames, of the molecules of `further` 12: the first short training ended a quarter lower on its own molecules
than on others, so more molecules are worth more than more frames of each. MMFF94 (0.1 ms a call) moves the atoms,
GFN2-xTB where it has no parameters. Their geometries need not be the teacher's: visit.py adds what a first model
visits. A file that exists is not made again. Extras: `smiles` and `reference`.
"""

import logging
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.calculators.calculator import BaseCalculator, Calculator, all_changes
from ase.units import kcal, mol
from files import molecules, write_files
from rdkit import Chem, RDLogger
from rdkit.Chem import AllChem

from painn_ase.errors import PainnError
from painn_ase.reference import Plan, gfn2_xtb, hydrogen_bonded, sample
from painn_ase.smiles import from_smiles

PLAN = Plan(md=3, temperatures=(300.0, 600.0, 1000.0), every=40, equilibrate=100, quantum=4, torsions=5, stretch=4)
SHORT = Plan(md=2, temperatures=(300.0, 800.0), every=30, equilibrate=60, quantum=4, torsions=5, stretch=4)  # GFN2-xTB
HEAVY = 14  # atoms of a pair other than hydrogen, at most
JITTER = 0.02  # Å, of every coordinate of turned and stretched geometries, which are relaxed otherwise


@dataclass(frozen=True)
class Amount:
    """How much is made of a molecule, and kept."""

    conformers: int = 2
    pairs: int = 1  # with others of its file
    kept: int | None = None  # frames; all where there is no number
    most: Mapping[str, int] = field(  # frames by a part of their source, those of dynamics first
        default_factory=lambda: {"_md_": 18, "_wigner_": 8, "_torsion_": 6, "_stretch_": 4}
    )
    plan: Mapping[str, int] = field(default_factory=dict)  # what is made otherwise than PLAN and SHORT say


FEW = {"_md_": 6, "_wigner_": 2, "_torsion_": 2, "_stretch_": 1}
FEWER = {"_md_": 4, "_wigner_": 1, "_torsion_": 2, "_stretch_": 1}
PARTS = {
    "test": Amount(conformers=1, kept=6),
    "validation": Amount(conformers=1, kept=10),
    "train": Amount(pairs=4),
    "further": Amount(most=FEW, plan={"md": 1, "quantum": 1}),
    "many": (SPARE := Amount(conformers=1, most=FEWER, plan={"md": 2, "quantum": 1})),
    "wide": SPARE,
}


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


def frames_of(smiles: str, seed: int, amount: Amount) -> list[Atoms]:
    """The geometries of one molecule."""
    rng = np.random.default_rng(seed)
    attach, plan, name = driver(smiles)
    conformers = from_smiles(smiles, amount.conformers, seed=seed)
    found = sample(conformers, attach, replace(plan, **amount.plan), seed=seed, name=name)
    chosen = []
    for kind, count in amount.most.items():
        members = [atoms for atoms in found if kind in atoms.info["source"]]
        for k in sorted(rng.permutation(len(members))[:count]):
            if kind in ("_torsion_", "_stretch_"):
                members[k].positions += rng.normal(scale=JITTER, size=members[k].positions.shape)
            chosen.append(members[k])
    for atoms in chosen:
        atoms.info["smiles"] = smiles
    return chosen


def pairs(groups: list[list[Atoms]], amount: Amount, rng: np.random.Generator) -> list[Atoms]:
    """Hydrogen-bonded pairs of thermal geometries of each molecule, where there are such."""
    found, thermal = [], amount.most["_md_"]
    for group in groups:
        for _ in range(amount.pairs):
            other = groups[rng.integers(len(groups))]
            one, two = (g[rng.integers(min(len(g), thermal))] for g in (group, other))
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


def joined(groups: list[list[Atoms]], first: int, amount: Amount) -> list[Atoms]:
    """What is kept of the molecules of a file, and pairs of them; `first` molecules are in the files before it."""
    rng = np.random.default_rng([1, first])
    kept = [group[j] for group in groups for j in rng.permutation(len(group))[: amount.kept]]
    return kept + pairs(groups, amount, rng)


def main(folder: Path, parts: list[str]) -> None:
    for part in parts:
        amount = PARTS[part]
        make, join = partial(frames_of, amount=amount), partial(joined, amount=amount)
        write_files(folder, part, molecules(part), make, join)


if __name__ == "__main__":
    RDLogger.DisableLog("rdApp.*")
    logging.getLogger("painn_ase").setLevel(logging.ERROR)
    main(Path(sys.argv[1]), sys.argv[2:] or list(PARTS))
