"""Guards: what they object to, what happens then, and the frames that are kept."""

import warnings

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones
from ase.io import read

from painn_ase import PaiNNCalculator
from painn_ase.cli import main
from painn_ase.errors import InputError, SimulationError
from painn_ase.simulate import Guards, GuardWarning, Output, relax, run_md

from helpers.random_models import random_model
from helpers.springs import Springs, cluster


def collision(gap: float = 6.0) -> Atoms:
    """Two argon atoms on their way towards each other."""
    atoms = Atoms("Ar2", [[0, 0, 0], [gap, 0, 0]])
    atoms.set_velocities([[0.05, 0, 0], [-0.05, 0, 0]])
    atoms.calc = LennardJones(sigma=3.4, epsilon=0.01, rc=12.0)
    return atoms


def fall(path, **guards):
    return run_md(
        collision(), ensemble="nve", timestep=2.0, steps=180, path=path, output=Output(10), guards=Guards(**guards)
    )


def test_atoms_that_come_too_close_stop_a_run(tmp_path):
    with pytest.raises(SimulationError, match=r"atoms 0 and 1 are 3\.\d+ Å apart, closer than the limit of 3.4 Å"):
        fall(tmp_path / "a", min_distance=3.4)
    good, offending = read(tmp_path / "a.failure.traj", ":")
    assert good.get_distance(0, 1) >= 3.4 > offending.get_distance(0, 1)


def test_the_shortest_distance_counts_images_and_is_found_at_every_step(tmp_path):
    atoms = bulk("Cu", cubic=True)
    atoms.calc = EMT()
    start = atoms.get_all_distances(mic=True)[0, 1]
    run = run_md(atoms, steps=60, timestep=4, temperature=900, record="positions", path=tmp_path / "free")
    frames = [Atoms("Cu4", x, cell=atoms.cell, pbc=True) for x in run.observables("positions")[1]]
    shortest = [f.repeat(2).get_all_distances(mic=True)[np.triu_indices(32, 1)].min() for f in frames]
    limit = (min(shortest) + start) / 2
    first = next(k for k, d in enumerate(shortest) if d < limit)
    again = bulk("Cu", cubic=True)
    again.calc = EMT()
    guards = Guards(min_distance=limit)
    with pytest.raises(SimulationError, match=rf"^step {first}: atoms"):
        run_md(again, steps=60, timestep=4, temperature=900, path=tmp_path / "held", guards=guards)


def test_models_that_disagree_stop_a_run(tmp_path):
    atoms = Atoms("OHH", [[0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]])
    models = [random_model(seed=seed, heads={"energy": {}}) for seed in (1, 2)]
    atoms.calc = PaiNNCalculator(models)
    spread = atoms.calc.get_property("forces_std", atoms).max()
    with pytest.raises(SimulationError, match=r"^step 0: the models disagree by .* on the force on atom \d"):
        run_md(atoms, steps=3, path=tmp_path / "a", guards=Guards(max_disagreement=spread * 0.9))
    run_md(atoms, steps=1, timestep=0.01, path=tmp_path / "b", guards=Guards(max_disagreement=spread * 1.5))
    with pytest.raises(SimulationError, match=r"step 0 of the relaxation: the models disagree"):
        relax(atoms, guards=Guards(max_disagreement=spread * 0.5))


def test_a_warning_lets_the_run_go_on_and_keeps_the_frame_of_each_excursion(tmp_path):
    with pytest.warns(GuardWarning, match="the run goes on") as caught:
        run = fall(tmp_path / "a", min_distance=3.4, max_temperature=1e6, action="warn")
    assert run.summary["complete"]
    flagged = read(tmp_path / "a.flagged.traj", ":")
    assert len(caught) == len(flagged) == 1
    assert flagged[0].get_distance(0, 1) < 3.4
    assert np.isfinite(flagged[0].get_forces()).all()
    assert str(flagged[0].info["step"]) in str(caught[0].message)
    assert not (tmp_path / "a.failure.traj").exists()


def test_a_function_is_handed_the_frame_when_an_excursion_begins(tmp_path):
    seen = []
    run = fall(tmp_path / "a", min_distance=4.0, max_force=0.02, action=lambda *x: seen.append(x))
    assert run.summary["complete"]
    kinds = [("distance" if "apart" in sentence else "force") for _, sentence in seen]
    assert kinds.count("distance") == 1
    assert "force" in kinds
    for atoms, _ in seen:
        plain = atoms.copy()
        plain.calc = LennardJones(sigma=3.4, epsilon=0.01, rc=12.0)
        assert atoms.get_potential_energy() == pytest.approx(plain.get_potential_energy())
        assert atoms.get_forces() == pytest.approx(plain.get_forces())

    def stop(atoms, sentence):
        raise SimulationError(f"labelled: {sentence}")

    with pytest.raises(SimulationError, match="labelled: atoms 0 and 1"):
        fall(tmp_path / "b", min_distance=4.0, action=stop)


def test_forces_that_are_not_finite_stop_a_run_whatever_the_action(tmp_path):
    class Breaking(Springs):
        def calculate(self, *args, **kwargs):
            super().calculate(*args, **kwargs)
            if len(self.calls) >= 4:
                self.results["forces"][1] = np.nan

    atoms = cluster()
    atoms.calc = Breaking(atoms)
    with pytest.raises(SimulationError, match=r"forces are not finite \(atoms 1\)"):
        run_md(atoms, steps=20, path=tmp_path / "a", guards=Guards(action="warn"))


def test_a_relaxation_warns_and_goes_on(tmp_path):
    atoms = cluster()
    atoms.rattle(0.3, seed=1)
    with pytest.warns(GuardWarning, match=r"force .* above the limit"):
        result = relax(atoms, path=tmp_path / "a", guards=Guards(max_force=0.5, action="warn"))
    assert result.converged
    assert len(read(tmp_path / "a.flagged.traj", ":")) >= 1


def test_excursions_are_told_once_across_a_resumption(tmp_path):
    with pytest.warns(GuardWarning):
        fall(tmp_path / "a", min_distance=20.0, action="warn")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run_md(
            collision(), ensemble="nve", timestep=2.0, steps=200, path=tmp_path / "a", output=Output(10), resume=True,
            guards=Guards(min_distance=20.0, action="warn"),
        )  # fmt: skip
    assert len(read(tmp_path / "a.flagged.traj", ":")) == 1


@pytest.mark.parametrize(
    ("guards", "message"),
    [
        ({"min_distance": -1.0}, "min_distance: expected a finite number above zero in Å; got -1.0"),
        ({"max_force": float("nan")}, "max_force: expected a finite number above zero"),
        ({"max_disagreement": 0.1}, r"needs a calculator with forces_std.* --ensemble"),
        ({"stop_outside": True}, "does not store what its training data covered"),
        ({"action": "ignore"}, "expected 'stop', 'warn' or a function; got 'ignore'"),
    ],
)
def test_impossible_guards_are_refused_before_anything_is_written(guards, message, tmp_path):
    with pytest.raises(InputError, match=message):
        run_md(cluster(), steps=2, path=tmp_path / "a", guards=Guards(**guards))
    with pytest.raises(InputError, match=message):
        relax(cluster(), path=tmp_path / "a", guards=Guards(**guards))
    assert not list(tmp_path.iterdir())


def test_command_line_guards_a_run(tmp_path, capsys):
    words = ["md", "ethanol", "--steps", "3", "--output", str(tmp_path / "a"), "--min-distance", "2.0"]
    assert main(words) == 1
    assert "closer than the limit of 2 Å" in capsys.readouterr().err
    with pytest.warns(GuardWarning):
        assert main([*words, "--warn-only", "--overwrite"]) == 0
    assert len(read(tmp_path / "a.flagged.traj", ":")) == 1
