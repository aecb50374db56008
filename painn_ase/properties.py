"""The one table of properties: name, shape, unit and how each is labelled in training data."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from painn_ase import units
from painn_ase.errors import InputError, closest


@dataclass(frozen=True)
class Property:
    """A quantity a model predicts, in the units and shapes of ASE."""

    name: str
    per: Literal["structure", "atom"]
    shape: tuple[int, ...]  # of one structure or one atom, as the network works with it
    unit: str
    units: dict[str, float]  # accepted label units -> factor to `unit`
    report: tuple[str, float]  # unit that people read errors in, and `unit` -> that unit


_ALL = (
    Property("energy", "structure", (), "eV", units.ENERGY, ("meV", 1e3)),
    Property("energies", "atom", (), "eV", units.ENERGY, ("meV", 1e3)),
    Property("forces", "atom", (3,), "eV/Å", units.FORCE, ("meV/Å", 1e3)),
    # 3x3 inside, Voigt (xx, yy, zz, yz, xz, xy) at the ASE border; tension is positive
    Property("stress", "structure", (3, 3), "eV/Å³", units.STRESS, ("GPa", 1 / units.GIGAPASCAL)),
    Property("dipole", "structure", (3,), "e·Å", units.DIPOLE, ("e·Å", 1.0)),
    Property("charges", "atom", (), "e", units.CHARGE, ("e", 1.0)),
    # [i, a, b] = ∂μ_a/∂r_ib: of atom i, dipole before displacement
    Property("born_effective_charges", "atom", (3, 3), "e", units.CHARGE, ("e", 1.0)),
    Property(
        "polarizability",
        "structure",
        (3, 3),
        "e²Å²/eV",
        units.POLARIZABILITY,
        ("Å³", units.COULOMB_CONSTANT),
    ),
    # traceless, ½ Σ q (3 r r - r² 1), about the centre of mass
    Property("quadrupole", "structure", (3, 3), "e·Å²", units.QUADRUPOLE, ("e·Å²", 1.0)),
    # static, ∂²μ/∂E²: without the factor 1/2 of a Taylor series
    Property(
        "hyperpolarizability",
        "structure",
        (3, 3, 3),
        "e³Å³/eV²",
        units.HYPERPOLARIZABILITY,
        ("a.u.", units.HARTREE**2 / units.BOHR**3),
    ),
)
PROPERTIES: dict[str, Property] = {p.name: p for p in _ALL}

SPREAD = "_std"
"""What an ensemble adds to the name of a property: one number per structure or atom, see `Ensemble`."""

FORCES_SPREAD = "forces" + SPREAD
"""How far the members of an ensemble disagree, eV/Å per atom."""

# What a training file may carry as labels.
TRAINABLE = (
    "energy",
    "forces",
    "stress",
    "dipole",
    "born_effective_charges",
    "polarizability",
    "quadrupole",
    "hyperpolarizability",
)

# Derivatives by positions that no head provides -> the property they are derivatives of.
DERIVED_FROM = {"forces": "energy", "stress": "energy", "born_effective_charges": "dipole"}


def known(names: Iterable[str]) -> frozenset[str]:
    """The names as a set; an unknown one raises `InputError` that names its nearest neighbour."""
    for name in names:
        if name not in PROPERTIES:
            raise InputError(
                f"property: expected one of {', '.join(PROPERTIES)}; got {name!r}{closest(name, PROPERTIES)}"
            )
    return frozenset(names)
