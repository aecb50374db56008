"""London dispersion of molecules: D4 and D3(BJ), with the parameters of a functional.

D4: Caldeweyher et al., J. Chem. Phys. 150, 154122 (2019), doi:10.1063/1.5090222, by dftd4. D3 with Becke and
Johnson's damping: Grimme, Ehrlich and Goerigk, J. Comput. Chem. 32, 1456 (2011), doi:10.1002/jcc.21759, by dftd3.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from ase import Atoms
from ase.units import Bohr, Hartree

from painn_ase.errors import InputError, MissingPackageError

KINDS = ("d4", "d3bj")


def dispersion(atoms: Atoms, functional: str, kind: str) -> tuple[float, np.ndarray]:
    """Energy in eV and forces (atoms, 3) in eV/Å of the dispersion that belongs to a functional.

    atoms: a molecule; D4 depends on its charge, info["charge"]
    functional: as PySCF and these packages name it, "pbe0"
    kind: "d4" or "d3bj"

    Raises `InputError` for a functional without parameters, `MissingPackageError` without the package.
    """
    parameters, model = _interface(kind)
    damping = _damping(parameters, functional, kind)
    state = {"charge": float(atoms.info.get("charge", 0))} if kind == "d4" else {}
    found: dict[str, Any] = model(atoms.numbers, atoms.positions / Bohr, **state).get_dispersion(damping, grad=True)
    return float(found["energy"]) * Hartree, -np.asarray(found["gradient"]) * Hartree / Bohr


def check(functional: str, kind: str) -> None:
    """Raises what `dispersion` would, before any work is done."""
    _damping(_interface(kind)[0], functional, kind)


def _damping(parameters: Callable[..., Any], functional: str, kind: str) -> Any:
    try:
        return parameters(method=functional)
    except RuntimeError as error:
        raise InputError(f"dispersion: {kind} has no parameters for the functional {functional!r} ({error})") from None


def _interface(kind: str) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """What makes the damping parameters, and the model of a structure."""
    package = {"d4": "dftd4", "d3bj": "dftd3"}[kind]
    try:
        if kind == "d4":
            from dftd4.interface import DampingParam, DispersionModel

            return DampingParam, DispersionModel
        from dftd3.interface import DispersionModel as Model3
        from dftd3.interface import RationalDampingParam

        return RationalDampingParam, Model3
    except ImportError:
        raise MissingPackageError(package, f"dispersion by {kind}", "dispersion") from None
