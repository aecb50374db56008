"""How far forces of PBE0 in small basis sets are from those in large ones, for distorted molecules.

    python benchmarks/basis_error.py

Prints the mean absolute difference of the force components in meV/Å and the CPU time of a label, as a table. Needs the
extra `reference` (PySCF). Differences of this size are in every model trained on such labels, whatever its own errors.
"""

import argparse
import time

import numpy as np
from ase.build import molecule

from painn_ase.reference import KohnShamCalculator

MOLECULES = ("C2H6", "CH3CH2OH", "CH3OCH3", "CH3COOH", "H2CO", "CH3CN", "HCN", "CH3Cl")
BASES = ("def2-svpd", "def2-tzvp", "def2-tzvpd")
LARGEST = "def2-qzvpd"  # for molecules of few atoms: what the largest of BASES leaves
FEW = 5


def label(name: str, basis: str) -> tuple[np.ndarray, float]:
    """Forces in eV/Å on the distorted molecule, and the seconds of CPU time they took."""
    atoms = molecule(name)
    atoms.rattle(0.05, seed=0)
    atoms.calc = KohnShamCalculator(f"pbe0/{basis}")
    began = time.process_time()
    return atoms.get_forces(), time.process_time() - began


def row(name: str) -> str:
    """The table's line of a molecule: forces themselves, differences from the largest basis, CPU seconds."""
    forces, seconds = zip(*(label(name, basis) for basis in BASES), strict=True)
    errors = [1000 * np.abs(f - forces[-1]).mean() for f in forces[:-1]]
    rest = 1000 * np.abs(label(name, LARGEST)[0] - forces[-1]).mean() if len(forces[0]) <= FEW else None
    size = 1000 * np.abs(forces[-1]).mean()
    cells = [name, f"{size:.0f}", *(f"{e:.1f}" for e in errors), "" if rest is None else f"{rest:.1f}"]
    return "| " + " | ".join([*cells, " / ".join(f"{s:.0f}" for s in seconds)]) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--molecules", nargs="+", default=MOLECULES, help="names that ase.build.molecule knows")
    options = parser.parse_args()
    small, middle, reference = BASES
    print(f"| molecule | mean force | {small} | {middle} | {LARGEST} beside {reference} | CPU s: {' / '.join(BASES)} |")
    print("|---|---|---|---|---|---|")
    for name in options.molecules:
        print(row(name), flush=True)


if __name__ == "__main__":
    main()
