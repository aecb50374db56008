"""The files that teacher.toml and train.toml read, from Si_training.extxyz and Si_test.extxyz of convert.py.

    python models/silicon/prepare.py runs/mlearn

A tenth of the frames, drawn once, is held out for validation. An elastic frame is a supercell of a strained crystal:
its primitive cell has the same labels at a thirtieth of the cost, and can be visited often.

The set's shear stresses have two orders. In the elastic frames cells that are sheared in yz resist in yz. In all others
yz and xz are exchanged: forces and energies of a trained model give stresses that correlate by 0.97 with the other
component and by 0.1 with the one of the same name. They are put right here, in the test frames, too.
"""

import sys
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.io import read, write

from painn_ase.cards.measure import primitive_cell

HELD_OUT, SEED = 0.1, 0


def reduced(frame: Atoms) -> Atoms:
    """The primitive cell of a labelled perfect crystal, with its share of the energy."""
    small = primitive_cell(frame)
    small.info["REF_energy"] = frame.info["REF_energy"] * len(small) / len(frame)
    return small


def ordered(frame: Atoms) -> Atoms:
    """The frame with yz and xz of its stress exchanged, unless it is an elastic one."""
    stress = np.reshape(frame.info["REF_stress"], (3, 3)).copy()
    if frame.info["group"] != "Elastic":
        stress[1, 2], stress[0, 2] = stress[0, 2], stress[1, 2]
        stress[2, 1], stress[2, 0] = stress[1, 2], stress[0, 2]
    frame.info["REF_stress"] = stress
    return frame


def main(folder: Path) -> None:
    read_frames = [ordered(atoms) for atoms in read(folder / "Si_training.extxyz", ":")]
    frames = [reduced(atoms) if atoms.info["group"] == "Elastic" else atoms for atoms in read_frames]
    write(folder / "Si_judged.extxyz", [ordered(a) for a in read(folder / "Si_test.extxyz", ":")], format="extxyz")
    order = np.random.default_rng(SEED).permutation(len(frames))
    held = sorted(order[: round(HELD_OUT * len(frames))])
    kept = sorted(order[len(held) :])
    elastic = [k for k in kept if frames[k].info["group"] == "Elastic"]
    parts = {"validation": held, "elastic": elastic, "frames": [k for k in kept if k not in elastic]}
    for name, members in parts.items():
        write(folder / f"Si_{name}.extxyz", [frames[k] for k in members], format="extxyz")
        print(f"Si_{name}.extxyz: {len(members)} structures")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
