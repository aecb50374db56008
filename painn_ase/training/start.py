"""The model a training run starts from: random weights of the configured architecture, or those of a trained model."""

import logging
from pathlib import Path

import torch
from ase.data import chemical_symbols

from painn_ase.errors import InputError
from painn_ase.model import Model
from painn_ase.model_files import TRAINED_ON, load_model
from painn_ase.properties import DERIVED_FROM
from painn_ase.training.config import TrainConfig, default_heads, flat

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


def started_model(start: Path, plan: Model, elements: list[int]) -> Model:
    """The model in the folder `start`, if it is the planned network; references, scales and constants are its own."""
    model = load_model(start)
    wanted, has = ({key: m.config[key] for key in ("representation", "heads")} for m in (plan, model))
    if wanted != has:
        here, there = flat(wanted, "model."), flat(has, "model.")
        key = next(key for key in here | there if here.get(key) != there.get(key))
        raise InputError(
            f"[run] start: {key} is {there.get(key)!r} in {str(start)!r} and {here.get(key)!r} in this configuration; "
            "the network that training goes on from must be the configured one"
        )
    strange = [chemical_symbols[z] for z in elements if z not in model.elements]
    if strange:
        raise InputError(
            f"[run] start: the model in {str(start)!r} does not know {', '.join(strange)} of the training data; train "
            "anew without start"
        )
    model.errors, model.checks = {}, {}  # those of the weights it had
    return model.train()


def known_geometries(config: TrainConfig) -> frozenset[str]:
    """Names of the geometries that trained the model of `[run] start`; none without one.

    Raises `InputError` where a random split could validate on them, for the model does not say which they are.
    """
    start = config.run.start
    if start is None:
        return frozenset()
    known = load_model(start).trained_on
    if known is None and not config.data.validation:
        raise InputError(
            f"[run] start: the model in {str(start)!r} does not record which frames trained it (no {TRAINED_ON}), so a "
            "split could validate on them. Name frames that did not: [data] validation = a file"
        )
    if known is None:
        logger.warning("[run] start: %s does not record its frames; see that no validation frame is of them", start)
    return known or frozenset()


def _trained(provides: tuple[str, ...], config: TrainConfig) -> bool:
    return any(DERIVED_FROM.get(label, label) in provides for label, weight in config.weights.items() if weight > 0)
