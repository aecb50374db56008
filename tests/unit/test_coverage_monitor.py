"""The calculator says when a structure leaves what its model was trained on: once aloud, and always when asked."""

import json
import warnings

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule

from painn_ase import PaiNNCalculator, load_model, save_model
from painn_ase.cards.render import render_card
from painn_ase.coverage import Coverage, CoverageMonitor, CoverageWarning
from painn_ase.coverage.copies import CopiesMonitor
from painn_ase.errors import InputError, ModelError, SimulationError
from painn_ase.graph import batch
from painn_ase.model import Model
from painn_ase.neighbors import graph_of, neighbor_list
from painn_ase.simulate import Guards, run_md

from helpers.random_models import random_model


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


def waters(distance: float) -> Atoms:
    """Two of the same orientation."""
    two = molecule("H2O") + molecule("H2O")
    two.positions[3:, 2] += distance
    return two


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
    assert calculator.coverage is None
    assert calculator.outside is None
    assert "nothing warns" in render_card(model)


def test_forces_are_looked_at_in_every_evaluation():
    model = covered_model()
    calculator = PaiNNCalculator(model)
    atoms = molecule("CH3CH2OH")
    atoms.calc = calculator
    atoms.get_forces()
    strongest = np.linalg.norm(atoms.get_forces(), axis=1).max()
    calculator.coverage.coverages = (Coverage(model.cutoff, model.coverage.closest, strongest / 2, {}, 1),)
    builds = calculator.neighbor_list.builds
    atoms.positions[0] += 0.01
    with pytest.warns(CoverageWarning, match="the force on atom"):
        atoms.get_forces()
    assert calculator.neighbor_list.builds == builds
    assert "the force on atom" in calculator.outside


@pytest.mark.parametrize("step", [0.05, 0.01])
def test_a_smooth_path_is_followed_like_a_row_of_single_structures(step):
    """A pulled hydrogen was noticed 2 Å late, and `outside` was that of a structure long gone."""
    calculator, fresh = PaiNNCalculator(covered_model()), PaiNNCalculator(covered_model())
    fresh.coverage._said[0] = True
    atoms = molecule("CH3CH2OH")
    start, first, warned = atoms.get_distance(2, 3), None, []
    for k in range(round(1.0 / step)):
        atoms.set_distance(2, 3, start + step * k, fix=0)
        one = fresh.clone()
        energy(atoms, one)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            energy(atoms, calculator)
            assert calculator.outside == one.outside
        first = k if one.outside and first is None else first
        if caught:
            warned.append(k)
    assert first is not None
    assert first > 0
    assert len(warned) == 1
    assert 0 <= (warned[0] - first) * step <= CoverageMonitor.LATE


def test_each_of_many_copies_is_followed_like_a_row_of_single_structures():
    """One copy was looked at in 50 steps, a bead in 400: a pulled hydrogen was far beyond the data by then."""
    atoms = molecule("CH3CH2OH")
    atoms.calc = PaiNNCalculator(covered_model())
    atoms.calc.coverage._said[0] = True
    outside, step, late = CopiesMonitor(atoms), 0.05, {}
    start = atoms.get_distance(2, 3)
    first: dict[int, float] = {}
    for k in range(24):
        copies = []
        for copy, speed in enumerate((0.0, 1.0, 0.5)):
            atoms.set_distance(2, 3, start + speed * step * k, fix=0)
            copies.append(atoms.positions.copy())
            energy(atoms, one := atoms.calc.clone())
            if one.outside:
                first.setdefault(copy, speed * step * k)
        for copy in outside(np.stack(copies) + 0.3 * k, np.zeros((3, 9, 3))):  # as a whole they drift
            late.setdefault(copy, (0.0, 1.0, 0.5)[copy] * step * k)
    assert first.keys() == late.keys() == {1, 2}
    for copy, speed in ((1, 1.0), (2, 0.5)):  # one of nine atoms moves by 9/8 of what it moves about their mean
        assert 0 <= late[copy] - first[copy] <= 9 / 8 * CoverageMonitor.LATE + speed * step


def test_outside_speaks_of_the_present_structure_whenever_it_is_asked():
    """Also where nothing is left to warn of, and after moves too small to look for a warning."""
    calculator = PaiNNCalculator(covered_model())
    with pytest.warns(CoverageWarning):
        energy(torn(), calculator)
    rng, atoms = np.random.default_rng(0), molecule("CH3CH2OH")
    for _ in range(20):
        atoms.positions += 0.02 * rng.normal(size=(9, 3))
        energy(atoms, calculator)
        alone = calculator.clone()
        energy(atoms, alone)
        assert calculator.outside == alone.outside


def test_vibrations_within_the_data_cost_few_looks():
    """Hydrogen atoms of ethanol move by 0.014 Å in half a femtosecond at 300 K; a look is a seventh of a force call."""
    guard = CoverageMonitor("m", [covered_model(size=0.1).coverage])
    looked, look = [], guard._look
    guard._look = lambda: (looked.append(1), look())
    atoms = molecule("CH3CH2OH")
    rng, pairs = np.random.default_rng(0), neighbor_list("matscipy")(atoms.positions, np.eye(3), False, 5.0)
    amplitudes, phases = rng.normal(size=(9, 3)), rng.uniform(0, 2 * np.pi, (9, 3))
    amplitudes *= 0.05 / np.abs(amplitudes).max()
    for step in range(400):
        x = atoms.positions + amplitudes * np.sin(2 * np.pi * step / 22 + phases)  # 3000 cm⁻¹
        guard.new_geometry(atoms.numbers, pairs, x, np.eye(3))
        guard.new_forces(np.zeros((9, 3)))
    assert guard.outside is None
    assert len(looked) < 60


@pytest.mark.parametrize("charge", [1, -1, 100, 0.5])
def test_a_charge_that_the_data_lack_is_warned_of(charge):
    """An ion got the neutral molecule's energy and forces without a word."""
    atoms = molecule("CH3CH2OH")
    atoms.info["charge"] = charge
    calculator = PaiNNCalculator(covered_model())
    with pytest.warns(CoverageWarning, match=r"the total charge is .* e; structures in the training data have 0"):
        energy(atoms, calculator)
    assert "total charge" in calculator.outside
    atoms.info["charge"] = 0
    energy(atoms, calculator)
    assert calculator.outside is None
    with pytest.warns(CoverageWarning, match="total charge"):
        energy(molecule("CH3CH2OH"), PaiNNCalculator(covered_model(), charge=charge))


def test_a_charge_of_the_data_is_inside_and_their_absence_is_not():
    graphs = []
    for q in (0.0, -1.0):
        atoms = molecule("CH3CH2OH")
        atoms.info["charge"] = q
        graphs.append(graph_of(atoms, 4.0))
    coverage = Coverage.of(graphs, [], 4.0)
    assert coverage.charges == (-1.0, 0.0)
    assert coverage.state(-1.0, None) is None
    assert "have -1, 0" in coverage.state(1.0, None)
    again = Coverage.from_dict(json.loads(json.dumps(coverage.to_dict())), 4.0)
    assert again.charges == coverage.charges
    old = {name: value for name, value in coverage.to_dict().items() if name != "charges"}
    assert "does not say which charges" in Coverage.from_dict(old, 4.0).state(1.0, None)


def test_an_odd_number_of_electrons_is_outside_of_data_with_even_numbers():
    """Radicals, unless the data hold one; a cell of a crystal may hold any number of electrons."""
    closed = Coverage.of([graph_of(molecule("CH3OH"), 4.0)], [], 4.0)
    assert closed.radicals is False
    assert "odd" in closed.state(0.0, None, radical=True)
    assert Coverage.from_dict(json.loads(json.dumps(closed.to_dict())), 4.0).radicals is False
    assert Coverage.of([graph_of(molecule("CH3"), 4.0)], [], 4.0).state(0.0, None, radical=True) is None
    assert Coverage.of([graph_of(bulk("Al"), 4.0)], [], 4.0).radicals is None
    calculator = PaiNNCalculator(covered_model())
    radical = molecule("CH3CH2OH")
    del radical[8]
    with pytest.warns(CoverageWarning, match="odd"):
        energy(radical, calculator)


def test_molecules_beyond_the_cutoff_of_each_other_are_outside_of_data_without_such():
    """The network has no forces between them; nothing said so, since each atom's surroundings are those of the data."""
    two = molecule("CH3CH2OH")
    away = molecule("CH3CH2OH")
    away.positions += [0.0, 0.0, 12.0]
    two += away
    calculator = PaiNNCalculator(covered_model())
    with pytest.warns(CoverageWarning, match=r"falls into 2 parts .* no structure in the training data does"):
        energy(two, calculator)
    energy(molecule("CH3CH2OH"), calculator)
    assert calculator.outside is None


def test_data_that_hold_parts_far_apart_are_not_left_by_such():
    touching, two = waters(2.9), waters(9.0)
    whole, torn_up = (Coverage.of([graph_of(atoms, 4.0)], [], 4.0) for atoms in (touching, two))
    assert (whole.apart, torn_up.apart) == (False, True)
    assert "falls into 2 parts" in whole.graph(graph_of(two, 4.0))
    assert torn_up.graph(graph_of(two, 4.0)) is None
    again = Coverage.from_dict(json.loads(json.dumps(whole.to_dict())), 4.0)
    assert again.apart is False
    old = Coverage.from_dict({k: v for k, v in whole.to_dict().items() if k != "apart"}, 4.0)
    assert "does not say whether" in old.graph(graph_of(two, 4.0))


def test_side_by_side_in_a_batch_is_not_apart_and_crystals_are_whole():
    water, copper = Coverage.of([graph_of(molecule("H2O"), 4.0)], [], 4.0), bulk("Cu")
    assert water.graph(batch([graph_of(molecule("H2O"), 4.0)] * 3)) is None
    assert Coverage.of([graph_of(copper, 4.0)], [], 4.0).graph(graph_of(copper.repeat(3), 4.0)) is None


@pytest.mark.parametrize("key", ["multiplicity", "spin"])
def test_a_spin_that_no_term_depends_on_is_warned_of(key):
    atoms, calculator = molecule("CH3CH2OH"), PaiNNCalculator(covered_model())
    atoms.info[key] = 1
    energy(atoms, calculator)
    assert calculator.outside is None
    atoms.info[key] = 3
    with pytest.warns(CoverageWarning, match="multiplicity is 2 above the lowest"):
        energy(atoms, calculator)


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
    assert len(PaiNNCalculator([narrow, narrow]).coverage.coverages) == 1  # the same data are looked at once


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
