"""Memory, open files and speed over a long run of molecular dynamics, as `run_md` records it.

    python benchmarks/endurance.py [--steps 1000000] [--backend native] [--json result.json]

Prints a row per tenth of the run, then what came of the three promises: from the end of the first tenth to the end of
the run memory grows by at most 5 MB, no file handle is added, and a step takes at most 5 % longer. Other programs take
time from this one and slow down the processor under it, so a step's processor time is told in pieces of fixed work
that are done between the steps, a hundredth of the time; wall time is printed beside it. The exit code is 0 if all
three promises are kept.
"""

import argparse
import json
import platform
import sys
import tempfile
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import ase
import numpy as np
import torch

from painn_ase import PaiNNCalculator, run_md
from painn_ase.simulate import Output
from painn_ase.structures import read_structure
from painn_ase.testing.endurance import GROWTH, open_files, resident

SLOWER = 0.05
PARTS = 50  # samples of a run
OFTEN = 100  # steps between pieces of fixed work


class Counting:
    """A backend that looks at the process at every so many calls, and does fixed work in between."""

    def __init__(self, backend: Any, every: int) -> None:
        self.backend, self.every, self.calls = backend, every, 0
        self.work, self.pieces, self.piece_seconds = np.eye(48) + 0.01, 0, 0.0
        self.samples: list[tuple[float, ...]] = []  # wall, own and piece seconds, pieces, MB, files

    def __getattr__(self, name: str) -> Any:
        return getattr(self.backend, name)

    def evaluate(self, graph: Any, properties: Any) -> Any:
        if self.calls % self.every == 0:
            work = self.piece_seconds, self.pieces
            self.samples.append((perf_counter(), process_time() - work[0], *work, resident(), open_files()))
        if self.calls % OFTEN == 0:
            begin = process_time()
            for _ in range(60):
                np.tanh(self.work @ self.work).sum()
            self.piece_seconds += process_time() - begin
            self.pieces += 1
        self.calls += 1
        return self.backend.evaluate(graph, properties)


def long_run(steps: int, model: str, backend: str, folder: Path) -> dict[str, Any]:
    """Figures of a run of a model's example structure at 300 K, dipoles recorded."""
    atoms = read_structure(model)
    atoms.calc = PaiNNCalculator(model, backend=backend)
    counting = atoms.calc.backend = Counting(atoms.calc.backend, max(1, steps // PARTS))
    begin = perf_counter()
    run = run_md(
        atoms,
        steps=steps,
        temperature=300,
        timestep=0.5,
        record={"dipole": 10},
        output=Output(trajectory_every=1000),
        path=folder / "run",
        progress=False,
    )
    wall = perf_counter() - begin
    samples = np.array(counting.samples[: PARTS + 1])
    tenths = samples[:: PARTS // 10]
    wall_seconds, own, piece, pieces = np.diff(tenths[:, :4], axis=0).T
    per_step = own * pieces / piece / (steps // 10)  # in pieces of fixed work
    return {
        "steps": run.summary["steps"],
        "atoms": len(atoms),
        "backend": atoms.calc.backend.name,
        "wall / s": wall,
        "MB": tenths[:, 4].tolist(),
        "open files": tenths[:, 5].astype(int).tolist(),
        "steps per second": (steps // 10 / wall_seconds).tolist(),
        "steps per second of processor time": (steps // 10 / own).tolist(),
        "pieces of fixed work per step": per_step.tolist(),
        "growth / MB": float(tenths[-1, 4] - tenths[1, 4]),
        "more files": int(tenths[-1, 5] - tenths[1, 5]),
        "slower by": float(per_step[-1] / per_step[0] - 1),
    }


def table(found: dict[str, Any]) -> str:
    """The figures in words."""
    lines = [f"{found['steps']} steps of {found['atoms']} atoms on {found['backend']}: {found['wall / s']:.0f} s"]
    lines.append("   part   steps/s   of processor time   work/step       MB   open files")
    names = ("steps per second", "steps per second of processor time", "pieces of fixed work per step")
    columns = [*(found[name] for name in names), found["MB"][1:], found["open files"][1:]]
    for k, (wall, own, work, memory, files) in enumerate(zip(*columns, strict=True)):
        lines.append(f"{10 * k + 10:5d} % {wall:9.0f} {own:19.0f} {work:11.3f} {memory:8.1f} {files:12d}")
    lines.append(f"memory     {found['growth / MB']:+.2f} MB (at most {GROWTH:g})")
    lines.append(f"files      {found['more files']:+d} (at most 0)")
    lines.append(f"a step     {100 * found['slower by']:+.1f} % of work (at most {100 * SLOWER:.0f} % more)")
    return "\n".join(lines)


def kept(found: dict[str, Any]) -> bool:
    """Whether the promises are kept."""
    return found["growth / MB"] <= GROWTH and found["more files"] <= 0 and found["slower by"] <= SLOWER


def main() -> int:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--steps", type=int, default=1_000_000, help="a multiple of 50 (default: %(default)s)")
    p.add_argument("--model", default="ethanol", help="bundled name or model folder (default: %(default)s)")
    p.add_argument("--backend", default="native", help="(default: %(default)s)")
    p.add_argument("--json", type=Path, help="figures go here, too")
    options = p.parse_args()
    if options.steps < PARTS or options.steps % PARTS:
        p.error(f"--steps: expected a multiple of {PARTS}; got {options.steps}")
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        found = long_run(options.steps, options.model, options.backend, Path(folder))
    print(table(found))
    if options.json:
        versions = {"ase": ase.__version__, "torch": torch.__version__, "python": platform.python_version()}
        machine = {"machine": platform.machine(), "system": platform.system(), **versions}
        options.json.write_text(json.dumps(found | machine, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return int(not kept(found))


if __name__ == "__main__":
    sys.exit(main())
