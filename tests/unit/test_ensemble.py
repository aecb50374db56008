"""An ensemble is the mean of its members, and says how far they disagree."""

from functools import partial

import numpy as np
import pytest
import torch
from ase.build import molecule as g2
from scipy.spatial.transform import Rotation

from painn_ase import neighbors
from painn_ase.backends import TorchBackend
from painn_ase.backends.ensemble import Ensemble
from painn_ase.errors import InputError
from painn_ase.graph import batch
from painn_ase.model import Model

CUTOFFS = (3.0, 5.0, 4.0)


def small_model(seed, cutoff=4.0, heads=("energy", "dipole"), elements=(1, 6, 8)):
    config = {
        "representation": {"kind": "painn", "features": 8, "interactions": 2, "cutoff": cutoff},
        "heads": {head: {} for head in heads},
        "elements": list(elements),
    }
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Model.from_config(config)


# with pairs beyond every cutoff, as a Verlet skin leaves them
graph_of = partial(neighbors.graph_of, cutoff=5.5, neighbor_list=neighbors.neighbor_list("brute_force"))


def ethanol(seed=0, periodic=False):
    atoms = g2("CH3CH2OH")
    atoms.rattle(0.05, seed=seed)
    if periodic:
        atoms.set_cell([6.0, 6.5, 7.0])
        atoms.pbc = True
    return atoms


@pytest.fixture
def members():
    return [TorchBackend(small_model(seed, cutoff), dtype="float64") for seed, cutoff in enumerate(CUTOFFS)]


@pytest.mark.parametrize("periodic", [False, True])
def test_results_are_means_and_spreads_of_the_members(periodic, members):
    graph, properties = graph_of(ethanol(periodic=periodic)), {"energy", "energies", "forces"}
    properties |= {"stress"} if periodic else {"dipole"}
    together = Ensemble(members).evaluate(graph, properties)
    alone = [member.evaluate(graph_of(ethanol(periodic=periodic)), properties) for member in members]
    assert set(together) == properties | {f"{name}_std" for name in properties}
    for name in properties:
        values = np.array([answer[name] for answer in alone])
        np.testing.assert_allclose(together[name], values.mean(0), rtol=1e-13, atol=1e-15)
        deviations = (values - values.mean(0)).reshape(3, len(values[0]), -1)
        expected = np.sqrt((deviations**2).sum(axis=(0, 2)) / 2)
        np.testing.assert_allclose(together[f"{name}_std"], expected, rtol=1e-12)


def test_shapes_are_one_number_per_atom_or_structure(members):
    graph = batch([graph_of(ethanol(k)) for k in range(4)])
    results = Ensemble(members).evaluate(graph, ("energy", "forces", "dipole"))
    shapes = {name: value.shape for name, value in results.items()}
    assert shapes == {
        "energy": (4,),
        "energy_std": (4,),
        "forces": (36, 3),
        "forces_std": (36,),
        "dipole": (4, 3),
        "dipole_std": (4,),
    }


def test_equal_members_do_not_disagree():
    model = small_model(0)
    ensemble = Ensemble([TorchBackend(model, dtype="float64") for _ in range(3)])
    results = ensemble.evaluate(graph_of(ethanol()), ("energy", "forces"))
    # the mean of three equal numbers may differ from them in the last digit
    assert results["forces_std"].max() <= 1e-14 * np.abs(results["forces"]).max() + 1e-16
    assert results["energy_std"][0] <= 1e-14 * abs(results["energy"][0]) + 1e-16


def test_the_spread_does_not_depend_on_the_frame(members):
    atoms = ethanol()
    ensemble = Ensemble(members)
    before = ensemble.evaluate(graph_of(atoms), ("forces_std", "dipole_std"))
    atoms.positions = atoms.positions @ Rotation.random(random_state=1).as_matrix().T + [3.0, -2.0, 1.0]
    after = ensemble.evaluate(graph_of(atoms), ("forces_std", "dipole_std"))
    for name in ("forces_std", "dipole_std"):
        np.testing.assert_allclose(after[name], before[name], rtol=1e-9)


def test_forces_are_minus_the_gradient_of_the_mean_energy(members):
    ensemble, atoms, h = Ensemble(members), ethanol(), 1e-4
    forces = ensemble.evaluate(graph_of(atoms), ("forces",))["forces"]
    energies = []
    for sign in (1, -1):
        moved = atoms.copy()
        moved.positions[2, 1] += sign * h
        energies.append(ensemble.evaluate(graph_of(moved), ("energy",))["energy"][0])
    # central difference in float64: h² times the third derivative, about 1e-8 of forces of order one
    assert forces[2, 1] == pytest.approx((energies[1] - energies[0]) / (2 * h), rel=1e-5, abs=1e-7)


def test_it_offers_what_all_members_offer():
    first = TorchBackend(small_model(0, 3.0, ("energy", "dipole", "polarizability"), (1, 6, 8)))
    second = TorchBackend(small_model(1, 5.0, ("energy", "dipole"), (1, 8, 14)))
    ensemble = Ensemble([first, second])
    assert ensemble.cutoff == 5.0
    assert ensemble.elements == (1, 8)
    assert "dipole_std" in ensemble.properties
    assert "polarizability" not in ensemble.properties
    with pytest.raises(InputError, match="polarizability"):
        ensemble.evaluate(graph_of(ethanol()), ("polarizability",))


def test_one_model_or_strangers_are_no_ensemble():
    model = TorchBackend(small_model(0))
    with pytest.raises(InputError, match="at least two"):
        Ensemble([model])
    with pytest.raises(InputError, match="in common"):
        Ensemble([model, TorchBackend(small_model(1, elements=(14,)))])
