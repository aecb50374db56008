"""Reads a model folder.

Nothing in it is executed, no file outside of it is read, and types and shapes of the tensors are checked against the
header before memory is taken.
"""

import re
from pathlib import Path

from painn_ase.coverage import Coverage
from painn_ase.errors import ModelError
from painn_ase.model import Model
from painn_ase.model_files.folder import HEADER, TRAINED_ON, find_model
from painn_ase.model_files.header import described_model, read_header
from painn_ase.model_files.limits import MAX_WEIGHTS, read_bytes
from painn_ase.model_files.tensors import read_tensors

_NAMES = re.compile(rb"(?:[0-9a-f]{16}\s+)*(?:[0-9a-f]{16})?")


def load_model(name_or_path: str | Path) -> Model:
    """The model of a bundled name or folder, on the CPU, in the precision it was saved in.

    Raises `ModelError` when the folder is missing, damaged, or of a newer format.
    """
    folder = find_model(name_or_path)
    header = read_header(folder)
    model = described_model(header, folder / HEADER)
    model.load_state_dict(read_tensors(folder, model), assign=True)
    model.name = folder.resolve().name
    model.provenance = header.get("provenance", {})
    model.errors = header.get("errors", {})
    model.checks = header.get("checks", {})
    if header.get("coverage") is not None:
        model.coverage = Coverage.from_dict(header["coverage"], model.cutoff)
    model.trained_on = _trained_on(folder)
    return model.eval()


def _trained_on(folder: Path) -> frozenset[str] | None:
    """Names of the geometries that trained the model; None if its folder does not say. `ModelError` if damaged."""
    path = folder / TRAINED_ON
    if not path.is_file():
        return None
    text = read_bytes(path, folder, MAX_WEIGHTS)
    if not _NAMES.fullmatch(text):
        raise ModelError(f"{path}: expected names of geometries, 16 hexadecimal digits a line; the file is damaged")
    return frozenset(text.decode().split())
