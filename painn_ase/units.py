"""Named conversion factors; the package computes in eV, Å and e everywhere inside.

Every factor is "multiply a value in that unit to get the internal one". All follow from the constants of CODATA 2014
(doi:10.1103/RevModPhys.88.035009), which are those of `ase.units`: one set, so that labels, ASE's own numbers and ours
agree to the last digit. Later releases differ by about 1e-8. Labels and files are converted once, at the border.
"""

import math
import re
from collections import Counter

from painn_ase.errors import InputError, closest

SPEED_OF_LIGHT = 299792458.0  # m/s
PLANCK = 6.626070040e-34  # J s
BOLTZMANN = 1.38064852e-23  # J/K
AVOGADRO = 6.022140857e23  # 1/mol
ELEMENTARY_CHARGE = 1.6021766208e-19  # C
ELECTRON_MASS = 9.10938356e-31  # kg
ATOMIC_MASS = 1.660539040e-27  # kg
VACUUM_PERMITTIVITY = 1 / (4e-7 * math.pi * SPEED_OF_LIGHT**2)  # F/m

_HBAR = PLANCK / (2 * math.pi)
COULOMB_CONSTANT = 1e10 * ELEMENTARY_CHARGE / (4 * math.pi * VACUUM_PERMITTIVITY)  # e²/(4πε0) in eV·Å
BOHR = 1e20 * _HBAR**2 / (ELECTRON_MASS * ELEMENTARY_CHARGE * COULOMB_CONSTANT)  # Å
HARTREE = COULOMB_CONSTANT / BOHR  # eV
KCAL_PER_MOL = 4184 / (AVOGADRO * ELEMENTARY_CHARGE)  # eV
KJ_PER_MOL = KCAL_PER_MOL / 4.184  # eV
DEBYE = 1e-11 / (SPEED_OF_LIGHT * ELEMENTARY_CHARGE)  # e·Å
GIGAPASCAL = 1e-21 / ELEMENTARY_CHARGE  # eV/Å³

# A polarizability is stored as dμ/dE in e²Å²/eV, the unit of ASE; chemists read the volume α/(4πε0) in Å³.
POLARIZABILITY_VOLUME = 1.0 / COULOMB_CONSTANT  # e²Å²/eV per Å³

ENERGY = {
    "eV": 1.0,
    "meV": 1e-3,
    "Hartree": HARTREE,
    "kcal/mol": KCAL_PER_MOL,
    "kJ/mol": KJ_PER_MOL,
    "Rydberg": HARTREE / 2,
}
LENGTH = {"Ang": 1.0, "Å": 1.0, "Bohr": BOHR, "nm": 10.0}
DIPOLE = {"e·Å": 1.0, "e*Ang": 1.0, "Debye": DEBYE, "e*Bohr": BOHR, "a.u.": BOHR}
POLARIZABILITY = {
    "e²Å²/eV": 1.0,
    "e^2Ang^2/eV": 1.0,
    "e*Ang^2/V": 1.0,
    "Ang^3": POLARIZABILITY_VOLUME,
    "Å³": POLARIZABILITY_VOLUME,
    "Bohr^3": BOHR**2 / HARTREE,
    "a.u.": BOHR**2 / HARTREE,
}
QUADRUPOLE = {
    "e·Å²": 1.0,
    "e*Ang^2": 1.0,
    "e*Bohr^2": BOHR**2,
    "a.u.": BOHR**2,
    "Debye*Ang": DEBYE,
    "Debye·Å": DEBYE,
}
HYPERPOLARIZABILITY = {
    "e³Å³/eV²": 1.0,
    "e^3Ang^3/eV^2": 1.0,
    "e*Ang^3/V^2": 1.0,
    "a.u.": BOHR**3 / HARTREE**2,
}
CHARGE = {"e": 1.0}
FORCE = {f"{energy}/{length}": e / d for energy, e in ENERGY.items() for length, d in LENGTH.items()} | {
    "a.u.": HARTREE / BOHR
}
STRESS = {
    f"{energy}/{length}{cube}": e / d**3
    for energy, e in ENERGY.items()
    for length, d in LENGTH.items()
    for cube in ("^3", "³")
} | {"GPa": GIGAPASCAL, "kbar": GIGAPASCAL / 10}


# Spellings of one unit. Case is kept: eV, meV and MeV are three.
_SPELLINGS = {
    "Ang": ("Ang", "ang", "Å", "A", "Angstrom", "angstrom", "Angström", "Ångström", "Angstroms", "angstroms"),
    "Bohr": ("Bohr", "bohr", "a0", "a₀", "a_0"),
    "eV": ("eV", "electronvolt"),
    "Hartree": ("Hartree", "hartree", "Ha", "ha", "Eh", "E_h"),
    "Rydberg": ("Rydberg", "rydberg", "Ry", "ry"),
    "Debye": ("Debye", "debye", "D"),
    "GPa": ("GPa", "gpa", "GPA"),
    "kcal": ("kcal", "Kcal", "KCAL"),
    "kJ": ("kJ", "kj", "KJ"),
}
_CANONICAL = {spelling: unit for unit, spellings in _SPELLINGS.items() for spelling in spellings}
_ATOMIC_UNITS = ("a.u.", "au", "a.u", "a. u.", "atomic units", "atomic")
_SIGNS = str.maketrans({"·": "*", "⋅": "*", "\u212b": "Å", "²": "^2", "³": "^3", "⁻": "^-", "¹": "1"})
_TERM = re.compile(r"([*/]?)\s*(a0|a_0|a₀|E_h|[^\W\d_]+)\s*(?:\^?\s*([+-]?\d{1,2}))?\s*")


def factor(unit: str, table: dict[str, float], quantity: str) -> float:
    """Factor that turns a value in `unit` into the internal unit of `quantity`.

    Spellings of one unit are equal: eV/A and eV/Å, bohr^3 and Bohr³, e·Bohr and e*bohr, Ha and Hartree. Raises
    `InputError` that names the known units when `unit` is not one of them.
    """
    if unit in table:
        return table[unit]
    parts = _parts(unit)
    for known, value in table.items():
        if parts is not None and parts == _parts(known):
            return value
    raise InputError(f"unit of {quantity}: expected one of {', '.join(table)}; got {unit!r}{closest(unit, table)}")


def _parts(unit: str) -> dict[str, int] | None:
    """Powers of the units in a product like kcal/mol/Å or e^2Ang^2/eV; None if it cannot be read as one."""
    text = unit.strip()
    if text.lower() in _ATOMIC_UNITS:
        return {"a.u.": 1}
    text, place = text.translate(_SIGNS).replace("**", "^").replace("^-^", "^-"), 0
    powers: Counter[str] = Counter()
    while place < len(text):
        term = _TERM.match(text, place)
        if term is None:
            return None
        sign, name, power = term.groups()
        powers[_CANONICAL.get(name, name)] += (-1 if sign == "/" else 1) * int(power or 1)
        place = term.end()
    return {name: power for name, power in powers.items() if power}


# The time unit of ASE, and rates of change.
ATOMIC_TIME = 1e15 * _HBAR / (HARTREE * ELEMENTARY_CHARGE)  # fs, ħ/Hartree
ASE_TIME = 1e5 * (ATOMIC_MASS / ELEMENTARY_CHARGE) ** 0.5  # fs; ASE counts time in Å √(amu/eV)

# Factors to "per ASE time": what ASE's velocities, and Born charges times velocities, come in.
VELOCITY = {
    "ASE": 1.0,
    "Å/fs": ASE_TIME,
    "Ang/fs": ASE_TIME,
    "nm/ps": 1e-2 * ASE_TIME,
    "a.u.": BOHR / ATOMIC_TIME * ASE_TIME,
}
DIPOLE_RATE = {"ASE": 1.0} | {f"{unit}/fs": value * ASE_TIME for unit, value in DIPOLE.items() if unit != "a.u."}
POLARIZABILITY_RATE = {"ASE": 1.0} | {
    f"{unit}/fs": value * ASE_TIME for unit, value in POLARIZABILITY.items() if unit != "a.u."
}
