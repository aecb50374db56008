"""The frames of `wide` that a model is wrong about, to go on training with:

    python models/organic/hard.py runs/organic/labelled MODEL runs/organic-whole/wide.extxyz

Of the sound frames of molecules that the teacher is not far off for (gather.py) are kept those whose forces differ from
its by more than WRONG on average, and one of every OTHERS of the rest, so that what the model knows stays known. The
teacher's labels are cheap, 6 ms a frame; every epoch of a training costs a third of that again.
"""

import sys
import warnings
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.io import read, write
from files import smiles_of
from gather import far_off, sound

from painn_ase import PaiNNCalculator
from painn_ase.coverage import CoverageWarning

WRONG = 0.045  # eV/Å, mean absolute error of a frame's force components
OTHERS = 8


def error(atoms: Atoms, calculator: PaiNNCalculator) -> float:
    """Mean absolute error of the force components of a frame, in eV/Å."""
    found = calculator.get_property("forces", Atoms(atoms.numbers, atoms.positions))
    return float(np.abs(found - atoms.get_forces()).mean())


def main(labelled: Path, model: str, output: Path) -> None:
    calculator = PaiNNCalculator(model, threads=1)
    output.unlink(missing_ok=True)
    counts = np.zeros(3, int)
    for path in sorted(labelled.glob("wide-*.extxyz")):
        frames = [atoms for atoms in read(path, ":") if not far_off(smiles_of(atoms)) and sound(atoms)]
        errors = np.array([error(atoms, calculator) for atoms in frames])
        wrong = errors > WRONG
        rest = np.flatnonzero(~wrong)[::OTHERS]
        kept = sorted([*np.flatnonzero(wrong), *rest])
        write(output, [frames[k] for k in kept], format="extxyz", append=True)
        counts += len(frames), wrong.sum(), len(rest)
    print(f"{output.name}: {counts[1]} frames of {counts[0]} that {model} errs about, and {counts[2]} others")


if __name__ == "__main__":
    warnings.simplefilter("ignore", CoverageWarning)
    main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
