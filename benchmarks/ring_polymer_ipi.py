"""Our ring polymer beside i-PI driving one client, on the same model and conditions, in turns within one run.

    python benchmarks/ring_polymer_ipi.py [--beads 32] [--steps 4000] [--threads 2] [--json result.json]

Ethanol at 300 K by PILE-G in steps of 0.25 fs. Blocks of steps take turns between
    ours          all beads in one evaluation
    i-PI, socket  i-PI and one `painn-ase ipi-driver`, bead by bead over a UNIX socket: what i-PI users do
    i-PI, batch   the same with i-PI's batches of all beads (its release 3.3)
    i-PI, ASE     the same as the first with ASE's own socket client, the usual way without a driver of one's own
and the median and the least block count (wall time); engines that are not in turn sleep. No engine writes trajectories
or evaluates anything but energy and forces. The averages of the engines over the run are printed with their errors;
i-PI counts the centre of mass that is at rest, which is subtracted. Needs the extra `ipi`.
"""

import argparse
import contextlib
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from ase.units import kB

from painn_ase import PaiNNCalculator, __version__
from painn_ase.simulate.replicas import batch
from painn_ase.simulate.replicas.modes import Ring
from painn_ase.simulate.replicas.motion import Replicas
from painn_ase.simulate.replicas.thermostat import THERMOSTATS
from painn_ase.simulate.ring_polymer.beads import ipi_frame
from painn_ase.simulate.ring_polymer.estimators import primitive_kinetic_energy, virial_kinetic_energies
from painn_ase.simulate.run.averages import estimate
from painn_ase.structures import read_structure

INPUT = """
<simulation verbosity='quiet' safe_stride='100000000'>
  <output prefix='{prefix}'/>
  <total_steps> 100000000 </total_steps>
  <prng><seed> 1 </seed></prng>
  <ffsocket name='painn' mode='unix'>
    <address> {address} </address>
    <latency> 1e-5 </latency>
    {batch}
  </ffsocket>
  <system>
    <initialize nbeads='{beads}'>
      <file mode='xyz'> init.xyz </file>
      <velocities mode='thermal' units='kelvin'> 300 </velocities>
    </initialize>
    <forces><force forcefield='painn'/></forces>
    <ensemble><temperature units='kelvin'> 300 </temperature></ensemble>
    <motion mode='dynamics'>
      <dynamics mode='nvt'>
        <timestep units='femtosecond'> 0.25 </timestep>
        <thermostat mode='pile_g'><tau units='femtosecond'> 100 </tau></thermostat>
      </dynamics>
    </motion>
  </system>
</simulation>
"""
ASE_CLIENT = """
import sys, time
from pathlib import Path
import torch
from ase.calculators.socketio import SocketClient
from painn_ase import PaiNNCalculator
from painn_ase.structures import read_structure
torch.set_num_threads(1)
atoms = read_structure("ethanol")
atoms.calc = PaiNNCalculator("ethanol")
while not Path("/tmp/ipi_" + sys.argv[1]).exists():
    time.sleep(0.1)
SocketClient(unixsocket=sys.argv[1]).run(atoms)
"""
NAMES = ("potential", "kinetic_cv", "kinetic_td", "temperature")


class Ours:
    """Our engine."""

    def __init__(self, beads: int, threads: int) -> None:
        atoms = read_structure("ethanol")
        atoms.calc = PaiNNCalculator("ethanol", threads=threads)
        self.ring = Ring(beads, atoms.get_masses(), 300.0, 0.25)
        generators = [np.random.default_rng(0)]
        evaluate = batch.evaluator(atoms)
        self.polymers = Replicas(self.ring, evaluate, atoms.positions, THERMOSTATS["pile-g"], generators)
        self.found = self.polymers.start()

    def run(self, steps: int) -> None:
        for _ in range(steps):
            self.found = self.polymers.step()

    def sample(self) -> list[float]:
        p = self.polymers
        virial = virial_kinetic_energies(self.ring, p.positions, p.forces).sum()
        primitive = primitive_kinetic_energy(self.ring, p.spring_energy)[0]
        return [self.found["energy"].mean(), virial, primitive, p.temperature[0]]


class Theirs:
    """i-PI in this process, and one client in another."""

    def __init__(self, beads: int, threads: int, batch: bool = False, plain: bool = False) -> None:
        from ipi.scripting import InteractiveSimulation

        address = f"painn_bench_{uuid.uuid4().hex[:8]}"
        program = shutil.which("painn-ase", path=str(Path(sys.executable).parent)) or "painn-ase"
        command = [program, "ipi-driver", "ethanol", "--unix", address]
        if plain:
            command = [sys.executable, "-c", ASE_CLIENT, address]
        environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
        self.client = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)  # ends with the group
        size = f"<batch_size> {beads} </batch_size>" if batch else ""
        text = INPUT.format(prefix=address, address=address, beads=beads, batch=size)
        with contextlib.redirect_stdout(None):
            self.simulation = InteractiveSimulation(text)

    def run(self, steps: int) -> None:
        with contextlib.redirect_stdout(None):
            self.simulation.run(steps, write_outputs=False)

    def sample(self) -> list[float]:
        values = [float(self.simulation.properties(name)) for name in NAMES]
        return [values[0], values[1] - 1.5 * kB * 300, values[2] - 1.5 * kB * 300, values[3]]


class Worker:
    """An engine in a process group of its own, which sleeps while others are measured: i-PI's threads never rest."""

    def __init__(self, name: str, options: argparse.Namespace) -> None:
        command = [sys.executable, str(Path(__file__).resolve()), "--engine", name]
        command += ["--beads", str(options.beads), "--threads", str(options.threads)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        self.turn(0)

    def turn(self, steps: int) -> tuple[float, list[float]]:
        """Seconds per step of so many steps, and a sample after them."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        os.killpg(self.process.pid, signal.SIGCONT)
        self.process.stdin.write(f"{steps}\n")
        self.process.stdin.flush()
        seconds, *sample = json.loads(self.process.stdout.readline())
        os.killpg(self.process.pid, signal.SIGSTOP)
        return seconds, sample

    def close(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def serve(options: argparse.Namespace) -> None:
    """What the process of one engine does: so many steps for every number that comes in."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what i-PI prints is no answer
    torch.set_num_threads(options.threads)
    atoms = read_structure("ethanol")
    Path("init.xyz").write_text(ipi_frame(atoms, atoms.positions), encoding="utf-8")
    engine = ENGINES[options.engine](options.beads, options.threads)
    for line in sys.stdin:
        steps = int(line)
        begin = time.perf_counter()
        if steps:
            engine.run(steps)
        seconds = (time.perf_counter() - begin) / max(steps, 1)
        answers.write(json.dumps([seconds, *(map(float, engine.sample()) if steps else ())]) + "\n")
        answers.flush()


ENGINES: dict[str, Callable[[int, int], Ours | Theirs]] = {
    "ours": Ours,
    "i-PI, socket": Theirs,
    "i-PI, batch": partial(Theirs, batch=True),
    "i-PI, ASE": partial(Theirs, plain=True),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--beads", type=int, default=32)
    parser.add_argument("--steps", type=int, default=4000, help="of each engine after equilibration")
    parser.add_argument("--warm-up", type=int, default=1500, help="steps before")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of the evaluation, in every engine")
    parser.add_argument("--json", help="also write the numbers here")
    parser.add_argument("--engine", choices=sorted(ENGINES), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.engine:
        return serve(options)
    target = None if options.json is None else Path(options.json).resolve()
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        workers: dict[str, Worker] = {}
        try:
            for name in ENGINES:
                workers[name] = Worker(name, options)
            seconds, samples = interleaved(workers, options.warm_up, options.steps)
        finally:
            for worker in workers.values():
                worker.close()
    result = report(options, seconds, samples)
    if target is not None:
        target.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def interleaved(workers: dict[str, Worker], warm_up: int, steps: int, block: int = 20) -> tuple[dict, dict]:
    """Seconds per step of every block, and samples after each, by engine."""
    for worker in workers.values():
        worker.turn(warm_up)
    seconds: dict = {name: [] for name in workers}
    samples: dict = {name: [] for name in workers}
    for _ in range(steps // block):
        for name, worker in workers.items():
            spent, sample = worker.turn(block)  # i-PI writes its restart file at the end of each call, every 20 steps
            seconds[name].append(spent)
            samples[name].append(sample)
    return seconds, samples


def report(options: argparse.Namespace, seconds: dict, samples: dict) -> dict:
    print(f"ethanol, {options.beads} beads, {options.threads} thread(s), {platform.machine()}, painn_ase {__version__}")
    median = {name: 1e3 * float(np.median(values)) for name, values in seconds.items()}
    least = {name: 1e3 * float(np.min(values)) for name, values in seconds.items()}
    for name, value in median.items():
        print(
            f"{name:14s}{value:8.2f} ms a step (median), {least[name]:8.2f} ms (least); "
            f"ratio to ours {value / median['ours']:.2f} and {least[name] / least['ours']:.2f}"
        )
    averages = {}
    print(f"{'':14s}" + "".join(f"{name:>26s}" for name in ("V / eV", "K virial / eV", "K primitive / eV", "T / K")))
    for name, rows in samples.items():
        values = [estimate(column)[:2] for column in np.array(rows).T]
        averages[name] = values
        print(f"{name:14s}" + "".join(f"{mean:16.4f} ± {error:<7.4f}" for mean, error in values))
    return {"ms per step": median, "least": least, "averages": averages, "settings": vars(options)}


if __name__ == "__main__":
    main()
