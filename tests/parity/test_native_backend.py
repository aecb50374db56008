"""The native backend as a part of the product: laws, determinism, state, refusals."""

import copy
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch

from painn_ase.backends import NativeBackend, TorchBackend
from painn_ase.backends import tables as tabulation
from painn_ase.errors import InputError, ModelError
from painn_ase.graph import batch
from painn_ase.native.library import INSTRUCTION_SET_VARIABLE, why_unavailable
from painn_ase.neighbors import graph_of
from painn_ase.nn.radial import CUTOFFS

from helpers.native_systems import RUNNABLE, pulled, water_box
from helpers.random_models import NATIVE, random_model
from helpers.systems import NASTY

pytestmark = pytest.mark.skipif(why_unavailable() is not None, reason=str(why_unavailable()))


@pytest.fixture(scope="module")
def model():
    return random_model()


@pytest.mark.parametrize("name", ["molecule", "triclinic", "crystal_atom"])
def test_kernel_forces_are_minus_the_gradient_of_its_own_energy(model, name):
    native = NativeBackend(model)
    atoms = NASTY[name]()
    graph = graph_of(atoms, model.cutoff + 0.5)
    forces = native.evaluate(graph, ["forces"])["forces"]
    # fourth-order differences: with 0.005 Å truncation is ~1e-4 and the float32 energy's rounding 5e-7/0.005 = 1e-4
    step, weights = 0.005, {-2: 1 / 12, -1: -2 / 3, 1: 2 / 3, 2: -1 / 12}
    for atom, axis in np.ndindex(forces.shape):
        slope = 0.0
        for k, weight in weights.items():
            moved = pulled(graph, by=0.0)
            moved.positions[atom, axis] += k * step
            slope += weight * native.evaluate(moved, ["energy"])["energy"][0] / step
        assert forces[atom, axis] == pytest.approx(-slope, abs=5e-4 * max(1.0, np.abs(forces).max()))


def test_results_do_not_depend_on_the_number_of_threads(model):
    names = ["energy", "energies", "forces"]
    water = graph_of(water_box(6), model.cutoff)
    beads = batch([pulled(graph_of(NASTY["molecule"](), model.cutoff), k) for k in range(40)])
    small = graph_of(NASTY["molecule"](), model.cutoff)
    for graph in (water, beads, small):
        one = NativeBackend(model, threads=1).evaluate(graph, names)
        for threads in (2, 3, 7):
            several = NativeBackend(model, threads=threads).evaluate(graph, names)
            for name in names:
                np.testing.assert_array_equal(several[name], one[name])


def test_same_input_gives_the_same_bits(model):
    native = NativeBackend(model)
    graph = graph_of(NASTY["molecule"](), model.cutoff)
    first = native.evaluate(pulled(graph), ["forces"])["forces"]
    native.evaluate(graph_of(water_box(2), model.cutoff), ["forces"])
    np.testing.assert_array_equal(native.evaluate(pulled(graph), ["forces"])["forces"], first)


def test_pairs_beyond_the_cutoff_have_no_effect(model):
    native = NativeBackend(model)
    atoms = water_box(2)
    names = ["energy", "forces", "stress"]
    with_skin = native.evaluate(graph_of(atoms, model.cutoff + 1.0), names)
    without = native.evaluate(graph_of(atoms, model.cutoff), names)
    for name in names:  # the order of the sums may differ
        np.testing.assert_allclose(with_skin[name], without[name], rtol=1e-5, atol=1e-6)


def test_asking_again_about_one_graph_runs_only_the_heads(model, monkeypatch):
    native, exact = NativeBackend(model), TorchBackend(model, dtype="float64")
    graph = graph_of(NASTY["molecule"](), model.cutoff)
    forces = native.evaluate(graph, ["forces", "energy"])["forces"]
    monkeypatch.setattr(native._kernel.plain, "run", lambda *_: pytest.fail("the network was evaluated again"))
    found = native.evaluate(graph, ["polarizability", "forces"])
    np.testing.assert_array_equal(found["forces"], forces)
    expected = exact.evaluate(graph, ["polarizability"])["polarizability"]
    np.testing.assert_allclose(found["polarizability"], expected, atol=3e-6 * np.abs(expected).max())


def test_results_belong_to_the_caller(model):
    native = NativeBackend(model)
    graph = graph_of(NASTY["molecule"](), model.cutoff)
    first = native.evaluate(graph, ["forces"])["forces"]
    kept = first.copy()
    first[:] = 7.0
    np.testing.assert_array_equal(native.evaluate(graph, ["forces"])["forces"], kept)


def test_copies_and_pickles_give_the_same_bits(model):
    native = NativeBackend(model, threads=2)
    graph = graph_of(NASTY["molecule"](), model.cutoff)
    forces = native.evaluate(graph, ["forces"])["forces"]
    for twin in (copy.deepcopy(native), pickle.loads(pickle.dumps(native))):
        np.testing.assert_array_equal(twin.evaluate(graph, ["forces"])["forces"], forces)


FORK = """
import os, sys
sys.path.insert(0, sys.argv[1])
from painn_ase.backends import NativeBackend
from helpers.native_systems import water_box
from painn_ase.neighbors import graph_of
from helpers.random_models import random_model
model = random_model()
native = NativeBackend(model, threads=2)
graph = graph_of(water_box(2), model.cutoff)
energy = native.evaluate(graph, ["energy"])["energy"][0]
child = os.fork()
again = native.evaluate(graph_of(water_box(2), model.cutoff), ["energy"])["energy"][0]
if child == 0:
    os._exit(0 if again == energy else 3)
sys.exit(os.waitpid(child, 0)[1] >> 8)
"""


def test_threads_survive_a_fork(tmp_path):
    script = tmp_path / "fork.py"
    script.write_text(FORK)
    tests = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    subprocess.run([sys.executable, str(script), tests], check=True, timeout=120)


def test_a_broken_position_reaches_the_energy(model):
    graph = pulled(graph_of(NASTY["molecule"](), model.cutoff))
    graph.positions[3, 1] = np.nan
    found = NativeBackend(model).evaluate(graph, ["energy", "forces"])
    assert np.isnan(found["energy"]).all()
    assert np.isnan(found["forces"]).any()


def test_loading_the_kernel_leaves_denormal_numbers_alone(model):
    NativeBackend(model).evaluate(graph_of(NASTY["molecule"](), model.cutoff), ["forces"])
    smallest = np.array([5e-324])
    assert (smallest + 0.0)[0] > 0


@pytest.mark.parametrize("instruction_set", RUNNABLE)
def test_environment_variable_chooses_the_instruction_set_at_construction(model, monkeypatch, instruction_set):
    monkeypatch.setenv(INSTRUCTION_SET_VARIABLE, instruction_set)
    assert NativeBackend(model).instruction_set == instruction_set
    assert NativeBackend(model, instruction_set="portable").instruction_set == "portable"


def test_unsupported_models_are_refused_with_the_reason():
    for options, reason in (
        ({"features": 24}, "multiples of 16"),
        ({"features": 272}, "up to 256"),
        ({"activation": "tanh"}, "'tanh'"),
    ):
        model = random_model(heads={"energy": {}}, **options)
        assert reason in NativeBackend.obstacle(model)
        with pytest.raises(InputError, match="backend='torch'"):
            NativeBackend(model)


def test_bad_keywords_are_refused(model):
    with pytest.raises(InputError, match="threads"):
        NativeBackend(model, threads=0)
    with pytest.raises(InputError, match="instruction set"):
        NativeBackend(model, instruction_set="mmx")


def test_undefined_properties_are_refused(model):
    native = NativeBackend(model)
    with pytest.raises(InputError, match="periodic"):
        native.evaluate(graph_of(NASTY["slab"](), model.cutoff), ["dipole"])
    with pytest.raises(InputError, match="stress"):
        native.evaluate(graph_of(NASTY["molecule"](), model.cutoff), ["stress"])
    with pytest.raises(InputError, match="charges"):
        native.evaluate(graph_of(NASTY["molecule"](), model.cutoff), ["charges"])
    found = native.evaluate(graph_of(NASTY["molecule"](), model.cutoff), ["energy"])
    assert np.isfinite(found["energy"]).all()


def test_a_list_with_one_direction_of_a_pair_is_refused(model):
    from dataclasses import replace

    graph = graph_of(NASTY["molecule"](), model.cutoff)
    half = replace(graph, centers=graph.centers[1:], neighbors=graph.neighbors[1:], shifts=graph.shifts[1:])
    with pytest.raises(Exception, match="both directions"):
        NativeBackend(model).evaluate(half, ["energy"])


@pytest.mark.parametrize("cutoff_function", sorted(CUTOFFS))
@pytest.mark.parametrize("architecture", sorted(NATIVE))
def test_filter_tables_keep_their_stated_bound(architecture, cutoff_function):
    model = random_model(architecture, cutoff_function={"kind": cutoff_function}, heads={"energy": {}})
    tables = tabulation.filter_tables(model.representation)
    exact = copy.deepcopy(model.representation).double().requires_grad_(False)
    distances = torch.linspace(0.01, model.cutoff - 1e-6, 3001, dtype=torch.float64)
    for index, table in enumerate(tables):
        values, slopes = tabulation.filters_and_slopes(exact, index, distances)
        place = distances.numpy() / model.cutoff * (len(table) - 5)
        knots = place.astype(int)
        basis, dbasis = tabulation.bspline(place - knots)
        rows = np.stack([table[knots + m] for m in range(6)])
        found = (basis[:, :, None] * rows).sum(0)
        slope = (dbasis[:, :, None] * rows).sum(0) * (len(table) - 5) / model.cutoff
        # twice the bound, because it was checked at other places
        assert np.abs(found - values).max() <= 2 * tabulation.FILTER_BOUND * np.abs(values).max()
        assert np.abs(slope - slopes).max() <= 2 * tabulation.SLOPE_BOUND * np.abs(slopes).max()


def test_filters_too_sharp_for_a_table_are_refused(monkeypatch):
    monkeypatch.setattr(tabulation, "MAX_INTERVALS", 64)
    model = random_model(radial={"kind": "gaussian", "count": 40}, heads={"energy": {}})
    with pytest.raises(ModelError, match="backend='torch'"):
        NativeBackend(model)


def test_energy_is_conserved_without_a_thermostat():
    from ase import units
    from ase.md.verlet import VelocityVerlet

    from painn_ase import PaiNNCalculator
    from painn_ase.model_files import bundled_models

    if "ethanol" not in bundled_models():
        pytest.skip("needs the bundled model 'ethanol'")
    atoms = NASTY["molecule"]()
    atoms.calc = PaiNNCalculator("ethanol", backend="native")
    atoms.set_velocities(
        np.random.default_rng(0).normal(size=(9, 3)) * np.sqrt(units.kB * 300 / atoms.get_masses())[:, None]
    )
    energies = []
    dynamics = VelocityVerlet(atoms, 0.5 * units.fs)
    dynamics.attach(lambda: energies.append(atoms.get_total_energy()), interval=2)
    dynamics.run(4000)  # 2 ps
    time = np.arange(len(energies)) * 1e-3  # ps
    drift = np.polyfit(time, energies, 1)[0] / len(atoms)
    assert abs(drift) <= 1e-4  # eV/atom/ps


def test_the_kernel_refuses_an_option_it_has_not_heard_of():
    """A network learns a new option, and nobody thinks of the kernel: it must not compute as if there were none."""
    model = random_model(heads={"energy": {}, "dipole": {}})
    assert NativeBackend.obstacle(model) is None
    for part in (model.representation, model.heads["dipole"]):
        part.config["novelty"] = True
        assert "does not know the option 'novelty'" in NativeBackend.obstacle(model)
        del part.config["novelty"]
    for head in ("mean_references", "linear"):
        model.heads["energy"].config[head] = True
        assert head in NativeBackend.obstacle(model)
        model.heads["energy"].config[head] = False
