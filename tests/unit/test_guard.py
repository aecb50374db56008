"""The calculator says when a structure leaves what its model was trained on: once aloud, and always when asked."""

import warnings

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule

from painn_ase import PaiNNCalculator, load_model, save_model
from painn_ase.coverage import Coverage, CoverageWarning, Guard
from painn_ase.describe import render_card
from painn_ase.errors import InputError, ModelError, SimulationError
from painn_ase.model import Model
from painn_ase.neighbors import graph_of, neighbor_list
from painn_ase.simulate import Guards, run_md

from random_models import random_model


def covered_model(seed: int = 0, force: float = 100.0, size: float = 0.03) -> Model:
    """A random model that claims to have been trained on rattled ethanol."""
    model = random_model(seed=seed)
    rng = np.random.default_rng(seed)
    graphs = []
    for _ in range(30):
        atoms = molecule("CH3CH2OH")
        atoms.positions += size * rng.normal(size=(9, 3))
        graphs.append(graph_of(atoms, model.cutoff))
    model.coverage = Coverage.of(graphs, [np.full((9, 3), force)], model.cutoff)
    return model


def torn() -> Atoms:
    """Ethanol whose hydroxyl hydrogen has left."""
    atoms = molecule("CH3CH2OH")
    atoms.set_distance(2, 3, 2.5, fix=0)
    return atoms


def energy(atoms: Atoms, calculator: PaiNNCalculator) -> float:
    atoms = atoms.copy()
    atoms.calc = calculator
    return atoms.get_potential_energy()


def test_the_calculator_warns_once_and_says_it_of_every_structure():
    calculator = PaiNNCalculator(covered_model())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        energy(molecule("CH3CH2OH"), calculator)
    assert calculator.outside is None
    with pytest.warns(CoverageWarning, match="outside of what model 'unnamed' was trained on: .*said once") as caught:
        energy(torn(), calculator)
    assert len(caught) == 1
    assert calculator.outside is not None
    energy(molecule("CH3CH2OH"), calculator)
    assert calculator.outside is None
    energy(torn(), calculator)  # warnings are errors in the tests: it stays silent
    assert calculator.outside is not None


def test_a_model_without_record_has_no_guard_and_says_so():
    model = random_model()
    calculator = PaiNNCalculator(model)
    energy(torn(), calculator)
    assert calculator.guard is None
    assert calculator.outside is None
    assert "nothing warns" in render_card(model)


def test_forces_are_looked_at_in_every_evaluation():
    model = covered_model()
    calculator = PaiNNCalculator(model)
    atoms = molecule("CH3CH2OH")
    atoms.calc = calculator
    atoms.get_forces()
    strongest = np.linalg.norm(atoms.get_forces(), axis=1).max()
    calculator.guard.coverages = (Coverage(model.cutoff, model.coverage.closest, strongest / 2, {}, 1),)
    builds = calculator.neighbor_list.builds
    atoms.positions[0] += 0.01
    with pytest.warns(CoverageWarning, match="the force on atom"):
        atoms.get_forces()
    assert calculator.neighbor_list.builds == builds
    assert "the force on atom" in calculator.outside


def test_in_dynamics_a_geometry_is_looked_at_within_fifty_evaluations_of_new_pairs():
    guard = Guard("m", [covered_model().coverage])
    looked = []
    guard._warn = lambda sentence: None
    atoms = torn()
    pairs = neighbor_list("matscipy")(atoms.positions, np.eye(3), False, 4.0)
    for step in range(200):
        if step % 5 == 0:  # a rebuild after every fifth evaluation, as in dynamics
            guard._geometry = None
            guard.new_pairs(atoms.numbers, pairs, atoms.positions, np.eye(3))
            if guard.outside:
                looked.append(step)
        guard.new_forces(np.zeros((9, 3)))
    assert looked == [0, 50, 100, 150]


def test_a_structure_that_jumps_is_always_looked_at():
    calculator = PaiNNCalculator(covered_model())
    with pytest.warns(CoverageWarning):
        energy(torn(), calculator)
    for _ in range(3):
        energy(molecule("CH3CH2OH"), calculator)
        assert calculator.outside is None
        energy(torn(), calculator)
        assert calculator.outside is not None


def test_a_clone_has_its_own_state_and_stays_silent_after_a_warning():
    calculator = PaiNNCalculator(covered_model())
    with pytest.warns(CoverageWarning):
        energy(torn(), calculator)
    clone = calculator.clone()
    assert clone.outside is None
    energy(torn(), clone)
    assert clone.outside == calculator.outside


def test_an_ensemble_is_outside_where_one_of_its_members_is():
    narrow, wide = covered_model(0), covered_model(1, size=0.3)
    atoms = molecule("CH3CH2OH")
    atoms.set_distance(2, 3, 1.5, fix=0)
    calculator = PaiNNCalculator(wide)
    energy(atoms, calculator)
    assert calculator.outside is None
    with pytest.warns(CoverageWarning, match="unnamed, unnamed"):
        energy(atoms, PaiNNCalculator([wide, narrow]))
    assert len(PaiNNCalculator([narrow, narrow]).guard.coverages) == 1  # the same data are looked at once


def test_a_model_folder_keeps_the_record(tmp_path):
    model = covered_model()
    folder = save_model(model, tmp_path / "model", card=render_card(model))
    again = load_model(folder)
    assert again.coverage.to_dict() == model.coverage.to_dict()
    assert "C-C" in (folder / "card.md").read_text()
    # lists of numbers stand on one line each, so that the header stays readable
    assert len((folder / "model.json").read_text().splitlines()) < 1000
    text = (folder / "model.json").read_text().replace('"reach"', '"rich"')
    (folder / "model.json").write_text(text)
    with pytest.raises(ModelError, match="damaged"):
        load_model(folder)


def test_a_run_stops_where_the_data_end_and_leaves_the_frame(tmp_path):
    model = covered_model(size=0.01)
    atoms = molecule("CH3CH2OH")
    atoms.calc = PaiNNCalculator(model)
    atoms.set_momenta(np.zeros((9, 3)))
    atoms.arrays["momenta"][3] = [0.0, 0.3, 0.3]  # the hydroxyl hydrogen leaves
    with (
        pytest.warns(CoverageWarning),
        pytest.raises(SimulationError, match=r"step \d+: outside of what the model was trained on: .*the last good"),
    ):
        run_md(
            atoms, steps=500, ensemble="nve", path=tmp_path / "a", guards=Guards(max_temperature=1e6, stop_outside=True)
        )
    assert (tmp_path / "a.failure.traj").is_file()


def test_stopping_needs_a_model_that_knows_its_data(tmp_path):
    atoms = molecule("CH3CH2OH")
    atoms.calc = PaiNNCalculator(random_model())
    with pytest.raises(InputError, match="does not store what its training data covered"):
        run_md(atoms, steps=5, path=tmp_path / "a", guards=Guards(stop_outside=True))
    assert not list(tmp_path.iterdir())
