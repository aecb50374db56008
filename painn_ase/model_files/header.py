"""The JSON header of a model folder: read and checked, and the model it describes, still without weights."""

import inspect
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

from painn_ase.errors import InputError, ModelError, in_short
from painn_ase.heads import HEADS
from painn_ase.model import Model
from painn_ase.model_files.folder import HEADER
from painn_ase.model_files.limits import MAX_JSON, check_sizes, parse_json, read_bytes
from painn_ase.model_files.outline import outline
from painn_ase.nn.radial import CUTOFFS, RADIAL, Repulsion
from painn_ase.representations import REPRESENTATIONS

FORMAT = "painn_ase.model"
VERSION = 1
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
    check_sizes(description, path)
    try:
        with outline():  # no memory until the file has shown that it holds what the header says
            model = Model.from_config(description)
        _check_options(description)
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


def _check_options(description: dict[str, Any]) -> None:
    """Raises `InputError` for an option of another type than its class declares.

    Networks take many a wrong type without complaint: "false" is true, and a text for a number fails in the first
    evaluation.
    """
    options = description["representation"]
    kinds: list[tuple[Any, Any]] = [(REPRESENTATIONS[options["kind"]], options)]
    kinds += [(HEADS[given.get("kind", name)], given) for name, given in description["heads"].items()]
    kinds += [(table.get(str((options.get(name) or {}).get("kind"))), options.get(name) or {})
              for name, table in (("radial", RADIAL), ("cutoff_function", CUTOFFS))]  # fmt: skip
    kinds.append((Repulsion, options.get("repulsion") or {}))
    for kind, given in kinds:
        if kind is None:
            continue  # options of this name that this network understands in its own way
        hints = get_type_hints(kind.__init__)
        for name in inspect.signature(kind).parameters:
            if name in given and not _is(given[name], hints.get(name, Any)):
                wanted = getattr(hints[name], "__name__", hints[name])
                raise InputError(f"{kind.__name__} {name}: expected {wanted}; got {in_short(repr(given[name]))}")


def _is(value: Any, hint: Any) -> bool:
    """Whether a JSON value is what a constructor's annotation says; annotations this does not know accept all."""
    if isinstance(hint, UnionType):
        return any(_is(value, part) for part in get_args(hint))
    if hint is float:
        return type(value) in (int, float)
    if hint in (int, bool, str, dict, type(None)):
        return type(value) is hint
    container = get_origin(hint)
    if container is dict:
        return isinstance(value, dict)
    if container is not None and issubclass(list, container):
        return isinstance(value, list) and all(_is(part, get_args(hint)[0]) for part in value)
    return True
