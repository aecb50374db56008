"""Long runs take no more memory than short ones and leave no file open; calculators of two precisions do not mix.

A million steps of molecular dynamics: python benchmarks/endurance.py
"""

import json
import multiprocessing
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from painn_ase import PaiNNCalculator
from painn_ase.simulate import Output
from painn_ase.simulate.run.observables import Observable
from painn_ase.simulate.run.recorder import Recorder
from painn_ase.simulate.run.restart import Checkpoint
from painn_ase.structures import read_structure
from painn_ase.testing.endurance import GROWTH, open_files, resident

from helpers.random_models import random_model
from helpers.systems import molecule, triclinic

pytestmark = pytest.mark.skipif(open_files() == 0, reason="memory is read from /proc")


def growth(calc, atoms, calls: int) -> tuple[float, int]:
    """MB and file handles that came on top between a tenth of `calls` and all of them."""
    rng, start, files = np.random.default_rng(0), 0.0, 0
    reference = atoms.positions.copy()
    atoms.calc = calc
    for call in range(calls):
        if call == calls // 10:
            start, files = resident(), open_files()
        atoms.positions = reference + 0.03 * rng.normal(size=reference.shape)
        atoms.get_forces()
        atoms.get_potential_energy()
    return resident() - start, open_files() - files


def test_memory_freed_before_hides_nothing_that_is_hoarded_now():
    """Blocks of 64 kB come from the heap, where freed ones wait unless they are given back."""
    freed = [bytearray(b"x" * 65536) for _ in range(800)]
    last = bytearray(b"x" * 65536)  # after them: the heap cannot shrink by itself
    del freed
    start = resident()
    kept = [bytearray(b"x" * 65536) for _ in range(400)]
    assert resident() - start == pytest.approx(25, abs=3)
    assert len(kept) == 400
    assert last


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::painn_ase.coverage.CoverageWarning")  # among so many some leave the data
@pytest.mark.parametrize("backend", ["auto", "torch"])
def test_hundred_thousand_calls_take_no_memory_and_no_files(backend):
    calls, allowed = (100_000, GROWTH) if backend == "auto" else (10_000, GROWTH / 2)  # the slower one in less time
    megabytes, files = growth(PaiNNCalculator("ethanol", backend=backend), read_structure("ethanol"), calls)
    print(f"{calls} calls on {backend}: {megabytes:+.2f} MB, {files:+d} files")
    assert megabytes <= allowed
    assert files <= 0


@pytest.mark.slow
def test_twenty_thousand_recorded_steps_take_no_memory_and_no_files(tmp_path):
    """The million is left to whoever runs the command; speed is not judged beside other tests."""
    script = Path(__file__).parents[2] / "benchmarks" / "endurance.py"
    command = [sys.executable, str(script), "--steps", "20000", "--backend", "auto", "--json", str(tmp_path / "a.json")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = json.loads((tmp_path / "a.json").read_text())
    print(done.stdout)
    assert found["steps"] == 20_000
    assert found["growth / MB"] <= GROWTH
    assert found["more files"] <= 0


def test_what_a_recorder_has_written_does_not_stay_in_memory(tmp_path):
    """120,000 rows of four numbers are 3.8 MB; HDF5 would keep as much of them as its caches hold."""
    plan = [(Observable(f"number {k}", "1", lambda moment: 0.5), 1) for k in range(4)]
    moment = SimpleNamespace(step=0)
    saved = Checkpoint(tmp_path / "run", {}, 1e9)
    with Recorder(tmp_path / "run", plan, {}, Output(None, sync=1e9), saved) as recorder:
        for step in range(120_000):
            if step == 12_000:
                recorder.sync()
                start = resident()
            moment.step = step
            recorder.record(moment)
        recorder.sync()
        grown = resident() - start
    print(f"{grown:+.2f} MB")
    assert grown < 2


def test_a_thousand_calls_take_no_memory_and_no_files():
    megabytes, files = growth(PaiNNCalculator(random_model(heads={"energy": {}})), molecule(), 1000)
    assert megabytes <= GROWTH
    assert files <= 0


def test_loading_models_leaves_no_file_open():
    PaiNNCalculator("ethanol")
    before = open_files()
    for _ in range(5):
        PaiNNCalculator("ethanol")
    assert open_files() <= before


def test_calculators_of_two_precisions_interleaved_in_threads_keep_their_own():
    model = random_model()
    structures = [molecule(), triclinic()] * 10
    single, double = (PaiNNCalculator(model, dtype=dtype) for dtype in ("float32", "float64"))
    alone = {c: [c.get_property("forces", a) for a in structures] for c in (single, double)}
    barrier = threading.Barrier(2)

    def work(calc):
        barrier.wait()
        return [calc.get_property("forces", atoms) for atoms in structures]

    with ThreadPoolExecutor(2) as pool:
        together = dict(zip(alone, pool.map(work, alone), strict=True))
    for calc, tolerance in ((single, 2e-5), (double, 1e-11)):
        for one, other in zip(alone[calc], together[calc], strict=True):
            np.testing.assert_allclose(other, one, atol=tolerance * max(1.0, np.abs(one).max()))
    assert np.abs(alone[single][0] - alone[double][0]).max() > 1e-9  # they do differ


def _forces(calc, atoms, connection):
    connection.send(calc.get_property("forces", atoms))
    connection.close()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of forking beside threads
@pytest.mark.parametrize("method", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
def test_calculators_of_two_precisions_in_processes_keep_their_own(method):
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"no {method} here")
    context, model = multiprocessing.get_context(method), random_model()
    calculators = [PaiNNCalculator(model, dtype=dtype) for dtype in ("float32", "float64", "float32", "float64")]
    expected = [calc.get_property("forces", molecule()) for calc in calculators]
    for calc in calculators:
        calc.reset()
    started = []
    for calc in calculators:
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=_forces, args=(calc, molecule(), theirs))
        process.start()
        started.append((process, ours))
    for (process, connection), forces in zip(started, expected, strict=True):
        assert connection.poll(120)
        np.testing.assert_allclose(connection.recv(), forces, atol=1e-5 * np.abs(forces).max())
        process.join(60)
        assert process.exitcode == 0
