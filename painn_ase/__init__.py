"""PaiNN networks as ASE calculators: energies, forces, stress, dipoles, polarizabilities, dynamics, spectra.

    from painn_ase import PaiNNCalculator
    atoms.calc = PaiNNCalculator("ethanol")

Names are loaded when first used, so that importing the package costs nothing.
"""

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from painn_ase.calculator import PaiNNCalculator
    from painn_ase.corrected import CorrectedCalculator
    from painn_ase.learning import LearningCalculator
    from painn_ase.model import Model
    from painn_ase.model_files import bundled_models, load_model, save_model
    from painn_ase.simulate import relax, run_md, run_rpmd, simulate_spectra, vibrations

_HOME = {
    "PaiNNCalculator": "painn_ase.calculator",
    "CorrectedCalculator": "painn_ase.corrected",
    "LearningCalculator": "painn_ase.learning",
    "Model": "painn_ase.model",
    "bundled_models": "painn_ase.model_files",
    "load_model": "painn_ase.model_files",
    "save_model": "painn_ase.model_files",
    "relax": "painn_ase.simulate",
    "run_md": "painn_ase.simulate",
    "run_rpmd": "painn_ase.simulate",
    "simulate_spectra": "painn_ase.simulate",
    "vibrations": "painn_ase.simulate",
}

__all__ = [
    "CorrectedCalculator",
    "LearningCalculator",
    "Model",
    "PaiNNCalculator",
    "bundled_models",
    "load_model",
    "relax",
    "run_md",
    "run_rpmd",
    "save_model",
    "simulate_spectra",
    "vibrations",
]

try:
    __version__ = version("painn-ase")
except PackageNotFoundError:  # used from a source tree that was never installed
    __version__ = "0+unknown"


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'painn_ase' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
