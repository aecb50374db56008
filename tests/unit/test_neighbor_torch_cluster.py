"""torch-cluster's radius_graph gives complete lists of molecules, and nothing else."""

import builtins

import numpy as np
import pytest
import torch

from painn_ase.errors import InputError, MissingPackageError, PainnError
from painn_ase.neighbors import neighbor_list, torch_cluster

from helpers.systems import far_molecule, hydrogen, molecule, molecule_with_cell, random_system, single_atom, slab


def crowd(n=120):
    """Points with far more than 32 neighbours within 5 Å."""
    return np.random.default_rng(3).uniform(0.0, 6.0, (n, 3))


def sorted_rows(pairs):
    rows = np.column_stack([pairs.centers, pairs.neighbors, pairs.shifts])
    return rows[np.lexsort(rows.T[::-1])]


def assert_equals_oracle(positions, cell, cutoff):
    pairs = neighbor_list("torch_cluster")(positions, cell, [False] * 3, cutoff)
    assert (np.diff(pairs.centers) >= 0).all()
    oracle = neighbor_list("brute_force")(positions, cell, [False] * 3, cutoff)
    assert np.array_equal(sorted_rows(pairs), sorted_rows(oracle))


def test_missing_package_is_named_with_its_pip_line(monkeypatch):
    original = builtins.__import__

    def without_torch_cluster(name, *args, **kwargs):
        if name.startswith("torch_cluster"):
            raise ImportError(name)
        return original(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_torch_cluster)
    with pytest.raises(MissingPackageError, match=r"pip install 'painn-ase\[torch-cluster\]'"):
        neighbor_list("torch_cluster")


def test_molecules_equal_the_oracle():
    pytest.importorskip("torch_cluster")
    for build in (molecule, molecule_with_cell, far_molecule, hydrogen, single_atom):
        atoms = build()
        assert_equals_oracle(atoms.positions, atoms.cell.array, 3.0)
    rng = np.random.default_rng(5)
    for _ in range(50):
        atoms = random_system(rng, max_atoms=40)
        assert_equals_oracle(atoms.positions, atoms.cell.array, rng.uniform(1.5, 6.0))


def test_radius_graph_truncates_at_32_neighbors_where_our_list_is_complete():
    package = pytest.importorskip("torch_cluster")
    default = package.radius_graph(torch.tensor(crowd()), 5.0)
    assert np.bincount(default[1].numpy()).max() <= 32
    positions = crowd()
    assert_equals_oracle(positions, np.zeros((3, 3)), 5.0)
    assert len(neighbor_list("torch_cluster")(positions, np.zeros((3, 3)), [False] * 3, 5.0)) > default.shape[1]


def test_truncated_list_is_an_error_not_a_result(monkeypatch):
    package = pytest.importorskip("torch_cluster")

    def ignores_the_limit(positions, cutoff, loop, max_num_neighbors):
        return package.radius_graph(positions, cutoff, loop=loop)

    monkeypatch.setattr(torch_cluster, "_radius_graph", lambda: ignores_the_limit)
    with pytest.raises(PainnError, match="incomplete neighbour list"):
        neighbor_list("torch_cluster")(crowd(), np.zeros((3, 3)), [False] * 3, 5.0)


def test_periodic_boundaries_are_refused():
    pytest.importorskip("torch_cluster")
    atoms = slab()
    with pytest.raises(InputError, match=r"no periodic boundaries; got pbc=\[True, True, False\]"):
        neighbor_list("torch_cluster")(atoms.positions, atoms.cell.array, atoms.pbc, 4.0)
