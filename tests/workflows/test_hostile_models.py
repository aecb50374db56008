"""A model folder from a stranger cannot run code, fill memory, hang, or be read beyond its folder: it is refused."""

import json
import subprocess
import sys
from pathlib import Path

import hostile_models
import pytest

from painn_ase import load_model, save_model
from painn_ase.errors import ModelError

from helpers.random_models import random_model

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="pipes, devices and address-space limits of Linux")


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """What loading each damaged folder came to, by name of the damage; all of it from one process that forks."""
    root = tmp_path_factory.mktemp("hostile")
    model = random_model()
    folders = {"": save_model(model, root / "sound")}
    for number, (name, damage) in enumerate(hostile_models.DAMAGE.items()):
        folders[name] = save_model(model, root / f"m{number}")
        damage(folders[name])
    command = [sys.executable, "-W", "ignore", hostile_models.__file__, *map(str, folders.values())]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=True, cwd=root)
    return dict(zip(folders, map(json.loads, done.stdout.splitlines()), strict=True))


def test_sound_folder_is_loaded_under_the_same_limits(answers):
    assert answers[""]["kind"] == "loaded"


@pytest.mark.parametrize("damage", hostile_models.DAMAGE)
def test_hostile_model_is_refused_in_one_sentence(answers, damage):
    found = answers[damage]
    assert found["kind"] == "refused", found
    said = found["said"]
    assert len(said.splitlines()) == 1
    assert 30 < len(said) < 1000
    assert said.isprintable()  # no escape sequences of a stranger on our terminal


@pytest.mark.parametrize("damage", hostile_models.DAMAGE)
def test_hostile_model_runs_no_code_and_takes_no_memory(answers, damage):
    found = answers[damage]
    assert found["ran"] == []
    assert not found["marker"]
    assert found["outside"] == []
    assert found["megabytes"] < 1024
    assert found["seconds"] < 10


def test_path_that_no_file_can_have_is_refused():
    for name in ("x" * 10_000, "a\0b", ""):
        with pytest.raises(ModelError, match="bundled name"):
            load_model(name)


def test_a_folder_reached_through_a_link_is_loaded(tmp_path):
    """Links are the user's own business up to the folder; only what lies in it may not lead out."""
    folder = save_model(random_model(), tmp_path / "here")
    (tmp_path / "there").symlink_to(folder)
    (folder / "weights.safetensors").rename(folder / "real")
    (folder / "weights.safetensors").symlink_to("real")
    assert load_model(tmp_path / "there").name == "here"


def test_every_kind_of_damage_is_different(tmp_path):
    assert len(hostile_models.DAMAGE) >= 100
    assert Path(hostile_models.__file__).is_file()
