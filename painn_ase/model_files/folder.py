"""The folder of a model: what its files are called, where bundled ones lie, and which one a name means."""

import logging
from pathlib import Path

from painn_ase.errors import ModelError, closest, in_short

log = logging.getLogger(__name__)

HEADER, WEIGHTS, CARD = "model.json", "weights.safetensors", "card.md"
TRAINED_ON = "trained_on.txt"  # names of the training geometries (`painn_ase.data.geometry`), one a line


def bundled_models() -> dict[str, Path]:
    """Folders of the models that ship with the package, by name."""
    here = Path(__file__).resolve().parent.parent
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
