"""Time of a force call and of a step of molecular dynamics, native kernel against PyTorch, interleaved in one run.

    python benchmarks/speed.py [--systems ethanol "water 192"] [--seconds 20] [--json result.json]

Four ways to the same energy and forces take turns, round after round, and the minimum of each counts: `plain` is the
yardstick (benchmarks/_yardstick.py), `torch` the torch backend, `native` the kernel with one and with two threads.
One-thread figures are CPU time of the process, the others wall time. All four are checked against each other first.

The floor is what the arithmetic of one call costs at least: 162 F² floating-point operations per atom in matrix
products at the rate of torch's own sgemm, and 214 F multiply-adds per directed pair at the rate of the kernel's vector
units (both measured here); `peak` is the same with matrix products at the vector rate as well.
"""

import argparse
import json
import platform
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from ase import units
from ase.build import molecule
from ase.md.langevin import Langevin

sys.path.insert(0, str(Path(__file__).parent))
from _systems import CUTOFF, graph_of, random_model, systems, water
from _yardstick import Yardstick

import painn_ase
from painn_ase import PaiNNCalculator
from painn_ase.backends import NativeBackend, TorchBackend
from painn_ase.backends.library import vector_rate
from painn_ase.graph import AtomicGraph
from painn_ase.model import Model
from painn_ase.neighbors import neighbor_list

NODE_FLOPS, PAIR_MULTIPLY_ADDS = 162, 214  # per F² and atom, per F and directed pair: energy and forces, T = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--systems", nargs="*", help="some of: ethanol, aspirin, '64 beads', 'water 192' ...")
    parser.add_argument("--seconds", type=float, default=20.0, help="for each system")
    parser.add_argument("--features", type=int, default=128)
    parser.add_argument("--json", help="also write the numbers here")
    options = parser.parse_args()

    torch.set_num_threads(1)
    model = random_model(options.features)
    machine = describe_machine(model)
    print("\n".join(f"{key}: {value}" for key, value in machine.items()))
    result: dict = {"machine": machine, "features": options.features, "systems": {}}
    print(f"\nms per energy and forces, F = {options.features}, T = 3\n" + header())
    for name, graph in systems(options.systems).items():
        row = compare(model, graph, options.seconds)
        row |= floors(graph, options.features, machine)
        result["systems"][name] = row
        print(line(name, row), flush=True)
    result["langevin"] = langevin_step(model)
    result["neighbors"] = neighbor_lists()
    if find_spec("schnetpack"):
        from _schnetpack import langevin_step as schnetpack_step

        result["schnetpack"] = {"step": schnetpack_step(model)}
        ratio = result["schnetpack"]["step"] / result["langevin"]["step"]
        print(f"\nSchNetPack's calculator, same weights: {result['schnetpack']['step']:.3f} ms per step, {ratio:.1f}x")
    if options.json:
        Path(options.json).write_text(json.dumps(result, indent=1) + "\n")


def describe_machine(model: Model) -> dict:
    a, b = torch.randn(1536, 1536), torch.randn(1536, 1536)
    sgemm = 2 * 1536**3 / best(lambda: torch.mm(a, b), 1.0, time.process_time)
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    cpu = next((x.split(":")[1].strip() for x in lines if x.startswith("model name")), platform.machine())
    return {
        "cpu": f"{cpu}, {platform.system()} {platform.release()}",
        "versions": f"painn_ase {painn_ase.__version__}, torch {torch.__version__}, python {platform.python_version()}",
        "instruction set": NativeBackend(model).instruction_set,
        "sgemm": f"{sgemm / 1e9:.0f} GFLOP/s",
        "vector": f"{vector_rate() / 1e9:.0f} G multiply-adds/s",
        "sgemm_rate": sgemm,
        "vector_rate": vector_rate(),
    }


def best(call: Callable[[], object], seconds: float, clock: Callable[[], float] = time.perf_counter) -> float:
    """Least seconds of many calls within the given time."""
    call()
    least, end = np.inf, time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = clock()
        call()
        least = min(least, clock() - start)
    return least


def compare(model: Model, graph: AtomicGraph, seconds: float) -> dict:
    """ms of the four ways, from rounds in which each takes its turn."""
    plain = Yardstick(model, graph)
    torch_backend = TorchBackend(model)
    native = {threads: kernel_call(NativeBackend(model, threads=threads), graph) for threads in (1, 2)}
    calls: dict[str, tuple[Callable[[], object], Callable[[], float]]] = {
        "plain": (plain, time.process_time),
        "torch": (lambda: fresh(torch_backend, graph), time.process_time),
        "native": (native[1], time.process_time),
        "native, 2 threads": (native[2], time.perf_counter),
    }
    check(plain, graph, model)
    least = dict.fromkeys(calls, np.inf)
    end = time.perf_counter() + seconds
    rounds = 0
    while rounds < 3 or time.perf_counter() < end:
        for name, (call, clock) in calls.items():
            least[name] = min(least[name], best(call, 0.1, clock))
        rounds += 1
    return {name: 1e3 * value for name, value in least.items()}


def fresh(backend, graph: AtomicGraph) -> dict[str, np.ndarray]:
    """Energy and forces as if the positions were new: backends keep what they know of one graph object."""
    moved = AtomicGraph(**vars(graph))
    return backend.evaluate(moved, ("energy", "forces"))


def kernel_call(backend: NativeBackend, graph: AtomicGraph) -> Callable[[], object]:
    return lambda: fresh(backend, graph)


def check(plain: Yardstick, graph: AtomicGraph, model: Model) -> None:
    """All ways give the same forces, or there is nothing to compare."""
    exact = fresh(TorchBackend(model, dtype="float64"), graph)["forces"]
    for forces in (plain()[1].numpy(), fresh(NativeBackend(model), graph)["forces"]):
        error = np.abs(forces - exact).max() / np.abs(exact).max()
        assert error < 1e-5, f"forces differ by {error:.1e} of the largest"


def floors(graph: AtomicGraph, features: int, machine: dict) -> dict:
    pairs = PAIR_MULTIPLY_ADDS * features * graph.n_pairs / machine["vector_rate"]
    flops = NODE_FLOPS * features**2 * graph.n_atoms
    return {
        "atoms": graph.n_atoms,
        "pairs": graph.n_pairs,
        "floor": 1e3 * (flops / machine["sgemm_rate"] + pairs),
        "peak": 1e3 * (flops / (2 * machine["vector_rate"]) + pairs),
    }


def header() -> str:
    return (
        f"{'system':12}{'atoms':>6}{'plain':>10}{'torch':>10}{'native':>9}{'2 thr.':>9}{'plain/native':>14}"
        f"{'1/2 thr.':>9}{'floor':>9}{'native/floor':>14}{'native/peak':>13}"
    )


def line(name: str, row: dict) -> str:
    two = row["native, 2 threads"]
    return (
        f"{name:12}{row['atoms']:6d}{row['plain']:10.3f}{row['torch']:10.3f}{row['native']:9.4f}{two:9.4f}"
        f"{row['plain'] / row['native']:13.1f}x{row['native'] / two:8.2f}x{row['floor']:9.4f}"
        f"{row['native'] / row['floor']:13.2f}x{row['native'] / row['peak']:12.2f}x"
    )


def langevin_step(model: Model) -> dict:
    """A step of ethanol through ASE's own Langevin driver, and what is left of it without the force call."""
    atoms = molecule("CH3CH2OH")
    atoms.calc = PaiNNCalculator(model, backend="native")
    dynamics = Langevin(
        atoms, 0.01 * units.fs, temperature_K=300, friction=0.01, fixcm=False, rng=np.random.default_rng(0)
    )
    dynamics.run(50)
    step = min(best(lambda: dynamics.run(100), 0.5, time.process_time) for _ in range(8)) / 100
    force = best(kernel_call(NativeBackend(model, threads=1), graph_of(atoms)), 3.0, time.process_time)
    print(f"\nLangevin step of ethanol through ASE: {1e3 * step:.3f} ms, force call {1e3 * force:.3f} ms,", end=" ")
    print(f"the rest {1e3 * (step - force):.3f} ms")
    return {"step": 1e3 * step, "force": 1e3 * force}


def neighbor_lists() -> dict:
    """ms to build the list once, by the default neighbour list."""
    found = {}
    for name, atoms in {
        "ethanol": molecule("CH3CH2OH"),
        "water 192": water((4, 4, 4)),
        "water 3000": water((10,) * 3),
    }.items():
        arguments = (atoms.positions, atoms.cell.array, atoms.pbc, CUTOFF)
        found[name] = 1e3 * best(lambda arguments=arguments: neighbor_list("matscipy")(*arguments), 1.0)
    print("neighbour list, ms: " + ", ".join(f"{name} {value:.3f}" for name, value in found.items()))
    return found


if __name__ == "__main__":
    main()
