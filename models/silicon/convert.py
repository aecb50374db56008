"""Turns the mlearn data of an element (training.json, test.json) into the extended XYZ files that train.toml reads.

    python models/silicon/convert.py FOLDER_WITH_JSON runs/mlearn

Stress in the JSON is VASP's, in kbar, pressure positive, ordered xx, yy, zz, xy, yz, zx; in the files it is 3x3 in
eV/Å³ with ASE's sign, tension positive.
"""

import json
import sys
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.io import write

KBAR = 6.241509074e-4  # eV/Å³


def frame(entry: dict) -> Atoms:
    """One labelled structure."""
    structure, outputs = entry["structure"], entry["outputs"]
    atoms = Atoms(
        [site["species"][0]["element"] for site in structure["sites"]],
        positions=[site["xyz"] for site in structure["sites"]],
        cell=structure["lattice"]["matrix"],
        pbc=True,
    )
    atoms.arrays["REF_forces"] = np.array(outputs["forces"])
    xx, yy, zz, xy, yz, zx = -KBAR * np.array(outputs["virial_stress"])
    stress = np.array([[xx, xy, zx], [xy, yy, yz], [zx, yz, zz]])
    atoms.info |= {"REF_energy": outputs["energy"], "REF_stress": stress, "group": entry["group"]}
    return atoms


def main(source: Path, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for name in ("training", "test"):
        entries = json.loads((source / f"{name}.json").read_text())
        path = target / f"{entries[0]['element']}_{name}.extxyz"
        write(path, [frame(entry) for entry in entries], format="extxyz")
        print(f"{path}: {len(entries)} structures")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
