"""Named conversion factors; the package computes in eV, Å and e everywhere inside.

Every factor is "multiply a value in that unit to get the internal one". Constants are CODATA 2018 exact
or recommended values (doi:10.1103/RevModPhys.93.025010). Labels and files are converted once, at the border.
"""

from painn_ase.errors import InputError, closest

HARTREE = 27.211386245988  # eV
BOHR = 0.529177210903  # Å
KCAL_PER_MOL = 4184 / (6.02214076e23 * 1.602176634e-19)  # eV
KJ_PER_MOL = KCAL_PER_MOL / 4.184  # eV
DEBYE = 0.20819433442462576  # e·Å
COULOMB_CONSTANT = 14.3996454784936  # e²/(4πε0) in eV·Å
GIGAPASCAL = 0.006241509074460763  # eV/Å³

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


def factor(unit: str, table: dict[str, float], quantity: str) -> float:
    """Factor that turns a value in `unit` into the internal unit of `quantity`.

    Raises `InputError` that names the known units when `unit` is not one of them.
    """
    try:
        return table[unit]
    except KeyError:
        raise InputError(
            f"unit of {quantity}: expected one of {', '.join(table)}; got {unit!r}{closest(unit, table)}"
        ) from None


# Spectra: SI constants (the exact ones of the 2019 SI and CODATA 2018), the time unit of ASE, and rates of change.
SPEED_OF_LIGHT = 299792458.0  # m/s
PLANCK = 6.62607015e-34  # J s
BOLTZMANN = 1.380649e-23  # J/K
AVOGADRO = 6.02214076e23  # 1/mol
ELEMENTARY_CHARGE = 1.602176634e-19  # C
VACUUM_PERMITTIVITY = 8.8541878128e-12  # F/m
ATOMIC_MASS = 1.66053906660e-27  # kg
ATOMIC_TIME = 2.4188843265857e-2  # fs, ħ/Hartree
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
