"""Water in LAMMPS on MPI ranks beside the ASE calculator: time per atom, memory, and weak scaling.

    python benchmarks/lammps_ranks.py --shape 32 32 33 --ranks 2      # 101,376 atoms, and the calculator with 2 threads
    python benchmarks/lammps_ranks.py --shape 15 15 15 --weak         # 1 rank, and 2 ranks with two such boxes, in turn

Steps of the network of `painn-ase bench` (F = 128, T = 3, random weights) with fixed lists of pairs, skin 0.5 Å. Times
are wall times: they need an idle machine with as many cores as ranks. Memory is the peak of the largest process.
"""

import argparse
import json
import os
import re
import resource
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from painn_ase import PaiNNCalculator
from painn_ase.bench import random_model, water
from painn_ase.lammps import pack
from painn_ase.lammps.input import atom_types, data_file

SCRIPT = """
units metal
atom_style atomic
read_data data
neighbor 0.5 bin
neigh_modify every 100000 delay 100000 check no
pair_style painn model.painn
pair_coeff * * {elements}
fix motion all nve
timestep 1e-7
run 1
run {steps}
"""
# runs a command and prints the peak memory of what it started, in MB
WATCH = "import resource, subprocess, sys; code = subprocess.call(sys.argv[1:], close_fds=False); \
print('peak', resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024, flush=True); sys.exit(code)"
COMMANDS = Path(sysconfig.get_path("scripts"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", type=int, nargs=3, default=(15, 15, 15), help="molecules along x, y and z")
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--weak", action="store_true", help="one rank with one box against two with two")
    parser.add_argument("--rounds", type=int, default=5, help="of --weak")
    parser.add_argument("--calculator", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.calculator:
        print(json.dumps(calculator(options.shape, options.calculator, options.steps)))
    elif options.weak:
        weak(options)
    else:
        beside_the_calculator(options)


def beside_the_calculator(options: argparse.Namespace) -> None:
    own = [sys.executable, __file__, "--steps", str(options.steps), "--shape", *map(str, options.shape)]
    command = [*own, "--calculator", str(options.ranks)]
    ase = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    found = in_lammps(options.shape, options.ranks, options.steps)
    print(f"{'':32}{'atoms':>8}{'s/step':>9}{'µs/atom':>9}{'MB a process':>14}")
    for name, row in ((f"calculator, {options.ranks} threads", ase), (f"LAMMPS, {options.ranks} ranks", found)):
        per_atom = 1e6 * row["seconds"] / row["atoms"]
        print(f"{name:32}{row['atoms']:8d}{row['seconds']:9.3f}{per_atom:9.2f}{row['peak']:14d}")


def weak(options: argparse.Namespace) -> None:
    """Two ranks do twice the work of one in the same time, less what the border costs."""
    (x, y, z), steps = options.shape, options.steps
    shapes = ((x, y, z), (2 * x, y, z))
    rows = [[in_lammps(shapes[k], k + 1, steps) for k in (0, 1)] for _ in range(options.rounds)]
    one, two = np.array([[row["seconds"] for row in pair] for pair in rows]).T
    print(f"{rows[0][0]['atoms']} atoms a rank, least of {len(rows)}: ", end="")
    print(f"1 rank {one.min():.4f} s/step, 2 ranks {two.min():.4f} s/step")
    print(f"efficiency {100 * one.min() / two.min():.1f} %, median of rounds {100 * np.median(one / two):.1f} %")


def in_lammps(shape: tuple[int, int, int], ranks: int, steps: int) -> dict:
    atoms = water(shape)
    elements = " ".join(symbol for symbol, _ in atom_types(atoms)[0])
    with tempfile.TemporaryDirectory() as folder:
        pack(random_model(), Path(folder) / "model.painn")
        (Path(folder) / "data").write_text(data_file(atoms))
        (Path(folder) / "in").write_text(SCRIPT.format(elements=elements, steps=steps))
        lmp = [sys.executable, "-c", WATCH, str(COMMANDS / "lmp"), "-in", "in", "-log", "none"]
        done = subprocess.run(
            [str(COMMANDS / "mpirun"), "-np", str(ranks), *lmp],
            cwd=folder,
            capture_output=True,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
    if done.returncode:
        raise SystemExit(done.stdout[-2000:] + done.stderr[-2000:])
    loop = float(re.findall(r"Loop time of (\S+) on", done.stdout)[-1])
    peak = max(map(int, re.findall(r"^peak (\d+)", done.stdout, re.MULTILINE)))
    return {"atoms": len(atoms), "seconds": loop / steps, "peak": peak}


def calculator(shape: tuple[int, int, int], threads: int, steps: int) -> dict:
    torch.set_num_threads(threads)
    atoms = water(shape)
    atoms.calc = PaiNNCalculator(random_model(), threads=threads)
    atoms.get_forces()
    start = time.perf_counter()
    for _ in range(steps):
        atoms.positions += 1e-6
        atoms.get_forces()
    seconds = (time.perf_counter() - start) / steps
    return {"atoms": len(atoms), "seconds": seconds, "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024}


if __name__ == "__main__":
    main()
