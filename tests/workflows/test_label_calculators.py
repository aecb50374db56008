"""Calculators of others label each structure with its own numbers, or not at all."""

import json

import numpy as np
import pytest
from ase.build import molecule
from ase.calculators.emt import EMT
from ase.io import read

from painn_ase.errors import InputError, SimulationError
from painn_ase.reference import label

from helpers.file_calculators import (
    Broken,
    Charged,
    Program,
    charged,
    fixed_directory,
    fixed_label,
    hard_wired,
    own_directory,
)


def frames(count=6):
    made = []
    for seed in range(count):
        atoms = molecule("CH3CH2OH")
        atoms.rattle(0.05, seed=seed)
        atoms.info["number"] = seed
        made.append(atoms)
    return made


SLOW = pytest.mark.slow  # worker processes import for seconds


@pytest.mark.parametrize(
    "make", [fixed_directory, *(pytest.param(f, marks=SLOW) for f in (fixed_label, own_directory))]
)
def test_calculators_that_share_a_directory_do_not_label_each_others_structures(tmp_path, monkeypatch, make):
    monkeypatch.setenv("FIXED", str(tmp_path / "calc"))
    outcome = label(frames(), make, tmp_path / "out.extxyz", processes=2)
    assert not outcome.failed
    for atoms in read(outcome.path, ":"):
        assert atoms.get_potential_energy() == pytest.approx(atoms.positions.sum(), abs=1e-9)
    assert not (tmp_path / "calc").exists()
    assert not (tmp_path / "out.extxyz.scratch").exists()


@pytest.mark.slow
def test_files_in_one_place_that_no_directory_moves_end_a_parallel_run(tmp_path, monkeypatch):
    monkeypatch.setenv("HARD_WIRED", str(tmp_path))
    with pytest.raises(InputError, match=r"several processes write .*job.in.*directory.*processes=1"):
        label(frames(), hard_wired, tmp_path / "out.extxyz", properties=["energy"], processes=2)
    assert not (tmp_path / "out.extxyz").exists()
    label(frames(), hard_wired, tmp_path / "out.extxyz", properties=["energy"])
    for atoms in read(tmp_path / "out.extxyz", ":"):
        assert atoms.get_potential_energy() == pytest.approx(atoms.positions.sum(), abs=1e-9)


def test_a_program_that_ignores_its_directory_is_found_out(tmp_path):
    class Elsewhere(Program):
        def write_input(self, atoms, properties=None, system_changes=None):
            pass

        def execute(self):
            pass

        def read_results(self):
            self.results = {"energy": 1.0, "forces": np.zeros((9, 3))}

    with pytest.raises(SimulationError, match="wrote nothing into its directory"):
        label(frames(1), Elsewhere, tmp_path / "out.extxyz")


def test_an_answer_for_another_structure_is_no_label(tmp_path):
    class Confused(EMT):
        def calculate(self, atoms=None, *arguments):
            super().calculate(atoms, *arguments)
            self.atoms = self.atoms.copy()
            self.atoms.positions[2, 1] += 0.3

    with pytest.raises(SimulationError, match=r"returned another structure .*0.3 Å away"):
        label(frames(1), Confused, tmp_path / "out.extxyz")


def test_charge_spin_and_arrays_reach_the_calculator(tmp_path):
    given = frames(3)
    given[1].info |= {"charge": 1, "multiplicity": 2}
    given[2].info |= {"charge": -1, "multiplicity": 4}
    for atoms in given:
        atoms.set_initial_magnetic_moments(np.linspace(0, 1, 9))
        atoms.set_tags(range(9))
    outcome = label(given, charged, tmp_path / "out.extxyz")
    found = read(outcome.path, ":")
    for atoms, state in zip(found, (100.0, 1200.0, -600.0), strict=True):
        assert atoms.get_potential_energy() == pytest.approx(state + 10 * 4.5 + 36, abs=1e-6)
        assert atoms.get_tags().tolist() == list(range(9))
        np.testing.assert_allclose(atoms.get_initial_magnetic_moments(), np.linspace(0, 1, 9), atol=1e-8)
    assert label(given, charged, outcome.path).computed == 0
    given[0].set_initial_magnetic_moments(np.linspace(1, 0, 9))  # another electronic state
    assert label(given, charged, outcome.path).computed == 1


@pytest.mark.parametrize("state", [{"charge": 1}, {"charge": -2}, {"multiplicity": 3}])
def test_charges_and_spins_that_a_calculator_would_not_see_are_refused(tmp_path, state):
    given = frames(3)
    given[1].info |= state
    with pytest.raises(InputError, match=r"frame 1: info asks for charge .* def make\(atoms\)"):
        label(given, Charged, tmp_path / "out.extxyz")
    assert not list(tmp_path.iterdir())


def test_a_function_of_too_many_things_is_refused(tmp_path):
    with pytest.raises(InputError, match="this one wants atoms, directory, level"):
        label(frames(1), lambda atoms, directory, level: EMT(), tmp_path / "out.extxyz")


@pytest.mark.parametrize("processes", [1, pytest.param(2, marks=SLOW)])
def test_every_kind_of_failure_costs_its_own_frame(tmp_path, processes):
    kinds = ["exit code", "parser", "index", "missing", "nothing", *(["dead"] if processes > 1 else [])]
    given = frames(len(kinds) + 3)
    for atoms, how in zip(given[1:], kinds, strict=False):
        atoms.info["how"] = how
    outcome = label(given, Broken, tmp_path / "out.extxyz", processes=processes)
    assert sorted(outcome.failed) == list(range(1, len(kinds) + 1))
    words = ["CalledProcessError", "ValueError: could not convert", "IndexError", "FileNotFoundError", "", "died"]
    for reason, word in zip(outcome.failed.values(), words, strict=False):
        assert word in reason
    assert [a.info["number"] for a in read(outcome.path, ":")] == [0, *range(len(kinds) + 1, len(given))]
    recorded = json.loads((tmp_path / "out.extxyz.json").read_text())["failed"]
    assert [entry["frame"] for entry in recorded] == sorted(outcome.failed)
