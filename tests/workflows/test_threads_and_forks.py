"""Clones and calculators in threads say what they say alone, and forked children compute whatever the parent did."""

import copy
import os
import pickle
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule

from painn_ase import PaiNNCalculator

from helpers.random_models import random_model

HEADS = {"energy": {}, "dipole": {}, "polarizability": {}}
NAMES = ("dipole", "polarizability", "forces")


def frames(count: int) -> list[Atoms]:
    found = []
    for seed in range(count):
        atoms = molecule("CH3CH2OH")
        atoms.rattle(0.05, seed=seed)
        found.append(atoms)
    return found


def answers(calc, atoms: Atoms) -> np.ndarray:
    return np.concatenate([np.ravel(calc.get_property(name, atoms)) for name in NAMES])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("duplicate", [lambda c: c.clone(), copy.deepcopy], ids=["clone", "deepcopy"])
def test_copies_in_threads_say_what_they_say_alone(dtype, duplicate):
    """24 to 37 of 60 dipoles were those of another structure: clones shared the features of the last one."""
    base = PaiNNCalculator(random_model(heads=HEADS), dtype=dtype)
    systems = frames(40)
    expected = [answers(base, atoms) for atoms in systems]
    copies = [duplicate(base) for _ in systems]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(answers, copies, systems))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_one_calculator_serves_threads_one_after_the_other(dtype):
    base = PaiNNCalculator(random_model(heads=HEADS), dtype=dtype)
    systems = frames(40)
    expected = [answers(base, atoms) for atoms in systems]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda atoms: answers(base, atoms), systems))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)


def test_twins_share_weights_and_remember_nothing_of_each_other():
    base = PaiNNCalculator(random_model(heads=HEADS), dtype="float64", backend="torch")
    one, other = frames(2)
    base.get_property("forces", one)
    twin = base.clone()
    assert twin.backend is not base.backend
    assert twin.backend.model is base.backend.model
    assert twin.backend._state is None
    twin.get_property("forces", other)
    assert base.backend._graph is base._graph


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda c: pickle.loads(pickle.dumps(c))])
def test_copies_cost_no_tables(duplicate):
    """Half a second each went into tabulating the filters again."""
    calc = PaiNNCalculator(random_model(heads=HEADS))
    started = time.process_time()
    made = PaiNNCalculator(random_model(heads=HEADS))
    fresh, started = time.process_time() - started, time.process_time()
    twin = duplicate(calc)
    assert time.process_time() - started < fresh / 2
    atoms = frames(1)[0]
    np.testing.assert_array_equal(answers(twin, atoms), answers(calc, atoms))
    np.testing.assert_array_equal(answers(made, atoms), answers(calc, atoms))


FORKS = """
import copy, multiprocessing, os, sys
import torch
from ase.build import molecule
from painn_ase import PaiNNCalculator, vibrations

dtype = sys.argv[1]

def new(atoms): return PaiNNCalculator("ethanol-small", dtype=dtype).get_property("energy", atoms)
def unpickled(atoms): return atoms.get_potential_energy()
def copied(atoms): return copy.deepcopy(atoms.calc).get_property("energy", atoms)
def hessian(atoms): return atoms.calc.get_hessian(atoms)[0, 0]
def born(atoms): return atoms.calc.get_property("born_effective_charges", atoms)[0, 0, 0]
def modes(atoms): return vibrations(atoms, fmax=100).frequencies[-1]
def threads(atoms): return PaiNNCalculator("ethanol-small", dtype=dtype, threads=2).get_property("energy", atoms)

atoms = molecule("CH3CH2OH")
atoms.calc = PaiNNCalculator("ethanol-small", dtype=dtype)
tasks = (unpickled, new, copied, hessian, born, modes, threads)
assert torch.get_num_threads() > 1
large = torch.ones(300_000).double()  # operations on it are parallel
large.sum(), torch.ones(512, 512) @ torch.ones(512, 512), large.clone()
expected = [task(atoms) for task in tasks]
with multiprocessing.get_context("fork").Pool(1) as pool:
    for task, right in zip(tasks, expected):
        print(task.__name__, flush=True)
        found = pool.apply_async(task, (atoms,)).get(timeout=30)
        assert abs(found - right) < 1e-4 * abs(right), (found, right)
assert torch.get_num_threads() > 1
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no forks here")
@pytest.mark.parametrize("dtype", ["float32", pytest.param("float64", marks=pytest.mark.slow)])
def test_forked_children_compute_what_the_parent_computes(dtype):
    """With several threads, as users have it; the suite itself runs on one, which hides that a child waits for ever."""
    environment = {k: v for k, v in os.environ.items() if not k.endswith("NUM_THREADS")} | {"OMP_NUM_THREADS": "2"}
    words = [sys.executable, "-W", "ignore", "-c", FORKS, dtype]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr[-2000:]}"
