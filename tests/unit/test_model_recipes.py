"""Recipes of bundled models and benchmarks: they parse, convert what they say, and their page is their results."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.lj import LennardJones

from painn_ase.training import load_config

ROOT = Path(__file__).parents[2]


def script(path: str):
    """A script as a module, under a name that no package has."""
    spec = importlib.util.spec_from_file_location(Path(path).stem + "_script", ROOT / path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("recipe", sorted((ROOT / "models").glob("*/train.toml")), ids=lambda p: p.parent.name)
def test_a_recipe_says_what_a_card_needs(recipe):
    config = load_config(recipe)
    assert {"level of theory", "data", "range of validity", "licence"} <= set(config.about)
    assert config.data.test
    assert config.run.output.resolve() == (ROOT / "runs" / recipe.parent.name).resolve()


STAGES = sorted(p for stage in ("more", "refine", "polish") for p in (ROOT / "models").glob(f"*/*{stage}.toml"))


@pytest.mark.parametrize("recipe", STAGES, ids=lambda p: f"{p.parent.name}-{p.stem}")
def test_a_later_part_of_a_training_goes_on_from_the_part_before(recipe):
    """The same network, heads added at most, and the frames of each side, a selection of them at times (trusted-*):
    none of them changes sides."""
    after, others = load_config(recipe), [load_config(p) for p in recipe.parent.glob("*.toml")]
    (before,) = (c for c in others if (c.run.output / "model").resolve() == after.run.start.resolve())
    assert after.run.output.resolve() != before.run.output.resolve()
    assert after.model.representation == before.model.representation
    assert before.model.heads.items() <= after.model.heads.items()
    for side in ("train", "validation", "test"):
        whole = [{p.with_name(p.name.removeprefix("trusted-")) for p in getattr(c.data, side)} for c in (before, after)]
        assert whole[0] <= whole[1]
    train, held = {*before.data.train, *after.data.train}, {*after.data.validation, *after.data.test}
    assert not train & held
    assert not set(after.data.validation) & set(after.data.test)
    assert after.run.seed == before.run.seed


def test_the_converter_turns_vasp_stress_into_that_of_ase():
    """The numbers of one structure of the set, as published and as converted independently."""
    entry = {
        "structure": {
            "lattice": {"matrix": np.diag([10.0, 10.0, 10.0]).tolist()},
            "sites": [{"species": [{"element": "Si", "occu": 1}], "xyz": [0.0, 0.0, 0.0]}],
        },
        "outputs": {
            "energy": -334.75283939,
            "forces": [[-0.05608486, 0.22205158, 0.76935161]],
            "virial_stress": [-13.06584338, -14.90011365, -5.99104685, -1.4653367, 2.454755, 4.58943834],
        },
        "group": "Vacancy",
    }
    atoms = script("models/silicon/convert.py").frame(entry, ((0, 1), (1, 2), (0, 2)))
    kbar = 0.1 * 6.2415091e-3
    expected = kbar * np.array([[13.0658, 1.4653, -4.5894], [1.4653, 14.9001, -2.4548], [-4.5894, -2.4548, 5.9910]])
    assert atoms.info["REF_stress"] == pytest.approx(expected, abs=1e-7)
    assert atoms.info["REF_energy"] == -334.75283939
    assert atoms.pbc.all()


def sheared_entry(axes: tuple[int, int], shear: float, order: list[tuple[int, int]]) -> dict:
    """A crystal under shear as the set has it, in kbar with pressure positive and shears in `order`."""
    cell = 10 * np.eye(3)
    cell[axes] = 10 * shear
    site = {"species": [{"element": "Mo", "occu": 1}], "xyz": [0.0, 0.0, 0.0]}
    shears = [-900.0 * shear if pair == axes else 3.0 for pair in order]
    outputs = {"energy": 0.0, "forces": [[0.0, 0.0, 0.0]], "virial_stress": [1.0, 2.0, 3.0, *shears]}
    return {
        "structure": {"lattice": {"matrix": cell.tolist()}, "sites": [site]},
        "outputs": outputs,
        "group": "Elastic",
    }


@pytest.mark.parametrize("order", [[(0, 1), (1, 2), (0, 2)], [(0, 1), (0, 2), (1, 2)], [(1, 2), (0, 2), (0, 1)]])
def test_the_converter_finds_the_order_of_shear_stresses(order):
    """Silicon's is xy, yz, zx and molybdenum's xy, zx, yz: a crystal resists its own shear."""
    convert = script("models/silicon/convert.py")
    entries = [sheared_entry(axes, s, order) for axes in ((1, 2), (0, 2), (0, 1)) for s in (-0.04, 0.02, 0.06)]
    found = convert.stress_order(entries)
    assert list(found) == order
    stress = convert.frame(entries[2], found).info["REF_stress"]
    assert stress[1, 2] == pytest.approx(54.0 * convert.KBAR)
    assert stress[0, 1] == stress[0, 2] == pytest.approx(-3.0 * convert.KBAR)


def test_the_converter_assumes_no_order_of_shear_stresses():
    convert = script("models/silicon/convert.py")
    with pytest.raises(ValueError, match="expected crystals under shear"):
        convert.stress_order([sheared_entry((1, 2), 0.0, [(0, 1), (1, 2), (0, 2)])])


def test_shear_stresses_of_frames_of_motion_are_put_in_order():
    prepare = script("models/silicon/prepare.py")
    given = np.array([[1.0, 6.0, 5.0], [6.0, 2.0, 4.0], [5.0, 4.0, 3.0]])  # yz 4, xz 5, xy 6
    for group, yz, xz in (("Elastic", 4.0, 5.0), ("Vacancy", 5.0, 4.0), ("AIMD-NVT", 5.0, 4.0)):
        stress = prepare.ordered(Atoms(info={"group": group, "REF_stress": given.ravel()})).info["REF_stress"]
        assert stress == pytest.approx(stress.T)
        assert np.diag(stress) == pytest.approx([1, 2, 3])
        assert (stress[1, 2], stress[0, 2], stress[0, 1]) == (yz, xz, 6.0)
    assert given[1, 2] == 4.0


def test_a_primitive_cell_has_the_labels_of_the_elastic_frame():
    frame = bulk("Ar", "fcc", a=5.3, cubic=True).repeat(2)
    frame.set_cell(frame.cell.array @ (np.eye(3) + 0.03 * np.eye(3)[[1, 0, 2]]), scale_atoms=True)
    calculator = LennardJones(sigma=3.4, epsilon=0.01, rc=6.0, smooth=True)
    frame.calc = calculator
    frame.arrays["REF_forces"] = frame.get_forces()
    frame.info |= {"REF_energy": frame.get_potential_energy(), "REF_stress": frame.get_stress(voigt=False)}
    small = script("models/silicon/prepare.py").reduced(frame)
    assert len(small) == 1
    small.calc = calculator
    assert small.info["REF_energy"] == pytest.approx(small.get_potential_energy())
    assert small.info["REF_stress"] == pytest.approx(small.get_stress(voigt=False))
    assert small.arrays["REF_forces"] == pytest.approx(small.get_forces(), abs=1e-9)


def test_the_page_of_accuracies_is_made_of_the_stored_results(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    shown = script("benchmarks/accuracy_page.py")
    assert (ROOT / "docs" / "accuracy.md").read_text() == shown.page(shown.stored_results())


def test_every_task_is_an_argument(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    accuracy = script("benchmarks/accuracy.py")
    assert accuracy.parser().parse_args(list(accuracy.TASKS)).tasks == list(accuracy.TASKS)
