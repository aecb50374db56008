"""What ran on what: the identity of a run, and what its files say."""

from __future__ import annotations

import hashlib
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from ase import Atoms

from painn_ase.simulate.run.plain import plain


def identity_of(atoms: Atoms) -> dict[str, Any]:
    """The part of a run's identity that is its structure and its calculator."""
    return {
        "calculator": settings_of(atoms.calc),
        "weights": weights_of(atoms.calc),
        "symbols": atoms.get_chemical_symbols(),
        "positions": atoms.positions.tolist(),
        "masses": atoms.get_masses().tolist(),
        "cell": atoms.cell.array.tolist(),
        "pbc": atoms.pbc.tolist(),
        "charge": str(atoms.info.get("charge", 0)),
    }


def settings_of(calc: Any) -> dict[str, Any]:
    """The parameters of a calculator, JSON-able; empty for one that does not tell them."""
    return plain(calc.todict(), f"calculator {calc.name}") if hasattr(calc, "todict") else {}


def weights_of(calc: Any) -> str | None:
    """A checksum of the networks of a `PaiNNCalculator`: a model's name may come to stand for another one."""
    backend = getattr(calc, "backend", None)
    digest = hashlib.sha256()
    for member in getattr(backend, "members", (backend,)):
        if member is None or not hasattr(member, "model"):
            return None
        for name, tensor in sorted(member.model.state_dict().items()):
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def name_of(calc: Any) -> str:
    """The calculator in words: name, model and backend where it has them."""
    backend = f" on the {calc.backend.name} backend" if hasattr(calc, "backend") else ""
    return f"{calc.name} {getattr(calc, 'model_name', '')}".strip() + backend


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
        "versions": {name: _version(name) for name in ("painn-ase", "ase", "numpy", "torch", "h5py")},
    }


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed as a package"
