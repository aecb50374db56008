"""A trained model made ready for other data: heads added or left out, energies referred to the new level of theory."""

from collections.abc import Sequence
from typing import Any

import torch
from ase import Atoms

from painn_ase.data import Label
from painn_ase.errors import InputError
from painn_ase.model import Model
from painn_ase.training.config import Architecture, default_heads, spelled_out
from painn_ase.training.data import make_examples
from painn_ase.training.normalization import fit_normalization


def transferred(model: Model, frames: Sequence[Atoms], labels: dict[str, Label], *, seed: int = 0) -> Model:
    """A model with the weights of `model` and the heads that the labels need; those that it lacks begin at random.

    model: the trained model
    frames: labelled structures; energy references are fitted to them, for they belong to a level of theory
    labels: under which key and in which unit each property is stored
    seed: of the weights of new heads, and of elements that the model does not know

    Scales and constants of what the model has stay. What it was trained on is remembered.
    """
    architecture = architecture_of(model, labels)
    examples = make_examples(frames, labels, model.cutoff, molecular=model.molecular)
    numbers = {int(z) for atoms in frames for z in atoms.numbers}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        new = Model.from_config(
            {
                "representation": architecture.representation,
                "heads": architecture.heads,
                "elements": sorted(numbers.union(model.elements)),
            }
        )
    fit_normalization(new, examples)
    known = {name: tensor for name, tensor in model.state_dict().items() if not name.endswith(".references")}
    lost = [name for name in known if name not in new.state_dict() and not name.startswith("heads.")]
    if lost:
        raise InputError(f"transfer: the new network has no place for {', '.join(lost)}")
    new.load_state_dict({name: tensor for name, tensor in known.items() if name in new.state_dict()}, strict=False)
    new.trained_on, new.coverage, new.name = model.trained_on, model.coverage, model.name
    return new


def architecture_of(model: Model, labels: dict[str, Label]) -> Architecture:
    """Representation of the model, and its heads and new ones as far as the labels need them."""
    has: dict[str, Any] = model.config["heads"]
    heads = {name: has.get(name, {}) for name in default_heads(labels)}
    return spelled_out(Architecture(model.config["representation"], heads), labels)
