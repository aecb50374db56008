"""Batches of torch-sim have the energies, forces and stresses of the calculator."""

import numpy as np
import pytest
import torch

pytest.importorskip("torch_sim", reason="needs torch-sim: pip install 'painn-ase[torch-sim]'")

import torch_sim as ts
from ase.build import bulk, molecule

from painn_ase import PaiNNCalculator
from painn_ase.engines.torch_sim import PaiNNModel
from painn_ase.errors import InputError

from helpers.random_models import random_model


def crystals():
    structures = [bulk("Si", cubic=True), bulk("Si", cubic=True) * (2, 1, 1), bulk("Si")]
    for k, atoms in enumerate(structures):
        atoms.rattle(0.05, seed=k)
    return structures


def state_of(structures):
    return ts.io.atoms_to_state(structures, torch.device("cpu"), torch.float64)


def test_a_batch_agrees_with_the_calculator():
    structures = crystals()
    answers = PaiNNModel("silicon")(state_of(structures))
    first = 0
    for k, atoms in enumerate(structures):
        atoms.calc = PaiNNCalculator("silicon")
        forces = answers["forces"][first : first + len(atoms)].numpy()
        assert np.abs(forces - atoms.get_forces()).max() < 3e-6
        assert abs(float(answers["energy"][k]) - atoms.get_potential_energy()) < 1e-5
        assert np.abs(answers["stress"][k].numpy() - atoms.get_stress(voigt=False)).max() < 1e-7
        first += len(atoms)


def test_molecules_have_no_stress_and_unknown_elements_a_sentence():
    atoms = molecule("H2O")
    answers = PaiNNModel(random_model(heads={"energy": {}}))(state_of([atoms]))
    assert torch.isnan(answers["stress"]).all()
    assert "stress" not in PaiNNModel("water", compute_stress=False)(state_of([atoms]))
    with pytest.raises(InputError, match="the state has"):
        PaiNNModel("silicon")(state_of([atoms]))


@pytest.mark.slow
def test_batched_dynamics_and_relaxation_run():
    """NVE keeps its energy; a relaxation of several cells finds the forces' zero in each."""
    structures, model = crystals(), PaiNNModel("silicon")
    trace = ts.integrate(
        system=structures, model=model, integrator=ts.integrators.nve, n_steps=50, temperature=100, timestep=0.001
    )
    assert torch.isfinite(trace.positions).all()
    # by itself a relaxation ends when the energy changes little
    enough = ts.generate_force_convergence_fn(force_tol=0.05, include_cell_forces=False)
    final = ts.optimize(
        system=structures, model=model, optimizer=ts.optimizers.fire, max_steps=400, convergence_fn=enough
    )
    assert model(final)["forces"].abs().max() < 0.1
