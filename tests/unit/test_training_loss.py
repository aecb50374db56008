"""The loss weighs properties independently of units and sizes, and counts the labels that are there."""

import copy
from itertools import pairwise

import numpy as np
import pytest
import torch
from ase.build import molecule

from painn_ase import units
from painn_ase.derivatives import evaluate
from painn_ase.errors import InputError
from painn_ase.training.average import AveragedModel
from painn_ase.training.config import Label, Schedule
from painn_ase.training.data import collate, make_examples
from painn_ase.training.loss import Loss
from painn_ase.training.normalization import describe_normalization, fit_normalization
from painn_ase.training.schedule import LearningRate

from helpers.random_models import random_model

WEIGHTS = {"energy": 0.1, "forces": 1.0, "dipole": 0.3, "polarizability": 0.2}
LABELS = {
    "energy": Label("E", "eV"),
    "forces": Label("F", "eV/Å"),
    "dipole": Label("mu", "e·Å"),
    "polarizability": Label("alpha", "e²Å²/eV"),
}


def frames():
    """Rattled molecules with made-up labels of every kind."""
    rng = np.random.default_rng(3)
    made = []
    for name in ("H2O", "CH4", "CH3OH", "CO2", "H2O", "CH3CH2OH"):
        atoms = molecule(name)
        atoms.rattle(0.05, rng=rng)
        atoms.info |= {
            "E": rng.normal() - 20.0 * len(atoms),
            "mu": rng.normal(size=3),
            "alpha": np.eye(3) + rng.random(),
        }
        atoms.arrays["F"] = rng.normal(size=(len(atoms), 3))
        made.append(atoms)
    return made


def loss_value(structures, labels=LABELS) -> float:
    examples = make_examples(structures, labels, 4.0)
    model = random_model()
    loss = Loss(WEIGHTS, fit_normalization(model, examples))
    batch = collate(examples)
    return float(loss(evaluate(model, batch.graph, loss.properties), batch))


def test_the_loss_does_not_depend_on_the_units_of_the_labels():
    in_other_units = frames()
    for atoms in in_other_units:
        atoms.info["E"] /= units.HARTREE
        atoms.info["mu"] = atoms.info["mu"] / units.DEBYE
        atoms.info["alpha"] = atoms.info["alpha"] / units.POLARIZABILITY["Bohr^3"]
        atoms.arrays["F"] /= units.KCAL_PER_MOL
    other = {
        "energy": Label("E", "Hartree"),
        "forces": Label("F", "kcal/mol/Å"),
        "dipole": Label("mu", "Debye"),
        "polarizability": Label("alpha", "Bohr^3"),
    }
    # rounding of the total energies, some 1e-16 relative, is amplified by their distance from zero
    assert loss_value(in_other_units, other) == pytest.approx(loss_value(frames()), rel=1e-10)


def test_predicting_the_mean_costs_the_sum_of_the_weights():
    examples = make_examples(frames(), LABELS, 4.0)
    model = random_model()
    loss = Loss(WEIGHTS, fit_normalization(model, examples))
    batch = collate(examples)
    for head in model.heads.values():
        head.scale.zero_()  # the network says nothing: references alone remain
    model.heads["dipole"].references.zero_()
    predictions = evaluate(model, batch.graph, loss.properties)
    assert float(loss(predictions, batch)) == pytest.approx(sum(WEIGHTS.values()), rel=1e-12)


def test_the_loss_of_a_set_equals_that_of_one_batch_of_it():
    from painn_ase.training.evaluate import compare

    examples = make_examples(frames(), LABELS, 4.0)
    model = random_model()
    loss = Loss(WEIGHTS, fit_normalization(model, examples))
    batch = collate(examples)
    whole = float(loss(evaluate(model, batch.graph, loss.properties), batch))
    parts = compare(model, [collate([e]) for e in examples])
    assert loss.of({name: c.per_atom for name, c in parts.items()}) == pytest.approx(whole, rel=1e-12)


def test_a_frame_that_lacks_a_label_counts_with_its_others():
    """Removing one dipole changes the loss as if that frame's dipole term had never been there."""
    structures = frames()
    complete = make_examples(structures, LABELS, 4.0)
    model = random_model()
    sizes = fit_normalization(model, complete)
    del structures[2].info["mu"]
    partial = collate(make_examples(structures, LABELS, 4.0))
    full = collate(complete)
    predictions = evaluate(model, full.graph, LABELS)
    others = Loss(WEIGHTS | {"dipole": 0.0}, sizes)
    dipole = Loss(dict.fromkeys(WEIGHTS, 0.0) | {"dipole": 1.0}, sizes)
    kept = [0, 1, 3, 4, 5]
    by_hand = ((predictions["dipole"] - full.labels["dipole"])[kept] / sizes["dipole"]).square().mean()
    assert float(dipole(predictions, partial)) == pytest.approx(float(by_hand), rel=1e-12)
    assert float(others(predictions, partial)) == pytest.approx(float(others(predictions, full)), rel=1e-12)


def test_labels_never_present_add_nothing_and_give_finite_gradients():
    structures = frames()
    for atoms in structures[1:]:
        del atoms.info["mu"]
    examples = make_examples(structures, LABELS, 4.0)
    model = random_model()
    loss = Loss(WEIGHTS, fit_normalization(model, examples))
    for batch in (collate(examples), collate(examples[1:])):
        model.zero_grad()
        wanted = loss.properties.intersection(batch.labels)
        loss(evaluate(model, batch.graph, wanted, create_graph=True), batch).backward()
        assert all(bool(p.grad.isfinite().all()) for p in model.parameters() if p.grad is not None)


def test_references_reproduce_energies_that_are_sums_over_atoms():
    atomic = {1: -13.6, 6: -1029.0, 8: -2041.0}
    structures = frames()
    for atoms in structures:
        atoms.info["E"] = sum(atomic[z] for z in atoms.numbers)
    structures[0].info["E"] += 1e-6  # otherwise nothing is left to learn, which is refused
    model = random_model()
    fit_normalization(model, make_examples(structures, LABELS, 4.0))
    found = describe_normalization(model)["energy"]["references"]
    assert [found[s] for s in "HCO"] == pytest.approx([atomic[1], atomic[6], atomic[8]], abs=1e-5)


def test_a_single_composition_gives_references_of_least_norm_that_sum_to_the_mean(caplog):
    rng = np.random.default_rng(0)
    structures = [molecule("CH3CH2OH") for _ in range(5)]
    for atoms in structures:
        atoms.info["E"] = -4210.0 + rng.normal()
    model = random_model(heads={"energy": {}})
    with caplog.at_level("INFO"):
        fit_normalization(model, make_examples(structures, {"energy": LABELS["energy"]}, 4.0))
    references = model.heads["energy"].references
    mean = np.mean([atoms.info["E"] for atoms in structures])
    assert float(references[torch.tensor(structures[0].numbers)].sum()) == pytest.approx(mean, rel=1e-12)
    assert float(references[6] / references[1]) == pytest.approx(2 / 6)  # along the composition C2 H6 O
    assert "the compositions fix 1 of 4 elements" in caplog.text


def test_labels_that_do_not_vary_are_refused():
    structures = frames()
    for atoms in structures:
        atoms.info["mu"] = np.zeros(3)
    with pytest.raises(InputError, match="label dipole: nothing to learn"):
        fit_normalization(random_model(), make_examples(structures, LABELS, 4.0))


def test_the_average_of_constant_weights_is_those_weights_and_forgets_the_start():
    model = random_model()
    average = AveragedModel(model, 0.9)
    start = copy.deepcopy(average.model.state_dict())
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1.0)
    for step in range(1, 301):
        average.update(step)
    for name, value in average.model.named_parameters():
        torch.testing.assert_close(value, start[name] + 1.0)  # 0.9**300 is below rounding


def test_the_cosine_schedule_warms_up_and_ends_at_its_minimum():
    rate = LearningRate(Schedule(warmup=10, minimum=0.01), total_steps=110)
    values = [rate.at(k) for k in range(111)]
    assert values[:10] == pytest.approx([(k + 1) / 10 for k in range(10)])
    assert values[60] == pytest.approx(0.5 * 1.01)  # half-way down
    assert values[110] == pytest.approx(0.01)
    assert all(a >= b for a, b in pairwise(values[10:]))


def test_the_plateau_schedule_halves_after_its_patience_and_then_cools_down():
    rate = LearningRate(Schedule(kind="plateau", warmup=0, patience=3, cooldown=2, minimum=0.1), total_steps=100)
    factors = []
    for loss in [1.0] + [2.0] * 20:
        rate.observe(loss)
        factors.append(rate.at(0))
    # three epochs of patience after the best, a cooldown of two, and so on, down to the minimum
    assert factors[:4] == [1.0] * 4
    assert factors[4] == 0.5
    assert factors[10] == 0.25
    assert factors[-1] == pytest.approx(0.125)
    restored = LearningRate(rate.schedule, 100)
    restored.restore(rate.state())
    assert restored == rate


def test_one_torn_structure_does_not_decide_which_epoch_is_best():
    """One of a hundred errors is huge: the mean square follows the outlier, the score the other ninety-nine."""
    loss = Loss({"energy": 1.0}, {"energy": 2.0})
    better, worse = np.full(100, 0.01), np.full(100, 0.02)
    better[0], worse[0] = 1.05, 1.00
    assert loss.of({"energy": better}) > loss.of({"energy": worse})
    assert loss.score({"energy": better}) < loss.score({"energy": worse})
    assert loss.score({"energy": better}) == pytest.approx((99 * 0.01 + 1.05) / 100 / 2)


def test_the_absolute_loss_is_the_mean_length_of_the_errors():
    """By hand: lengths 3σ and σ/2 of forces, 4σ and 0 of energies; the rounded tip changes a length by less than δ."""
    examples = make_examples(frames(), LABELS, 4.0)
    batch = collate(examples)
    loss = Loss({"energy": 0.5, "forces": 2.0}, {"energy": 1.5, "forces": 0.7}, "absolute")
    direction = torch.tensor([2.0, -1.0, 2.0], dtype=torch.float64) / 3.0
    lengths = torch.where(torch.arange(batch.graph.n_atoms) % 2 == 0, 3.0, 0.5).double()
    shift = 0.7 * np.sqrt(3.0) * lengths[:, None] * direction  # |Δ|²/3 = (length σ)²
    energies = torch.zeros_like(batch.labels["energy"])
    energies[0] = 4.0 * 1.5 * batch.graph.counts[0]
    predictions = {"forces": batch.labels["forces"] + shift, "energy": batch.labels["energy"] + energies}
    expected = 2.0 * float(lengths.mean()) + 0.5 * 4.0 / len(energies)
    assert float(loss(predictions, batch)) == pytest.approx(expected, abs=3e-3)
    errors = {"forces": shift.numpy(), "energy": (energies / batch.graph.counts).numpy()}
    assert loss.of(errors) == pytest.approx(float(loss(predictions, batch)), rel=1e-12)


def test_the_absolute_loss_has_a_finite_gradient_where_nothing_is_wrong():
    batch = collate(make_examples(frames(), LABELS, 4.0))
    forces = batch.labels["forces"].clone().requires_grad_()
    loss = Loss({"forces": 1.0}, {"forces": 1.0}, "absolute")({"forces": forces}, batch)
    loss.backward()
    assert float(loss.detach()) == 0.0
    assert not forces.grad.any()


def test_the_absolute_loss_is_the_same_in_every_frame_of_reference():
    turned = frames()
    rotation = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    for atoms in turned:
        atoms.positions = atoms.positions @ rotation.T
        atoms.arrays["F"] = atoms.arrays["F"] @ rotation.T
        atoms.info["mu"] = rotation @ atoms.info["mu"]
        atoms.info["alpha"] = rotation @ atoms.info["alpha"] @ rotation.T
    values = []
    for structures in (frames(), turned):
        examples = make_examples(structures, LABELS, 4.0)
        model = random_model().double()
        loss = Loss(WEIGHTS, fit_normalization(model, examples), "absolute")
        batch = collate(examples)
        values.append(float(loss(evaluate(model, batch.graph, loss.properties), batch)))
    assert values[1] == pytest.approx(values[0], rel=1e-9)
