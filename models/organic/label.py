"""Energies, forces and dipoles of SO3LR for files of frames, many frames at a time (6 ms a frame on one core):

    python models/organic/label.py runs/organic/frames runs/organic/labelled [--watch] [--largest 25]

SO3LR: Kabylda et al., J. Am. Chem. Soc. (2025), doi:10.1021/jacs.5c09558, a network of PBE0 with many-body dispersion.
The package so3krates-torch 0.2.1 (MIT) holds its weights; README.md says how to make an environment of its own for it.

Molecules are isolated: all pairs of atoms attract and repel each other, without a cutoff at long range. Numbers are
float32, which leaves 1 meV of an energy uncertain. Energies have the zero of the network, which was trained on forces.
Frames with a component of a force above --largest (eV/Å) are left out. A file that is labelled is not labelled again;
--watch waits for more.
"""

import argparse
import importlib.resources
import time
from pathlib import Path

import numpy as np
import so3krates_torch
import torch
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import read, write

LARGEST = 25.0  # eV/Å: most frames with larger forces are no molecules; gather.py takes out more
BATCH = 48  # frames


def teacher() -> torch.nn.Module:
    """SO3LR with the whole of its long range."""
    path = importlib.resources.files(so3krates_torch) / "pretrained" / "so3lr" / "so3lr.model"
    model = torch.load(str(path), map_location="cpu", weights_only=False).float()
    model.r_max_lr = model.dispersion_energy_cutoff_lr_damping = None
    return model.requires_grad_(False)


def batch(frames: list[Atoms], cutoff: float) -> dict[str, torch.Tensor]:
    """What the network reads of isolated, neutral molecules."""
    sizes = [len(atoms) for atoms in frames]
    starts = np.concatenate([[0], np.cumsum(sizes)])
    positions = np.concatenate([atoms.positions for atoms in frames]).astype(np.float32)
    numbers = torch.from_numpy(np.concatenate([atoms.numbers for atoms in frames]))
    blocks = [np.argwhere(~np.eye(n, dtype=bool)).T + start for n, start in zip(sizes, starts, strict=False)]
    pairs = np.concatenate(blocks, axis=1)
    near = np.linalg.norm(positions[pairs[1]] - positions[pairs[0]], axis=1) <= cutoff
    shifts = {"": int(near.sum()), "_lr": pairs.shape[1]}
    none = {f"{kind}{at}": torch.zeros(n, 3) for at, n in shifts.items() for kind in ("shifts", "unit_shifts")}
    return none | {
        "positions": torch.from_numpy(positions),
        "atomic_numbers": numbers,
        "node_attrs": torch.nn.functional.one_hot(numbers - 1, 118).float(),
        "batch": torch.from_numpy(np.repeat(np.arange(len(frames)), sizes)),
        "ptr": torch.from_numpy(starts),
        "edge_index": torch.from_numpy(pairs[:, near]),
        "edge_index_lr": torch.from_numpy(pairs),
        "cell": torch.zeros(3 * len(frames), 3),
        "head": torch.zeros(len(frames), dtype=torch.long),
        "total_charge": torch.zeros(len(frames)),
        "total_spin": torch.zeros(len(frames)),
    }


def labelled(frames: list[Atoms], model: torch.nn.Module) -> list[Atoms]:
    """Copies of the frames with energy (eV), forces (eV/Å) and dipole (e·Å)."""
    rounded = [Atoms(a.numbers, np.round(a.positions, 6), info=dict(a.info)) for a in frames]
    order = np.argsort([len(atoms) for atoms in rounded], kind="stable")  # alike sizes share a batch
    for first in range(0, len(order), BATCH):
        members = [rounded[k] for k in order[first : first + BATCH]]
        out = model(batch(members, float(model.r_max)))
        energies, dipoles = out["energy"].detach().tolist(), out["dipole"].detach().numpy()
        forces = np.split(out["forces"].detach().numpy(), np.cumsum([len(atoms) for atoms in members])[:-1])
        for atoms, energy, force, dipole in zip(members, energies, forces, dipoles, strict=True):
            atoms.calc = SinglePointCalculator(
                atoms, energy=energy, forces=force.astype(float), dipole=dipole.astype(float)
            )
    return rounded


def main(source: Path, target: Path, watch: bool, largest: float) -> None:
    torch.set_num_threads(1)
    target.mkdir(parents=True, exist_ok=True)
    model = teacher()
    while True:
        missing = [path for path in source.glob("*.extxyz") if not (target / path.name).exists()]
        for path in sorted(missing, key=lambda path: (path.name.startswith("train"), path.name)):
            output = target / path.name
            frames = labelled(read(path, ":"), model)
            kept = [atoms for atoms in frames if np.abs(atoms.get_forces()).max() < largest]
            write(output.with_suffix(".part"), kept, format="extxyz")
            output.with_suffix(".part").rename(output)
            print(f"{output.name}: {len(kept)} of {len(frames)} frames", flush=True)
        if not watch:
            return
        time.sleep(20)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--watch", action="store_true")
    parser.add_argument("--largest", type=float, default=LARGEST)
    options = parser.parse_args()
    main(options.source, options.target, options.watch, options.largest)
