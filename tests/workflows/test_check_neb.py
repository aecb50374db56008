"""Nudged elastic bands: the batched images give the path, the barrier and the energies of plain ones, for less."""

import copy
import time

import numpy as np
import pytest
from ase.mep import NEB, DyNEB
from ase.optimize import FIRE

from painn_ase import PaiNNCalculator
from painn_ase.errors import InputError
from painn_ase.simulate.neb import attach_band
from painn_ase.structures import read_structure

from helpers.random_models import random_model
from helpers.systems import triclinic

IMAGES = 9


def rotation_of_hydroxyl(images: int = IMAGES):
    """Ethanol from anti to gauche: the O-H turns about the C-O bond."""
    anti = read_structure("ethanol")
    band = []
    for angle in np.linspace(180.0, 62.0, images):
        image = anti.copy()
        image.set_dihedral(0, 1, 2, 3, angle, indices=[3])
        band.append(image)
    return band


class Counted:
    """A backend that counts what it is asked."""

    def __init__(self, backend, asked=None):
        self.backend, self.asked = backend, [] if asked is None else asked

    def __getattr__(self, name):
        return getattr(self.backend, name)

    def twin(self):
        return Counted(self.backend.twin(), self.asked)

    @property
    def calls(self):
        return len(self.asked)

    def evaluate(self, graph, properties):
        self.asked.append(properties)
        return self.backend.evaluate(graph, properties)


def counted_calculator(**keywords) -> PaiNNCalculator:
    calc = PaiNNCalculator("ethanol", **keywords)
    calc.backend = Counted(calc.backend)
    return calc


def relaxed(images, kind=NEB, steps=60):
    neb = kind(images, climb=True, method="improvedtangent")
    began = time.perf_counter()
    FIRE(neb, logfile=None).run(fmax=0.05, steps=steps)
    return time.perf_counter() - began


def test_batched_band_takes_the_path_of_a_plain_one_with_one_call_per_step():
    calc = counted_calculator(dtype="float64")
    plain = rotation_of_hydroxyl()
    for image in plain:
        image.calc = calc.clone()
    slow = relaxed(plain)
    plain_calls = calc.backend.calls
    calc.backend.asked.clear()
    batched = rotation_of_hydroxyl()
    band = attach_band(batched, calc)
    fast = relaxed(batched)
    for one, other in zip(plain, batched, strict=True):
        np.testing.assert_allclose(other.positions, one.positions, atol=1e-6)  # rounding, grown over 60 steps
        assert other.get_potential_energy() == pytest.approx(one.get_potential_energy(), abs=1e-7)
    energies = [image.get_potential_energy() for image in batched]
    assert 0.02 < max(energies) - energies[0] < 0.2  # eV; the barrier of the hydroxyl is about 50 meV
    assert calc.backend.calls == band.evaluations + 2
    assert calc.backend.calls < plain_calls / (IMAGES - 3)
    print(f"{plain_calls} calls, {slow:.2f} s; batched {calc.backend.calls} calls, {fast:.2f} s")


def test_energies_and_forces_of_images_are_those_of_the_calculator():
    calc = PaiNNCalculator(random_model(), dtype="float64")
    images = []
    for seed in range(5):
        images.append(triclinic())
        images[-1].rattle(0.05, seed=seed)
    band = attach_band(images, calc)
    for _ in range(3):
        for image in images:
            np.testing.assert_allclose(image.get_forces(), calc.get_property("forces", image), atol=1e-10)
            assert image.get_potential_energy() == pytest.approx(calc.get_property("energy", image), abs=1e-10)
            assert image.get_potential_energy(force_consistent=True) == image.get_potential_energy()
        for seed, image in enumerate(images):
            image.rattle(0.1, seed=50 + seed)
            image.wrap()
    assert band.evaluations == 3


def test_one_image_moved_by_hand_is_noticed():
    images = rotation_of_hydroxyl(5)
    calc = PaiNNCalculator("ethanol", dtype="float64")
    attach_band(images, calc)
    before = images[2].get_potential_energy()
    images[2].positions[0, 0] += 0.05
    assert images[2].get_potential_energy() == pytest.approx(calc.get_property("energy", images[2]), abs=1e-9)
    assert images[2].get_potential_energy() != before
    other = images[1].copy()
    other.positions[4, 1] += 0.1
    assert images[1].calc.get_property("energy", other) == pytest.approx(calc.get_property("energy", other), abs=1e-9)
    assert images[1].get_potential_energy() == pytest.approx(calc.get_property("energy", images[1]), abs=1e-9)


def test_dynamic_band_works_with_the_batch():
    images = rotation_of_hydroxyl(6)
    attach_band(images, PaiNNCalculator("ethanol"))
    neb = DyNEB(images, fmax=0.1, method="improvedtangent")
    FIRE(neb, logfile=None).run(fmax=0.1, steps=20)
    assert np.isfinite(neb.get_potential_energy())


def test_bands_that_cannot_be_batched_are_refused():
    calc = PaiNNCalculator("ethanol")
    images = rotation_of_hydroxyl(4)
    with pytest.raises(InputError, match="3 or more"):
        attach_band(images[:2], calc)
    with pytest.raises(InputError, match="different objects"):
        attach_band([images[0]] * 4, calc)
    with pytest.raises(InputError, match="expected a PaiNNCalculator"):
        attach_band(images, object())
    attach_band(images, calc)
    images[2].info["charge"] = 1
    with pytest.raises(InputError, match="charge of the first"):
        images[1].get_forces()
    images[2].info["charge"] = 0
    numbers = copy.copy(images[2].numbers)
    numbers[[0, 3]] = numbers[[3, 0]]
    images[2].numbers = numbers
    with pytest.raises(InputError, match="numbers are not those"):
        images[1].get_forces()
