"""A folder of a learning calculator is of one process, trainings run beside the simulation, kills cost little."""

import gc
import os
import signal
import time
from functools import partial
from io import StringIO
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.calculators.emt import EMT

from painn_ase import run_md
from painn_ase.data.identity import fingerprint
from painn_ase.errors import InputError
from painn_ase.files import only_writer

from helpers.forks import ended, forked
from helpers.small_learning import Reference, cluster, forces_of, forget, learning, rows  # noqa: F401  (a fixture)

pytestmark = pytest.mark.filterwarnings("ignore::painn_ase.coverage.CoverageWarning")  # of frozen ones


def test_another_process_may_not_learn_in_the_same_folder(tmp_path):
    first = learning(tmp_path)
    again = learning(tmp_path)  # of this process
    with pytest.raises(InputError, match="another process is writing"), only_writer(tmp_path / "labels.extxyz"):
        pass
    del first, again
    gc.collect()
    with only_writer(tmp_path / "labels.extxyz"), pytest.raises(InputError, match="another process is writing"):
        learning(tmp_path)


def test_models_trained_in_the_background_take_over_at_a_recorded_structure(tmp_path):
    calc = learning(tmp_path, threshold=1e9, background=True)
    frames = [cluster(seed) for seed in range(7)]
    forces_of(calc, frames)
    assert [row["why"] for row in rows(tmp_path)] == ["no model"] * 7  # the seventh while the first six trained
    assert rows(tmp_path, "changes.csv") == []
    assert "structure 6: 6 frames train in the background" in (tmp_path / "log.txt").read_text()
    models = calc.freeze()  # waits
    (change,) = rows(tmp_path, "changes.csv")
    assert (change["evaluation"], change["model"], change["frames"]) == ("7", "1", "6")
    step = models.get_property("energy", frames[6]) - EMT().get_property("energy", frames[6])
    assert float(change["energy_step"]) == pytest.approx(step, abs=1e-5)
    near = cluster(0)
    near.positions *= 1.001
    np.testing.assert_array_equal(calc.get_property("forces", near), models.get_property("forces", near))
    assert len(Reference.asked) == 7


def test_where_training_in_the_background_fails_the_run_waits_for_the_next_one(tmp_path):
    calc = learning(tmp_path, threshold=1e9, background=True)
    forces_of(calc, [cluster(seed) for seed in range(7)])
    calc._committee._background._process.kill()
    calc._committee._background._process.join()
    forces_of(calc, [cluster(seed) for seed in (7, 8)])
    assert "ended with code -9" in (tmp_path / "log.txt").read_text()
    assert [row["frames"] for row in rows(tmp_path, "changes.csv")] == ["8"]


# ---- kills


def simulate(folder: Path, steps: int, background: bool) -> None:
    """Dynamics that goes on where an earlier one was killed."""
    os.chdir(folder)
    atoms = cluster()
    atoms.calc = learning(folder, by=Logged, threshold=0.05, tolerance=0.05, budget=5000, background=background)
    begun = (folder / "run.restart.npz").exists()
    run_md(
        atoms, steps=steps, path=folder / "run", temperature=600, resume=begun, overwrite=True, checkpoint=0.0,
        progress=False,
    )  # fmt: skip


class Logged(Reference):
    """Writes down outside of the process what was asked."""

    def calculate(self, atoms=None, properties=("energy",), system_changes=()):
        with open("asked.txt", "a") as file:
            file.write(fingerprint(atoms) + "\n")
        super().calculate(atoms, properties, system_changes)


def names_in(text: str) -> set[str]:
    return {fingerprint(atoms) for atoms in ase.io.read(StringIO(text), ":", format="extxyz")}


@pytest.mark.slow
@pytest.mark.parametrize(("kills", "background"), [(30, False), (10, True)])
def test_killed_at_random_moments_it_resumes_with_no_label_lost_or_made_twice(tmp_path, kills, background, monkeypatch):
    rng, done, steps = np.random.default_rng(kills), 0, 20 * kills
    run = partial(simulate, tmp_path, steps, background)
    labelled: set[str] = set()
    while done < kills:
        number = forked(run, tmp_path)
        time.sleep(rng.uniform(0.2, 2.0))
        os.kill(number, signal.SIGKILL)
        whole = ended(number, tmp_path)
        done += 1
        if os.path.exists(tmp_path / "labels.extxyz"):
            text = (tmp_path / "labels.extxyz").read_text()
            now = names_in(text) if text.endswith("\n") else labelled
            assert labelled <= now  # nothing is lost
            labelled = now
        if whole:
            break
    assert ended(forked(run, tmp_path), tmp_path)
    frames = ase.io.read(tmp_path / "labels.extxyz", ":")
    names = [fingerprint(atoms) for atoms in frames]
    asked = (tmp_path / "asked.txt").read_text().split()
    assert len(set(names)) == len(names)  # no label twice
    assert sorted(names) == sorted(row["fingerprint"] for row in rows(tmp_path))  # and each in the record
    assert set(names) <= set(asked)
    assert len(asked) - len(names) <= done  # a kill costs the call that was under way
    for atoms in frames[:: max(1, len(frames) // 5)]:
        forces = EMT().get_property("forces", Atoms(atoms.numbers, atoms.positions))
        np.testing.assert_allclose(atoms.get_forces(), forces, atol=1e-6)
