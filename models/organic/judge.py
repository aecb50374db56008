"""What a model of organic molecules is worth, beside its errors on test frames, which `painn-ase card` measures:

    python models/organic/judge.py conformers FOLDER MODEL ...   # GMTKN55's ACONF, BUT14DIOL, SCONF and Amino20x4
    python models/organic/judge.py dynamics MODEL [PS [COUNT]]   # unseen molecules at 300 K: which of them break?
    python models/organic/judge.py guard MODEL                   # what the model must object to

FOLDER holds NAME.extxyz (geometries, info["name"]) and NAME.json (structures, coefficients and kcal_per_mol of each
energy difference) of a set: Goerigk et al., Phys. Chem. Chem. Phys. 19, 32184 (2017), doi:10.1039/c7cp04913g.
"""

import json
import sys
import warnings
from pathlib import Path

import numpy as np
from ase import Atoms, units
from ase.build import molecule
from ase.data import covalent_radii
from ase.io import read
from ase.md.langevin import Langevin
from ase.md.velocitydistribution import MaxwellBoltzmannDistribution
from ase.optimize import FIRE

from painn_ase import PaiNNCalculator
from painn_ase.smiles import from_smiles

HERE = Path(__file__).parent
SETS = ("ACONF", "BUT14DIOL", "SCONF", "Amino20x4")
KCAL = units.kcal / units.mol
APART = 40.0  # Å, between molecules that move side by side
TIMESTEP, LOOK = 1.0, 100  # fs, steps between looks


def conformers(folder: Path, models: list[str]) -> None:
    """Mean absolute errors of conformer energies in kcal/mol, for each model and set."""
    for model in models:
        calculator = PaiNNCalculator(model)
        for name in SETS:
            energies = {}
            for atoms in read(folder / f"{name}.extxyz", ":"):
                atoms.calc = calculator
                energies[atoms.info["name"]] = atoms.get_potential_energy() / KCAL
            errors = [
                sum(c * energies[s] for s, c in zip(entry["structures"], entry["coefficients"], strict=True))
                - entry["kcal_per_mol"]
                for entry in json.loads((folder / f"{name}.json").read_text())
            ]
            largest = max(errors, key=abs)
            print(f"{model} {name}: MAE {np.mean(np.abs(errors)):.2f} kcal/mol of {len(errors)}, largest {largest:.2f}")


def bonds(atoms: Atoms) -> np.ndarray:
    """Pairs of bonded atoms (n, 2), by distance."""
    radii = covalent_radii[atoms.numbers]
    return np.argwhere(np.triu(atoms.get_all_distances() < 1.25 * (radii[:, None] + radii), 1))


def dynamics(model: str, picoseconds: float, count: int) -> None:
    """Langevin dynamics at 300 K of test molecules, side by side in one structure; bonds 1.5 times as long broke."""
    listed = [line.split()[1] for line in (HERE / "molecules.txt").read_text().splitlines() if line.startswith("test")]
    names = [listed[k] for k in np.random.default_rng(0).permutation(len(listed))[:count]]
    together, held, owner = Atoms(), [], []
    for number, smiles in enumerate(names):
        part = from_smiles(smiles)[0]
        held.append(bonds(part) + len(together))
        owner += [number] * len(held[-1])
        part.positions += APART * np.array(np.unravel_index(number, (5, 5, -(-count // 25)))) - part.positions.mean(
            axis=0
        )
        together += part
    pairs, owner = np.concatenate(held), np.array(owner)
    rng = np.random.default_rng(1)
    together.info.clear()
    together.calc = PaiNNCalculator(model)
    FIRE(together, logfile=None).run(fmax=0.3, steps=150)
    lengths = np.linalg.norm(together.positions[pairs[:, 1]] - together.positions[pairs[:, 0]], axis=1)
    MaxwellBoltzmannDistribution(together, temperature_K=300, rng=np.random.RandomState(1))
    motion = Langevin(together, TIMESTEP * units.fs, temperature_K=300, friction=0.01 / units.fs, fixcm=False, rng=rng)
    broken: dict[int, float] = {}
    for look in range(1, round(1000 * picoseconds / TIMESTEP / LOOK) + 1):
        motion.run(LOOK)
        now = np.linalg.norm(together.positions[pairs[:, 1]] - together.positions[pairs[:, 0]], axis=1)
        for number in np.unique(owner[~(now < 1.5 * lengths)]):
            broken.setdefault(int(number), look * LOOK * TIMESTEP / 1000)
        if look % 20 == 0:
            print(
                f"{look * LOOK * TIMESTEP / 1000:.0f} ps: {together.get_temperature():.0f} K, {len(broken)} broken",
                flush=True,
            )
    print(
        f"{count} molecules, {picoseconds:g} ps: {len(broken)} broken",
        *(f"{names[k]} at {t:.1f} ps;" for k, t in broken.items()),
    )
    print("outside of the training data:", together.calc.outside)


def guard(model: str) -> None:
    """What the calculator says of structures beyond the model's range, and of some within it."""
    apart = molecule("H2O") + Atoms("OH2", molecule("H2O").positions + np.array([8.0, 0, 0]))
    cases = {
        "acetate": from_smiles("CC(=O)[O-]")[0],
        "methylammonium": from_smiles("C[NH3+]")[0],
        "methyl radical": from_smiles("[CH3]")[0],
        "phosphine": from_smiles("CP")[0],
        "bromide": from_smiles("CBr")[0],
        "two waters 8 Å apart": apart,
        "two waters in contact": molecule("H2O") + Atoms("OH2", molecule("H2O").positions + np.array([0, 0, 1.6])),
        "ethanol (within)": from_smiles("CCO")[0],
        "aspirin (13 heavy atoms)": from_smiles("CC(=O)Oc1ccccc1C(=O)O")[0],
    }
    for name, atoms in cases.items():
        calculator = PaiNNCalculator(model)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                atoms.calc = calculator
                atoms.get_forces()
                said = calculator.outside or "nothing"
            except Exception as error:
                said = f"refused: {error}"
        print(f"{name}: {said}")


if __name__ == "__main__":
    kind, *given = sys.argv[1:]
    if kind == "conformers":
        conformers(Path(given[0]), given[1:])
    elif kind == "dynamics":
        dynamics(given[0], float(given[1]) if given[1:] else 20.0, int(given[2]) if given[2:] else 100)
    else:
        guard(given[0])
