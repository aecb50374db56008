"""Model files: a folder with `weights.safetensors`, a JSON header `model.json`, and `card.md` for people.

Nothing in a model folder is executed, and tensor shapes are checked against the header before memory is taken.
"""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as tensors_to_bytes

from painn_ase.errors import InputError, ModelError, closest
from painn_ase.files import write_atomically
from painn_ase.model import Model

FORMAT = "painn_ase.model"
VERSION = 1
UNITS = {"energy": "eV", "length": "Ang", "dipole": "e*Ang", "polarizability": "e^2Ang^2/eV", "charge": "e"}
HEADER, WEIGHTS, CARD = "model.json", "weights.safetensors", "card.md"
_MAX_HEADER = 16 * 2**20  # bytes


def bundled_models() -> dict[str, Path]:
    """Folders of the models that ship with the package, by name."""
    here = Path(__file__).resolve().parent
    # installed from a wheel, the models lie inside the package; in a source tree beside it
    for folder in (here / "bundled", here.parent / "models"):
        if folder.is_dir():
            return {p.parent.name: p.parent for p in sorted(folder.glob(f"*/{HEADER}"))}
    return {}


def find_model(name_or_path: str | Path) -> Path:
    """The folder of a bundled model's name or of a path; raises `ModelError` when there is none."""
    path = Path(name_or_path)
    bundled = bundled_models()
    if str(name_or_path) in bundled and not (path / HEADER).is_file():
        return bundled[str(name_or_path)]
    if path.name == HEADER:
        path = path.parent
    if not (path / HEADER).is_file():
        raise ModelError(
            f"model: expected a bundled name ({', '.join(bundled) or 'none found'}) or a folder with {HEADER}; "
            f"got {str(name_or_path)!r}{closest(str(name_or_path), bundled)}"
        )
    return path


def save_model(
    model: Model,
    folder: str | Path,
    *,
    provenance: dict[str, Any] | None = None,
    errors: dict[str, Any] | None = None,
    card: str | None = None,
) -> Path:
    """Writes `model` to `folder` and returns the folder.

    `provenance` says how the model came to be, `errors` what it was measured to be worth; both must be JSON-able
    and default to what the model carries. The header is written last, so a folder with a header is complete.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
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
    }
    write_atomically(folder / WEIGHTS, tensors_to_bytes(state, metadata={"format": FORMAT, "version": str(VERSION)}))
    if card is not None:
        write_atomically(folder / CARD, card)
    write_atomically(folder / HEADER, json.dumps(header, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    return folder


def read_header(folder: Path) -> dict[str, Any]:
    """The checked JSON header of a model folder. Raises `ModelError` when damaged or of a newer format."""
    path = folder / HEADER
    if path.stat().st_size > _MAX_HEADER:
        raise ModelError(f"{path}: expected a header below {_MAX_HEADER // 2**20} MiB; this is not a model header")
    try:
        header = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path}: damaged header, not JSON ({error}); copy the model folder again") from None
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise ModelError(f"{path}: expected format {FORMAT!r}; this is not a painn_ase model")
    version = header.get("version")
    if not isinstance(version, int) or version > VERSION:
        raise ModelError(
            f"{path}: model format {version}, but this painn_ase reads up to {VERSION}: pip install -U painn-ase"
        )
    return header


def load_model(name_or_path: str | Path) -> Model:
    """The model of a bundled name or folder, on the CPU, in the precision it was saved in.

    Raises `ModelError` when the folder is missing, damaged, or of a newer format.
    """
    folder = find_model(name_or_path)
    header = read_header(folder)
    try:
        with torch.device("meta"):  # no memory until the file has shown that it holds what the header says
            model = Model.from_config(header["model"])
    except (InputError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelError(f"{folder / HEADER}: the description of the model cannot be used: {error}") from None
    tensors = _read_tensors(folder / WEIGHTS, {name: tuple(t.shape) for name, t in model.state_dict().items()})
    model.load_state_dict(tensors, assign=True)
    model.name = folder.resolve().name
    model.provenance = header.get("provenance", {})
    model.errors = header.get("errors", {})
    return model.eval()


def _read_tensors(path: Path, shapes: dict[str, tuple[int, ...]]) -> dict[str, torch.Tensor]:
    try:
        with safe_open(path, framework="pt") as file:
            names = set(file.keys())
            if names != set(shapes):
                odd = sorted(names ^ set(shapes))
                raise ModelError(f"{path}: weights do not fit {HEADER}; these are in only one of them: {odd[:5]}")
            for name, shape in shapes.items():
                found = tuple(file.get_slice(name).get_shape())
                if found != shape:
                    raise ModelError(f"{path}: {name} has shape {found}, but {HEADER} asks for {shape}")
            # clones lie on torch's own alignment, on which the last bit of a matrix product can depend
            tensors = {name: file.get_tensor(name).clone() for name in shapes}
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path}: missing or damaged weights ({error}); copy the model folder again") from None
    for name, tensor in tensors.items():
        if not tensor.is_floating_point() or not bool(torch.isfinite(tensor).all()):
            raise ModelError(f"{path}: {name} holds values that are not finite numbers; the file is damaged")
    return tensors
