"""No geometry is on two sides of a split, nor validates a model that it once trained."""

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule

from painn_ase.data import Label, geometry
from painn_ase.errors import InputError, ModelError
from painn_ase.model_files import load_model, save_model
from painn_ase.training import parse_config, train
from painn_ase.training.config import Data, Split
from painn_ase.training.splits import load_splits, repeated, split_indices

ENERGY = {"energy": Label("energy", "eV")}


def water(seed: int) -> Atoms:
    """Water, rattled."""
    atoms = molecule("H2O")
    atoms.rattle(0.05, seed=seed)
    atoms.info["energy"] = -float(seed % 7)
    return atoms


def written(path, seeds):
    ase.io.write(path, [water(seed) for seed in seeds])
    return path


def parts(data, known=frozenset()):
    """Names of the geometries on each side."""
    return {part: {e.geometry for e in found} for part, found in load_splits(data, 4.0, known=known).items()}


def test_splitting_by_info_keeps_groups_whole_and_uses_every_frame_once():
    groups = [f"trajectory {k % 7}" for k in range(100)]
    for seed in range(10):
        train, held = split_indices(groups, Split("info", "source", seed, 0.2))
        assert sorted(train + held) == list(range(100))
        assert not {groups[k] for k in train} & {groups[k] for k in held}
        assert 20 <= len(held) <= 35  # the fraction, and at most one group of 15 more


def test_splitting_by_seed_is_reproducible_and_differs_between_seeds():
    groups = [""] * 50
    first = split_indices(groups, Split(seed=1))
    assert first == split_indices(groups, Split(seed=1))
    assert first != split_indices(groups, Split(seed=2))
    assert len(first[1]) == 5


@pytest.mark.parametrize(("groups", "by"), [(["a"] * 5, "info"), ([""], "seed")])
def test_a_split_that_leaves_nothing_to_train_on_is_refused(groups, by):
    with pytest.raises(InputError, match="expected at least two"):
        split_indices(groups, Split(by, "source" if by == "info" else None))


def test_frames_of_a_file_are_repeated_and_others_are_not():
    """Files of 3, 2 and 4 frames; frames 1, 3 and 8 are held out; the second file counts three times."""
    assert repeated([0, 2, 4, 5, 6, 7], [3, 5, 9], [1, 3, 1]) == [0, 2, 4, 4, 4, 5, 6, 7]
    assert repeated([0, 2, 3, 4], [3, 5, 9], [2, 1, 5]) == [0, 2, 0, 2, 3, 4]


def test_a_repeated_frame_is_never_on_both_sides_of_a_split(tmp_path):
    for number, name in enumerate("ab"):
        ase.io.write(tmp_path / f"{name}.extxyz", [water(10 * number + k) for k in range(10)])
    files = (tmp_path / "a.extxyz", tmp_path / "b.extxyz")
    splits = load_splits(Data(files, ENERGY, repeat={"b.extxyz": 4}), 4.0)
    train, held = ({id(e) for e in splits[part]} for part in ("train", "validation"))
    assert not train & held
    assert len(train | held) == 20
    assert len(splits["train"]) > 2 * len(train)


def test_equal_frames_stay_together_whatever_they_are_called(tmp_path):
    """Ten geometries, each four times: in two files, and in groups that are chained by them."""
    first = written(tmp_path / "a.extxyz", [k // 2 for k in range(20)])
    second = written(tmp_path / "b.extxyz", [k // 2 for k in range(20)])
    found = parts(Data((first, second), ENERGY, split=Split(validation=0.3)))
    assert len(found["validation"]) == 3
    assert not found["train"] & found["validation"]
    frames = [water(k // 2) for k in range(20)]
    for k, atoms in enumerate(frames):
        atoms.info["source"] = (
            f"run {(k + 1) // 4}" if k < 12 else f"other {k // 4}"
        )  # borders of the first divide equal frames
    ase.io.write(tmp_path / "c.extxyz", frames)
    found = parts(Data((tmp_path / "c.extxyz",), ENERGY, split=Split("info", "source", validation=0.3)))
    assert not found["train"] & found["validation"]


def test_a_frame_keeps_its_side_when_others_are_added(tmp_path):
    """In another order, twice as many frames: nobody changes from training to validation."""
    before = parts(Data((written(tmp_path / "a.extxyz", range(100)),), ENERGY))
    after = parts(Data((written(tmp_path / "b.extxyz", range(199, -1, -1)),), ENERGY), known=before["train"])
    assert len(before["validation"]) == 10
    assert not after["validation"] & before["train"]
    assert len(after["validation"] & before["validation"]) >= 7
    assert len(after["validation"] - before["validation"]) >= 5  # of the new frames some


def test_the_same_data_are_split_alike_by_a_run_that_goes_on(tmp_path):
    data = Data((written(tmp_path / "a.extxyz", range(30)),), ENERGY)
    first = parts(data)
    assert parts(data, known=first["train"]) == first


@pytest.mark.parametrize("part", ["validation", "test"])
def test_files_that_share_frames_are_refused_and_the_frames_named(tmp_path, part):
    train_file = written(tmp_path / "train.extxyz", range(10))
    other = written(tmp_path / "other.extxyz", [20, 3, 21, 7])
    files = {"validation": (written(tmp_path / "clean.extxyz", [30, 31]),)} | {part: (other,)}
    with pytest.raises(InputError, match=rf"^{part}: .*2 of 4 have a geometry that trains as well \(frames 1, 3"):
        load_splits(Data((train_file,), ENERGY, **files), 4.0)
    with pytest.raises(InputError, match=r"1 of 4 .*trained the model in \[run\] start \(frames 2"):
        load_splits(Data((written(tmp_path / "t.extxyz", [8, 9]),), ENERGY, **files), 4.0, known={geometry(water(21))})


def test_a_test_frame_does_not_validate(tmp_path):
    held = written(tmp_path / "held.extxyz", [20, 21])
    with pytest.raises(InputError, match="2 of 2 have a geometry that validates as well"):
        load_splits(Data((written(tmp_path / "a.extxyz", range(5)),), ENERGY, validation=(held,), test=(held,)), 4.0)


def table(train_files, **run):
    return {
        "data": {"train": [str(f) for f in train_files], "labels": {"energy": {"key": "energy", "unit": "eV"}}},
        "model": {"representation": {"kind": "painn", "features": 4, "interactions": 1, "cutoff": 3.0}},
        "run": {"epochs": 1, "threads": 1} | run,
    }


def test_a_chain_of_runs_never_validates_on_what_trained_any_of_them(tmp_path):
    """As a user does it: more data, another seed of the split, another order, three runs in a row."""
    trained = set()
    files = []
    for k in range(3):
        files.insert(0, written(tmp_path / f"{k}.extxyz", range(40 * k, 40 * k + 40)))
        start = {"start": f"run{k - 1}/model"} if k else {}
        words = table(files, output=f"run{k}", **start)
        words["data"]["split"] = {"seed": k, "validation": 0.2}
        config = parse_config(words, tmp_path)
        result = train(config, progress=False)
        known = frozenset(trained)
        sides = parts(config.data, known)
        assert not sides["validation"] & trained
        trained |= sides["train"]
        assert result.model.trained_on == trained
        assert load_model(result.folder).trained_on == trained


def test_a_model_that_does_not_say_what_trained_it_needs_a_file_of_validation_frames(tmp_path):
    file = written(tmp_path / "a.extxyz", range(20))
    first = train(parse_config(table([file], output="one"), tmp_path), progress=False)
    first.model.trained_on = None
    save_model(first.model, first.folder)
    words = table([file], output="two", start="one/model")
    with pytest.raises(InputError, match=r"does not record which frames trained it"):
        train(parse_config(words, tmp_path), progress=False)
    words["data"]["validation"] = str(written(tmp_path / "held.extxyz", range(30, 34)))
    train(parse_config(words, tmp_path), progress=False)


def test_a_damaged_record_of_frames_is_refused(tmp_path):
    result = train(
        parse_config(table([written(tmp_path / "a.extxyz", range(20))], output="o"), tmp_path), progress=False
    )
    (result.folder / "trained_on.txt").write_text("no name\n")
    with pytest.raises(ModelError, match="names of geometries"):
        load_model(result.folder)


def test_a_geometry_is_known_again_through_a_file_and_in_another_state(tmp_path):
    atoms = water(5)
    ase.io.write(tmp_path / "a.extxyz", atoms)
    again = ase.io.read(tmp_path / "a.extxyz")
    again.info |= {"charge": 1, "multiplicity": 2}
    again.pbc = True  # without a cell: as extended XYZ of others has it
    assert geometry(again) == geometry(atoms)
    again.positions[0, 0] += 1e-5
    assert geometry(again) != geometry(atoms)
    assert len({geometry(water(seed)) for seed in range(50)}) == 50


def test_a_file_that_names_a_label_otherwise_is_refused_until_it_is_said(tmp_path):
    frames = [water(k) for k in range(8)]
    ase.io.write(tmp_path / "a.extxyz", frames)
    for atoms in frames:
        atoms.info["REF_energy"] = atoms.info.pop("energy")
        atoms.positions += 1.0
    ase.io.write(tmp_path / "b.extxyz", frames)
    files = (tmp_path / "a.extxyz", tmp_path / "b.extxyz")
    with pytest.raises(InputError, match=r"^b.extxyz: label energy.*'REF_energy'.*also = \['REF_energy'\]"):
        load_splits(Data(files, ENERGY), 4.0)
    with pytest.raises(InputError, match=r"^b.extxyz: .*did you mean 'REF_energy'"):
        load_splits(Data(files[1:], ENERGY), 4.0)
    found = load_splits(Data(files, {"energy": Label("energy", "eV", ("REF_energy",))}), 4.0)
    assert all("energy" in e.labels for e in found["train"] + found["validation"])
    frames[3].positions[1] = np.nan
    ase.io.write(tmp_path / "b.extxyz", frames)
    with pytest.raises(InputError, match=r"^b.extxyz, frame 3"):
        load_splits(Data(files[1:], {"energy": Label("REF_energy", "eV")}), 4.0)
