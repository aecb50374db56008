"""What a model of organic molecules is worth, beside its errors on test frames, which `painn-ase card` measures:

    python models/organic/judge.py errors FRAMES MODEL           # by kind of frame, by size, and the worst molecules;
                                                                 # MODEL may be gfn2, or another's labels of the frames
    python models/organic/judge.py conformers FOLDER MODEL ...   # GMTKN55's ACONF, BUT14DIOL, SCONF and Amino20x4
    python models/organic/judge.py dynamics MODEL [PS [COUNT]]   # unseen molecules at 300 K: which of them break?
    python models/organic/judge.py polarizabilities MODEL        # beside measured ones
    python models/organic/judge.py guard MODEL                   # whether it objects to what it must object to

FOLDER holds NAME.extxyz (geometries, info["name"]) and NAME.json (structures, coefficients and kcal_per_mol of each
energy difference) of a set: Goerigk et al., Phys. Chem. Chem. Phys. 19, 32184 (2017), doi:10.1039/c7cp04913g.
"""

import json
import re
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms, units
from ase.build import molecule
from ase.data import covalent_radii
from ase.io import read
from ase.md.langevin import Langevin
from ase.md.velocitydistribution import thermalize_momenta
from ase.optimize import FIRE
from files import molecules, smiles_of
from gather import far_off, sound

from painn_ase import PaiNNCalculator
from painn_ase.coverage import CoverageWarning
from painn_ase.errors import PainnError
from painn_ase.reference import gfn2_xtb
from painn_ase.smiles import from_smiles
from painn_ase.units import COULOMB_CONSTANT

SETS = ("ACONF", "BUT14DIOL", "SCONF", "Amino20x4")
KCAL = units.kcal / units.mol
APART = 40.0  # Å, between molecules that move side by side
TIMESTEP, LOOK = 1.0, 100  # fs, steps between looks
# Å³, at the sodium D line: Applequist, Carl, Fung, J. Am. Chem. Soc. 94, 2952 (1972), doi:10.1021/ja00764a010
MEASURED = {
    "CC": 4.48,
    "CCC": 6.38,
    "CC(C)(C)C": 10.20,
    "C1CC1": 5.64,
    "C1CCCC1": 9.15,
    "C1CCCCC1": 11.00,
    "CO": 3.32,
    "CCO": 5.08,
    "CC(C)O": 6.97,
    "OC1CCCCC1": 11.56,
    "COC": 5.24,
    "C1COCCO1": 8.60,
    "C=O": 2.45,
    "CC=O": 4.59,
    "NC=O": 4.08,
    "CNC=O": 5.91,
    "CN(C)C=O": 7.81,
    "CC(N)=O": 5.67,
    "CNC(C)=O": 7.82,
    "CC#N": 4.48,
    "CCC#N": 6.24,
    "CC(C)(C)C#N": 9.59,
}


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


def kinds(atoms: Atoms) -> list[str]:
    """The names of the groups that a labelled frame belongs to."""
    smiles = smiles_of(atoms)
    like = "like training frames" if sound(atoms) else "unlike them: contacts, large forces"
    off = far_off(smiles)
    taught = "of groups that the teacher is far off for" if off else "well taught"
    kind = re.sub(r"^(mmff94|gfn2)_|_min\d.*|_\d+-\d+.*", "", atoms.info["source"])
    sizes = ["pairs"] if "." in smiles else [f"{(atoms.numbers > 1).sum():2d} heavy atoms", f"molecule {smiles}"]
    return ["all", like, taught, f"kind {kind}", *sizes, *(f"group {text}" for text in off)]


def answers(what: str) -> Callable[[Atoms], dict[str, Any]]:
    """Forces, dipole and, where it knows it, polarizability (Å³) of a frame, by its geometry.

    what: a model, "gfn2", or a file of the same frames, in any order, with the labels of another
    """
    if what.endswith(".extxyz"):
        frames = read(what, ":")

        def looked_up(atoms: Atoms) -> dict[str, Any]:
            for frame in frames:  # positions may be rounded to single precision
                same = np.array_equal(frame.numbers, atoms.numbers)
                if same and np.allclose(frame.positions, atoms.positions, atol=1e-4):
                    return frame.info | frame.calc.results
            raise SystemExit(f"{what} has no labels of {atoms.symbols}, {smiles_of(atoms)}, {atoms.info['source']}")

        return looked_up
    calculator: Any = None if what == "gfn2" else PaiNNCalculator(what)
    names, units_of = ["forces", "dipole"], {"polarizability": COULOMB_CONSTANT}
    if calculator and "polarizability" in calculator.implemented_properties:
        names.append("polarizability")

    def computed(atoms: Atoms) -> dict[str, Any]:
        image = Atoms(atoms.numbers, atoms.positions)
        image.calc = calculator or gfn2_xtb(image)
        return {name: units_of.get(name, 1.0) * image.calc.get_property(name, image) for name in names}

    return computed


def one(atoms: Atoms, said: dict[str, Any]) -> list[float]:
    """Of a frame: errors of forces (meV/Å) and dipole (e·Å), atoms, and the error of the mean polarizability (%)."""
    labels, alpha = atoms.info | atoms.calc.results, np.nan
    if "polarizability" in labels and "polarizability" in said:
        means = [np.trace(np.reshape(of["polarizability"], (3, 3))) / 3 for of in (labels, said)]
        alpha = 100 * abs(means[1] / means[0] - 1)
    force = 1000 * np.abs(said["forces"] - atoms.get_forces()).mean()
    return [force, np.abs(said["dipole"] - atoms.get_dipole_moment()).mean(), len(atoms), alpha]


def sentence(name: str, rows: np.ndarray) -> str:
    """Means over all components of forces and dipoles, and over polarizabilities, of rows that `one` gives."""
    forces = np.average(rows[:, 0], weights=rows[:, 2])
    text = f"{name}: {len(rows)} frames, forces {forces:.1f} meV/Å, dipole {rows[:, 1].mean():.4f} e·Å"
    alpha = rows[np.isfinite(rows[:, 3]), 3]
    return text + (f", mean polarizability {alpha.mean():.2f} %" if len(alpha) else "")


def errors(path: Path, what: str) -> None:
    """Mean absolute errors of labelled frames, of all and of some of them."""
    ask = answers(what)
    groups: dict[str, list[list[float]]] = {}
    for atoms in read(path, ":"):
        row = one(atoms, ask(atoms))
        for name in kinds(atoms):
            groups.setdefault(name, []).append(row)
    rows = {name: np.array(members) for name, members in groups.items()}
    each = sorted((np.average(r[:, 0], weights=r[:, 2]), name) for name, r in rows.items() if name[:9] == "molecule ")
    for name in sorted(rows.keys() - {name for _, name in each}):
        print(sentence(name, rows[name]))
    print(f"median molecule {np.median([mean for mean, _ in each]):.1f} meV/Å; the worst:")
    for mean, name in each[-10:]:
        print(f"{name}: {mean:.0f} meV/Å")


def polarizabilities(model: str) -> None:
    """Mean polarizabilities at the model's own minima beside the measured ones. Light of the sodium D line polarizes
    more than a static field, by some per cent."""
    calculator, ratios = PaiNNCalculator(model), []
    for smiles, measured in MEASURED.items():
        atoms = from_smiles(smiles)[0]
        atoms.calc = calculator
        FIRE(atoms, logfile=None).run(fmax=0.02, steps=300)
        alpha = np.trace(calculator.get_property("polarizability", atoms)) / 3 * COULOMB_CONSTANT
        ratios.append(alpha / measured - 1)
        print(f"{smiles}: {alpha:.2f} Å³, measured {measured:.2f}, {100 * ratios[-1]:+.1f} %")
    mean, absolute, spread = (100 * f(ratios) for f in (np.mean, lambda r: np.mean(np.abs(r)), np.std))
    print(
        f"{len(ratios)} molecules: mean {mean:+.1f} %, mean absolute {absolute:.1f} %, spread about it {spread:.1f} %"
    )


def bonds(atoms: Atoms) -> np.ndarray:
    """Pairs of bonded atoms (n, 2), by distance."""
    radii = covalent_radii[atoms.numbers]
    return np.argwhere(np.triu(atoms.get_all_distances() < 1.25 * (radii[:, None] + radii), 1))


def dynamics(model: str, picoseconds: float, count: int) -> None:
    """Langevin dynamics at 300 K of test molecules, side by side in one structure; bonds 1.5 times as long broke."""
    listed = molecules("test")
    names = [listed[k] for k in np.random.default_rng(0).permutation(len(listed))[:count]]
    together, held, owner, sizes = Atoms(), [], [], []
    for number, smiles in enumerate(names):
        part = from_smiles(smiles)[0]
        held.append(bonds(part) + len(together))
        owner += [number] * len(held[-1])
        sizes.append(len(part))
        part.positions += APART * np.array(np.unravel_index(number, (5, 5, -(-count // 25)))) - part.positions.mean(
            axis=0
        )
        together += part
    pairs, owner, of = np.concatenate(held), np.array(owner), np.repeat(np.arange(len(names)), sizes)
    rng = np.random.default_rng(1)
    together.info.clear()
    together.calc = PaiNNCalculator(model)
    FIRE(together, logfile=None).run(fmax=0.3, steps=150)
    lengths = np.linalg.norm(together.positions[pairs[:, 1]] - together.positions[pairs[:, 0]], axis=1)
    thermalize_momenta(together, temperature_K=300, rng=rng)
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
    alone = together.calc.clone()
    for number, smiles in enumerate(names):
        part = Atoms(together.numbers[of == number], together.positions[of == number], calculator=alone)
        part.get_potential_energy()
        if alone.outside:
            print(f"{smiles} is outside of the training data at the end: {alone.outside}")


def waters(distance: float) -> Atoms:
    """Two, `distance` Å apart in z."""
    two = molecule("H2O") + molecule("H2O")
    two.positions[3:, 2] += distance
    return two


def guard(model: str) -> None:
    """What the calculator says of structures beyond the model's range, and of some within it."""
    beyond = {
        "acetate": from_smiles("CC(=O)[O-]")[0],
        "methylammonium": from_smiles("C[NH3+]")[0],
        "acetate whose charge nobody names": from_smiles("CC(=O)[O-]")[0],
        "methyl radical": from_smiles("[CH3]")[0],
        "triplet methylene": from_smiles("[CH2]")[0],
        "phosphine": from_smiles("CP")[0],
        "bromide": from_smiles("CBr")[0],
        "two waters 8 Å apart": waters(8.0),
        "two waters 40 Å apart": waters(40.0),
    }
    within = {
        "two waters in contact": waters(3.0),
        "ethanol": from_smiles("CCO")[0],
        "aspirin": from_smiles("CC(=O)Oc1ccccc1C(=O)O")[0],
    }
    beyond["acetate whose charge nobody names"].info.clear()
    wrong = []
    for name, atoms in (beyond | within).items():
        calculator = PaiNNCalculator(model)
        try:
            atoms.calc = calculator
            atoms.get_forces()
            said = calculator.outside
        except PainnError as error:
            said = f"refused: {error}"
        print(f"{name}: {said or 'nothing'}")
        if (said is not None) != (name in beyond):
            wrong.append(name)
    if wrong:
        sys.exit(f"not as it should be: {', '.join(wrong)}")


if __name__ == "__main__":
    warnings.simplefilter("ignore", CoverageWarning)
    kind, *given = sys.argv[1:]
    if kind == "errors":
        errors(Path(given[0]), given[1])
    elif kind == "conformers":
        conformers(Path(given[0]), given[1:])
    elif kind == "polarizabilities":
        polarizabilities(given[0])
    elif kind == "dynamics":
        dynamics(given[0], float(given[1]) if given[1:] else 20.0, int(given[2]) if given[2:] else 100)
    else:
        guard(given[0])
