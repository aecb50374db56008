"""Dispersion falls off as r⁻⁶, its forces are its gradient, and a level names it."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule

from painn_ase.errors import InputError, MissingPackageError
from painn_ase.reference import Level
from painn_ase.reference.dispersion import KINDS, dispersion


def test_a_level_names_its_dispersion_and_one_without_is_recorded_as_before():
    level = Level.parse("PBE0-D4/def2-TZVPD")
    assert (level.functional, level.basis, level.dispersion) == ("pbe0", "def2-tzvpd", "d4")
    assert level.to_dict()["dispersion"] == "d4"
    assert Level.parse("b3lyp-d3bj/def2-svpd").dispersion == "d3bj"
    plain = Level.parse("pbe0/def2-svpd")
    assert plain.dispersion is None
    assert "dispersion" not in plain.to_dict()  # so files labelled before go on


def test_without_the_package_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "dftd4.interface", None)
    with pytest.raises(MissingPackageError, match=r"painn-ase\[dispersion\]"):
        dispersion(molecule("H2O"), "pbe0", "d4")


@pytest.mark.parametrize("kind", KINDS)
class TestWithPackage:
    @pytest.fixture(autouse=True)
    def _needs_the_package(self, kind):
        package = {"d4": "dftd4", "d3bj": "dftd3"}[kind]
        pytest.importorskip(package, reason=f"{package} is not installed: pip install 'painn-ase[dispersion]'")

    def test_argon_atoms_attract_with_the_sixth_power(self, kind):
        """Beyond that the eighth: at 20 Å some per cent of it, C8/C6 being near 20 Å²."""

        def energy(distance):
            return dispersion(Atoms("Ar2", [[0, 0, 0], [0, 0, distance]]), "pbe0", kind)[0]

        alone = dispersion(Atoms("Ar"), "pbe0", kind)[0]
        assert alone == pytest.approx(0, abs=1e-9)
        assert energy(4.0) < energy(8.0) < energy(20.0) < 0
        assert energy(20.0) / energy(30.0) == pytest.approx(1.5**6, rel=0.05)

    def test_forces_are_the_gradient(self, kind):
        atoms = molecule("CH3CH2OH")
        forces = dispersion(atoms, "pbe0", kind)[1]
        assert np.abs(forces.sum(axis=0)).max() < 1e-8
        moved = []
        for step in (1e-3, -1e-3):
            copy = atoms.copy()
            copy.positions[3, 1] += step
            moved.append(dispersion(copy, "pbe0", kind)[0])
        assert forces[3, 1] == pytest.approx(-(moved[0] - moved[1]) / 2e-3, rel=1e-4)

    def test_a_functional_without_parameters_is_refused(self, kind):
        with pytest.raises(InputError, match="no parameters for the functional 'nonsense'"):
            dispersion(molecule("H2O"), "nonsense", kind)

    def test_a_level_with_dispersion_is_that_without_and_the_rest(self, kind):
        pytest.importorskip("pyscf")
        from painn_ase.reference import kohn_sham

        atoms, names = molecule("H2O"), ("energy", "forces")
        without = kohn_sham.compute(atoms, Level.parse("pbe0/sto-3g", grid=0), names)
        found = kohn_sham.compute(atoms, Level.parse(f"pbe0-{kind}/sto-3g", grid=0), names)
        energy, forces = dispersion(atoms, "pbe0", kind)
        assert found["energy"] - without["energy"] == pytest.approx(energy, abs=1e-7)
        np.testing.assert_allclose(found["forces"] - without["forces"], forces, atol=1e-6)
