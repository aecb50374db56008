"""What ran on what, for the files of a run."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Any

from ase import Atoms
from ase.io.jsonio import encode


def provenance(atoms: Atoms) -> dict[str, Any]:
    """What ran on what: structure, calculator and versions, JSON-able."""
    calc = atoms.calc
    return {
        "formula": atoms.get_chemical_formula(),
        "symbols": atoms.get_chemical_symbols(),
        "masses_u": atoms.get_masses().tolist(),
        "pbc": atoms.pbc.tolist(),
        "initial_cell_A": atoms.cell.array.tolist(),
        "calculator": calc.name,
        "calculator_parameters": encode(calc.todict()) if hasattr(calc, "todict") else "",
        "versions": {name: _version(name) for name in ("painn-ase", "ase", "numpy", "torch", "h5py")},
    }


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed as a package"
