"""Labels of what a model's dynamics visits: python visit.py TRAJECTORIES SEED SOURCE OUTPUT MODEL

Langevin dynamics of MODEL at 300 to 700 K for 2 ps in steps of 1 fs from boxes of SOURCE, stopped where a force exceeds
25 eV/Å; labelled are the middle one and the last. Labels as in label.py. A run that was killed goes on.
"""

import sys
from pathlib import Path

import numpy as np
from ase import Atoms, units
from ase.calculators.calculator import CalculationFailed
from ase.io import read, write
from ase.md.langevin import Langevin
from close import LARGEST
from label import labelled

from painn_ase import PaiNNCalculator

STEPS, EVERY, STOP = 2000, 20, 25.0  # of 1 fs; eV/Å


def main(trajectories: int, seed: int, source: str, output: str, model: str) -> None:
    boxes, calculator = read(source, ":"), PaiNNCalculator(model)
    done = [int(a.info["number"]) for a in read(output, ":")] if Path(output).exists() else []
    for number in range(max(done, default=-1) + 1, trajectories):
        random = np.random.default_rng([seed, number])
        atoms = boxes[random.integers(len(boxes))]
        temperature = random.uniform(300, 700)
        frames, failed = visited(Atoms(atoms, calculator=calculator), temperature, random)
        print(number, f"{temperature:.0f} K, {len(frames)} frames", "FAILED" if failed else "", flush=True)
        for k in sorted({len(frames) - 1, len(frames) // 2}):
            frame = Atoms(atoms.numbers, frames[k], cell=atoms.cell, pbc=True)
            frame.info = {"kind": "visited", "temperature": round(temperature, 1), "seed": seed, "number": number}
            try:
                result = labelled(frame)
            except CalculationFailed:
                continue
            if np.abs(result.get_forces()).max() < LARGEST:
                write(output, result, append=True)


def visited(moving: Atoms, temperature: float, random: np.random.Generator) -> tuple[list[np.ndarray], bool]:
    frames = [moving.get_positions()]
    motion = Langevin(moving, units.fs, temperature_K=temperature, friction=0.02 / units.fs, rng=random)
    for _ in range(STEPS // EVERY):
        motion.run(EVERY)
        largest = np.abs(moving.get_forces()).max()
        if not largest < 2 * STOP:
            return frames, True
        frames.append(moving.get_positions())
        if largest > STOP:
            return frames, True
    return frames, False


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:])
