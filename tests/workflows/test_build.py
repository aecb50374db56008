"""A build decides by what its model is used for, labels nothing twice, and says when it may be believed."""

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import fcc111, molecule
from ase.constraints import FixAtoms

from painn_ase.build import Request, build, dry_run, judge, pool, read_request
from painn_ase.build.batches import Batches
from painn_ase.build.judge import Criterion, bands, believed, dynamics, forces
from painn_ase.build.plan import make_plan
from painn_ase.build.reference import Reference, parse_reference
from painn_ase.build.setup import set_up
from painn_ase.build.state import State
from painn_ase.build.structures import in_words, starting_structures
from painn_ase.data.identity import geometry
from painn_ase.data.sides import validates
from painn_ase.errors import InputError
from painn_ase.model_files import load_model
from painn_ase.reference import Models

from helpers.small_builds import WATER, Counting, calls, exactly, quickly, request


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """A folder with water and a counting reference, and builds that take little time."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "water.xyz").write_text(WATER)
    quickly(monkeypatch.setattr)
    return tmp_path


# ---- what is asked


def test_a_request_is_the_same_after_a_journey_through_its_file(tmp_path):
    asked = Request("water.xyz", tmp_path / "out", reference="gfn1", purposes=("ir",), beads=8, charge=1, seed=3)
    (tmp_path / "build.toml").write_text(asked.to_toml())
    assert read_request(tmp_path / "build.toml", output=tmp_path / "out") == asked


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("structure = 'x'\ntarget = 0.0", "target: expected a finite number above zero"),
        ("structure = 'x'\ntargt = 1.0", "unknown key 'targt'; did you mean 'target'"),
        ("structure = 'x'\npurposes = ['nmr']", "--for: expected one of ir, raman, spectrum"),
        ("target = 1.0", "structure is missing"),
        ("structure", "is not TOML"),
    ],
)
def test_requests_that_cannot_be_are_refused_with_the_way_out(tmp_path, text, message):
    (tmp_path / "build.toml").write_text(text)
    with pytest.raises(InputError, match=message):
        read_request(tmp_path / "build.toml", output="out")


def test_charge_and_multiplicity_are_obeyed_and_printed(tmp_path):
    ase.io.write(tmp_path / "acetate.xyz", molecule("CH3COOH")[:7])
    structures = starting_structures(Request(str(tmp_path / "acetate.xyz"), tmp_path / "out", charge=-1))
    assert structures[0].info["charge"] == -1
    assert "charge -1, multiplicity 1 (32 electrons)" in in_words(structures)
    with pytest.raises(InputError, match="cannot have multiplicity 2"):
        starting_structures(Request(str(tmp_path / "acetate.xyz"), tmp_path / "out", charge=-1, multiplicity=2))


def test_names_files_and_conformers_are_structures_and_nonsense_is_not(tmp_path):
    assert starting_structures(Request("ch3ch2oh", tmp_path))[0].symbols.formula.count() == {"C": 2, "H": 6, "O": 1}
    two = [molecule("C2H6"), molecule("C2H6")]
    ase.io.write(tmp_path / "two.xyz", two)
    assert len(starting_structures(Request(str(tmp_path / "two.xyz"), tmp_path))) == 2
    assert len(starting_structures(Request(str(tmp_path / "two.xyz@0"), tmp_path))) == 1
    ase.io.write(tmp_path / "other.xyz", [molecule("C2H6"), molecule("C2H4")])
    with pytest.raises(InputError, match="conformers of one molecule"):
        starting_structures(Request(str(tmp_path / "other.xyz"), tmp_path))
    with pytest.raises(InputError, match="did you mean 'CH3CH2OH'"):
        starting_structures(Request("CH3CH2OHH", tmp_path))


def test_references_are_levels_models_and_functions(tmp_path):
    (tmp_path / "refs.py").write_text("from ase.calculators.emt import EMT\ndef make():\n    return EMT()\nthing = 3\n")
    (tmp_path / "json.py").write_text("")
    assert parse_reference("GFN2").by == "gfn2"
    assert parse_reference("ethanol").by == Models("ethanol")
    assert parse_reference("pbe0/def2-svpd").by.basis == "def2-svpd"
    reference = parse_reference("refs.py:make", tmp_path)
    assert reference.labels(molecule("CH3CH2OH"), True) == ("energy", "forces")
    for text, message in (
        ("refs.py:thing", "expected a function"),
        ("none.py:make", "does not exist"),
        ("json.py:loads", "has the name of another module"),
        ("dft", "expected gfn2"),
    ):
        with pytest.raises(InputError, match=message):
            parse_reference(text, tmp_path)
    assert sys.path.index(str(tmp_path)) > sys.path.index(sysconfig.get_path("stdlib"))  # its json.py is nobody else's


def test_a_spectrum_without_labels_is_refused_at_once_and_what_is_possible_is_said(tiny):
    with pytest.raises(InputError, match="gives no polarizability; name a level that does: --polarizability"):
        set_up(request(purposes=("raman",)))
    setup = set_up(request(purposes=("spectrum",)))
    assert any("polarizability, so that head and the raman spectrum are left out" in note for note in setup.notes)
    assert setup.learned == ("energy", "forces", "dipole")


# ---- decisions


def test_a_frame_keeps_its_side_whatever_comes_later(tmp_path):
    batches = Batches(tmp_path, Reference("springs", Counting), ("energy", "forces"), 1)
    frames = []
    for seed in range(40):
        atoms = molecule("H2O")
        atoms.rattle(0.1, seed=seed)
        frames.append(atoms)
    batches.choose(0, frames[:20])
    batches.choose(1, frames[10:] + frames[:3])  # some of which are known
    assert [len(batches.frames(k)) for k in (0, 1)] == [20, 20]
    sides = {geometry(atoms): validates(atoms) for k in (0, 1) for atoms in batches.frames(k)}
    assert 0 < sum(sides.values()) < 20
    assert all(sides[geometry(atoms)] == validates(atoms) for atoms in batches.frames(0))


def test_forces_hold_when_small_or_when_more_frames_no_longer_help():
    assert forces(19.0, 20.0, None, 100).holds
    assert not forces(40.0, 20.0, None, 100).holds
    assert not forces(30.0, 20.0, (40.0, 100), 200).holds  # falls
    assert forces(38.0, 20.0, (40.0, 100), 200).holds  # no longer does
    assert not forces(38.0, 20.0, (40.0, 100), 110).holds  # too few new frames to tell


def test_bands_are_judged_with_the_neighbours_that_they_mix_with():
    at = np.array([282.0, 308.0, 444.0, 3523.0])
    reference, mixed = np.array([109.0, 39.5, 203.0, 23.0]), np.array([124.0, 22.5, 209.0, 23.5])
    assert bands(at, reference, mixed, 30.0).holds
    alone = bands(at, reference, mixed, 20.0)
    assert not alone.holds
    assert alone.text.startswith("2 of 4 strong bands deviate by more than 10 % and 2 km/mol, at most 43 %, at 308 cm")
    assert bands(at, reference, reference + np.array([0, 0, 0, 1.9]), 30.0).value == 0  # too faint to matter
    assert not bands(at, reference, 1.2 * reference, 30.0).holds


def test_what_could_not_be_judged_stops_nothing_and_what_fails_does():
    yes, no, unknown = (Criterion("x", holds, "") for holds in (True, False, None))
    assert believed([yes, unknown])
    assert not believed([yes, unknown, no])
    ran = {"ps": 200.0, "share": 0.0, "first": None, "broke": None, "sentence": ""}
    assert dynamics(ran).holds
    for fault in ({"ps": 50.0}, {"share": 0.01, "first": "far"}, {"broke": "collided"}):
        assert not dynamics(ran | fault).holds


def test_dear_references_get_fewer_frames_and_lose_their_yardstick(tiny):
    setup = set_up(request(frames=0))
    cheap, dear, absurd = (make_plan(setup, seconds) for seconds in (0.01, 30.0, 300.0))
    assert cheap.first >= dear.first
    assert dear.yardstick
    assert not absurd.yardstick
    assert "would take" in absurd.why_not


def test_another_request_is_refused_and_another_budget_is_not(tmp_path):
    asked = Request("water.xyz", tmp_path)
    State(asked, shown=False).put(rounds=[{"frames": 3}])
    again = State(Request("water.xyz", tmp_path, hours=9.0, target=1.0), shown=False)
    assert again.found
    assert again.rounds == [{"frames": 3}]
    with pytest.raises(InputError, match=r"temperature was 300\.0"):
        State(Request("water.xyz", tmp_path, temperature=310.0), shown=False)


# ---- the whole


@pytest.fixture
def built(tiny):
    return build(request(), shown=False)


def rounds_of(folder):
    return json.loads((folder / "state.json").read_text())["rounds"]


def test_a_build_ends_with_models_a_report_and_reasons_and_labels_nothing_twice(tiny, built):
    folder = tiny / "water"
    assert not built.believed  # after sixty steps
    assert built.models == (Path("water/model"), Path("water/model-2"))
    for name in ("report.html", "learning.png", "build.toml", "log.txt", "model/card.md", "model/structure.xyz"):
        assert (folder / name).stat().st_size > 0
    assert "NOT YET" in (folder / "report.html").read_text()
    outputs = sorted((folder / "batches").glob("*.labelled.extxyz"))
    frames = [atoms for path in outputs for atoms in ase.io.read(path, ":")]
    labelled = [geometry(atoms) for atoms in frames]
    assert len(labelled) == len(set(labelled)) <= 62
    yardstick = {geometry(a) for a in ase.io.read(folder / "yardstick/all.extxyz", ":")}
    assert not yardstick.intersection(labelled)
    trained = {geometry(a) for path in folder.glob("rounds/*/train.extxyz") for a in ase.io.read(path, ":")}
    held = {geometry(a) for path in folder.glob("rounds/*/validation.extxyz") for a in ase.io.read(path, ":")}
    assert not trained.intersection(held)
    audits = {geometry(a) for a in ase.io.read(folder / "audit.extxyz", ":")}
    assert audits.isdisjoint(trained)

    counts = {calls(tiny).count(exactly(atoms)) for atoms in frames}
    before = len(calls(tiny))
    again = build(request(), resume=True, shown=False)
    assert again.criteria == built.criteria
    assert len(calls(tiny)) == before  # a finished build asks nothing
    assert counts == {1}
    assert not rounds_of(folder)[-1]["long"]  # its frequencies were wrong, so its dynamics was short
    easy = build(request(target=1e5, forces=1e6), shown=False)  # what has ended is judged by what is asked now
    assert rounds_of(folder)[-1]["long"]
    held = {c.name: c.holds for c in easy.criteria}
    assert held["forces"]
    assert len(calls(tiny)) == before
    with pytest.raises(InputError, match="seed was 0"):
        build(request(seed=5), shown=False)


def test_a_round_that_is_good_enough_labels_its_audits_alone_until_more_is_asked_for(tiny, monkeypatch):
    monkeypatch.setattr(judge, "LENGTH", 1.0)
    monkeypatch.setattr(judge, "OUTSIDE", 1.0)
    assert build(request(target=1e5, forces=1e6), shown=False).believed
    chosen, done = (tiny / "water/batches" / name for name in ("02.extxyz", "02.labelled.extxyz"))
    whole = len(ase.io.read(chosen, ":"))
    labelled = ase.io.read(done, ":")
    assert {atoms.info["why"] for atoms in labelled} == {"audit"}
    assert len(labelled) < whole
    assert not build(request(target=1e-6, frames=80), shown=False).believed
    assert len(ase.io.read(done, ":")) == whole
    assert len(calls(tiny)) == len(set(calls(tiny)))


def test_a_dry_run_says_what_it_will_cost_and_begins_nothing(tiny):
    text = dry_run(request())
    assert "nothing was begun" in text
    assert "a call of" in text
    assert not (tiny / "water").exists()


def test_a_folder_of_something_else_stays_as_it_is(tiny):
    (tiny / "water").mkdir()
    (tiny / "water" / "thesis.tex").write_text("dear")
    with pytest.raises(InputError, match="exists and is no build"):
        build(request(), shown=False)
    with pytest.raises(InputError, match="holds no build to go on with"):
        build(request(), resume=True, shown=False)


@pytest.mark.slow
def test_a_slab_with_fixed_atoms_is_built_with_any_ase_calculator(tiny, monkeypatch):
    monkeypatch.setattr(pool, "_SHARES", {1.0: 1.0})  # there is nothing but dynamics for it
    slab = fcc111("Cu", (1, 1, 3), vacuum=5.0)
    slab.info.clear()  # what extended XYZ cannot hold
    slab.set_constraint(FixAtoms([0]))
    ase.io.write(tiny / "slab.xyz", slab)
    asked = {"temperature": 300.0, "processes": 1, "frames": 50, "reference": "ase.calculators.emt:EMT"}
    built = build(Request("slab.xyz", "slab", **asked), shown=False)
    criteria = {c.name: c for c in built.criteria}
    assert criteria["frequencies"].holds is None
    assert "periodic" in criteria["frequencies"].text
    frames = ase.io.read(tiny / "slab/rounds/01/train.extxyz", ":")
    assert all(np.allclose(atoms.positions[0], slab.positions[0], atol=1e-6) for atoms in frames)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_builds_that_are_killed_lose_no_label_and_make_none_twice():
    tests = Path(__file__).parents[1]
    paths = os.pathsep.join([str(tests.parent), str(tests), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, str(tests / "build_kills.py"), "--kills", os.environ.get("PAINN_ASE_KILLS", "8")]
    environment = os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_formamide_with_gfn2_is_believed_and_its_frequencies_are_those_of_gfn2(tmp_path, monkeypatch):
    pytest.importorskip("tblite")
    monkeypatch.chdir(tmp_path)
    plane = ((0.0, 0.42), (1.195, 0.245), (-0.935, -0.565), (-0.44, 1.43), (-0.64, -1.53), (-1.92, -0.33))
    ase.io.write("formamide.xyz", Atoms("CONH3", [(x, y, 0.0) for x, y in plane]))
    built = build(Request("formamide.xyz", "formamide", reference="gfn2", purposes=("ir",), hours=0.5), shown=False)
    assert built.believed
    criteria = {c.name: c for c in built.criteria}
    assert criteria["frequencies"].value < 10.0
    assert criteria["forces"].value < 20.0
    assert (tmp_path / "formamide/spectrum/infrared.png").stat().st_size > 10_000


@pytest.mark.slow
def test_ring_polymers_explore_and_every_bead_is_looked_at(tiny):
    build(request("ring", beads=4), shown=False)
    found = rounds_of(tiny / "ring")[0]["exploration"]
    assert found["ps"] > 0
    assert "of 48 geometries" in found["sentence"]  # three looks at four trajectories of four beads


@pytest.mark.slow
def test_a_build_begins_from_the_weights_of_a_model_that_was_named(tiny):
    build(request("from", start="ethanol-small", frames=40), shown=False)
    start, model = load_model("ethanol-small"), load_model(tiny / "from/model")
    assert model.config["representation"] == start.config["representation"]
    assert sorted(model.heads) == ["dipole", "energy"]
    assert model.trained_on >= start.trained_on if start.trained_on else model.trained_on
