"""A calculator that learns while it runs: whom it asks, what it keeps, what a kill costs, what others see of it."""

from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones
from ase.calculators.mixing import LinearCombinationCalculator
from ase.mep import NEB
from ase.optimize import BFGS

from painn_ase import CorrectedCalculator, LearningCalculator, PaiNNCalculator, run_md, simulate_spectra
from painn_ase.cli import main
from painn_ase.data.identity import fingerprint
from painn_ase.errors import InputError, SimulationError
from painn_ase.learning import judge
from painn_ase.reference import Models
from painn_ase.simulate import MTK, relax
from painn_ase.structures import read_structure

from helpers.small_learning import Reference, cluster, forces_of, forget, learning, rows  # noqa: F401  (a fixture)

pytestmark = pytest.mark.filterwarnings("ignore::painn_ase.coverage.CoverageWarning")  # of frozen ones


def halved(*parts):
    return LinearCombinationCalculator(list(parts), [0.5, 1.0])


def test_the_reference_answers_until_there_is_a_model(tmp_path):
    calc = learning(tmp_path, threshold=1e-9)
    frames = [cluster(seed) for seed in range(8)]
    found = forces_of(calc, frames)
    for atoms, forces in zip(frames, found, strict=True):
        np.testing.assert_allclose(forces, EMT().get_property("forces", atoms), atol=1e-6)  # of rounded positions
    why = [row["why"] for row in rows(tmp_path)]
    assert why == ["no model"] * 6 + ["disagreement"] * 2
    assert len(set(Reference.asked)) == len(Reference.asked) == 8
    assert len(ase.io.read(tmp_path / "labels.extxyz", ":")) == 8
    assert [row["model"] for row in rows(tmp_path)] == ["0"] * 6 + ["1"] * 2


def test_a_row_holds_the_true_error_of_the_models(tmp_path):
    calc = learning(tmp_path, threshold=1e-9)
    forces_of(calc, [cluster(seed) for seed in range(7)])
    row, atoms = rows(tmp_path)[-1], cluster(6)
    models = calc.freeze()
    error = models.get_property("forces", atoms) - EMT().get_property("forces", atoms)
    assert float(row["error"]) == pytest.approx(np.linalg.norm(error, axis=1).max(), rel=1e-3)
    assert float(row["disagreement"]) == pytest.approx(models.results["forces_std"].max(), rel=1e-3)
    assert float(row["energy_error"]) == pytest.approx(
        models.get_property("energy", atoms) - EMT().get_property("energy", atoms), abs=1e-3
    )


def test_trusted_models_answer_and_known_structures_are_never_asked_again(tmp_path):
    calc = learning(tmp_path, threshold=1e9)
    frames = [cluster(seed) for seed in range(6)]
    forces_of(calc, frames)
    near = cluster(0)
    near.positions *= 1.001  # inside of what was seen
    forces = calc.get_property("forces", near)
    assert len(Reference.asked) == 6
    np.testing.assert_array_equal(forces, calc.freeze().get_property("forces", near))
    np.testing.assert_allclose(forces_of(calc, frames), forces_of(EMT(), frames), atol=1e-6)
    assert len(Reference.asked) == 6


def test_coverage_objects_and_other_elements_have_no_model(tmp_path):
    calc = learning(tmp_path, threshold=1e9)
    forces_of(calc, [cluster(seed) for seed in range(6)])
    far = cluster(0)
    far.positions *= 1.4
    mixed = cluster(1)
    mixed.numbers[0] = 47
    forces_of(calc, [far, mixed])
    assert [row["why"] for row in rows(tmp_path)[6:]] == ["coverage", "no model"]


def test_audits_ask_although_nothing_objects(tmp_path, monkeypatch):
    monkeypatch.setattr(judge, "AUDITS", 1)
    calc = learning(tmp_path, threshold=1e9)
    frames = [cluster(seed) for seed in range(6)]
    forces_of(calc, frames)
    near = cluster(0)
    near.positions *= 1.001
    calc.get_property("forces", near)
    assert rows(tmp_path)[-1]["why"] == "audit"
    assert len(calc.report.errors) == 1
    assert "audits       1 at random" in str(calc.report)


def test_a_harmless_objection_is_not_heard_again_nearby(tmp_path):
    calc = learning(tmp_path, threshold=1e-9, tolerance=1e3, batch=10)
    forces_of(calc, [cluster(seed) for seed in range(10)])
    forces_of(calc, [cluster(0, 0.05 + 1e-4 * k) for k in range(1, 25)])
    assert [row["why"] for row in rows(tmp_path)[10:]] == ["disagreement"]
    forces_of(calc, [cluster(0, 0.2)])  # farther than 0.1 Å
    assert [row["why"] for row in rows(tmp_path)[10:]] == ["disagreement"] * 2


def test_frames_to_start_from_are_labelled_once_and_learned_at_once(tmp_path):
    start = [cluster(seed) for seed in range(6)]
    for atoms in start[:4]:
        atoms.calc = EMT()
        atoms.get_forces()
    calc = learning(tmp_path, start=start, threshold=1e9)
    near = cluster(0)
    near.positions *= 1.001
    calc.get_property("forces", near)
    assert len(Reference.asked) == 2
    assert [row["why"] for row in rows(tmp_path)] == ["start"] * 2
    assert rows(tmp_path, "changes.csv")[0]["frames"] == "6"


def test_trained_models_can_be_started_from_and_are_trained_on(tmp_path):
    first = learning(tmp_path / "first", threshold=1e-9)
    forces_of(first, [cluster(seed) for seed in range(7)])
    start = [tmp_path / "first" / "models-1" / f"member-{k}" for k in (0, 1)]
    calc = learning(tmp_path / "second", start=start, threshold=1e-9)
    forces_of(calc, [cluster(seed) for seed in range(10, 17)])
    assert {row["why"] for row in rows(tmp_path / "second")} <= {"disagreement", "coverage"}
    assert calc.freeze().model_name


@pytest.mark.parametrize("failures", [2, 3])
def test_a_failing_reference_has_three_tries(tmp_path, failures):
    calc = learning(tmp_path)
    Reference.failures = failures
    atoms = cluster()
    if failures < 3:
        calc.get_property("energy", atoms)
    else:
        with pytest.raises(SimulationError, match=r"failed 3 times.*no convergence"):
            calc.get_property("energy", atoms)
        assert np.allclose(ase.io.read(tmp_path / "failed.extxyz").positions, atoms.positions, atol=1e-7)
    assert len(Reference.asked) == 3
    calc.get_property("energy", atoms)  # goes on
    assert len(rows(tmp_path)) == 1


def test_models_may_answer_for_a_reference_that_fails_or_is_too_dear(tmp_path):
    calc = learning(tmp_path, threshold=1e-9, on_failure="model", budget=7)
    forces_of(calc, [cluster(seed) for seed in range(6)])
    Reference.failures = 3
    with pytest.warns(UserWarning, match="failed 3 times"):
        calc.get_property("forces", cluster(6))
    forces_of(calc, [cluster(seed) for seed in (7, 8, 9)])
    assert len(rows(tmp_path)) == 7
    stopping = learning(tmp_path, threshold=1e-9, budget=7)
    with pytest.raises(SimulationError, match="budget of 7 calls"):
        stopping.get_property("forces", cluster(10))


def test_a_folder_is_gone_on_from_and_another_reference_is_refused(tmp_path):
    calc = learning(tmp_path, threshold=1e9)
    frames = [cluster(seed) for seed in range(6)]
    forces_of(calc, frames)
    near = cluster(0)
    near.positions *= 1.001
    forces = calc.get_property("forces", near)
    again = learning(tmp_path, threshold=1e9)
    np.testing.assert_array_equal(again.get_property("forces", near), forces)
    assert len(Reference.asked) == 6
    assert again.report.calls == 6
    other = LearningCalculator(lambda: EMT(asap_cutoff=True), tmp_path)
    with pytest.raises(InputError, match="another recipe"):
        other.get_property("forces", near)


def test_labels_without_a_row_get_one(tmp_path):
    calc = learning(tmp_path)
    forces_of(calc, [cluster(0), cluster(1)])
    lines = (tmp_path / "calls.csv").read_text().splitlines(keepends=True)
    (tmp_path / "calls.csv").write_text("".join(lines[:-1]))
    again = learning(tmp_path)
    again.get_property("forces", cluster(1))
    found = rows(tmp_path)
    assert [row["why"] for row in found] == ["no model"] * 2
    assert found[1]["fingerprint"] == fingerprint(ase.io.read(tmp_path / "labels.extxyz", 1))
    assert len(Reference.asked) == 2


def test_steps_in_energy_are_those_of_the_models_at_the_last_structure(tmp_path):
    calc = learning(tmp_path, threshold=1e-9, tolerance=1e-9)
    surfaces, frames = [], [cluster(seed, 0.1) for seed in range(13)]
    for atoms in frames:
        energy = calc.get_property("energy", atoms)
        assert energy == pytest.approx(EMT().get_property("energy", atoms), abs=1e-6)
        surfaces.append(energy - calc.discontinuity)
    first, second = rows(tmp_path, "changes.csv")
    models = [PaiNNCalculator([tmp_path / f"models-{k}" / f"member-{m}" for m in (0, 1)]).get_property for k in (1, 2)]
    assert float(first["energy_step"]) == pytest.approx(
        models[0]("energy", frames[5]) - EMT().get_property("energy", frames[5]), abs=1e-5
    )
    assert float(second["energy_step"]) == pytest.approx(
        models[1]("energy", frames[11]) - models[0]("energy", frames[11]), abs=1e-5
    )
    # the first answers, then the first models less the step that they made
    assert surfaces[:6] == pytest.approx([EMT().get_property("energy", a) for a in frames[:6]], abs=1e-6)
    began = float(first["energy_step"])
    assert surfaces[6:12] == pytest.approx([models[0]("energy", a) - began for a in frames[6:12]], abs=1e-5)


def test_conserved_energy_goes_on_when_models_change(tmp_path):
    atoms = cluster(amplitude=0.1)
    atoms.calc = learning(tmp_path, threshold=1e9)
    run = run_md(atoms, steps=20, path=tmp_path / "run", ensemble="nve", temperature=300, timestep=1.0, progress=False)
    step = float(rows(tmp_path, "changes.csv")[0]["energy_step"])
    total, conserved = (run.observables(name)[1] for name in ("total_energy", "conserved_energy"))
    assert (total - conserved)[:6] == pytest.approx(0, abs=1e-9)
    assert total[-1] - conserved[-1] == pytest.approx(atoms.calc.discontinuity, abs=1e-9)
    assert abs(step) > 1e-5
    assert "conserved energies begin anew" in (tmp_path / "log.txt").read_text()


@pytest.mark.parametrize(("combined", "factor"), [(CorrectedCalculator, 1.0), (halved, 0.5)])
def test_conserved_energy_goes_on_when_a_part_of_the_calculator_learns(tmp_path, combined, factor):
    atoms, learner = cluster(amplitude=0.1), learning(tmp_path, threshold=1e9)
    atoms.calc = combined(learner, LennardJones(sigma=2.0, epsilon=0.01))
    run = run_md(atoms, steps=20, path=tmp_path / "run", ensemble="nve", temperature=300, timestep=1.0, progress=False)
    total, conserved = (run.observables(name)[1] for name in ("total_energy", "conserved_energy"))
    assert abs(learner.discontinuity) > 1e-5
    assert total[-1] - conserved[-1] == pytest.approx(factor * learner.discontinuity, abs=1e-9)
    with pytest.raises(InputError, match="freeze"):
        simulate_spectra(atoms, path=tmp_path / "spectra")


def test_a_run_saved_before_the_models_learned_goes_on_from_the_answer_it_was_saved_with(tmp_path):
    keywords = {"path": tmp_path / "run", "ensemble": "nve", "temperature": 300, "timestep": 1.0, "progress": False}
    atoms = cluster(amplitude=0.1)
    atoms.calc = learning(tmp_path, threshold=1e9)
    before = run_md(atoms, steps=15, **keywords).observables("conserved_energy")[1]
    calc, answer = atoms.calc, atoms.calc.get_property("forces", atoms)
    calc._retraining._change(None, calc.evaluations, list(calc._reference.frames.values()))  # and is killed
    changed = calc._committee.surface(atoms)[1]
    assert np.abs(changed - answer).max() > 0.01 * np.abs(answer).max()  # another model, as restarts see it
    again = cluster(amplitude=0.1)
    again.calc = learning(tmp_path, threshold=1e9)
    run = run_md(again, steps=16, resume=True, **keywords)
    total, conserved = (run.observables(name)[1] for name in ("total_energy", "conserved_energy"))
    np.testing.assert_array_equal(conserved[:16], before)
    assert conserved[16] == pytest.approx(conserved[15], abs=2e-3)
    assert total[16] - conserved[16] == pytest.approx(again.calc.discontinuity, abs=1e-9)


def test_drivers_of_ase_and_of_this_package_use_it_unmodified(tmp_path):
    atoms = cluster()
    atoms.calc = learning(tmp_path / "bfgs", threshold=1e-9, tolerance=1e-9)
    with BFGS(atoms, logfile=None) as driver:
        driver.run(fmax=0.02, steps=60)
    assert np.abs(EMT().get_property("forces", atoms)).max() < 0.05
    atoms = cluster(1)
    atoms.calc = learning(tmp_path / "relax", threshold=1e-9, tolerance=1e-9)
    assert relax(atoms, fmax=0.02, progress=False).fmax < 0.02
    images = [cluster(0) for _ in range(5)]
    images[-1].positions[3] += [0.2, 0.2, 0.0]
    shared = learning(tmp_path / "neb")
    for image in images:
        image.calc = shared
    band = NEB(images, allow_shared_calculator=True, method="improvedtangent")
    band.interpolate()
    assert np.isfinite(band.get_forces()).all()
    assert len(rows(tmp_path / "neb")) == 5 == len({row["fingerprint"] for row in rows(tmp_path / "neb")})


@pytest.mark.slow
def test_dipoles_and_stresses_are_learned_where_they_are_asked_for(tmp_path):
    atoms = read_structure("ethanol")
    names = ("energy", "forces", "dipole")
    atoms.calc = learning(tmp_path / "dipoles", by=Models("ethanol-small"), properties=names, threshold=1e9)
    path = tmp_path / "dipoles" / "run"
    run = run_md(atoms, steps=10, path=path, temperature=300, record=["dipole"], progress=False)
    teacher = PaiNNCalculator("ethanol-small")
    first = read_structure("ethanol")
    np.testing.assert_allclose(run.observables("dipole")[1][0], teacher.get_property("dipole", first), atol=1e-5)
    assert "dipole" in atoms.calc.freeze().implemented_properties
    cell = bulk("Cu", cubic=True)
    cell.rattle(0.05, seed=0)
    cell.calc = learning(tmp_path / "cells", properties=("energy", "forces", "stress"), threshold=1e9)
    path = tmp_path / "cells" / "run"
    run = run_md(cell, steps=10, path=path, ensemble="npt", barostat=MTK(pressure=0.0), temperature=300, progress=False)
    assert np.isfinite(run.observables("stress")[1]).all()
    assert len(rows(tmp_path / "cells")) < 11


def test_spectra_want_a_frozen_calculator_and_freezing_wants_a_model(tmp_path):
    calc = learning(tmp_path)
    with pytest.raises(InputError, match="no model yet"):
        calc.freeze()
    atoms = cluster()
    atoms.calc = calc
    with pytest.raises(InputError, match="freeze"):
        simulate_spectra(atoms, path=tmp_path / "spectrum")
    forces_of(calc, [cluster(seed) for seed in range(7)])
    assert isinstance(calc.freeze(), PaiNNCalculator)


def test_impossible_requests_are_refused(tmp_path):
    for words, match in [
        ({"threshold": "often"}, "threshold"),
        ({"batch": 0}, "batch"),
        ({"on_failure": "go on"}, "on_failure"),
        ({"properties": ["energy"]}, "properties"),
        ({"start": [cluster(), "ethanol"]}, "mixture"),
    ]:
        with pytest.raises(InputError, match=match):
            LearningCalculator(Reference, tmp_path, **words)


def test_command_line_runs_dynamics_that_learns(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("taught.py").write_text("from ase.calculators.emt import EMT\n\ndef make(atoms):\n    return EMT()\n")
    ase.io.write("cluster.xyz", cluster())
    words = ["md", "cluster.xyz", "--steps", "3", "--learn", "taught.py:make", "--output", "copper"]
    assert main(words) == 0
    assert "reference    4 calls for 4 structures (100 %): 4 no model" in capsys.readouterr().out
    assert len(ase.io.read("copper.learning/labels.extxyz", ":")) == 4
    longer = [*words, "--steps", "5", "--resume"]
    assert main([*longer, "--budget", "5"]) == 1
    assert "budget of 5 calls" in capsys.readouterr().err
    assert main(longer) == 0  # with the usual budget
    assert "reference    6 calls for 6 structures (100 %): 6 no model" in capsys.readouterr().out
    assert main(["md", "ethanol", "--steps", "1", "--tolerance", "0.1", "--output", "plain"]) == 0
    assert "--tolerance has no effect" in capsys.readouterr().err
