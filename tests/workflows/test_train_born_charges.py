"""Born effective charges as labels: a training on them lowers their error, and every border says what it wants."""

import logging
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule

from painn_ase import PaiNNCalculator
from painn_ase.cli import main
from painn_ase.errors import InputError
from painn_ase.training import Label, parity_plot, parse_config, train
from painn_ase.training.data import make_examples

BORN = {"born_effective_charges": {"key": "bec", "unit": "e"}}


def born_charges(atoms: Atoms) -> np.ndarray:
    """Of μ = Σ c(b) b over the bonds b of water, c = 0.3 - 0.4 (b - 1) e: ∂μ_a/∂b_b = c δ_ab + c' b_a b_b / b."""
    found = np.zeros((3, 3, 3))
    for k, b in ((k, atoms.positions[k] - atoms.positions[0]) for k in (1, 2)):
        length = np.linalg.norm(b)
        found[k] = (0.3 - 0.4 * (length - 1)) * np.eye(3) - 0.4 * np.outer(b, b) / length
    found[0] = -found.sum(axis=0)
    return found


def frames(periodic: bool, count: int, seed: int) -> list[Atoms]:
    rng, made = np.random.default_rng(seed), []
    for _ in range(count):
        atoms = molecule("H2O", vacuum=4.0 if periodic else None, pbc=periodic)
        atoms.rattle(0.08, rng=rng)
        atoms.arrays["bec"] = born_charges(atoms).reshape(-1, 9)
        made.append(atoms)
    return made


def table(head: str, **run) -> dict:
    return {
        "data": {"train": "train.xyz", "validation": "held.xyz", "test": "test.xyz", "labels": BORN},
        "model": {
            "representation": {"kind": "painn", "features": 16, "interactions": 1, "cutoff": 3.0},
            "heads": {head: {}},
        },
        "optimizer": {"learning_rate": 1e-2, "ema": 0.9},
        "schedule": {"warmup": 5},
        "run": {"epochs": 12, "batch_size": 4, "output": "out", "threads": 1, **run},
    }


@pytest.fixture(params=["dipole", "cell_dipole"])
def head(request, tmp_path, monkeypatch) -> str:
    """The name of a head, in a folder with data for it."""
    monkeypatch.chdir(tmp_path)
    for seed, (name, count) in enumerate((("train", 12), ("held", 4), ("test", 4))):
        ase.io.write(f"{name}.xyz", frames(request.param == "cell_dipole", count, seed), format="extxyz")
    return request.param


def test_training_on_born_charges_lowers_their_error(head, caplog, capsys):
    rows = []
    with caplog.at_level(logging.INFO):
        trained = train(parse_config(table(head)), progress=False, on_epoch=rows.append)
    assert "training by torch (it knows no labels born_effective_charges)" in caplog.text
    name = "born_effective_charges MAE (e)"
    assert rows[-1][name] < 0.5 * rows[0][name]
    (error,) = trained.evaluations["test"].errors
    assert (error.unit, error.count) == ("e", 4 * 27)
    assert main(["evaluate", str(trained.folder), "test.xyz"]) == 0
    assert f"| born_effective_charges | {error.mae:.4g}" in capsys.readouterr().out
    differences = []  # the calculator says what the evaluation said, but for its double precision
    for atoms in ase.io.read("test.xyz", ":"):
        found = PaiNNCalculator(trained.model).get_property("born_effective_charges", atoms)
        differences.append(found - atoms.arrays["bec"].reshape(-1, 3, 3))
    assert np.abs(differences).mean() == pytest.approx(error.mae, rel=1e-3)
    assert parity_plot(trained.evaluations["test"], "parity.png").stat().st_size > 0


def test_the_compiled_step_refuses_born_charges(head):
    with pytest.raises(InputError, match=r"it knows no labels born_effective_charges\. Use 'auto'"):
        train(parse_config(table(head, step="compiled")), progress=False)
    assert not Path("out").exists()


def test_a_model_without_a_dipole_cannot_learn_born_charges(head):
    with pytest.raises(InputError, match=r"labelled born_effective_charges \(a derivative of the dipole\)"):
        train(parse_config(table(head) | {"model": {"heads": {"energy": {}}}}), progress=False)


def made(atoms: Atoms, value: np.ndarray, charge: float = 0.0) -> np.ndarray:
    atoms.info["it"] = value
    (example,) = make_examples([atoms], {"born_effective_charges": Label("it", "e")}, 4.0, charge=charge)
    return example.labels["born_effective_charges"].numpy()


def test_the_order_of_indices_is_atom_dipole_displacement():
    value = np.arange(27.0).reshape(3, 3, 3)
    for shape in ((3, 3, 3), (3, 9), (27,)):
        np.testing.assert_array_equal(made(molecule("H2O"), value.reshape(shape)), value)


@pytest.mark.parametrize("shape", [(3, 3, 5), (3, 15), (15, 3), (9, 5), (5, 3), (5, 3, 4), (3, 3)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(InputError, match=r"frame 0, label born.*expected shape \(5, 3, 3\); got"):
        made(molecule("CH4"), np.zeros(shape))


def test_born_charges_of_an_ion_sum_to_zero_as_those_of_the_centre_of_mass_do():
    atoms = molecule("H2O")
    value = born_charges(atoms)
    at_rest = value + (atoms.get_masses() / atoms.get_masses().sum())[:, None, None] * np.eye(3)
    assert made(atoms, value, 1.0).shape == (3, 3, 3)
    with pytest.raises(InputError, match=r"sum to zero over the atoms.* is 1 e .* total charge of 1 e"):
        made(atoms, at_rest, 1.0)


def test_born_charges_of_a_periodic_frame_need_the_head_for_cells():
    atoms = molecule("H2O", vacuum=4.0, pbc=True)
    with pytest.raises(InputError, match="take the head cell_dipole"):
        made(atoms, born_charges(atoms))
