"""Steps per second of a ring polymer of aspirin against the number of beads: one batch, and bead by bead.

    python benchmarks/ring_polymer.py [--threads 1 2] [--beads 1 2 4 8 16 32 64 128] [--seconds 8] [--json result.json]

PaiNN with F = 128 and three interactions, random weights. For every number of beads and threads these take turns, and
the minimum of each counts (wall time):
    force call   the backend on all beads, pairs at hand
    step         PILE-L by `run_rpmd` with everything it does: neighbour lists, integrator, estimators and dipole
                 recorded every 4 steps, files
    loop         the forces of one bead after the other, a calculator with its own neighbour list for each
The last line says how long 50 ps in steps of 0.25 fs take with 64 beads.
"""

import argparse
import json
import platform
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from ase import Atoms

from painn_ase import PaiNNCalculator, __version__
from painn_ase.bench.systems import aspirin as molecule
from painn_ase.model import Model
from painn_ase.simulate import run_rpmd
from painn_ase.simulate.replicas import batch
from painn_ase.simulate.replicas.modes import Ring
from painn_ase.simulate.replicas.motion import Replicas
from painn_ase.simulate.replicas.thermostat import THERMOSTATS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--beads", type=int, nargs="+", default=[1, 2, 4, 8, 16, 32, 64, 128])
    parser.add_argument("--seconds", type=float, default=8.0, help="for each line of the table")
    parser.add_argument("--json", help="also write the numbers here")
    options = parser.parse_args()
    torch.set_num_threads(1)
    atoms = aspirin()
    print(f"aspirin, {platform.processor() or platform.machine()}, painn_ase {__version__}, torch {torch.__version__}")
    print(f"integrator alone, 64 beads x 21 atoms: {1e3 * integrator(64):.3f} ms a step")
    print(
        f"{'threads':>7}{'beads':>7}{'force call':>12}{'step':>10}{'ratio':>8}{'steps/s':>9}{'loop':>10}"
        f"{'loop/step':>11}"
    )
    rows = []
    for threads in options.threads:
        for beads in options.beads:
            row = {"threads": threads, "beads": beads, **measure(atoms, beads, threads, options.seconds)}
            rows.append(row)
            print(
                f"{threads:7d}{beads:7d}{row['force_ms']:9.2f} ms{row['step_ms']:7.2f} ms{row['ratio']:8.3f}"
                f"{1e3 / row['step_ms']:9.1f}{row['loop_ms']:7.2f} ms{row['loop_ms'] / row['step_ms']:11.2f}",
                flush=True,
            )
    for row in rows:
        if row["beads"] == 64:
            hours = row["step_ms"] * 200_000 / 3.6e6
            print(f"50 ps of 64 beads in steps of 0.25 fs on {row['threads']} thread(s): {hours:.1f} hours")
    if options.json:
        Path(options.json).write_text(json.dumps(rows, indent=1) + "\n")


def aspirin() -> Atoms:
    """With a model whose forces are too small to tear it apart: the time does not depend on the weights."""
    representation = {
        "kind": "painn",
        "features": 128,
        "interactions": 3,
        "cutoff": 5.0,
        "radial": {"kind": "gaussian"},
    }
    torch.manual_seed(0)
    heads: dict = {"energy": {}, "dipole": {}}
    model = Model.from_config({"representation": representation, "heads": heads, "elements": [1, 6, 8]}).eval()
    model.heads["energy"].scale.fill_(1e-3)
    atoms = molecule()
    atoms.calc = PaiNNCalculator(model)
    return atoms


def measure(atoms: Atoms, beads: int, threads: int, seconds: float) -> dict[str, float]:
    """Least ms of a force call, a step, and a loop over the beads; they take turns."""
    atoms.calc.backend.threads = threads
    rng = np.random.default_rng(0)
    x = atoms.positions + rng.normal(scale=0.05, size=(beads, *atoms.positions.shape))
    evaluate = batch.BatchedEvaluator(atoms)
    evaluate(x, ("forces",))
    clones = [atoms.calc.clone() for _ in range(beads)]
    singles = [atoms.copy() for _ in range(beads)]
    best = {"force_ms": np.inf, "step_ms": np.inf, "loop_ms": np.inf}
    begin, rounds = time.perf_counter(), 0
    # enough that opening and closing the files of a run does not count, few enough that the molecule stays together
    steps = int(np.clip(3.0 / backend_call(evaluate, x), 40, 200))
    with tempfile.TemporaryDirectory() as folder:
        while rounds < 3 or time.perf_counter() - begin < seconds:
            for _ in range(5):
                best["force_ms"] = min(best["force_ms"], 1e3 * backend_call(evaluate, x))
            run = run_rpmd(
                atoms, beads=beads, steps=steps, equilibration=0.0, timestep=0.25, record={"dipole": 4}, every=4,
                path=Path(folder, "run"), overwrite=True, progress=False, seed=rounds,
            )  # fmt: skip
            best["step_ms"] = min(best["step_ms"], 1e3 * run.summary["wall_seconds"] / steps)
            for _ in range(3):
                moved = x + rng.normal(scale=0.005, size=x.shape)
                clock = time.perf_counter()
                for one, single, clone in zip(moved, singles, clones, strict=True):
                    single.positions = one
                    clone.get_property("forces", single)
                best["loop_ms"] = min(best["loop_ms"], 1e3 * (time.perf_counter() - clock))
            rounds += 1
    return best | {"ratio": best["step_ms"] / best["force_ms"]}


def backend_call(evaluate: batch.BatchedEvaluator, x: np.ndarray) -> float:
    """Seconds of the backend alone in one evaluation."""
    plain, spent = evaluate._backend.evaluate, []

    def timed(*arguments):  # type: ignore[no-untyped-def]
        clock = time.perf_counter()
        found = plain(*arguments)
        spent.append(time.perf_counter() - clock)
        return found

    evaluate._backend.evaluate = timed  # type: ignore[method-assign]
    try:
        evaluate(x, ("forces",))
    finally:
        evaluate._backend.evaluate = plain  # type: ignore[method-assign]
    return spent[0]


class Nothing:
    """An evaluator without forces."""

    memory: dict = {}  # noqa: RUF012

    def __call__(self, positions, names, cells=None):  # type: ignore[no-untyped-def]
        return {"energy": np.zeros(len(positions)), "forces": np.zeros_like(positions)}


def integrator(beads: int) -> float:
    """Seconds of a PILE-L step without forces."""
    ring = Ring(beads, np.full(21, 12.0), 300.0, 0.25)
    generators = [np.random.default_rng(0)]
    polymers = Replicas(ring, Nothing(), np.zeros((21, 3)), THERMOSTATS["pile-l"], generators)
    polymers.start()
    return least(polymers.step)


def least(work) -> float:  # type: ignore[no-untyped-def]
    best = np.inf
    for _ in range(300):
        clock = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - clock)
    return float(best)


if __name__ == "__main__":
    main()
