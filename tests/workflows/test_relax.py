"""Geometry optimisation: minima, cells, refusals."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones
from ase.io import read

from painn_ase.errors import InputError, SimulationError
from painn_ase.simulate import relax

from helpers.springs import Springs, cluster


@pytest.mark.parametrize("optimizer", ["FIRE", "BFGS", "LBFGS"])
def test_a_pair_relaxes_to_the_minimum_of_its_potential(tmp_path, optimizer):
    atoms = Atoms("Ar2", [[0, 0, 0], [1.15, 0, 0]])
    atoms.calc = LennardJones(sigma=1, epsilon=1, rc=10)
    result = relax(atoms, fmax=1e-4, optimizer=optimizer, path=tmp_path / "pair")
    assert result.converged
    assert result.fmax < 1e-4
    # ASE's Lennard-Jones is shifted at rc = 10, which does not move the minimum at 2^(1/6)
    assert atoms.get_distance(0, 1) == pytest.approx(2 ** (1 / 6), abs=1e-5)
    assert result.energy == atoms.get_potential_energy()
    frames = read(result.trajectory, ":")
    assert len(frames) == result.steps + 1
    assert frames[-1].positions == pytest.approx(atoms.positions, abs=0)
    assert "converged after" in str(result)


def test_the_cell_relaxes_until_the_stress_vanishes():
    atoms = bulk("Cu", cubic=True)
    atoms.calc = EMT()
    atoms.set_cell(atoms.cell.array @ np.array([[1.03, 0.01, 0], [0, 0.98, 0], [0, 0, 1.02]]), scale_atoms=True)
    result = relax(atoms, cell=True, fmax=1e-3, optimizer="BFGS")
    assert result.converged
    assert result.trajectory is None
    assert atoms.get_stress() == pytest.approx(0, abs=1e-4)
    assert atoms.cell.angles() == pytest.approx(90, abs=0.05)


def test_missing_convergence_is_reported_not_raised():
    atoms = cluster()
    atoms.rattle(0.3, seed=1)
    result = relax(atoms, fmax=1e-6, steps=2)
    assert not result.converged
    assert result.steps == 2
    assert "NOT converged" in str(result)


def test_broken_forces_bring_the_last_good_structure_back():
    class Breaking(Springs):
        def calculate(self, *args, **kwargs):
            super().calculate(*args, **kwargs)
            if len(self.calls) >= 4:
                self.results["forces"][:] = np.nan

    atoms = cluster()
    atoms.calc = Breaking(atoms)
    atoms.rattle(0.1, seed=1)
    with pytest.raises(SimulationError, match=r"step 3 of the relaxation: .* back at step 2"):
        relax(atoms)
    assert np.isfinite(atoms.positions).all()


def test_impossible_relaxations_are_refused(tmp_path):
    no_stress = bulk("Cu")
    no_stress.calc = Springs(no_stress)
    bare = Atoms("H")
    for atoms, options, message in (
        (cluster(), {"cell": True}, "periodic along all three vectors"),
        (no_stress, {"cell": True}, "needs a calculator with stress"),
        (cluster(), {"optimizer": "FIER"}, "did you mean 'FIRE'"),
        (cluster(), {"fmax": 0}, "fmax: expected a finite number above zero"),
        (cluster(), {"steps": 0}, "steps: expected a whole number"),
        (bare, {}, "got None"),
        (Atoms(), {}, "empty"),
    ):
        with pytest.raises(InputError, match=message):
            relax(atoms, path=tmp_path / "a", **options)
    assert list(tmp_path.iterdir()) == []
    atoms = cluster()
    relax(atoms, path=tmp_path / "a")
    with pytest.raises(InputError, match="overwrite=True"):
        relax(atoms, path=tmp_path / "a")
    assert relax(atoms, path=tmp_path / "a", overwrite=True).converged
