"""Writes a model folder."""

import json
import re
from pathlib import Path
from typing import Any

from painn_ase.errors import ModelError
from painn_ase.files import write_atomically
from painn_ase.model import Model
from painn_ase.model_files.folder import CARD, HEADER, TRAINED_ON, WEIGHTS
from painn_ase.model_files.header import FORMAT, UNITS, VERSION
from painn_ase.model_files.limits import MAX_JSON, MAX_WEIGHTS
from painn_ase.model_files.tensors import tensor_file


def save_model(
    model: Model,
    folder: str | Path,
    *,
    provenance: dict[str, Any] | None = None,
    errors: dict[str, Any] | None = None,
    card: str | None = None,
) -> Path:
    """Writes `model` to `folder` and returns the folder.

    model: the trained model
    folder: made if it does not exist; files of a model in it are replaced
    provenance: how the model came to be, JSON-able; by default what the model carries
    errors: what it was measured to be worth, JSON-able; by default what the model carries
    card: the text of card.md; by default none is written

    The header is written last, so a folder with a header is complete. Raises
    `ModelError` for what `load_model` would not read again: more than 256 MiB of weights, or 4 MiB of header.
    """
    folder = Path(folder)
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    header = {
        "format": FORMAT,
        "version": VERSION,
        "model": model.config,
        "cutoff": model.cutoff,
        "units": UNITS,
        "properties": sorted(model.properties),
        "provenance": model.provenance if provenance is None else provenance,
        "errors": model.errors if errors is None else errors,
        "checks": model.checks,
        "coverage": None if model.coverage is None else model.coverage.to_dict(),
    }
    text = json.dumps(header, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    # lists of numbers on one line; strings in JSON hold no line breaks, so none of them can match
    text = re.sub(r"\[\n[\s\d.,eE+-]*\]", lambda found: re.sub(r"\s+", "", found[0]), text)
    weights = tensor_file(state, {"format": FORMAT, "version": str(VERSION)})
    for what, size, limit in (("weights", len(weights), MAX_WEIGHTS), ("header", len(text.encode()), MAX_JSON)):
        if size > limit:
            raise ModelError(f"{folder}: {what} of {size} bytes; model folders hold at most {limit // 2**20} MiB")
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / WEIGHTS, weights)
    if card is not None:
        write_atomically(folder / CARD, card)
    if model.trained_on is None:
        (folder / TRAINED_ON).unlink(missing_ok=True)  # of another model
    else:
        write_atomically(folder / TRAINED_ON, "".join(f"{name}\n" for name in sorted(model.trained_on)))
    write_atomically(folder / HEADER, text)
    return folder
