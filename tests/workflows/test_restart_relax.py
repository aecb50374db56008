"""A relaxation that was stopped and taken up again is the one that never stopped, to the last bit."""

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.emt import EMT
from ase.io import read

from painn_ase.cli import main
from painn_ase.errors import InputError, SimulationError
from painn_ase.simulate import Guards, relax
from painn_ase.simulate.run.restart import Checkpoint

from helpers.identical import check_same_frames, check_same_state
from helpers.springs import cluster
from helpers.stopped import Stop, copper, ethanol, stop_after

OPTIMIZERS = ("FIRE", "BFGS", "LBFGS")


def bent() -> Atoms:
    atoms = ethanol()
    atoms.rattle(0.1, seed=4)
    return atoms


def strained() -> Atoms:
    atoms = copper()
    atoms.set_cell(atoms.cell.array @ np.array([[1.03, 0.01, 0], [0, 0.98, 0.02], [0, 0, 1.02]]), scale_atoms=True)
    return atoms


def same(one, other) -> None:
    check_same_frames(one.with_name(one.name + ".traj"), other.with_name(other.name + ".traj"))
    check_same_state(one.with_name(one.name + ".restart.npz"), other.with_name(other.name + ".restart.npz"))


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize(("build", "cell"), [(bent, False), (strained, True)], ids=["molecule", "cell"])
def test_a_stopped_relaxation_resumes_to_the_last_bit(build, cell, optimizer, tmp_path, monkeypatch):
    arguments = {"optimizer": optimizer, "cell": cell, "fmax": 1e-3, "steps": 40}
    whole = relax(build(), path=tmp_path / "whole", **arguments)
    count = iter(range(10**6))
    with monkeypatch.context() as patch:
        patch.setattr(Checkpoint, "due", property(lambda self: next(count) % 4 == 3))
        for k, stop in enumerate((7, 9)):
            with pytest.raises(Stop):
                relax(stop_after(build(), stop), path=tmp_path / "pieces", resume=k > 0, **arguments)
            assert len(read(tmp_path / "pieces.traj", ":")) > 4
        atoms = build()
        again = relax(atoms, path=tmp_path / "pieces", resume=True, **arguments)
    same(tmp_path / "pieces", tmp_path / "whole")
    assert (again.converged, again.steps, again.energy, again.fmax) == (
        whole.converged,
        whole.steps,
        whole.energy,
        whole.fmax,
    )


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_relaxation_goes_on_for_more_steps_and_smaller_forces(optimizer, tmp_path):
    relax(bent(), path=tmp_path / "whole", optimizer=optimizer, fmax=1e-3, steps=30)
    relax(bent(), path=tmp_path / "pieces", optimizer=optimizer, fmax=1.0, steps=30)
    relax(bent(), path=tmp_path / "pieces", optimizer=optimizer, fmax=1e-2, steps=12, resume=True)
    relax(bent(), path=tmp_path / "pieces", optimizer=optimizer, fmax=1e-3, steps=30, resume=True)
    same(tmp_path / "pieces", tmp_path / "whole")


def test_a_converged_relaxation_resumes_to_the_same_result(tmp_path):
    atoms = cluster()
    atoms.rattle(0.1, seed=1)
    before = atoms.copy()
    before.calc = atoms.calc
    first = relax(atoms, path=tmp_path / "a")
    assert first.converged
    assert relax(before, path=tmp_path / "a", resume=True) == first
    assert (before.positions == atoms.positions).all()
    assert relax(atoms, path=tmp_path / "a", resume=True) == first  # also the atoms that are there already


def test_another_relaxation_is_refused_and_named(tmp_path):
    atoms = cluster()
    atoms.rattle(0.1, seed=1)
    relax(atoms, path=tmp_path / "a")
    other = cluster()
    with pytest.raises(InputError, match=r"optimizer was 'FIRE', now 'BFGS', positions"):
        relax(other, path=tmp_path / "a", optimizer="BFGS", resume=True)
    with pytest.raises(InputError, match="expected the path"):
        relax(other, resume=True)
    with pytest.raises(InputError, match="no run to continue"):
        relax(other, path=tmp_path / "b", resume=True)
    with pytest.raises(InputError, match="steps already"):
        relax(atoms, path=tmp_path / "a", steps=1, resume=True)


def test_guards_stop_a_relaxation_in_the_last_good_structure(tmp_path):
    atoms = Atoms("Cu2", [[0, 0, 0], [0, 0, 4.0]])
    atoms.calc = EMT()
    with pytest.raises(
        SimulationError, match=r"step \d+ of the relaxation: atoms 0 and 1 are 2\.\d+ Å apart"
    ) as caught:
        relax(atoms, path=tmp_path / "a", guards=Guards(min_distance=3.0))
    frames = read(tmp_path / "a.failure.traj", ":")
    assert frames[0].get_distance(0, 1) == atoms.get_distance(0, 1) >= 3.0 > frames[1].get_distance(0, 1)
    assert f"back at step {frames[0].info['step']}" in str(caught.value)


def test_command_line_resumes_a_relaxation(tmp_path, capsys):
    out = str(tmp_path / "run")
    bent().write(tmp_path / "bent.xyz")
    words = ["relax", str(tmp_path / "bent.xyz"), "--model", "ethanol", "--fmax", "2e-3", "--steps", "3"]
    words += ["--output", out]
    assert main(words) == 1
    assert "not converged in 3 steps" in capsys.readouterr().err
    words[words.index("3")] = "200"
    assert main([*words, "--resume"]) == 0
    words[-1] = str(tmp_path / "whole")
    assert main(words) == 0
    same(tmp_path / "run", tmp_path / "whole")
    run, whole = (read(tmp_path / f"{name}.extxyz") for name in ("run", "whole"))
    assert (run.positions == whole.positions).all()
    assert (run.get_forces() == whole.get_forces()).all()
    assert run.arrays.keys() == whole.arrays.keys()
