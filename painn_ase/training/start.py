"""The model a training run starts from: random weights of the configured architecture, or those of a trained model."""

import logging
from collections.abc import Sequence
from pathlib import Path

import torch
from ase.data import chemical_symbols

from painn_ase.errors import InputError
from painn_ase.model import Model
from painn_ase.model_files import TRAINED_ON, load_model
from painn_ase.properties import DERIVED_FROM
from painn_ase.training.config import TrainConfig, default_heads, flat
from painn_ase.training.data import Example
from painn_ase.training.normalization import fit_normalization, shift_references

logger = logging.getLogger(__name__)


def new_model(config: TrainConfig, elements: list[int]) -> Model:
    """The model of the configuration with random weights that depend on the seed alone."""
    heads = config.model.heads or default_heads(config.data.labels)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.run.seed)
        model = Model.from_config({"representation": config.model.representation, "heads": heads, "elements": elements})
    missing = set(config.data.labels) - model.learnable
    if missing:
        said = (f"{n} (a derivative of the {DERIVED_FROM[n]})" if n in DERIVED_FROM else n for n in sorted(missing))
        raise InputError(f"[model.heads]: no head predicts the labelled {', '.join(said)}; add it")
    unused = [name for name, head in model.heads.items() if not _trained(head.provides, config)]
    if unused:
        raise InputError(f"[model.heads]: no label trains {', '.join(unused)}; drop it or add to [data.labels]")
    return model


def earlier_model(config: TrainConfig, plan: Model) -> Model | None:
    """The model of `[run] start`, if it has the planned representation and no head of another kind; None without one.

    Raises `InputError` where a random split could validate on frames that trained it, for it does not say which.
    """
    path = config.run.start
    if path is None:
        return None
    model = load_model(path)
    _check_same(path, plan, model)
    if model.trained_on is None and not config.data.validation:
        raise InputError(
            f"[run] start: the model in {str(path)!r} does not record which frames trained it (no {TRAINED_ON}), so a "
            "split could validate on them. Name frames that did not: [data] validation = a file"
        )
    if model.trained_on is None:
        logger.warning("[run] start: %s does not record its frames; see that no validation frame is of them", path)
    return model


def started_model(config: TrainConfig, earlier: Model, elements: list[int], examples: Sequence[Example]) -> Model:
    """The network of the configuration with the weights of an earlier one, ready to be trained on the examples.

    Heads that the earlier model lacks, and elements that it does not know, begin at random; heads and elements that the
    data lack are left out. Scales and constants of what it has stay; references move to the level of the labels.
    """
    model = new_model(config, elements)
    fit_normalization(model, examples)
    names = model.state_dict().keys()
    model.load_state_dict({n: tensor for n, tensor in earlier.state_dict().items() if n in names}, strict=False)
    added, dropped = (
        [name for name in a.heads if name not in b.heads] for a, b in ((model, earlier), (earlier, model))
    )
    shift_references(model, examples, [name for name in model.heads if name not in added])
    if added:
        logger.info("[run] start: the head %s begins at random", ", ".join(added))
    if dropped:
        logger.info("[run] start: the head %s is left out, for there are no labels for it", ", ".join(dropped))
    strange = [chemical_symbols[z] for z in elements if z not in earlier.elements]
    if strange:
        logger.warning(
            "[run] start: the model in %s does not know %s; their embeddings begin at random, and take as many frames "
            "as a training from random weights does",
            config.run.start,
            ", ".join(strange),
        )
    return model.train()


def _check_same(start: Path, plan: Model, model: Model) -> None:
    """Raises `InputError` where representations differ, or heads that both have."""
    common = [name for name in plan.heads if name in model.heads]
    here, there = (
        flat(m.config["representation"], "model.representation.")
        | flat({name: m.config["heads"][name] for name in common}, "model.heads.")
        for m in (plan, model)
    )
    if here != there:
        key = next(key for key in here | there if here.get(key) != there.get(key))
        raise InputError(
            f"[run] start: {key} is {there.get(key)!r} in {str(start)!r} and {here.get(key)!r} in this configuration; "
            "the network that training goes on from must be the configured one"
        )


def _trained(provides: tuple[str, ...], config: TrainConfig) -> bool:
    return any(DERIVED_FROM.get(label, label) in provides for label, weight in config.weights.items() if weight > 0)
