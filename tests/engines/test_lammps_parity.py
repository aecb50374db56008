"""LAMMPS on any number of ranks gives the energies, forces and stress of the native backend."""

from functools import cache

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc111, molecule

from painn_ase import PaiNNCalculator, load_model
from painn_ase.model import Model

from helpers.lammps_runs import BAR, Setting, evaluate, turned
from helpers.native_systems import water_box
from helpers.random_models import random_model

pytestmark = [
    pytest.mark.lammps,
    pytest.mark.filterwarnings("ignore::painn_ase.coverage.monitor.CoverageWarning"),  # any structure will do
]

ENERGY = {"heads": {"energy": {}}}


def silicon() -> Atoms:
    return bulk("Si", cubic=True) * 3


def skewed() -> Atoms:
    atoms = bulk("Si", cubic=True) * (1, 2, 3)
    atoms.set_cell(atoms.cell.array @ [[1.01, 0, 0], [0.2, 0.995, 0], [0.13, -0.1, 1.004]], scale_atoms=True)
    return atoms


def slab() -> Atoms:
    atoms = fcc111("Si", (3, 3, 4), a=4.6, vacuum=None, orthogonal=False)
    atoms.pbc = (True, True, False)
    return atoms


def oxide() -> Atoms:
    atoms = bulk("MgO", "rocksalt", a=4.4, cubic=True) * 2
    atoms.set_atomic_numbers([{12: 14, 8: 8}[z] for z in atoms.numbers])
    return atoms


STRUCTURES = {
    "silicon 216": (silicon, "silicon"),
    "48 atoms in a skewed cell": (skewed, "silicon"),
    "a cell smaller than the cutoff": (lambda: bulk("Si", cubic=True), "silicon"),
    "the primitive cell, turned": (lambda: bulk("Si"), "silicon"),
    "a slab": (slab, "silicon"),
    "water": (lambda: water_box(3), "water"),
    "an isolated molecule": (lambda: molecule("CH3CH2OH"), "ethanol"),
    "one interaction": (oxide, {"features": 32, "interactions": 1}),
    "four interactions, shared weights": (
        oxide,
        {"architecture": "centered-mollifier-shared", "features": 48, "interactions": 4},
    ),
    "no radial sums": (oxide, {"features": 16}),
    "128 features": (oxide, {"features": 128, "interactions": 3, "radial": {"kind": "bessel", "count": 20}}),
}
SETTINGS = {
    "1 rank": Setting(),
    "2 ranks": Setting(ranks=2),
    "4 ranks": Setting(ranks=4),
    "2 ranks x 2 threads": Setting(ranks=2, threads=2),
    "3 ranks, tiled": Setting(ranks=3, tiled=True),
}


@cache
def model_of(name: str) -> Model:
    chosen = STRUCTURES[name][1]
    return load_model(chosen) if isinstance(chosen, str) else random_model(**{**chosen, **ENERGY})


def structure_of(name: str) -> Atoms:
    atoms = STRUCTURES[name][0]()
    atoms.rattle(0.08, seed=1)
    return turned(atoms)


def assert_same(atoms: Atoms, model: Model, have: dict) -> None:
    """3e-6 of the largest force is float32 rounding; of a sum over atoms it grows with the root of their number."""
    atoms.calc = PaiNNCalculator(model, backend="native")
    forces = atoms.get_forces()
    scale = max(1.0, np.abs(forces).max())
    assert np.abs(have["forces"] - forces).max() < 3e-6 * scale
    energy = atoms.get_potential_energy()
    assert abs(have["energy"] - energy) < 3e-6 * scale * len(atoms) ** 0.5
    assert abs(have["sum of energies"] - have["energy"]) < 1e-8 * max(1.0, abs(energy))
    if atoms.pbc.all():
        stress, volume = atoms.get_stress(), atoms.get_volume()
        assert np.abs(have["stress"] - stress).max() < 3e-6 * scale * len(atoms) ** 0.5 / volume
        # the same virial, by atoms and by the whole: rounding is of its largest component
        rounding = 1e-9 + 1e-7 * np.abs(have["stress"]).max()
        assert np.abs(have["strains"] * BAR / volume - have["stress"][[0, 1, 5]]).max() < rounding


@pytest.mark.slow
@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("name", STRUCTURES)
def test_lammps_agrees_with_the_native_backend(name, setting, tmp_path):
    atoms, model = structure_of(name), model_of(name)
    if SETTINGS[setting].tiled and (atoms.cell.lengths()[atoms.pbc] < 6).any():
        pytest.skip("comm_style tiled refuses boxes smaller than the cutoff")
    assert_same(atoms, model, evaluate(tmp_path, atoms, [model], SETTINGS[setting]))


def test_two_ranks_agree_with_the_native_backend(tmp_path):
    """The one of these that every run of the tests makes."""
    atoms, model = structure_of("water"), model_of("water")
    assert_same(atoms, model, evaluate(tmp_path, atoms, [model], Setting(ranks=2)))


@pytest.mark.slow
def test_stress_of_the_bundled_silicon(tmp_path):
    atoms, model = structure_of("silicon 216"), load_model("silicon")
    have = evaluate(tmp_path, atoms, [model], Setting(ranks=2))
    atoms.calc = PaiNNCalculator(model, backend="native")
    assert np.abs(have["stress"] - atoms.get_stress()).max() < 1e-8


@pytest.mark.slow
def test_ranks_without_atoms(tmp_path):
    """A molecule in a corner of a large box: three of four domains are empty."""
    atoms = molecule("CH3CH2OH")
    atoms.rattle(0.05, seed=3)
    model = load_model("ethanol")
    box = atoms.copy()
    box.set_cell([60, 60, 60])
    box.pbc = True
    have = evaluate(tmp_path, box, [model], Setting(ranks=4))
    atoms.calc = PaiNNCalculator(model, backend="native")
    assert np.abs(have["forces"] - atoms.get_forces()).max() < 3e-6 * max(1.0, np.abs(atoms.get_forces()).max())


@pytest.mark.slow
def test_units_real(tmp_path):
    atoms, model = structure_of("water"), model_of("water")
    metal = evaluate(tmp_path, atoms, [model])
    real = evaluate(tmp_path, atoms, [model], Setting(units="real", ranks=2))
    assert abs(real["energy"] / metal["energy"] - 1) < 1e-7  # LAMMPS' constant has eight digits
    np.testing.assert_allclose(real["forces"], metal["forces"], atol=1e-5)
    np.testing.assert_allclose(real["stress"], metal["stress"], atol=1e-6)


@pytest.mark.slow
def test_committees_give_the_mean_and_how_far_models_disagree(tmp_path):
    atoms = molecule("CH3CH2OH")
    atoms.rattle(0.1, seed=5)
    names = ["ethanol", "ethanol-2", "ethanol-3"]
    have = evaluate(
        tmp_path,
        atoms,
        [load_model(name) for name in names],
        Setting(ranks=2, after="fix spread all pair 1 painn forces_std 0\ndump 2 all custom 1 spread id f_spread"),
    )
    atoms.calc = PaiNNCalculator(names)
    forces, spread = atoms.get_forces(), atoms.calc.get_property("forces_std", atoms)
    assert np.abs(have["forces"] - forces).max() < 3e-6 * max(1.0, np.abs(forces).max())
    assert abs(have["columns"]["forces_std"] - spread.max()) < 3e-6 * max(1.0, np.abs(forces).max())
    assert have["columns"]["forces_std_atom"] == spread.argmax() + 1
    table = np.loadtxt(tmp_path / "spread", skiprows=9)
    by_atom = table[table[:, 0].argsort(), 1]
    np.testing.assert_allclose(by_atom, spread, rtol=1e-4, atol=1e-5)
