"""Where training begins: random weights, or those of a model that was named, made ready for these labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ase import Atoms

from painn_ase.model_files import find_model, load_model, save_model
from painn_ase.reference.labellers import labels_of
from painn_ase.training.transfer import architecture_of, transferred

FEATURES = 64
CUTOFF = 5.0  # Å
START = "start"  # folder of the model that training begins from


def architecture(start: str | None, names: Sequence[str]) -> dict[str, Any]:
    """Representation and heads of a training configuration: those of the model to start from, else PaiNN."""
    if start is None:
        return {"representation": {"kind": "painn", "features": FEATURES, "interactions": 3, "cutoff": CUTOFF}}
    found = architecture_of(load_model(find_model(start)), labels_of(names))
    return {"representation": found.representation, "heads": found.heads}


def place_start(start: str, frames: Sequence[Atoms], names: Sequence[str], folder: Path) -> tuple[Path, list[str]]:
    """The folder of the model made ready for the labels `names` of `frames`, and the heads that were added."""
    model = load_model(find_model(start))
    new = transferred(model, frames, labels_of(names))
    added = [name for name in new.config["heads"] if name not in model.config["heads"]]
    path = folder / START
    save_model(new, path, provenance={"transferred from": model.name, "labels": list(names)})
    return path, added
