"""Time of a force call and of a step of molecular dynamics, native kernel against PyTorch, interleaved in one run.

Four ways to the same energy and forces take turns, round after round, and the minimum of each counts: `plain` is the
yardstick, `torch` the torch backend, `native` the kernel with one and with two threads. One-thread figures are CPU
time of the process, the others wall time. All are checked against float64 first.

The floor is what the arithmetic of one call costs at least: 162 F² floating-point operations per atom in matrix
products at the rate of torch's own sgemm, and 214 F multiply-adds per directed pair at the rate of the kernel's vector
units (both measured here); `peak` is the same with matrix products at the vector rate as well.
"""

import platform
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase import units
from ase.build import molecule
from ase.calculators.calculator import Calculator
from ase.md.langevin import Langevin

from painn_ase import __version__
from painn_ase.backends import Backend, NativeBackend, TorchBackend
from painn_ase.bench.systems import CUTOFF, random_model, systems, water
from painn_ase.bench.yardstick import Yardstick
from painn_ase.calculator import PaiNNCalculator
from painn_ase.errors import SimulationError
from painn_ase.graph import AtomicGraph
from painn_ase.model import Model
from painn_ase.native.library import vector_rate
from painn_ase.neighbors import graph_of, neighbor_list

NODE_FLOPS, PAIR_MULTIPLY_ADDS = 162, 214  # per F² and atom, per F and directed pair: energy and forces, T = 3


def measure_speed(
    names: Sequence[str] | None = None,
    *,
    seconds: float = 20.0,
    features: int = 128,
    report: Callable[[str], object] = print,
) -> dict[str, Any]:
    """Compares the native kernel with PyTorch on `names` of `SYSTEMS` (default: all), for `seconds` each.

    Lines of the table go to `report` as they come. Returns "machine" (versions, threads, measured rates), "features",
    "systems" (by name: atoms, pairs, and in ms plain, torch, native, native with 2 threads, floor, peak), "langevin"
    (ms of an ASE step of ethanol, and of its force call) and "neighbors" (ms to build the list).
    Torch runs on one thread meanwhile. Raises `InputError` for unknown names, `PainnError` without the native kernel.
    """
    graphs = systems(names)
    model = random_model(features)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        machine = describe_machine(model, min(1.0, seconds))
        report("\n".join(f"{key}: {value}" for key, value in machine.items() if isinstance(value, str)))
        report(f"\nms per energy and forces, F = {features}, T = 3\n" + header())
        rows = {}
        for name, graph in graphs.items():
            rows[name] = compare(model, graph, seconds) | floors(graph, features, machine)
            report(line(name, rows[name]))
        langevin = langevin_step(PaiNNCalculator(model, backend="native", threads=1), min(4.0, seconds))
        force = best(_call(NativeBackend(model, threads=1), ethanol_graph()), min(3.0, seconds), time.process_time)
        step = {"step": langevin, "force": 1e3 * force}
        report(
            f"\nLangevin step of ethanol through ASE: {step['step']:.3f} ms, force call {step['force']:.3f} ms, "
            f"the rest {step['step'] - step['force']:.3f} ms"
        )
        lists = neighbor_lists(min(1.0, seconds))
        report("neighbour list, ms: " + ", ".join(f"{name} {value:.3f}" for name, value in lists.items()))
    finally:
        torch.set_num_threads(threads)
    return {"machine": machine, "features": features, "systems": rows, "langevin": step, "neighbors": lists}


def describe_machine(model: Model, seconds: float) -> dict[str, Any]:
    """Processor, versions, threads, and what one core of it can do (operations and multiply-adds per second)."""
    a, b = torch.randn(1536, 1536), torch.randn(1536, 1536)
    sgemm = 2 * 1536**3 / best(lambda: torch.mm(a, b), seconds, time.process_time)
    vector = vector_rate()
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    cpu = next((x.split(":")[1].strip() for x in lines if x.startswith("model name")), platform.machine())
    return {
        "cpu": f"{cpu}, {platform.system()} {platform.release()}",
        "versions": f"painn_ase {__version__}, torch {torch.__version__}, python {platform.python_version()}",
        "threads": "1, and 2 in the column that says so",
        "instruction set": NativeBackend(model).instruction_set,
        "sgemm": f"{sgemm / 1e9:.0f} GFLOP/s",
        "vector": f"{vector / 1e9:.0f} G multiply-adds/s",
        "sgemm_rate": sgemm,
        "vector_rate": vector,
    }


def best(call: Callable[[], object], seconds: float, clock: Callable[[], float] = time.perf_counter) -> float:
    """Least seconds of many calls within the given time."""
    call()
    least, end = np.inf, time.perf_counter() + seconds
    while least == np.inf or time.perf_counter() < end:
        start = clock()
        call()
        least = min(least, clock() - start)
    return least


def compare(model: Model, graph: AtomicGraph, seconds: float) -> dict[str, float]:
    """ms of the four ways, from rounds in which each takes its turn."""
    plain = Yardstick(model, graph)
    check(plain, graph, model)
    calls: dict[str, tuple[Callable[[], object], Callable[[], float]]] = {
        "plain": (plain, time.process_time),
        "torch": (_call(TorchBackend(model), graph), time.process_time),
        "native": (_call(NativeBackend(model, threads=1), graph), time.process_time),
        "native, 2 threads": (_call(NativeBackend(model, threads=2), graph), time.perf_counter),
    }
    least = dict.fromkeys(calls, np.inf)
    rounds, end = 0, time.perf_counter() + seconds
    while rounds < 3 or time.perf_counter() < end:
        for name, (call, clock) in calls.items():
            least[name] = min(least[name], best(call, min(0.1, seconds / 12), clock))
        rounds += 1
    return {name: 1e3 * value for name, value in least.items()}


def _call(backend: Backend, graph: AtomicGraph) -> Callable[[], dict[str, np.ndarray]]:
    """Energy and forces as if the positions were new: backends keep what they know of one graph object."""
    return lambda: backend.evaluate(AtomicGraph(**vars(graph)), ("energy", "forces"))


def check(plain: Yardstick, graph: AtomicGraph, model: Model) -> None:
    """All ways give the same forces, or there is nothing to compare: `SimulationError`."""
    exact = _call(TorchBackend(model, dtype="float64"), graph)()["forces"]
    forces = {"the yardstick": plain()[1].numpy()}
    for backend in (TorchBackend(model), NativeBackend(model)):
        forces[f"the {backend.name} backend"] = _call(backend, graph)()["forces"]
    for name, found in forces.items():
        error = np.abs(found - exact).max() / np.abs(exact).max()
        if not error < 1e-5:  # float32 rounding is about 1e-6
            raise SimulationError(f"benchmark: forces of {name} differ from float64 by {error:.1e} of the largest")


def floors(graph: AtomicGraph, features: int, machine: dict[str, Any]) -> dict[str, float]:
    """Size of the system, and ms that its arithmetic needs at least."""
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


def ethanol_graph() -> AtomicGraph:
    """The molecule of `langevin_step`."""
    return graph_of(molecule("CH3CH2OH"), CUTOFF)


def langevin_step(calculator: Calculator, seconds: float, timestep: float = 0.01) -> float:
    """Least ms, over slices of 100, of a step of ethanol with `calculator` through ASE's own Langevin driver.

    The default `timestep` in fs is so short that a random model stays where its forces are moderate.
    """
    atoms = molecule("CH3CH2OH")
    atoms.calc = calculator
    dynamics = Langevin(
        atoms,
        timestep * units.fs,
        temperature_K=300,
        friction=0.01 / units.fs,
        fixcm=False,
        rng=np.random.default_rng(0),
    )
    return 1e3 * best(lambda: dynamics.run(100), seconds, time.process_time) / 100


def neighbor_lists(seconds: float) -> dict[str, float]:
    """ms to build the list once, by the default neighbour list."""
    found = {}
    boxes = {"ethanol": molecule("CH3CH2OH"), "water 192": water((4, 4, 4)), "water 3000": water((10, 10, 10))}
    for name, atoms in boxes.items():
        build = partial(neighbor_list("matscipy"), atoms.positions, atoms.cell.array, atoms.pbc, CUTOFF)
        found[name] = 1e3 * best(build, seconds)
    return found
