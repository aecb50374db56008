"""From Atoms to a graph: one reading of the charge, one of the cell, and objects that stay while pairs do."""

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import molecule

from painn_ase import PaiNNCalculator
from painn_ase.errors import InputError
from painn_ase.neighbors import GraphBuilder, VerletList, graph_of, neighbor_list, total_charge
from painn_ase.simulate.replicas.batch import BatchedEvaluator
from painn_ase.training.config import Label
from painn_ase.training.data import make_examples

from helpers.random_models import random_model

NOT_A_CHARGE = ["1", "minus one", None, np.nan, np.inf, True, 1j, [1, 0]]


def builder(skin: float = 0.5, charge: float | None = None) -> GraphBuilder:
    return GraphBuilder(VerletList(neighbor_list("matscipy"), 4.0, skin), charge)


def test_the_charge_is_read_from_info_unless_given():
    atoms = molecule("H2O")
    assert total_charge(atoms) == 0.0
    atoms.info["charge"], atoms.info["q"] = np.int64(-1), np.array(2.0)
    assert total_charge(atoms) == -1.0
    assert total_charge(atoms, "q") == 2.0
    assert total_charge(atoms, 3) == 3.0
    assert graph_of(atoms, 4.0, charge="q").charges.tolist() == [2.0]
    assert builder().build(atoms).charges.tolist() == [-1.0]
    assert builder(charge=1).build(atoms).charges.tolist() == [1.0]


@pytest.mark.parametrize("given", NOT_A_CHARGE, ids=repr)
def test_what_is_no_charge_is_refused_alike_by_all_who_make_graphs(given):
    """Text passed in one place and NaN in another before the charge was read in one."""
    atoms = molecule("H2O")
    atoms.info |= {"charge": given, "energy": 0.0}
    model = random_model()
    for graph in (
        lambda: graph_of(atoms, 4.0),
        lambda: builder().build(atoms),
        lambda: make_examples([atoms], {"energy": Label("energy", "eV")}, 4.0),
        lambda: PaiNNCalculator(model).get_property("energy", atoms),
        lambda: _batched(atoms, model),
    ):
        with pytest.raises(InputError, match="total charge: expected a number in e"):
            graph()
    if given is not None:  # the keyword's "read it from info"
        with pytest.raises(InputError, match="total charge: expected a number in e"):
            PaiNNCalculator(model, charge=given)


def _batched(atoms: Atoms, model) -> None:
    atoms = atoms.copy()
    atoms.calc = PaiNNCalculator(model)
    BatchedEvaluator(atoms)(atoms.positions[None], ("forces",))


def test_cell_vectors_that_are_not_periodic_may_be_anything():
    slab = Atoms("C2", [[0, 0, 0], [1.2, 0.3, 0.8]], cell=np.diag([5.0, 6.0, 7.0]), pbc=[True, True, False])
    expected = graph_of(slab, 4.0)
    slab.cell.array[2] = np.nan
    for graph in (graph_of(slab, 4.0), builder(skin=0.0).build(slab)):
        torch.testing.assert_close(graph.vectors(), expected.vectors())
        assert graph.cells[0, 2].tolist() == [0.0] * 3


def test_everything_but_positions_and_cell_stays_while_pairs_elements_and_charge_do():
    atoms, build = molecule("CH3CH2OH"), builder()
    first = build.build(atoms)
    atoms.positions += 0.01
    second = build.build(atoms)
    topology = ("numbers", "structures", "centers", "neighbors", "shifts", "pbc", "charges")
    assert all(getattr(first, name) is getattr(second, name) for name in topology)
    np.testing.assert_array_equal(second.positions.numpy(), atoms.positions)
    for change in ("numbers", "charge"):
        if change == "numbers":
            atoms.numbers[0] = 8
        else:
            atoms.info["charge"] = 1
        third = build.build(atoms)
        assert third.numbers is not second.numbers
        assert third.numbers.tolist() == atoms.numbers.tolist()
        assert third.charges.item() == atoms.info.get("charge", 0.0)


def test_a_graph_owns_its_arrays():
    atoms, build = molecule("H2O"), builder()
    graphs = graph_of(atoms, 4.0), build.build(atoms)
    before = [graph.positions.clone() for graph in graphs]
    atoms.positions += 1.0
    atoms.numbers[:] = 1
    for graph, positions in zip(graphs, before, strict=True):
        assert torch.equal(graph.positions, positions)
        assert graph.numbers.tolist() == [8, 1, 1]


def test_after_an_error_the_next_graph_is_made_from_nothing():
    atoms, build = molecule("H2O"), builder()
    first = build.build(atoms)
    atoms.info["charge"] = "one"
    with pytest.raises(InputError):
        build.build(atoms)
    atoms.info["charge"] = 0
    assert build.build(atoms).numbers is not first.numbers
