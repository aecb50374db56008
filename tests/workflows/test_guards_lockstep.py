"""Guards over trajectories in lock-step: the same as for one run, said of the copy, in every one of them."""

import warnings

import numpy as np
import pytest
from ase.io import read

from painn_ase import PaiNNCalculator
from painn_ase.errors import InputError, SimulationError
from painn_ase.simulate import Analysis, Guards, GuardWarning, Protocol, Run, simulate_spectra
from painn_ase.structures import read_structure

from helpers.random_models import random_model
from helpers.springs import IMPOSSIBLE_GUARDS, Failing, Springs, cluster

SHORT = Protocol(trajectories=3, length=0.4, equilibration=0.05, timestep=1.0, every=2)
BEADS = Protocol(trajectories=2, length=0.4, equilibration=0.05, timestep=0.5, every=2, beads=3)
GENTLE = Analysis(resolution=120)


def spectra(path, atoms=None, protocol=SHORT, resume=False, **guards):
    return simulate_spectra(
        cluster() if atoms is None else atoms,
        path=path,
        protocol=protocol,
        analysis=GENTLE,
        spectra=["power"],
        resume=resume,
        guards=Guards(**guards),
    )


def strongest(atoms):
    return np.linalg.norm(atoms.calc.get_property("forces", atoms), axis=1).max()


def attached(image):
    image.calc = Springs(cluster())
    return image


@pytest.mark.parametrize("protocol", [SHORT, BEADS])
def test_a_force_above_its_limit_stops_all_and_keeps_the_frames_of_that_copy(protocol, tmp_path):
    with pytest.raises(
        SimulationError, match=r"^step -?\d+, trajectory \d.*: force 1\.\d+ eV/Å on atom \d above"
    ) as stop:
        spectra(tmp_path / "a", protocol=protocol, max_force=1.0)
    good, offending = read(tmp_path / "a" / "run.failure.traj", ":")
    assert offending.info["step"] == good.info["step"] + 1
    assert f"step {offending.info['step']}, trajectory {offending.info['trajectory']}" in str(stop.value)
    assert good.info["trajectory"] == offending.info["trajectory"]
    if protocol is BEADS:
        assert f"bead {offending.info['bead']}" in str(stop.value)
    assert strongest(attached(good)) <= 1.0 < strongest(attached(offending))
    # what was kept is one step of a motion; half the mean velocity from both sides, to second order in 1 fs
    moved = offending.positions - good.positions
    mean = (good.get_velocities() + offending.get_velocities()) / 2
    if protocol is SHORT:
        np.testing.assert_allclose(moved, mean * 0.09822694788, atol=0.02 * np.abs(moved).max() + 2e-3)


def test_atoms_that_come_too_close_stop_a_trajectory(tmp_path):
    rest = cluster().get_all_distances()[np.triu_indices(6, 1)].min()
    with pytest.raises(
        SimulationError, match=r"step -?\d+, trajectory \d: atoms \d and \d are .* closer than the limit"
    ):
        spectra(tmp_path / "a", min_distance=rest - 0.05)
    _, offending = read(tmp_path / "a" / "run.failure.traj", ":")
    assert offending.get_all_distances()[np.triu_indices(6, 1)].min() < rest - 0.05


def test_a_temperature_above_its_limit_stops_a_trajectory(tmp_path):
    with pytest.raises(SimulationError, match=r"trajectory \d: temperature \d+\.?\d* K above the limit of 400 K"):
        spectra(tmp_path / "a", max_temperature=400.0)


def test_models_that_disagree_stop_trajectories_in_one_evaluation(tmp_path):
    atoms = read_structure("ethanol")
    atoms.calc = PaiNNCalculator([random_model(seed=seed, features=8, heads={"energy": {}}) for seed in (1, 2)])
    spread = atoms.calc.get_property("forces_std", atoms).max()
    with pytest.raises(
        SimulationError, match=r"^step -50, trajectory 0: the models disagree by .* on the force on atom"
    ):
        spectra(tmp_path / "a", atoms, max_disagreement=0.9 * spread)
    calm = Protocol(trajectories=2, length=0.4, equilibration=0, timestep=4.0, every=1, temperature=1e-6)
    with pytest.raises(SimulationError, match=r"^step [1-9]\d*, trajectory \d"):  # that it moves is what makes it worse
        spectra(tmp_path / "b", atoms, calm, max_disagreement=1.000001 * spread, max_temperature=1e9)


def test_models_that_disagree_stop_trajectories_one_by_one(tmp_path):
    class Committee(Springs):
        implemented_properties = [*Springs.implemented_properties, "forces_std"]  # noqa: RUF012

        def calculate(self, *args, **kwargs):
            super().calculate(*args, **kwargs)
            self.results["forces_std"] = 0.1 * np.linalg.norm(self.results["forces"], axis=1)

    atoms = cluster()
    atoms.calc = Committee(atoms)
    with pytest.raises(SimulationError, match=r"the models disagree by 0\.1"):
        spectra(tmp_path / "a", atoms, max_disagreement=0.1)


# the calculator's own warning, if it looks first
@pytest.mark.filterwarnings("ignore::painn_ase.coverage.CoverageWarning")
def test_leaving_the_training_data_stops_a_trajectory_and_names_the_copy(tmp_path):
    atoms = read_structure("ethanol")
    atoms.calc = PaiNNCalculator("ethanol")
    hot = Protocol(trajectories=5, length=0.4, equilibration=0.3, timestep=0.5, every=2, temperature=6000, friction=0.1)
    with pytest.raises(SimulationError, match=r"trajectory \d: outside of what the model was trained on: "):
        spectra(tmp_path / "a", atoms, hot, stop_outside=True)
    _, offending = read(tmp_path / "a" / "run.failure.traj", ":")
    fresh = PaiNNCalculator("ethanol")
    with pytest.warns(match="extrapolated"):
        fresh.get_property("forces", offending)
    assert fresh.outside


def test_a_warning_lets_all_go_on_to_the_same_numbers_and_keeps_one_frame_of_each_excursion(tmp_path):
    spectra(tmp_path / "free")
    with pytest.warns(GuardWarning, match=r"step -?\d+, trajectory \d: force .*; the run goes on") as caught:
        spectra(tmp_path / "a", max_force=1.2, action="warn")
    for name in ("potential_energy", "kinetic_energy", "velocities"):
        one, other = (Run.load(tmp_path / run / "run").observables(name)[1] for run in ("free", "a"))
        np.testing.assert_array_equal(one, other)
    flagged = read(tmp_path / "a" / "run.flagged.traj", ":")
    assert len(flagged) == len(caught) > 1
    begun = {(image.info["step"], image.info["trajectory"]) for image in flagged}
    assert len(begun) == len(flagged)
    for image in flagged:
        assert np.linalg.norm(image.get_forces(), axis=1).max() > 1.2
        assert (image.info["step"] - 1, image.info["trajectory"]) not in begun
    assert not (tmp_path / "a" / "run.failure.traj").exists()


def test_a_function_is_handed_the_frame_with_its_results(tmp_path):
    seen = []
    spectra(tmp_path / "a", max_force=1.2, action=lambda *handed: seen.append(handed))
    assert seen
    for image, sentence in seen:
        assert sentence.startswith("force ")
        energy, forces = image.get_potential_energy(), image.get_forces()
        again = attached(image.copy())
        assert energy == pytest.approx(again.get_potential_energy())
        np.testing.assert_allclose(forces, again.get_forces(), atol=1e-12)


def test_excursions_are_told_once_across_a_resumption(tmp_path, monkeypatch):
    """Stopped in the middle of an excursion that never ends: two frames of three copies would be six."""
    limits = {"min_distance": 9.0, "action": "warn"}
    calls = []

    class Stopping(Springs):
        name = "springs"  # a run goes on with the calculator it began with

        def calculate(self, *args, **kwargs):
            calls.append(1)
            if len(calls) == 400:
                raise KeyboardInterrupt
            super().calculate(*args, **kwargs)

    atoms = cluster()
    atoms.calc = Stopping(atoms)
    common = {"path": tmp_path / "a", "protocol": SHORT, "analysis": GENTLE, "spectra": ["power"]}
    with pytest.warns(GuardWarning), pytest.raises(KeyboardInterrupt):
        simulate_spectra(atoms, guards=Guards(**limits), checkpoint=0.0, **common)
    assert len(read(tmp_path / "a" / "run.flagged.traj", ":")) == 3
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        simulate_spectra(cluster(), guards=Guards(**limits), resume=True, **common)
    assert len(read(tmp_path / "a" / "run.flagged.traj", ":")) == 3
    with pytest.warns(GuardWarning):
        simulate_spectra(cluster(), guards=Guards(**limits), overwrite=True, **common)
    assert len(read(tmp_path / "a" / "run.flagged.traj", ":")) == 3


def test_an_evaluation_that_fails_names_the_step_and_keeps_all_copies(tmp_path):
    atoms = cluster()
    atoms.calc = Failing(atoms, after=30)
    with pytest.raises(
        SimulationError, match=r"^step -?\d+: no convergence; the frames of all copies are in .*failure"
    ):
        spectra(tmp_path / "a", atoms)
    assert [image.info["trajectory"] for image in read(tmp_path / "a" / "run.failure.traj", ":")] == [0, 1, 2]


@pytest.mark.parametrize(("guards", "message"), IMPOSSIBLE_GUARDS)
def test_impossible_guards_of_a_spectrum_are_refused_before_anything_is_written(guards, message, tmp_path):
    with pytest.raises(InputError, match=message):
        spectra(tmp_path / "a", **guards)
    assert not list(tmp_path.iterdir())
