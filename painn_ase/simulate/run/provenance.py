"""What ran on what: the identity of a run, and what its files say."""

from __future__ import annotations

from typing import Any

from ase import Atoms

from painn_ase.capabilities import settings_of, weights_of
from painn_ase.versions import versions


def identity_of(atoms: Atoms) -> dict[str, Any]:
    """The part of a run's identity that is its structure and its calculator, setting by setting."""
    calc = atoms.calc
    return {
        "calculator": calc.name,
        **{f"calculator's {name}": value for name, value in settings_of(calc).items()},
        "weights": weights_of(calc),
        "symbols": atoms.get_chemical_symbols(),
        "positions": atoms.positions.tolist(),
        "masses": atoms.get_masses().tolist(),
        "cell": atoms.cell.array.tolist(),
        "pbc": atoms.pbc.tolist(),
        "charge": str(atoms.info.get("charge", 0)),
    }


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
        "calculator_parameters": settings_of(calc),
        "versions": versions("painn-ase", "ase", "numpy", "torch", "h5py"),
    }
