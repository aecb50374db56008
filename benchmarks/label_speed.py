"""What a label costs by this code and by an earlier state of it, and how far their numbers are apart.

    git worktree add --detach ../earlier bc2317f
    python benchmarks/label_speed.py ../earlier

Energy, forces, dipole and polarizability of four distorted molecules with PySCF on one thread, in turns: the earlier
code, this one with the same settings, this one with the coarser ones that `painn-ase label --accuracy 0.003` takes.
Prints CPU seconds and the largest differences from the earlier code. Needs the extras `reference` and `smiles`.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from painn_ase.smiles import from_smiles

MOLECULES = {"formamide": "NC=O", "ethanol": "CCO", "benzene": "c1ccccc1", "nitrobenzene": "O=[N+]([O-])c1ccccc1"}
COARSE = {"grid": 2, "scf_tolerance": 1e-8}
LABELS = {"energy": "eV", "forces": "eV/Å", "dipole": "e·Å", "polarizability": "Å³"}
PROCESS = """
import json, sys, time
import numpy as np
from ase import Atoms
from painn_ase.reference import Level
from painn_ase.reference.kohn_sham import compute
import pyscf.df, pyscf.dft, pyscf.grad
given = json.load(sys.stdin)
atoms, level = Atoms(given["numbers"], given["positions"]), Level.parse(given["level"], **given["settings"])
began = time.process_time()
found = compute(atoms, level, given["labels"])
seconds = time.process_time() - began
print(json.dumps({"seconds": seconds} | {name: np.array(found[name]).tolist() for name in given["labels"]}))
"""


def label(tree: Path, smiles: str, level: str, settings: dict) -> dict:
    """Labels by the code of a source tree, as arrays, and "seconds" of CPU time."""
    atoms = from_smiles(smiles)[0]
    atoms.rattle(0.05, seed=0)
    given = {"numbers": atoms.numbers.tolist(), "positions": atoms.positions.tolist(), "level": level}
    environment = os.environ | {"PYTHONPATH": str(tree.resolve()), "OMP_NUM_THREADS": "1"}
    text = json.dumps(given | {"settings": settings, "labels": list(LABELS)})
    command = [sys.executable, "-c", PROCESS]
    out = subprocess.run(
        command, input=text, env=environment, capture_output=True, text=True, check=True, cwd=tree
    ).stdout
    return {name: np.array(value) for name, value in json.loads(out).items()}


def apart(one: dict, other: dict) -> str:
    """Largest differences of two sets of labels."""
    return " / ".join(f"{np.abs(one[name] - other[name]).max():.1e}" for name in LABELS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("earlier", type=Path, help="source tree of the earlier code")
    parser.add_argument("--level", default="pbe0/def2-svpd")
    parser.add_argument("--molecules", nargs="+", default=list(MOLECULES), choices=MOLECULES)
    options = parser.parse_args()
    here = Path(__file__).parents[1]
    units = ", ".join(f"{name} {unit}" for name, unit in LABELS.items())
    print(f"{options.level}; CPU seconds; largest differences from the earlier code ({units})\n")
    print("| molecule | earlier | now | | now, grid 2 and 1e-8 | |\n|---|---|---|---|---|---|")
    for name in options.molecules:
        ways = ((options.earlier, {}), (here, {}), (here, COARSE))
        old, new, coarse = (label(tree, MOLECULES[name], options.level, settings) for tree, settings in ways)
        cells = [f"{cell['seconds']:.1f} | {apart(cell, old)}" for cell in (new, coarse)]
        print(f"| {name} | {old['seconds']:.1f} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
