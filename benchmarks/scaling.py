"""Time per atom and peak memory of the native kernel for water from 9 to 100,000 atoms.

    python benchmarks/scaling.py [--threads 1] [--json result.json]

Every size runs in a process of its own, because peak memory never falls. Time is CPU time per thread.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import torch

from painn_ase.backends import NativeBackend
from painn_ase.bench import CUTOFF, random_model, water
from painn_ase.graph import AtomicGraph
from painn_ase.neighbors import graph_of

SHAPES = [(1, 1, 3), (2, 2, 2), (4, 4, 4), (6, 6, 6), (10, 10, 10), (16, 16, 16), (24, 24, 24), (32, 32, 33)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", help="also write the numbers here")
    parser.add_argument("--shape", type=int, nargs=3, help="one box of so many molecules; prints one line of JSON")
    options = parser.parse_args()
    if options.shape:
        print(json.dumps(measure(tuple(options.shape), options.threads)))
        return
    print(f"{'atoms':>8}{'pairs':>10}{'ms':>11}{'µs/atom':>9}{'peak MB':>9}{'kernel kB/atom':>16}")
    rows = []
    for shape in SHAPES:
        command = [sys.executable, __file__, "--threads", str(options.threads), "--shape", *map(str, shape)]
        row = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        rows.append(row)
        per_atom, memory = 1e3 * row["ms"] / row["atoms"], 1e3 * (row["peak"] - row["before"]) / row["atoms"]
        print(
            f"{row['atoms']:8d}{row['pairs']:10d}{row['ms']:11.3f}{per_atom:9.2f}{row['peak']:9.0f}{memory:16.1f}",
            flush=True,
        )
    if options.json:
        Path(options.json).write_text(json.dumps(rows, indent=1) + "\n")


def measure(shape: tuple[int, int, int], threads: int) -> dict:
    """Least ms of several force calls, and peak memory in MB before and after the kernel's first."""
    torch.set_num_threads(1)
    graph = graph_of(water(shape), CUTOFF)
    native = NativeBackend(random_model(), threads=threads)
    before = peak_memory()
    least, calls, start = float("inf"), 0, time.perf_counter()
    while calls < 3 or time.perf_counter() - start < 3.0:
        clock = time.process_time()
        native.evaluate(AtomicGraph(**vars(graph)), ("energy", "forces"))
        least = min(least, time.process_time() - clock)
        calls += 1
    sizes = {"atoms": graph.n_atoms, "pairs": graph.n_pairs}
    return {**sizes, "ms": 1e3 * least / threads, "before": before, "peak": peak_memory()}


def peak_memory() -> float:
    """MB of this process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
