"""A TOML file that names the network of Cartesian tensors gives a calculator of every property, of order 3 too."""

import signal
from pathlib import Path

import ase.io
import numpy as np
import pytest
import torch
from ase.build import molecule
from ase.calculators.morse import MorsePotential
from ase.units import Bohr, Debye, Hartree

from painn_ase import PaiNNCalculator, units
from painn_ase.errors import InputError
from painn_ase.training import Label, evaluate_model, load_config, read_frames, train
from painn_ase.training.data import make_examples

CHARGES = {1: 0.3, 8: -0.6}  # e

TOML = """
[data]
train = "train.xyz"
validation = "validation.xyz"
[data.labels]
energy = { key = "E", unit = "eV" }
forces = { key = "F", unit = "eV/Å" }
quadrupole = { key = "theta", unit = "a.u." }
hyperpolarizability = { key = "beta", unit = "a.u." }
polarizability = { key = "alpha", unit = "Å³" }
[model.representation]
kind = "ictp"
features = 8
cutoff = 4.0
max_rank = 2
correlation = 3
[model.heads]
energy = { linear = true }
quadrupole = { rank = 4 }
hyperpolarizability = { rank = 4, tensors = true }
tensor_polarizability = {}
[loss]
quadrupole = 0.5
hyperpolarizability = 0.5
[optimizer]
learning_rate = 1e-2
ema = 0.9
[schedule]
warmup = 5
[run]
epochs = 40
batch_size = 5
output = "out"
threads = 1
"""


def quadrupole(atoms) -> np.ndarray:
    """½ Σ q (3 r r - r² 1) of fixed charges about the centre of mass, e·Å²."""
    r = atoms.positions - atoms.get_center_of_mass()
    q = np.array([CHARGES[z] for z in atoms.numbers])
    return 0.5 * (3 * (r.T * q) @ r - (q * (r**2).sum(1)).sum() * np.eye(3))


def hyperpolarizability(atoms) -> np.ndarray:
    """Each bond's b⊗b⊗b and what of b⊗1 is symmetric, in atomic units."""
    total = np.zeros((3, 3, 3))
    for b in atoms.positions[1:] - atoms.positions[0]:
        outer = np.einsum("i,jk->ijk", b, np.eye(3))
        total += 5.0 * np.einsum("i,j,k->ijk", b, b, b)
        total += 3.0 * (outer + outer.transpose(1, 0, 2) + outer.transpose(2, 1, 0)) * (b @ b)
    return total


def write_frames(path: Path, count: int, seed: int = 1) -> None:
    """Water, rattled and turned, with labels that are functions of its bonds."""
    rng = np.random.default_rng(seed)
    frames = []
    for _ in range(count):
        atoms = molecule("H2O")
        atoms.rattle(0.08, rng=rng)
        atoms.rotate(rng.uniform(0, 360), rng.normal(size=3))
        atoms.calc = MorsePotential(epsilon=2.0, rho0=1.5, r0=1.0, rcut1=8.0, rcut2=9.0)
        energy, forces = atoms.get_potential_energy(), atoms.get_forces()
        atoms.calc = None
        bonds = atoms.positions[1:] - atoms.positions[0]
        atoms.info |= {
            "E": energy - 100.0,
            "theta": (quadrupole(atoms) / units.QUADRUPOLE["a.u."]).ravel(),
            "beta": hyperpolarizability(atoms).ravel(),
            "alpha": (np.eye(3) + 0.5 * bonds.T @ bonds).ravel(),
        }
        atoms.arrays["F"] = forces
        frames.append(atoms)
    ase.io.write(path, frames, format="extxyz")


def test_ictp_learns_energies_forces_and_tensors_of_order_two_and_three(tmp_path):
    write_frames(tmp_path / "train.xyz", 20)
    write_frames(tmp_path / "validation.xyz", 4, seed=2)
    (tmp_path / "train.toml").write_text(TOML, encoding="utf-8")
    config = load_config(tmp_path / "train.toml")
    result = train(config, progress=False)
    learned = evaluate_model(result.model, read_frames(tmp_path / "train.xyz"), config.data.labels)
    for name, comparison in learned.comparisons.items():
        rmse = np.sqrt(np.mean((comparison.predicted - comparison.reference) ** 2))
        spread = comparison.reference.std()
        assert rmse < 0.2 * spread, f"{name}: {rmse / spread:.3f} of its spread"
    assert {e.unit for e in result.evaluations["validation"].errors if e.name == "hyperpolarizability"} == {"a.u."}

    atoms = read_frames(tmp_path / "train.xyz")[0]
    atoms.calc = PaiNNCalculator(result.folder)  # from its files
    found = atoms.calc.get_property("hyperpolarizability", atoms) / units.HYPERPOLARIZABILITY["a.u."]
    expected = hyperpolarizability(atoms)
    assert np.abs(found - expected).max() < 0.3 * np.abs(expected).max()
    ase.io.write(tmp_path / "a.xyz", atoms, format="extxyz")  # ASE's files keep what the calculator knows
    again = ase.io.read(tmp_path / "a.xyz").calc.results
    np.testing.assert_allclose(again["hyperpolarizability"], atoms.calc.results["hyperpolarizability"], atol=1e-7)
    labels = {"hyperpolarizability": Label("beta", "a.u.")}
    one = evaluate_model(result.model, [atoms], labels).comparisons["hyperpolarizability"].predicted
    # two calls of one float32 network, batched differently
    np.testing.assert_allclose(one[0], atoms.calc.results["hyperpolarizability"], rtol=1e-4, atol=1e-6)


def test_a_stopped_run_of_ictp_resumes_to_the_same_bits(tmp_path):
    """The factors that `adapt` measured on the training structures are measured again, and are the same."""
    write_frames(tmp_path / "train.xyz", 6)
    write_frames(tmp_path / "validation.xyz", 3, seed=2)
    small = TOML.replace("features = 8", "features = 4").replace("epochs = 40", "epochs = 2")
    (tmp_path / "train.toml").write_text(small, encoding="utf-8")
    straight = train(load_config(tmp_path / "train.toml"), progress=False)
    (tmp_path / "train.toml").write_text(small.replace('"out"', '"stopped"'), encoding="utf-8")
    config = load_config(tmp_path / "train.toml")

    def stop(_row):
        signal.raise_signal(signal.SIGINT)  # ends the epoch, saves, and returns

    assert not train(config, progress=False, on_epoch=stop).finished
    resumed = train(config, resume=True, progress=False)
    one, two = straight.model.state_dict(), resumed.model.state_dict()
    assert any(name.endswith("scales") for name in one)
    assert all(torch.equal(one[name], two[name]) for name in one)


def labelled(name: str, value, unit: str) -> np.ndarray:
    atoms = molecule("H2O")
    atoms.info["it"] = value
    return make_examples([atoms], {name: Label("it", unit)}, 4.0)[0].labels[name].numpy()[0]


def test_labels_of_new_properties_come_in_their_units_and_conventions():
    beta = hyperpolarizability(molecule("H2O"))
    for given in (beta, beta.ravel(), beta.tolist()):
        found = labelled("hyperpolarizability", given, "a.u.")
        # 1 a.u. = e³ a0³ / Hartree²
        np.testing.assert_allclose(found, beta * Bohr**3 / Hartree**2, rtol=1e-12)
    noisy = beta + 1e-6 * np.random.default_rng(0).normal(size=(3, 3, 3))
    found = labelled("hyperpolarizability", noisy, "e³Å³/eV²")
    np.testing.assert_allclose(found, found.transpose(2, 0, 1), atol=1e-18)
    theta = quadrupole(molecule("H2O"))
    np.testing.assert_allclose(labelled("quadrupole", theta, "Debye*Ang"), theta * Debye, atol=1e-15)
    with pytest.raises(InputError, match="traceless quadrupole"):
        labelled("quadrupole", np.diag([1.0, 2.0, 3.0]), "a.u.")
    with pytest.raises(InputError, match="expected shape"):
        labelled("hyperpolarizability", np.zeros((3, 3)), "a.u.")
