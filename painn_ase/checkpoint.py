"""Model files: a folder with `weights.safetensors`, a JSON header `model.json`, and `card.md` for people.

Nothing in a model folder is executed, no file outside of it is read, and types and shapes of the tensors are checked
against the header before memory is taken.
"""

import inspect
import json
import logging
import re
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

import torch
from safetensors import SafetensorError, safe_open

from painn_ase.coverage import Coverage
from painn_ase.errors import InputError, ModelError, closest
from painn_ase.files import write_atomically
from painn_ase.heads import HEADS
from painn_ase.model import Model
from painn_ase.nn.outline import outline
from painn_ase.nn.radial import CUTOFFS, RADIAL, Repulsion
from painn_ase.representations import REPRESENTATIONS
from painn_ase.tensor_file import tensor_file
from painn_ase.untrusted import MAX_JSON, MAX_WEIGHTS, check_sizes, in_short, parse_json, read_bytes, tensor_table

log = logging.getLogger(__name__)

FORMAT = "painn_ase.model"
VERSION = 1
UNITS = {"energy": "eV", "length": "Ang", "dipole": "e*Ang", "polarizability": "e^2Ang^2/eV", "charge": "e"}
HEADER, WEIGHTS, CARD = "model.json", "weights.safetensors", "card.md"
TRAINED_ON = "trained_on.txt"  # names of the training geometries (`painn_ase.data.geometry`), one a line
_NAME = re.compile(rb"[0-9a-f]{16}")
_DTYPES = {"F32": torch.float32, "F64": torch.float64}  # as safetensors calls them


def bundled_models() -> dict[str, Path]:
    """Folders of the models that ship with the package, by name."""
    here = Path(__file__).resolve().parent
    # installed from a wheel, the models lie inside the package; in a source tree beside it
    for folder in (here / "bundled", here.parent / "models"):
        if folder.is_dir():
            return {p.parent.name: p.parent for p in sorted(folder.glob(f"*/{HEADER}"))}
    return {}


def find_model(name_or_path: str | Path) -> Path:
    """The folder of a bundled model's name or of a path; raises `ModelError` when there is none.

    A bundled name means the bundled model wherever one works; a folder of the same name is "./name" or a `Path`.
    """
    path = Path(name_or_path)
    bundled = bundled_models()
    if str(name_or_path) in bundled:
        if not _is_model(path):
            return bundled[str(name_or_path)]
        if isinstance(name_or_path, str):
            log.warning("model %r is the bundled one; for the folder of that name give './%s'", *[name_or_path] * 2)
            return bundled[name_or_path]
    if path.name == HEADER:
        path = path.parent
    if not _is_model(path):
        raise ModelError(
            f"model: expected a bundled name ({', '.join(bundled) or 'none found'}) or a folder with {HEADER}; "
            f"got {in_short(repr(str(name_or_path)))}{closest(str(name_or_path), bundled)}"
        )
    return path


def _is_model(path: Path) -> bool:
    try:
        return (path / HEADER).is_file()
    except OSError:  # a name too long for a file, a folder that may not be looked into
        return False


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


def load_model(name_or_path: str | Path) -> Model:
    """The model of a bundled name or folder, on the CPU, in the precision it was saved in.

    Raises `ModelError` when the folder is missing, damaged, or of a newer format.
    """
    folder = find_model(name_or_path)
    header = read_header(folder)
    model = _described(header, folder / HEADER)
    model.load_state_dict(_read_tensors(folder, model), assign=True)
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
    names = read_bytes(path, folder, MAX_WEIGHTS).split()
    if not all(_NAME.fullmatch(name) for name in names):
        raise ModelError(f"{path}: expected names of geometries, 16 hexadecimal digits a line; the file is damaged")
    return frozenset(name.decode() for name in names)


def _described(header: dict[str, Any], path: Path) -> Model:
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


def _read_tensors(folder: Path, model: Model) -> dict[str, torch.Tensor]:
    """The tensors of the file, which must be those of `model` (on the meta device) in name, type and shape."""
    path = folder / WEIGHTS
    table = tensor_table(path, folder)
    if set(table) != set(model.state_dict()):
        odd = sorted(set(table) ^ set(model.state_dict()))
        raise ModelError(f"{path}: weights do not fit {HEADER}; these are in only one of them: {in_short(odd[:5])}")
    precision = table[next(name for name, _ in model.named_parameters())][0]
    if precision not in _DTYPES:
        raise ModelError(f"{path}: expected weights of type {' or '.join(_DTYPES)}; got {precision}")
    wanted = {name: (t.dtype, tuple(t.shape)) for name, t in model.to(_DTYPES[precision]).state_dict().items()}
    for name, (dtype, shape) in wanted.items():
        if table[name][1] != shape:
            raise ModelError(f"{path}: {name} has shape {table[name][1]}, but {HEADER} asks for {shape}")
        if _DTYPES.get(table[name][0]) != dtype:
            raise ModelError(f"{path}: {name} is of type {table[name][0]}, but in this model it is {dtype}")
    try:
        with safe_open(path, framework="pt") as file:
            # clones lie on torch's own alignment, on which the last bit of a matrix product can depend
            tensors = {name: file.get_tensor(name).clone() for name in wanted}
    except (SafetensorError, OSError, RuntimeError) as error:
        raise ModelError(
            f"{path}: missing or damaged weights ({in_short(error)}); copy the model folder again"
        ) from None
    for name, tensor in tensors.items():
        if not bool(torch.isfinite(tensor).all()):
            raise ModelError(f"{path}: {name} holds values that are not finite numbers; the file is damaged")
    return tensors
