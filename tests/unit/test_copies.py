"""Copies of one molecule in one evaluation: their neighbour lists last, and no number depends on the company."""

import numpy as np
import pytest
from ase.build import molecule

from painn_ase import PaiNNCalculator
from painn_ase.simulate.replicas.batch import FEW_ATOMS, BatchedEvaluator

from helpers.random_models import random_model


@pytest.fixture(scope="module")
def ethanol():
    atoms = molecule("CH3CH2OH")
    atoms.calc = PaiNNCalculator(random_model(), dtype="float64")
    return atoms


def vibrating(atoms, copies, amplitude=0.3):
    rng = np.random.default_rng(3)
    modes = rng.normal(size=(copies, len(atoms), 3))
    modes *= amplitude / np.linalg.norm(modes, axis=2, keepdims=True)
    return lambda t: atoms.positions + modes * np.sin(t)


def test_molecules_that_only_vibrate_keep_their_pairs(ethanol):
    evaluate, path = BatchedEvaluator(ethanol), vibrating(ethanol, 4)
    for t in np.linspace(0, 20, 60):
        evaluate(path(t), ("forces",))
    assert [list_.builds for list_ in evaluate._builder.lists] == [1] * 4


def test_each_copy_has_the_forces_it_has_alone_wherever_it_went(ethanol):
    evaluate, path = BatchedEvaluator(ethanol), vibrating(ethanol, 3, amplitude=0.1)
    drift = np.array([0.0, 1.0, 7.0])[:, None, None]  # Å per unit of time: the last one is listed anew at every step
    for t in (0.0, 0.4, 0.9, 2.0):
        x = path(t) + drift * t
        together = evaluate(x, ("forces",))["forces"]
        for one, forces in zip(x, together, strict=True):
            alone = ethanol.copy()
            alone.positions = one
            np.testing.assert_allclose(ethanol.calc.clone().get_property("forces", alone), forces, atol=1e-10)


def test_crystals_and_large_molecules_keep_the_skin_of_the_calculator(ethanol):
    crystal = ethanol.copy()
    crystal.set_cell([9, 9, 9])
    crystal.pbc = True
    crystal.calc = ethanol.calc.clone()
    many = ethanol.copy()
    while len(many) <= FEW_ATOMS:
        more = ethanol.copy()
        more.positions += [6.0 * len(many), 0, 0]
        many += more
    many.calc = ethanol.calc.clone()
    for atoms in (crystal, many):
        evaluate = BatchedEvaluator(atoms)
        evaluate(atoms.positions[None], ("forces",))
        assert [list_.skin for list_ in evaluate._builder.lists] == [ethanol.calc.neighbor_list.skin]
