"""Model files: a folder with `weights.safetensors`, a JSON header `model.json`, and `card.md` for people."""

from painn_ase.model_files.folder import CARD, HEADER, TRAINED_ON, WEIGHTS, bundled_models, find_model
from painn_ase.model_files.header import read_header
from painn_ase.model_files.loading import load_model
from painn_ase.model_files.saving import save_model

__all__ = [
    "CARD",
    "HEADER",
    "TRAINED_ON",
    "WEIGHTS",
    "bundled_models",
    "find_model",
    "load_model",
    "read_header",
    "save_model",
]
