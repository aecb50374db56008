"""A level of theory: its name, its numerical settings, and what it can be asked for."""

import re
import warnings
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

from ase import Atoms
from ase.data import chemical_symbols

from painn_ase.errors import InputError, MissingPackageError
from painn_ase.reference import dispersion
from painn_ase.reference.dispersion import KINDS

# Basis sets with diffuse functions on every atom but hydrogen, by the naming rules of their families.
_DIFFUSE = re.compile(r"(^|-)(aug|ma|jun|jul|may|apr)-|^aug|\+|^def2-\w+pd$|sadlej")


@dataclass(frozen=True)
class Level:
    """A Kohn-Sham level of theory for PySCF. `Level.parse("pbe0/def2-svpd")` is the usual way to one.

    The defaults are those of the bundled data: density fitting of Coulomb and exchange with PySCF's default
    auxiliary basis; integration grid 3; gradient without grid response; coupled-perturbed Kohn-Sham with the
    response kernel on grid 0, which moves a polarizability by some 0.001 Å³ and halves the cost.
    """

    functional: str  # as PySCF names it; "hf" is Hartree-Fock
    basis: str  # as PySCF names it
    density_fitting: bool = True  # of Coulomb and exchange
    grid: int = 3  # PySCF's grid level, 0 (coarse) to 9
    scf_tolerance: float = 1e-9  # Hartree
    response_grid: int = 0  # grid level of the response kernel
    response_tolerance: float = 1e-6  # of a polarizability; its equations keep the root
    compact_basis: bool = False  # allow polarizabilities without diffuse functions
    dispersion: Literal["d4", "d3bj"] | None = None  # added to energies and forces

    @classmethod
    def parse(cls, text: str, **settings: Any) -> "Level":
        """The level named FUNCTIONAL/BASIS, as in "pbe0/def2-svpd", or with dispersion, "pbe0-d4/def2-tzvpd".

        Raises `InputError` for anything else.
        """
        functional, slash, basis = (part.strip() for part in text.lower().partition("/"))
        for kind in KINDS:
            if functional.endswith(f"-{kind}"):
                functional, settings = functional.removesuffix(f"-{kind}"), {"dispersion": kind} | settings
        if not (functional and slash and basis):
            raise InputError(
                f"level of theory: expected FUNCTIONAL/BASIS, as in pbe0/def2-svpd, or gfn2 or gfn1; got {text!r}"
            )
        return cls(functional, basis, **settings)

    @property
    def diffuse(self) -> bool:
        """Whether the basis set is one with diffuse functions, as far as its name tells."""
        return _DIFFUSE.search(self.basis) is not None

    def to_dict(self) -> dict[str, Any]:
        """The settings, JSON-able; what was there before levels had dispersion reads as without."""
        settings = {"engine": "PySCF"} | asdict(self)
        if self.dispersion is None:
            del settings["dispersion"]
        return settings

    def check(self, frames: Iterable[Atoms], properties: Iterable[str]) -> None:
        """Raises `InputError` before any work is done if the level, a structure or a property cannot be computed."""
        _import_pyscf()
        from pyscf.dft import libxc

        try:
            libxc.parse_xc(self.functional)
        except (KeyError, ValueError) as error:
            raise InputError(f"functional: PySCF does not know {self.functional!r} ({error})") from None
        if self.dispersion is not None:
            dispersion.check(self.functional, self.dispersion)
        if "polarizability" in properties and not (self.diffuse or self.compact_basis):
            raise InputError(
                f"polarizability: {self.basis} has no diffuse functions, without which polarizabilities come out up "
                "to half too small (water, PBE0: 0.78 Å³ in def2-SVP, 1.41 in def2-SVPD). Take def2-svpd, def2-tzvpd "
                "or an aug- basis; Level(..., compact_basis=True) or --compact-basis insists"
            )
        elements: set[int] = set()
        for index, atoms in enumerate(frames):
            if atoms.pbc.any():
                raise InputError(
                    f"frame {index}: expected a molecule; got pbc={atoms.pbc.tolist()}. Set pbc to False if it is one"
                )
            charge_and_spin(atoms, f"frame {index}")
            elements.update(atoms.numbers.tolist())
        self._check_basis(elements)

    def _check_basis(self, numbers: Iterable[int]) -> None:
        from pyscf.gto import basis as library
        from pyscf.lib.exceptions import BasisNotFoundError

        for number in sorted(numbers):
            symbol = chemical_symbols[number]
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # PySCF's advice to install more basis sets; ours is below
                    library.load(self.basis, symbol)
            except (BasisNotFoundError, KeyError):
                raise InputError(
                    f"basis: PySCF has no {self.basis!r} for {symbol}; more with: pip install basis-set-exchange"
                ) from None


def charge_and_spin(atoms: Atoms, where: str = "structure") -> tuple[int, int]:
    """Total charge in e and number of unpaired electrons, from info["charge"] and info["multiplicity"].

    Defaults: charge 0 and the lowest multiplicity. Raises `InputError` for a multiplicity the electrons cannot have.
    """
    charge, multiplicity = atoms.info.get("charge", 0), atoms.info.get("multiplicity")
    electrons = int(atoms.numbers.sum()) - round(charge)
    if charge != round(charge) or electrons < 1:
        raise InputError(f"{where}: expected a whole total charge that leaves electrons; got {charge!r}")
    unpaired = electrons % 2 if multiplicity is None else int(multiplicity) - 1
    if not 0 <= unpaired <= electrons or (electrons - unpaired) % 2:
        raise InputError(
            f"{where}: {electrons} electrons cannot have multiplicity {multiplicity}; expected "
            f"{'an even' if electrons % 2 else 'an odd'} number (2S + 1) in info['multiplicity'], or none"
        )
    return round(charge), unpaired


def _import_pyscf() -> None:
    try:
        import pyscf  # noqa: F401
    except ImportError:
        raise MissingPackageError("pyscf", "labelling with density functional theory", "reference") from None
