"""The state of an unfinished run in one safetensors file: tensors, and scalars as JSON in its header. No pickle.

One file, replaced in one step, so that a kill at any moment leaves a state from which the run continues.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from painn_ase.errors import InputError
from painn_ase.files import write_atomically
from painn_ase.model_files.tensors import tensor_file

_VERSION = "1"


def save_state(path: Path, groups: Mapping[str, Mapping[str, Tensor]], scalars: Mapping[str, Any]) -> None:
    """Writes named groups of tensors and JSON-able `scalars` to `path` in one step."""
    # clones, because safetensors refuses tensors that share memory (weights at the start equal their average)
    tensors = {
        f"{group}/{name}": tensor.detach().cpu().clone().contiguous()
        for group, members in groups.items()
        for name, tensor in members.items()
    }
    metadata = {"format": "painn_ase.training", "version": _VERSION, "scalars": json.dumps(scalars)}
    write_atomically(path, tensor_file(tensors, metadata))


def load_state(path: Path) -> tuple[dict[str, dict[str, Tensor]], dict[str, Any]]:
    """Groups of tensors and scalars as `save_state` wrote them. Raises `InputError` for missing or damaged files."""
    groups: dict[str, dict[str, Tensor]] = {}
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            for full in file.keys():  # noqa: SIM118  (not a mapping)
                group, _, name = full.partition("/")
                groups.setdefault(group, {})[name] = file.get_tensor(full)
        if metadata.get("format") != "painn_ase.training" or metadata.get("version") != _VERSION:
            raise InputError(f"{path}: expected a training checkpoint of version {_VERSION}; got {metadata}")
        return groups, json.loads(metadata["scalars"])
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: missing or damaged training checkpoint ({error}); train anew without it") from None
