"""A Langevin step of ethanol through ASE: SchNetPack's own calculator and ours on the same weights, interleaved.

    python benchmarks/schnetpack_step.py [--checkpoint painn_1_best_model] [--seconds 30] [--json result.json]

Both run in float32 on one thread; SchNetPack with MatScipyNeighborList, its fastest here. The checkpoint is a
`best_model` of SchNetPack in kcal/mol and Å, which SchNetPack unpickles: give it only files you trust. Needs an
environment in which SchNetPack can be imported (docs/performance.md).
"""

import argparse
import json
import logging
import os
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from ase.build import molecule
from ase.calculators.calculator import Calculator

from painn_ase import PaiNNCalculator
from painn_ase.bench import langevin_step
from painn_ase.importers import schnetpack as importer

DATA = Path(os.environ.get("PAINN_ASE_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
CHECKPOINT = DATA / "schnetpack_ethanol" / "painn_1_best_model"
TIMESTEP = 0.5  # fs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", type=Path, default=CHECKPOINT, help="a best_model (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--json", help="also write the numbers here")
    options = parser.parse_args()
    result = compare(options.checkpoint, options.seconds)
    if options.json:
        Path(options.json).write_text(json.dumps(result, indent=1) + "\n")


def compare(checkpoint: Path, seconds: float) -> dict[str, float]:
    """ms of CPU time per step with either calculator, from rounds in which they take turns."""
    torch.set_num_threads(1)
    model = importer.load(checkpoint, energy_unit="kcal/mol", length_unit="Ang")
    calculators = {
        "schnetpack": schnetpack_calculator(checkpoint),
        "native": PaiNNCalculator(model, backend="native", threads=1),
        "torch": PaiNNCalculator(model, backend="torch", threads=1),
    }
    difference = largest_difference(list(calculators.values()))
    least = dict.fromkeys(calculators, np.inf)
    rounds, end = 0, time.perf_counter() + seconds
    while rounds < 3 or time.perf_counter() < end:
        for name, calculator in calculators.items():
            least[name] = min(least[name], langevin_step(calculator, 1.0, TIMESTEP))
        rounds += 1
    print(f"\nLangevin step of ethanol, {checkpoint.name}, forces alike within {difference:.1e} eV/Å; ms per step:")
    print(f"SchNetPack {version('schnetpack')} {least['schnetpack']:.3f}, torch {least['torch']:.3f},", end=" ")
    print(f"native {least['native']:.3f}: {least['schnetpack'] / least['native']:.1f}x")
    return least


def schnetpack_calculator(checkpoint: Path) -> Calculator:
    """SchNetPack's calculator in the setting that is fastest for a molecule on one core."""
    from schnetpack.interfaces import SpkCalculator
    from schnetpack.transform import MatScipyNeighborList

    logging.getLogger("schnetpack").setLevel(logging.WARNING)
    model = torch.load(checkpoint, map_location="cpu", weights_only=False)
    neighbors = MatScipyNeighborList(cutoff=float(model.representation.cutoff))
    units = {"energy_unit": "kcal/mol", "position_unit": "Angstrom"}
    return SpkCalculator(model, neighbors, energy_key="energy", force_key="forces", dtype=torch.float32, **units)


def largest_difference(calculators: list[Calculator]) -> float:
    """Of the forces, in eV/Å; ends the comparison if the calculators do not compute the same."""
    atoms = molecule("CH3CH2OH")
    atoms.rattle(0.05, seed=0)
    forces = [calculator.get_property("forces", atoms) for calculator in calculators]
    difference = max(float(np.abs(one - forces[0]).max()) for one in forces)
    if not difference < 1e-4:
        raise SystemExit(f"the calculators disagree by {difference:.1e} eV/Å: there is nothing to compare")
    return difference


if __name__ == "__main__":
    main()
