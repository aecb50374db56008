"""Two processes never write the same run; the lock ends with the process that holds it, however that ends."""

import multiprocessing
import os
import signal

import numpy as np
import pytest

from painn_ase import PaiNNCalculator, relax, run_md, run_rpmd
from painn_ase.errors import InputError
from painn_ase.files import only_writer
from painn_ase.simulate import Protocol, simulate_spectra
from painn_ase.spectra.harmonic import normal_modes
from painn_ase.structures import read_structure

SPAWN = multiprocessing.get_context("spawn")


def hold(path, ready, leave):
    with only_writer(path):
        ready.set()
        leave.wait(60)


@pytest.fixture
def atoms():
    atoms = read_structure("water")
    atoms.calc = PaiNNCalculator("water")
    return atoms


@pytest.fixture
def holder(tmp_path):
    """Another process that writes `tmp_path / "run"`."""
    ready, leave = SPAWN.Event(), SPAWN.Event()
    process = SPAWN.Process(target=hold, args=(tmp_path / "run", ready, leave))
    process.start()
    assert ready.wait(60)
    yield process
    if process.is_alive():  # one killed in its sleep would never be woken
        leave.set()
    process.join(60)


def test_every_driver_refuses_a_run_that_another_process_writes(holder, atoms, tmp_path):
    path = tmp_path / "run"
    before = sorted(tmp_path.iterdir())
    for drive in (
        lambda: run_md(atoms, steps=2, path=path, overwrite=True, progress=False),
        lambda: relax(atoms, path=path, overwrite=True, progress=False),
        lambda: run_rpmd(atoms, beads=2, steps=2, equilibration=0.0, path=path, overwrite=True, progress=False),
        lambda: simulate_spectra(atoms, path=tmp_path, protocol=Protocol(length=5.0, trajectories=1), overwrite=True),
    ):
        with pytest.raises(InputError, match="another process is writing this run"):
            drive()
    assert sorted(tmp_path.iterdir()) == before
    run_md(atoms, steps=2, path=tmp_path / "other", progress=False)


def test_a_killed_writer_leaves_no_lock_that_holds(holder, atoms, tmp_path):
    os.kill(holder.pid, signal.SIGKILL)
    holder.join(60)
    run_md(atoms, steps=2, path=tmp_path / "run", progress=False)
    assert {p.suffix for p in tmp_path.iterdir()} == {".h5", ".traj", ".npz"}  # and no lock is left


def test_threads_of_one_process_exclude_each_other_too(tmp_path):
    with only_writer(tmp_path / "run"), pytest.raises(InputError), only_writer(tmp_path / "run"):
        pass
    with only_writer(tmp_path / "run"):
        pass
    assert not list(tmp_path.iterdir())


def test_zero_wavenumbers_are_not_imaginary():
    """Round-off of a flat direction; -0.06 cm⁻¹ would be printed as 0.1i and is one."""
    hessian = np.diag([-1e-14, 1.0, -1.0])
    modes = normal_modes(hessian, [1.0])
    assert modes.imaginary.tolist() == [0]
    assert modes.wavenumbers[0] < -500
    assert abs(modes.wavenumbers[1]) < 0.05
