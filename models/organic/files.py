"""The molecules of molecules.txt and of frames, and files of 50 of them each, written one by one."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.io import write

from painn_ase.reference import far_apart

EACH = 50  # molecules of a file


def molecules(part: str) -> list[str]:
    """The SMILES of a part of molecules.txt."""
    lines = (line.split() for line in Path(__file__).with_name("molecules.txt").read_text().splitlines())
    return [smiles for name, smiles in lines if name == part]


def smiles_of(atoms: Atoms) -> str:
    """The SMILES that a frame names. ASE's reader takes that of hydrogen fluoride, F, for the word "false"."""
    name = str(atoms.info["smiles"])
    return "F" if name == "False" else name


def write_files(
    folder: Path,
    name: str,
    listed: list[str],
    frames_of: Callable[[str, int], list[Atoms]],
    joined: Callable[[list[list[Atoms]], int], list[Atoms]],
    most: int | None = None,
) -> None:
    """Writes NAME-000.extxyz, NAME-001.extxyz, ... into a folder; a file that exists is not made again.

    listed: SMILES of all molecules, which go to the files in an order drawn once: each file is a cross-section
    frames_of: the frames of a molecule, from its SMILES and its place in the list
    joined: the frames of a file, from those of its molecules and the number of molecules before it
    most: files that there will be; None: as many as the molecules fill
    """
    folder.mkdir(parents=True, exist_ok=True)
    order = np.random.default_rng(0).permutation(len(listed))
    for first in range(0, len(listed), EACH)[:most]:
        path = folder / f"{name}-{first // EACH:03d}.extxyz"
        if path.exists():
            continue
        groups = []
        for k in order[first : first + EACH]:
            try:
                groups.append(frames_of(listed[k], int(k)))
            except Exception as error:  # one molecule costs only itself
                print(f"{listed[k]}: {error}", flush=True)
        groups = [group for group in groups if group]
        frames = far_apart(joined(groups, first))
        write(path.with_suffix(".part"), frames, format="extxyz")
        path.with_suffix(".part").rename(path)
        print(f"{path.name}: {len(groups)} molecules, {len(frames)} frames", flush=True)
