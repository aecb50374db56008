"""Trainings that go on from a trained model: weights, heads, references, architecture."""

import logging

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import molecule

from painn_ase import PaiNNCalculator
from painn_ase.data import Label
from painn_ase.errors import InputError
from painn_ase.model_files import find_model, load_model
from painn_ase.structures import write_frames
from painn_ase.training import parse_config
from painn_ase.training.data import make_examples
from painn_ase.training.evaluate import evaluate_model
from painn_ase.training.start import earlier_model, new_model, started_model

LABELS = {
    "energy": Label("energy", "eV"),
    "forces": Label("forces", "eV/Å"),
    "quadrupole": Label("quadrupole", "e·Å²"),
}
SHIFT = {1: 0.7, 6: -3.0, 8: 20.0, 16: 5.0}  # eV an atom, of another level of theory


def labelled(seed: int) -> Atoms:
    """Ethanol with the forces of the bundled model and its energy on another level."""
    atoms = molecule("CH3CH2OH")
    atoms.rattle(0.05, seed=seed)
    atoms.calc = PaiNNCalculator("ethanol-small")
    energy, forces = atoms.get_potential_energy(), atoms.get_forces()
    atoms.calc = None
    atoms.info |= {
        "energy": energy + sum(SHIFT[z] for z in atoms.numbers),
        "quadrupole": np.diag([1.0, -0.5, -0.5]) * (1 + seed),
    }
    atoms.arrays["forces"] = forces
    return atoms


def configured(folder, frames, start="ethanol-small", **model):
    """The configuration of a training on frames that goes on from a model."""
    write_frames(folder / "train.extxyz", frames)
    labels = {name: {"key": label.key, "unit": label.unit} for name, label in LABELS.items()}
    return parse_config(
        {
            "data": {"train": "train.extxyz", "validation": "train.extxyz", "labels": labels},
            "model": model,
            "run": {"output": "out", "start": start},
        },
        folder,
    )


def started(config, frames):
    earlier = earlier_model(config, new_model(config, [1]))
    assert earlier is not None
    elements = sorted({int(z) for atoms in frames for z in atoms.numbers})
    return started_model(config, earlier, elements, make_examples(frames, LABELS, earlier.cutoff)).eval()


def test_weights_stay_and_energies_move_to_the_level_of_the_labels(tmp_path, caplog):
    frames = [labelled(seed) for seed in range(3)]
    config = configured(tmp_path, frames)
    assert config.run.start == find_model("ethanol-small")
    with caplog.at_level(logging.INFO):
        new = started(config, frames)
    old = load_model("ethanol-small")
    assert config.model.representation == old.config["representation"]
    assert sorted(new.heads) == ["energy", "quadrupole"]
    assert "the head quadrupole begins at random" in caplog.text
    assert "the head dipole, polarizability is left out" in caplog.text
    for name, tensor in old.representation.state_dict().items():
        assert torch.equal(new.representation.state_dict()[name], tensor), name
    errors = {name: c.error() for name, c in evaluate_model(new, frames, LABELS).comparisons.items()}
    assert errors["energy"].max < 0.1  # meV
    assert errors["forces"].max < 0.1  # meV/Å
    assert new.heads["energy"].scale == old.heads["energy"].scale


def test_energies_of_the_same_level_do_not_move(tmp_path):
    frames = [labelled(seed) for seed in range(3)]
    for atoms in frames:
        atoms.info["energy"] -= sum(SHIFT[z] for z in atoms.numbers)
    new, old = started(configured(tmp_path, frames), frames), load_model("ethanol-small")
    moved = new.heads["energy"].references - old.heads["energy"].references
    assert float(moved.abs().max()) < 1e-5  # eV


def test_an_element_that_the_model_does_not_know_begins_at_random_and_is_named(tmp_path, caplog):
    strange = molecule("CH3SH")
    strange.info |= {"energy": -11930.0, "quadrupole": np.diag([2.0, -1.0, -1.0])}
    strange.arrays["forces"] = np.zeros((len(strange), 3))
    frames = [labelled(0), labelled(1), strange]
    new = started(configured(tmp_path, frames), frames)
    assert new.elements == (1, 6, 8, 16)
    assert "does not know S" in caplog.text
    energies = evaluate_model(new, frames, LABELS).comparisons["energy"].error()
    assert energies.max < 50.0  # meV, of 12 keV


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"representation": {"kind": "painn", "features": 32}}, "model.representation.features is .* and 32"),
        ({"heads": {"energy": {"hidden": [7]}, "quadrupole": {}}}, r"model.heads.energy.hidden is .* and \[7"),
    ],
)
def test_another_network_is_refused(tmp_path, model, message):
    config = configured(tmp_path, [labelled(0)], **model)
    with pytest.raises(InputError, match=message):
        earlier_model(config, new_model(config, [1]))
