"""The JSON header of a model folder: read and checked, and the model it describes, still without weights."""

from pathlib import Path
from typing import Any

from painn_ase.errors import InputError, ModelError, in_short
from painn_ase.model import Model
from painn_ase.model_files.folder import HEADER
from painn_ase.model_files.limits import MAX_JSON, check_lengths, parse_json, read_bytes
from painn_ase.model_files.outline import outline

FORMAT = "painn_ase.model"
VERSION = 1
# options that files of kind "painn" spelled out before "painn_variant" had them to itself, as published
_PUBLISHED = {"vectors": "full", "scalar_product": True, "cross_product": False, "tensor_features": False}
UNITS = {"energy": "eV", "length": "Ang", "dipole": "e*Ang", "polarizability": "e^2Ang^2/eV", "charge": "e"}


def read_header(folder: Path) -> dict[str, Any]:
    """The checked JSON header of a model folder. Raises `ModelError` when damaged or of a newer format."""
    path = folder / HEADER
    header = parse_json(read_bytes(path, folder, MAX_JSON), path)
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise ModelError(f"{path}: expected format {FORMAT!r}; this is not a painn_ase model")
    version = header.get("version")
    if type(version) is not int or not 1 <= version <= VERSION:
        raise ModelError(
            f"{path}: model format {in_short(repr(version))}, but this painn_ase reads 1 to {VERSION}: "
            "pip install -U painn-ase"
        )
    for key in ("model", "provenance", "errors", "checks"):
        if not isinstance(header.get(key, {}), dict):
            raise ModelError(f"{path}: expected an object under {key!r}; the header is damaged")
    if header.get("units", UNITS) != UNITS:
        raise ModelError(f"{path}: expected the units {UNITS}; got {in_short(header['units'])}")
    return header


def described_model(header: dict[str, Any], path: Path) -> Model:
    """The model that a header describes, without memory for its weights."""
    description = header.get("model", {})
    check_lengths(description, path)
    try:
        with outline():  # no memory until the file has shown that it holds what the header says
            model = Model.from_config(_current(description))
    except (InputError, LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RuntimeError) as error:
        raise ModelError(f"{path}: the description of the model cannot be used: {in_short(error)}") from None
    if any(tensor.numel() == 0 for tensor in model.state_dict().values()):
        raise ModelError(f"{path}: the description of the model cannot be used: one of its layers has no columns")
    for key, value in (("cutoff", model.cutoff), ("properties", sorted(model.properties))):
        if header.get(key, value) != value:
            raise ModelError(
                f"{path}: {key} {in_short(header[key])} contradicts the description of the model, which says {value}"
            )
    rows = model.representation.config.get("embeddings")
    if isinstance(rows, int) and max(model.elements) >= rows:
        raise ModelError(f"{path}: the network has embeddings for elements below {rows}, not for {max(model.elements)}")
    return model


def _current(description: dict[str, Any]) -> dict[str, Any]:
    """A description with the names of today."""
    network = description.get("representation")
    if not isinstance(network, dict) or network.get("kind") != "painn" or not network.keys() >= _PUBLISHED.keys():
        return description
    if all(network[name] == value for name, value in _PUBLISHED.items()):
        network = {name: value for name, value in network.items() if name not in _PUBLISHED}
    else:
        network = network | {"kind": "painn_variant"}
    return description | {"representation": network}
