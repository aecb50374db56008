"""A potential that bends within thermal motion is told from one that is anharmonic."""

import shutil

import numpy as np
import pytest
from ase.build import bulk, molecule

from painn_ase import Model, PaiNNCalculator, load_model, relax, save_model
from painn_ase.cards.measure import Measurements, crystal_check, curvature_check, measure, primitive_cell
from painn_ase.cards.measure.crystal import LARGEST
from painn_ase.cards.render import render_card
from painn_ase.cli import main
from painn_ase.model_files import bundled_models, find_model, read_header
from painn_ase.structures import EXAMPLE, read_structure

from helpers.random_models import random_model


def with_epsilon(name: str, epsilon: float) -> Model:
    """A bundled model whose norms |V| have another ε."""
    model = load_model(name)
    config = {**model.config, "representation": {**model.config["representation"], "epsilon": epsilon}}
    other = Model.from_config(config)
    other.load_state_dict(model.state_dict())
    return other


@pytest.mark.parametrize("name", ["water", "ethanol"])
def test_anharmonic_bonds_are_smooth(name):
    """Stretches change by up to 2 % within these amplitudes; extrapolated back they are what the Hessian says."""
    atoms = read_structure(name)
    atoms.calc = PaiNNCalculator(name, dtype="float64")
    relax(atoms, fmax=1e-4, steps=2000, optimizer="BFGS", progress=False)
    found = curvature_check(atoms)
    assert found.smooth
    assert abs(found.deviations[found.worst]) < 0.01
    change = found.at_amplitudes[1, -1] / found.at_site[-1] - 1
    assert change > 0.015
    assert "smooth" in str(found)


def test_norms_without_room_for_zero_are_not_smooth():
    """A small ε under |V| bends the energy where symmetry makes vectors vanish, as at every site of diamond."""
    atoms = bulk("Si", "diamond", a=5.47).repeat(2)
    atoms.calc = PaiNNCalculator(with_epsilon("silicon", 1e-8), dtype="float64")
    found = curvature_check(atoms)
    assert not found.smooth
    assert abs(found.deviations[found.worst]) > 0.05
    assert "NOT smooth" in str(found)


def test_linear_water_is_as_stiff_at_the_saddle_as_beside_it():
    """A structure need not be a minimum: D∞h, where every vector lies along one line, and bends are imaginary."""
    atoms = molecule("H2O")
    atoms.positions = [(0, 0, 0), (0, 0, 0.93), (0, 0, -0.93)]
    atoms.calc = PaiNNCalculator("water", dtype="float64")
    found = curvature_check(atoms)
    assert found.at_site[0] < 0
    assert found.smooth


@pytest.fixture
def crystal_model(tmp_path):
    """A folder of the silicon model with an example structure of two atoms and nothing measured."""
    folder = tmp_path / "mine"
    folder.mkdir()
    for name in ("model.json", "weights.safetensors"):
        shutil.copy(find_model("silicon") / name, folder / name)
    model = load_model(folder)
    model.checks.clear()
    save_model(model, folder)
    bulk("Si", "diamond", a=5.47).write(folder / EXAMPLE)
    return folder


@pytest.fixture
def quick(monkeypatch):
    """A smaller supercell, one strain and the curvatures of one cell."""
    monkeypatch.setattr("painn_ase.cards.measure.crystal._WIDTH", 6.0)
    monkeypatch.setattr("painn_ase.cards.measure.crystal.STRAINS", (1e-2,))
    monkeypatch.setattr("painn_ase.cards.measure.rest._MODES", 6)


def test_a_card_of_a_crystal_model_measures_the_crystal_unasked(crystal_model, quick, capsys):
    assert main(["card", str(crystal_model)]) == 0
    assert "crystal of Si2" in capsys.readouterr().out
    checks = read_header(crystal_model)["checks"]
    assert checks["crystal"]["phonons"]["supercell"] == [2, 2, 2]
    assert [len(e["matrix"]) for e in checks["crystal"]["elastic"]] == [6, 6]
    assert checks["curvature"]["modes"] == 3
    card = (crystal_model / "card.md").read_text()
    assert "## The crystal at rest (Si2)" in card
    assert "| clamped | 0.01 |" in card
    assert "## Curvature at rest" in card
    assert card == render_card(load_model(crystal_model))


def test_what_is_measured_at_rest_stays_until_it_is_asked_for_again(crystal_model, quick):
    measure(crystal_model, Measurements(), say=lambda text: None)
    before = load_model(crystal_model).checks
    said: list[str] = []
    measure(crystal_model, Measurements(), say=said.append)
    assert said == []
    measure(crystal_model, Measurements(again=True), say=said.append)
    assert len(said) == 2
    assert load_model(crystal_model).checks["crystal"]["volume_per_atom"] == before["crystal"]["volume_per_atom"]


def test_a_liquid_or_no_structure_is_said_to_have_no_crystal(crystal_model):
    atoms = bulk("Si", "diamond", a=5.47, cubic=True).repeat(3)
    atoms.rattle(0.3, seed=0)
    atoms.write(crystal_model / EXAMPLE)
    said: list[str] = []
    measure(crystal_model, Measurements(), say=said.append)
    assert "expected at most 64" in said[0]
    (crystal_model / EXAMPLE).unlink()
    measure(crystal_model, Measurements(), say=said.append)
    assert "name one with --structure" in said[1]
    assert "crystal" not in load_model(crystal_model).checks


def test_a_crystal_that_falls_apart_is_stored_as_not_stable(crystal_model, monkeypatch):
    monkeypatch.setattr("painn_ase.cards.measure.crystal._STEPS", 1)
    bulk("Si", "diamond", a=5.0).write(crystal_model / EXAMPLE)
    measure(crystal_model, Measurements(), say=lambda text: None)
    assert load_model(crystal_model).checks["crystal"]["stable"] is False
    assert "NOT STABLE\n\ncrystal check: the cell does not relax" in (crystal_model / "card.md").read_text()


def test_a_crystal_that_is_not_cubic_gets_its_whole_matrix(tmp_path):
    """Random weights: nothing says that the crystal is stable, and the card must be able to say that it is not."""
    model = random_model("gaussian-polynomial", heads={"energy": {}}, epsilon=0.05)
    model.checks["crystal"] = {
        "formula": "Si2", "stable": False, "volume_per_atom": 20.0,
        "elastic": [{"strain": 0.01, "relaxed": True, "matrix": np.diag(np.arange(6.0)).tolist(), "cubic": None,
                     "eigenvalues": [-1.0] * 6, "bulk_modulus": 1.0}],
        "phonons": {"supercell": [2, 2, 2], "displacement": 0.01, "lowest": {"frequency": -3.0, "q": [0.5, 0, 0]},
                    "gamma": [0, 0, 0], "boundary": [{"q": [0.5, 0, 0], "frequencies": [-3.0, -3.0, 5.0]}]},
    }  # fmt: skip
    card = render_card(model)
    assert "| yz | 0.0 | 0.0 | 0.0 | 3.0 | 0.0 | 0.0 |" in card
    assert "| lowest phonon away from Γ | 3.0i cm⁻¹ at (0.5, 0, 0) |" in card
    assert "| phonons at (0.5, 0, 0) | 3.0i (2x), 5.0 cm⁻¹ |" in card


@pytest.mark.parametrize("name", sorted(bundled_models()))
def test_bundled_models_are_smooth_and_their_crystals_stable(name):
    """What their cards say; no model with a crystal ships without having been looked at. A liquid's box is none."""
    checks, structure = read_header(find_model(name))["checks"], read_structure(name)
    assert checks["curvature"]["smooth"]
    if structure.pbc.all() and len(primitive_cell(structure)) <= LARGEST:
        assert checks["crystal"]["stable"]


def test_a_crystal_check_of_silicon_agrees_with_its_card(quick):
    stored = read_header(find_model("silicon"))["checks"]["crystal"]
    found = crystal_check("silicon", read_structure("silicon"))
    assert len(found.atoms) == 2
    assert found.atoms.get_volume() / 2 == pytest.approx(stored["volume_per_atom"], rel=1e-4)
    for ours, theirs in zip(found.elastic, stored["elastic"][1::2], strict=True):
        assert (ours.strain, ours.relaxed) == (theirs["strain"], theirs["relaxed"])
        assert ours.matrix == pytest.approx(np.array(theirs["matrix"]), abs=0.5)
