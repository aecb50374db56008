"""Guards over the beads of a ring polymer: those of any other run, said of the bead, from the first evaluation on."""

import warnings

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.io import read

from painn_ase import PaiNNCalculator
from painn_ase.cli import main
from painn_ase.errors import InputError, SimulationError
from painn_ase.simulate import Guards, GuardWarning, Output, RingPolymerRun, run_rpmd
from painn_ase.simulate.run.close_pairs import ClosePairs
from painn_ase.structures import read_structure

from helpers.random_models import random_model
from helpers.springs import IMPOSSIBLE_GUARDS, Failing, Springs, cluster


def run(path, atoms=None, resume=False, overwrite=False, checkpoint=60.0, guards=None, **changes):
    arguments = {
        "beads": 4, "steps": 60, "timestep": 0.5, "equilibration": 0.01, "every": 2,
        "record": {"bead_positions": 1}, "output": Output(trajectory_every=10), "progress": False,
    }  # fmt: skip
    return run_rpmd(
        cluster() if atoms is None else atoms,
        path=path,
        resume=resume,
        overwrite=overwrite,
        checkpoint=checkpoint,
        guards=Guards(**(guards or {})),
        **(arguments | changes),
    )


def shortest(image):
    return image.get_all_distances()[np.triu_indices(len(image), 1)].min()


def test_a_bead_whose_atoms_come_too_close_stops_the_run_and_leaves_its_frames(tmp_path):
    limit = shortest(cluster()) - 0.05
    with pytest.raises(SimulationError, match=r"^step -?\d+, bead \d: atoms \d and \d are .* closer than") as stop:
        run(tmp_path / "a", guards={"min_distance": limit})
    good, offending = read(tmp_path / "a.failure.traj", ":")
    assert shortest(offending) < limit <= shortest(good)
    assert f"step {offending.info['step']}, bead {offending.info['bead']}:" in str(stop.value)
    assert offending.info["step"] == good.info["step"] + 1


def test_the_shortest_distance_of_every_bead_is_found_at_the_step_it_passes_the_limit(tmp_path):
    """Against all distances of all beads, in a recorded run of the same seed without the guard."""
    free = run(tmp_path / "free", equilibration=0.0, steps=100)
    beads = free.observables("bead_positions")[1]  # (steps, beads, atoms, 3)
    every = np.array([[shortest(Atoms("C2N2OF", x)) for x in frame] for frame in beads])
    limit = np.sort(every.min(axis=1))[5]  # some steps are below, most are not
    step = int(np.flatnonzero(every.min(axis=1) < limit)[0])
    with pytest.raises(SimulationError, match=rf"^step {step}, bead {every[step].argmin()}: atoms"):
        run(tmp_path / "held", equilibration=0.0, steps=100, guards={"min_distance": limit})


def test_close_pairs_of_copies_are_those_of_a_full_search_on_a_long_way():
    """Through a cell of four atoms, whose images count, with jumps of whole cell vectors."""
    atoms = bulk("Cu", cubic=True)
    rng = np.random.default_rng(0)
    x = np.repeat(atoms.positions[None], 3, axis=0)
    search, seen = ClosePairs(2.0, atoms), 0
    for step in range(150):
        x = x + rng.normal(scale=0.06, size=x.shape)
        if step % 40 == 39:
            x[1, 2] += atoms.cell[0]
        expected = {}
        for k, one in enumerate(x):
            images = Atoms(atoms.numbers, one, cell=atoms.cell, pbc=True).repeat(2)
            distance = images.get_all_distances(mic=True)[np.triu_indices(32, 1)].min()
            if distance < 2.0:
                expected[k] = f"are {distance:.3g} Å apart"
        found = dict(search(x))
        assert found.keys() == expected.keys()
        assert all(expected[k] in sentence for k, sentence in found.items())
        seen += len(found)
    assert 0 < seen < 450


def test_the_first_evaluation_is_looked_at(tmp_path):
    atoms = read_structure("ethanol")
    atoms.calc = PaiNNCalculator([random_model(seed=seed, features=8, heads={"energy": {}}) for seed in (1, 2)])
    spread = atoms.calc.get_property("forces_std", atoms).max()
    with pytest.raises(SimulationError, match=r"^step -20, bead \d: the models disagree by .* on the force on atom"):
        run(tmp_path / "a", atoms, record=(), guards={"max_disagreement": 0.9 * spread})
    with pytest.raises(SimulationError, match=r"^step 0, bead \d: the models disagree"):
        run(tmp_path / "b", atoms, record=(), equilibration=0.0, guards={"max_disagreement": 0.9 * spread})
    assert len(read(tmp_path / "b.failure.traj", ":")) == 1


def test_a_ring_that_is_too_hot_stops(tmp_path):
    with pytest.raises(SimulationError, match=r"temperature of the ring \d+\.?\d* K above the limit of 200 K"):
        run(tmp_path / "a", guards={"max_temperature": 200.0})


# the calculator's own warning, if it looks first
@pytest.mark.filterwarnings("ignore::painn_ase.coverage.CoverageWarning")
def test_beads_outside_of_the_training_data_stop_the_run(tmp_path):
    atoms = read_structure("ethanol")
    atoms.calc = PaiNNCalculator("ethanol")
    with pytest.raises(SimulationError, match=r"^step -?\d+, bead \d: outside of what the model was trained on: "):
        run(tmp_path / "a", atoms, temperature=6000.0, timestep=0.25, steps=2000, guards={"stop_outside": True})
    offending = read(tmp_path / "a.failure.traj", "-1")
    fresh = PaiNNCalculator("ethanol")
    with pytest.warns(match="extrapolated"):
        fresh.get_property("forces", offending)
    assert fresh.outside


def test_a_warning_changes_no_number_and_keeps_a_frame_of_each_excursion(tmp_path):
    free = run(tmp_path / "free")
    with pytest.warns(GuardWarning, match=r"step -?\d+, bead \d: force .*; the run goes on") as caught:
        held = run(tmp_path / "a", guards={"max_force": 1.2, "action": "warn"})
    for name in free.names:
        np.testing.assert_array_equal(free.observables(name)[1], held.observables(name)[1])
    flagged = read(tmp_path / "a.flagged.traj", ":")
    assert len(flagged) == len(caught) > 1
    for image in flagged:
        assert np.linalg.norm(image.get_forces(), axis=1).max() > 1.2
    assert not (tmp_path / "a.failure.traj").exists()


def test_a_function_is_handed_the_frame_of_the_bead_with_its_results(tmp_path):
    seen = []
    run(tmp_path / "a", guards={"max_force": 1.2, "action": lambda *handed: seen.append(handed)})
    assert seen
    for image, sentence in seen:
        assert sentence.startswith("force ")
        again = image.copy()
        again.calc = Springs(cluster())
        np.testing.assert_allclose(image.get_forces(), again.get_forces(), atol=1e-12)


@pytest.mark.parametrize("call", [40, 100, 200])  # in the equilibration, around step 0, while recording
def test_a_stopped_run_resumes_to_the_same_numbers_and_the_same_flagged_frames(call, tmp_path):
    class Stopping(Springs):
        name = "springs"  # a run goes on with the calculator it began with

        def calculate(self, *args, **kwargs):
            super().calculate(*args, **kwargs)
            if len(self.calls) == call:
                raise KeyboardInterrupt

    guards = {"max_force": 1.2, "min_distance": 9.0, "action": "warn"}  # the second excursion never ends
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GuardWarning)
        whole = run(tmp_path / "whole", guards=guards)
        atoms = cluster()
        atoms.calc = Stopping(atoms)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "pieces", atoms, guards=guards, checkpoint=0.0)
        pieces = run(tmp_path / "pieces", resume=True, guards=guards)
    for name in whole.names:
        np.testing.assert_array_equal(whole.observables(name)[1], pieces.observables(name)[1])
    one, other = (read(tmp_path / f"{name}.flagged.traj", ":") for name in ("whole", "pieces"))
    # excursions that begin in one step are told in no order
    key = [sorted((i.info["step"], i.info["bead"]) for i in frames) for frames in (one, other)]
    assert key[0] == key[1]


def test_an_evaluation_that_fails_keeps_all_beads(tmp_path):
    atoms = cluster()
    atoms.calc = Failing(atoms, after=60)
    with pytest.raises(
        SimulationError, match=r"^step -?\d+: no convergence; the frames of all copies are in .*failure"
    ):
        run(tmp_path / "a", atoms)
    assert [image.info["bead"] for image in read(tmp_path / "a.failure.traj", ":")] == [0, 1, 2, 3]


@pytest.mark.parametrize(("guards", "message"), IMPOSSIBLE_GUARDS)
def test_impossible_guards_are_refused_before_anything_is_written(guards, message, tmp_path):
    with pytest.raises(InputError, match=message):
        run(tmp_path / "a", guards=guards)
    assert not list(tmp_path.iterdir())


def test_a_new_run_replaces_the_frames_of_the_one_before(tmp_path):
    guards = {"max_force": 1.2, "action": "warn"}
    with pytest.warns(GuardWarning):
        run(tmp_path / "a", guards=guards)
    count = len(read(tmp_path / "a.flagged.traj", ":"))
    with pytest.raises(InputError, match="overwrite"):
        run(tmp_path / "a")
    with pytest.warns(GuardWarning):
        run(tmp_path / "a", overwrite=True, guards=guards)
    assert len(read(tmp_path / "a.flagged.traj", ":")) == count


# ---- command line


def test_command_line_guards_a_ring_polymer(tmp_path, capsys):
    words = [
        "rpmd",
        "ethanol",
        "--beads",
        "2",
        "--steps",
        "10",
        "--equilibration",
        "0",
        "--output",
        str(tmp_path / "a"),
    ]
    assert main([*words, "--min-distance", "2"]) == 1
    assert "step 0, bead 0: atoms" in capsys.readouterr().err
    with pytest.warns(GuardWarning, match="closer than the limit of 2 Å"):
        assert main([*words, "--min-distance", "2", "--warn-only", "--overwrite"]) == 0
    assert len(read(tmp_path / "a.flagged.traj", ":")) == 2
    assert RingPolymerRun.load(tmp_path / "a").summary["complete"]


def test_command_line_guards_spectra(tmp_path, capsys):
    out = tmp_path / "a"
    words = ["spectrum", "ethanol", "--trajectories", "2", "--length", "0.3", "--equilibration", "0", "--ir"]
    words += ["--resolution", "180", "--output", str(out), "--max-force", "0.001"]
    assert main(words) == 1
    assert ", trajectory 0: force" in capsys.readouterr().err
    assert (out / "run.failure.traj").exists()


@pytest.mark.parametrize(("verb", "file"), [("rpmd", "OUTPUT.flagged.traj"), ("spectrum", "OUTPUT/run.flagged.traj")])
def test_help_names_the_file_of_flagged_frames(verb, file, capsys):
    with pytest.raises(SystemExit):
        main([verb, "--help"])
    assert file in capsys.readouterr().out
