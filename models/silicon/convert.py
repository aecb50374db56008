"""Turns the mlearn data of an element (training.json, test.json) into extended XYZ files.

    python models/silicon/convert.py FOLDER_WITH_JSON runs/mlearn

Stress in the JSON is VASP's, in kbar, pressure positive, xx, yy, zz first; in the files it is 3x3 in eV/Å³ with ASE's
sign, tension positive. The order of the three shears differs from element to element and is found from crystals under
shear, which resist it.
"""

import json
import sys
from itertools import permutations
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.io import write

KBAR = 6.241509074e-4  # eV/Å³
SHEARS = ((1, 2), (0, 2), (0, 1))  # yz, xz, xy


def stress_order(entries: list[dict]) -> tuple[tuple[int, int], ...]:
    """The axes of items 4 to 6 of `virial_stress`: the order in which cells resist their own shear most.

    Raises `ValueError` where no cell is sheared or two orders explain the stress about as well.
    """
    cells = np.array([entry["structure"]["lattice"]["matrix"] for entry in entries])
    lengths = np.linalg.norm(cells, axis=2)
    cosines = (cells @ cells.transpose(0, 2, 1)) / (lengths[:, :, None] * lengths[:, None, :])
    shear = np.array([cosines[:, a, b] for a, b in SHEARS])  # (3, entries), small but for cells under shear
    items = -np.array([entry["outputs"]["virial_stress"][3:] for entry in entries]).T
    work = shear @ items.T  # of each shear with each item; positive for those that belong together
    orders = sorted(permutations(range(3)), key=lambda order: sum(work[axis, k] for k, axis in enumerate(order)))
    best, second = (sum(work[axis, k] for k, axis in enumerate(order)) for order in (orders[-1], orders[-2]))
    if not best > 0 or second > 0.5 * best:
        raise ValueError(
            f"the order of shear stresses cannot be told from these {len(entries)} cells: expected crystals under "
            "shear, whose stress resists it; name it: frame(entry, order)"
        )
    return tuple(SHEARS[axis] for axis in orders[-1])


def frame(entry: dict, order: tuple[tuple[int, int], ...]) -> Atoms:
    """One labelled structure; `order`: the axes of items 4 to 6 of its stress, from `stress_order`."""
    structure, outputs = entry["structure"], entry["outputs"]
    atoms = Atoms(
        [site["species"][0]["element"] for site in structure["sites"]],
        positions=[site["xyz"] for site in structure["sites"]],
        cell=structure["lattice"]["matrix"],
        pbc=True,
    )
    atoms.arrays["REF_forces"] = np.array(outputs["forces"])
    stress = np.zeros((3, 3))
    for (a, b), value in zip(((0, 0), (1, 1), (2, 2), *order), outputs["virial_stress"], strict=True):
        stress[a, b] = stress[b, a] = -KBAR * value
    atoms.info |= {"REF_energy": outputs["energy"], "REF_stress": stress, "group": entry["group"]}
    return atoms


def main(source: Path, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    sets = {name: json.loads((source / f"{name}.json").read_text()) for name in ("training", "test")}
    order = stress_order(sets["training"])
    print("shear stresses in the order " + ", ".join("xyz"[a] + "xyz"[b] for a, b in order))
    for name, entries in sets.items():
        path = target / f"{entries[0]['structure']['sites'][0]['species'][0]['element']}_{name}.extxyz"
        write(path, [frame(entry, order) for entry in entries], format="extxyz")
        print(f"{path}: {len(entries)} structures")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
