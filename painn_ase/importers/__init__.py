"""Checkpoints of other PaiNN codes to models of this package, without running anything that is in them.

One module per dialect, each with `load(path, ...) -> Model`. A dialect translates names and split orders into a
`Translation` (our architecture and tensors in foreign units); `translation.build` converts the units and makes the
model; `unpickle` (with the `names` it allows) and `archive` read the files, `recognise` says what a stranger is.
"""

import inspect
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from painn_ase.errors import InputError, choice
from painn_ase.importers.dialects import DIALECTS, Dialect

if TYPE_CHECKING:
    from painn_ase.model import Model

__all__ = ["DIALECTS", "Dialect", "convert"]


def convert(dialect: str, path: str | Path, folder: str | Path, **keywords: Any) -> "Model":
    """Imports the checkpoint `path` of a dialect, writes a model folder with a card, and returns the model.

    `keywords` are those of the dialect's `load`. Raises `InputError` that names the ones it needs or does not know.
    """
    choice("dialect", dialect, DIALECTS)
    load = import_module(f"painn_ase.importers.{dialect}").load
    known = {name: p for name, p in inspect.signature(load).parameters.items() if p.kind == p.KEYWORD_ONLY}
    missing = [name for name, p in known.items() if p.default is p.empty and name not in keywords]
    if missing:
        options = " ".join(f"--{name.replace('_', '-')} UNIT" for name in missing)
        raise InputError(f"{dialect} checkpoints do not say their units: give {' and '.join(missing)} ({options})")
    unknown = [name for name in keywords if name not in known]
    if unknown:
        raise InputError(f"{dialect} checkpoints do not take {', '.join(unknown)}; known: {', '.join(known)}")
    from painn_ase.importers.card import write

    return write(load(path, **keywords), folder)
